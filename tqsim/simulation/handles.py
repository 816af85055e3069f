"""What a test holds of the processes in a simulation: workers, beat, clients.

The main names are :class:`WorkerHandle`, :class:`BeatHandle` and :class:`ClientHandle`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from tqsim import durations
from tqsim.errors import UsageError
from tqsim.history import stable_text
from tqsim.kernel import Kernel, Process
from tqsim.kernel.fibers import Fiber
from tqsim.worker.beat import BeatProgram
from tqsim.worker.program import WorkerProgram

__all__ = ["BeatHandle", "ClientHandle", "WorkerHandle"]

_logger: Final = logging.getLogger("tqsim")


class WorkerHandle:
    """One worker of a simulation; made by :meth:`tqsim.Simulation.worker`."""

    def __init__(self, program: WorkerProgram, require_open: Callable[[], None]) -> None:
        self._program = program
        self._require_open = require_open

    @property
    def name(self) -> str:
        """The name it was given; its node name is ``name@sim``."""
        return self._program.name

    @property
    def hostname(self) -> str:
        """The node name, as in ``task.request.hostname``."""
        return self._program.hostname

    @property
    def is_alive(self) -> bool:
        """Whether its main process lives."""
        return self._program.is_alive

    @property
    def pid(self) -> int | None:
        """The simulated process id, or ``None`` before the first start."""
        return None if self._program.process is None else self._program.process.pid

    def kill(self) -> None:
        """End the worker and its children at once, as SIGKILL does; nothing is acknowledged.

        Raises :class:`~tqsim.UsageError` when it has ended already.
        """
        self._require_open()
        self._program.kill()

    def kill_child(self, index: int = 0) -> None:
        """End one child of its pool at once.

        The worker notices at the next ring of its pool's timer, up to five seconds later, as a real one mostly
        does; then it stores ``WorkerLostError`` for the task of the child, and replaces it.
        """
        self._require_open()
        self._program.kill_child(index)

    def stop(self) -> None:
        """Ask for a warm shutdown (SIGTERM): running tasks finish, then the worker ends."""
        self._require_open()
        self._program.stop()

    def send_signal(self, number: int) -> None:
        """Send any signal to the worker's main process, such as ``signal.SIGQUIT`` (cold shutdown)."""
        self._require_open()
        self._program.send(number)

    def restart(self) -> None:
        """Start the worker again after it has ended: a new process that remembers nothing.

        Raises :class:`~tqsim.UsageError` while it is alive.
        """
        self._require_open()
        self._program.start()

    def __repr__(self) -> str:
        return f"<Worker {self.name!r}: {'alive' if self.is_alive else 'ended'}>"


class BeatHandle:
    """The beat of a simulation; made by :meth:`tqsim.Simulation.beat`."""

    def __init__(self, program: BeatProgram, require_open: Callable[[], None]) -> None:
        self._program = program
        self._require_open = require_open

    @property
    def name(self) -> str:
        """The name of its process."""
        return self._program.name

    @property
    def is_alive(self) -> bool:
        """Whether its process lives."""
        return self._program.is_alive

    def kill(self) -> None:
        """End it at once; its schedule file stays as it was last written."""
        self._require_open()
        self._program.kill()

    def stop(self) -> None:
        """Ask it to end (SIGTERM): it writes its schedule first."""
        self._require_open()
        self._program.stop()

    def restart(self) -> None:
        """Start it again after it has ended."""
        self._require_open()
        self._program.start()


class ClientHandle:
    """A client: a simulated process that runs one function; made by :meth:`tqsim.Simulation.client`.

    ``is_background`` says that a simulation is idle although it runs.
    """

    def __init__(
        self,
        kernel: Kernel,
        process: Process,
        function: Callable[[], Any],
        note: Callable[..., None] | None,
        *,
        is_background: bool,
    ) -> None:
        self.is_background = is_background
        self._kernel = kernel
        self._process = process
        self._function = function
        self._note = note
        self._value: Any = None
        self._error: BaseException | None = None
        self._ended_us = 0
        self._is_asked = False
        self._has_returned = False
        self._fiber: Fiber = kernel.loop.spawn(self._run, process.name, process)

    def _run(self) -> None:
        try:
            self._value = self._function()
            self._has_returned = True
        except SystemExit as error:
            self._has_returned = not error.code
            self._error = error if error.code else None
        except Exception as error:  # noqa: BLE001 - whatever the client raised is its result
            self._error = error
        self._tell_end()
        self._kernel.end_process(self._process, 0 if self._error is None else 1)

    def _tell_end(self) -> None:
        error = self._error
        if error is not None:
            self._ended_us = self._kernel.loop.now_us
            _logger.error("Client %r ended with an error", self.name, exc_info=error)
        if self._note is None:
            return
        if error is None:
            self._note("process.stopped", self.name, None, kind="client")
        else:
            self._note("process.crashed", self.name, None, kind="client", error=stable_text(error))

    def raise_unasked(self) -> None:
        """Raise what the function raised, unless somebody has asked for its result."""
        error = self._error
        if error is None or self._is_asked:
            return
        when = durations.text(self._ended_us)
        if isinstance(error, SystemExit):
            raise UsageError(f"Client {self.name!r} ended with sys.exit({error.code!r}) at {when}.")
        error.add_note(f"Raised in client {self.name!r} at {when}; result() would have raised it sooner.")
        raise error

    @property
    def name(self) -> str:
        """The name of its process."""
        return self._process.name

    @property
    def is_done(self) -> bool:
        """Whether the function has returned or raised, or the process was killed."""
        return not self._process.is_alive

    def kill(self) -> None:
        """End it at once."""
        if self.is_done:
            raise UsageError(f"Client {self.name!r} cannot be killed: it has ended already.")
        if self._note is not None:
            self._note("process.killed", self.name, None, kind="client", signal="SIGKILL")
        self._kernel.end_process(self._process, -9)

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised.

        Raises :class:`~tqsim.UsageError` when it has not finished, or was killed.
        """
        self._is_asked = True
        if self._error is not None:
            raise self._error
        if self.is_done and not self._has_returned:
            raise UsageError(f"Client {self.name!r} has no result: it was killed before it had finished.")
        if not self._has_returned:
            raise UsageError(
                f"Client {self.name!r} has not finished: it waits for {self._fiber.doing}. Run the simulation "
                "on with sim.run(...) or sim.run_until_idle()."
            )
        return self._value

    def __repr__(self) -> str:
        return f"<Client {self.name!r}: {'done' if self.is_done else self._fiber.doing}>"
