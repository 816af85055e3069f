"""Processes, signals and exits as code inside a simulation sees them.

The main name is :class:`System`.  ``os.getpid``, ``kill``, ``_exit``, ``signal.signal`` and the
like act on simulated processes, and ``pthread_kill`` on their threads; a signal to anybody else,
``fork`` and ``subprocess`` are refused by name, because a mistake there would kill something real.
"""

from __future__ import annotations

import _posixsubprocess
import os
import signal
import subprocess
import textwrap
from collections.abc import Callable
from typing import Any, Final, NoReturn

from tqsim.errors import UnsupportedError, UsageError
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches, asking_module, is_tool, named
from tqsim.kernel.processes import Process, is_simulated_thread, pid_of_thread

__all__ = ["ProcessExit", "System", "first_pid"]

_REAL_GETPID: Final = os.getpid
_REAL_GETPPID: Final = os.getppid
_REAL_GETPGID: Final = os.getpgid
_REAL_KILL: Final = os.kill
_REAL_KILLPG: Final = os.killpg
_REAL_EXIT: Final = os._exit
_REAL_ABORT: Final = os.abort
_REAL_SIGNAL: Final = signal.signal
_REAL_GETSIGNAL: Final = signal.getsignal
_REAL_PTHREAD_KILL: Final = signal.pthread_kill
_REAL_RAISE_SIGNAL: Final = signal.raise_signal
_REAL_ALARM: Final = signal.alarm
_REAL_SETITIMER: Final = signal.setitimer
_REAL_POPEN_INIT: Final = subprocess.Popen.__init__
_REAL_FORK_EXEC: Final = _posixsubprocess.fork_exec
#: What starts another program, or becomes one; the ``l`` and ``p`` forms are built on these.
_REAL_STARTERS: Final = {
    name: getattr(os, name)
    for name in ("fork", "forkpty", "system", "posix_spawn", "posix_spawnp", "execv", "execve")
    if hasattr(os, name)
}
_REAL_SIGNAL_WAITS: Final = {
    name: getattr(signal, name) for name in ("pause", "sigwait", "sigwaitinfo", "sigtimedwait") if hasattr(signal, name)
}
#: Signals whose default action does nothing to a process (signal(7)).
_IGNORED: Final = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)
#: What the test itself uses to look after real processes, which are known by their real pids.
_OF_REAL_PROCESSES: Final = ("multiprocessing", "concurrent", "psutil")
_PID_MAX: Final = 4_194_304
_COMMAND_MAX: Final = 60


def first_pid() -> int:
    """The smallest process id that no real process can have (proc(5): ``pid_max``)."""
    return _PID_MAX + 1


