"""Event loops that the application made before the simulation opened: one for each process.

The main name is :class:`ModuleEventLoop`, which stands in the place of such a loop while a simulation
is open (:mod:`tqsim.kernel.module_locks` puts it there).  In production the worker's children are
forked, and each goes on with its copy; two fibers cannot run one loop at the same time.

Left out: what was scheduled on the loop at import; the loop of a process begins without it.
"""

from __future__ import annotations

from typing import Any, Final

from tqsim.kernel.loop import Loop

__all__ = ["ModuleEventLoop"]

#: What an application sets on a loop (asyncio/base_events.py).
_SETTINGS: Final = ("_debug", "_exception_handler", "_task_factory", "slow_callback_duration")


class ModuleEventLoop:
    """An event loop of each process; in the test itself it is the ``real`` one."""

    def __init__(self, loop: Loop, real: Any) -> None:
        vars(self).update(_loop=loop, _real=real, _own={loop.main.process: real})

    def _of_process(self) -> Any:
        state = vars(self)
        loop, real, own = state["_loop"], state["_real"], state["_own"]
        if loop.is_closed or not loop.in_loop_thread() or real.is_closed():
            return real
        process = loop.loaded
        if process not in own:
            made = own[process] = type(real)()
            for name in _SETTINGS:
                setattr(made, name, getattr(real, name))
        return own[process]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of_process(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._of_process(), name, value)

    def __repr__(self) -> str:
        return f"<of each process: {self._of_process()!r}>"

    def __deepcopy__(self, memo: object) -> ModuleEventLoop:
        return self

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The class of the loop: asyncio asks with ``isinstance``."""
        return type(vars(self)["_real"])