class System:
    """The operating system of one simulation.

    ``exit_process(process, exit_code)`` ends a process; it is given by whoever owns processes.
    """

    def __init__(self, loop: Loop, exit_process: Callable[[Process, int], None]) -> None:
        self._loop = loop
        self._exit_process = exit_process
        #: Called with a process and a signal that it has a handler for.
        self.on_handled_signal: Callable[[Process, int], None] = lambda process, number: None
        self._by_pid: dict[int, Process] = {}
        self._next_pid = first_pid()

    def new_pid(self) -> int:
        """Return the next process id."""
        self._next_pid += 1
        return self._next_pid

    def add(self, process: Process) -> None:
        """Make a process known by its pid."""
        self._by_pid[process.pid] = process

    def install(self, patches: Patches) -> None:
        """Make the functions of ``os``, ``signal`` and ``subprocess`` act on simulated processes."""
        replacements: list[tuple[Any, str, Any]] = [
            (os, "getpid", self._getpid),
            (os, "getppid", self._inside(self._parent_pid, _REAL_GETPPID)),
            (os, "getpgid", self._inside(self._group, _REAL_GETPGID)),
            (os, "kill", self._inside(self.kill, self._kill_for_the_test)),
            (os, "killpg", self._inside(self.kill, _REAL_KILLPG)),
            (os, "_exit", self._inside(self._leave, _REAL_EXIT)),
            (os, "abort", self._inside(lambda: self._leave(-signal.SIGABRT), _REAL_ABORT)),
            (signal, "signal", self._inside(self._set_handler, _REAL_SIGNAL)),
            (signal, "getsignal", self._inside(self._get_handler, _REAL_GETSIGNAL)),
            (signal, "pthread_kill", self._pthread_kill),
            (signal, "raise_signal", self._inside(self._raise_signal, _REAL_RAISE_SIGNAL)),
            (signal, "alarm", self._inside(lambda seconds: _refuse("signal.alarm()"), _REAL_ALARM)),
            (signal, "setitimer", self._inside(lambda *args: _refuse("signal.setitimer()"), _REAL_SETITIMER)),
            (subprocess.Popen, "__init__", self._refusing_popen()),
            (_posixsubprocess, "fork_exec", self._inside(_refuse_to_spawn, _REAL_FORK_EXEC)),
            *((signal, name, self._refusing_wait(name, real)) for name, real in _REAL_SIGNAL_WAITS.items()),
            *((os, name, self._refusing(name, real)) for name, real in _REAL_STARTERS.items()),
        ]
        for owner, name, value in replacements:
            patches.set(owner, name, value)

    def replacements(self) -> dict[Any, Any]:
        """The functions that other modules bind by name, with their stand-ins."""
        return {
            _REAL_GETPID: self._getpid,
            _REAL_PTHREAD_KILL: self._pthread_kill,
            _REAL_RAISE_SIGNAL: self._inside(self._raise_signal, _REAL_RAISE_SIGNAL),
            **{real: self._refusing_wait(name, real) for name, real in _REAL_SIGNAL_WAITS.items()},
        }

    def kill(self, pid: int, number: int) -> None:
        """Send a signal to a simulated process, as ``os.kill``.

        Raises ``ProcessLookupError`` for one that has ended and :class:`~tqsim.UsageError` for
        a pid that is not simulated.
        """
        process = self._by_pid.get(pid)
        if process is None:
            if number == 0:
                raise ProcessLookupError(3, "No such process")
            raise UsageError(
                f"os.kill({pid}, {int(number)}): {pid} is not a process of this simulation; a signal from "
                "inside a simulation never reaches a real process."
            )
        if not process.is_alive:
            raise ProcessLookupError(3, "No such process")
        if process is self._loop.main.process and number != 0:
            raise UsageError(
                f"os.kill({pid}, {int(number)}): {pid} is the process of the test itself; a simulated process cannot "
                "end it."
            )
        self.deliver(process, int(number))

    def _kill_for_the_test(self, pid: int, number: int) -> None:
        """``os.kill`` in the test itself, which may know itself by its simulated pid."""
        is_own = self._is_inside() and pid == self._loop.main.process.pid
        _REAL_KILL(_REAL_GETPID() if is_own else pid, number)

    def _getpid(self) -> int:
        """``os.getpid``: the test has a simulated pid too, since task code may have read it."""
        if not self._is_inside():
            return _REAL_GETPID()
        if self._loop.current is self._loop.main:
            asking = asking_module(__name__)
            if is_tool(asking) or asking.partition(".")[0] in _OF_REAL_PROCESSES:
                return _REAL_GETPID()
        return self._process().pid

    def thread(self, ident: int) -> Fiber:
        """Return the running thread of a simulated process that has this ident.

        Raises ``ProcessLookupError`` when there is none (any more).
        """
        process = self._by_pid.get(pid_of_thread(ident))
        if process is not None and process.is_alive:
            for fiber in process.fibers:
                if fiber.thread_ident == ident:
                    return fiber
        raise ProcessLookupError(3, "No such process")

    def _pthread_kill(self, thread_id: int, signalnum: int, /) -> None:
        """Send a signal to a thread, as ``signal.pthread_kill``: its process acts on it.

        A simulated ident never reaches the system, whoever uses it: the system would follow it as
        an address.
        """
        is_inside, is_simulated = self._is_inside(), is_simulated_thread(thread_id)
        if is_simulated and is_inside:
            self.deliver(self.thread(thread_id).process, int(signalnum))
        elif not is_simulated and (not is_inside or self._loop.current is self._loop.main):
            _REAL_PTHREAD_KILL(thread_id, signalnum)
        elif is_simulated or signalnum == 0:
            raise ProcessLookupError(3, "No such process")
        else:
            raise UsageError(
                f"signal.pthread_kill({thread_id}, {int(signalnum)}): {thread_id} is not a thread of this "
                "simulation; a signal from inside a simulation never reaches a real thread."
            )

    def _raise_signal(self, signalnum: int, /) -> None:
        """Send the own process a signal, as ``signal.raise_signal``."""
        self.deliver(self._process(), int(signalnum))

    def deliver(self, process: Process, number: int) -> None:
        """Act on a signal: the process's handler, or the signal's default action."""
        if number == 0:
            return
        handler = process.handlers.get(number, signal.SIG_DFL)
        if number == signal.SIGKILL or handler == signal.SIG_DFL:
            if number not in _IGNORED:
                self._die(process, -number)
            return
        if handler == signal.SIG_IGN:
            return
        self.on_handled_signal(process, number)
        fiber = next((fiber for fiber in process.fibers if not fiber.is_done), None)
        if fiber is not None:
            self._loop.interrupt(fiber, lambda: handler(number, None))

    def _die(self, process: Process, exit_code: int) -> None:
        self._exit_process(process, exit_code)
        current = self._loop.current
        if current is not None and current.process is process:
            self._loop.vanish()

    def _leave(self, status: int = 0) -> None:
        process = self._process()
        if process is self._loop.main.process:
            raise UsageError(f"os._exit({status}) was called by the test itself, not by a simulated process.")
        self._die(process, status)

    def _process(self) -> Process:
        fiber = self._loop.current
        return self._loop.loaded if fiber is None else fiber.process

    def _parent_pid(self) -> int:
        parent = self._process().parent
        return _PID_MAX + 1 if parent is None else parent.pid

    def _group(self, pid: int) -> int:
        process = self._by_pid.get(pid)
        if process is None or not process.is_alive:
            raise ProcessLookupError(3, "No such process")
        return process.pid if process.parent is None else process.parent.pid

    def _set_handler(self, number: int, handler: Any) -> Any:
        handlers = self._process().handlers
        before = handlers.get(int(number), signal.SIG_DFL)
        handlers[int(number)] = handler
        return before

    def _get_handler(self, number: int) -> Any:
        return self._process().handlers.get(int(number), signal.SIG_DFL)

    def _is_inside(self) -> bool:
        loop = self._loop
        return not loop.is_closed and loop.in_loop_thread()

    def _inside(self, virtual: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
        """``virtual`` in simulated processes, ``real`` in the test itself and in foreign threads."""
        loop = self._loop

        def function(*args: Any, **kwargs: Any) -> Any:
            if not self._is_inside() or loop.current is loop.main:
                return real(*args, **kwargs)
            return virtual(*args, **kwargs)

        return named(function, real)

    def _refusing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return self._inside(lambda *args: _refuse(f"os.{name}({', '.join(map(repr, args[:1]))})"), real)

    def _refusing_wait(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return self._inside(lambda *args: _refuse_to_wait(f"signal.{name}({', '.join(map(repr, args))})"), real)

    def _refusing_popen(self) -> Callable[..., None]:
        loop = self._loop

        def popen(instance: Any, *args: Any, **kwargs: Any) -> None:
            if self._is_inside() and loop.current is not loop.main:
                instance.args = args
                instance.returncode = 0  # its __del__ must find a finished process
                instance._child_created = False
                command = args[0] if args else kwargs.get("args")
                _refuse(f"subprocess.Popen({command!r})")
            _REAL_POPEN_INIT(instance, *args, **kwargs)

        return popen


class ProcessExit(SystemExit):
    """``SystemExit`` by a signal, raised in the code of a simulated process that is told to end."""


def _refuse(what: str) -> NoReturn:
    raise UnsupportedError(
        f"{what} was called inside a simulation: a real process cannot live in virtual time. Replace "
        "the call in the test, or give its work to a service (sim.service) or a cost (sim.cost)."
    )


def _refuse_to_spawn(arguments: Any, *rest: Any) -> NoReturn:
    """``multiprocessing`` starts its processes here, and no other way."""
    command = b" ".join(os.fsencode(argument) for argument in arguments).decode(errors="replace")
    _refuse(f"A new process ({textwrap.shorten(command, _COMMAND_MAX, placeholder='...')})")


def _refuse_to_wait(what: str) -> NoReturn:
    raise UnsupportedError(
        f"{what} was called inside a simulation, where signals reach handlers and nobody who waits for "
        "them. Set a handler with signal.signal(), and wait for a threading.Event that it sets."
    )
