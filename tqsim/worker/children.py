"""One child of a prefork pool: a simulated process that runs one job after another.

The main name is :class:`Child`.  It follows billiard's ``Worker`` (billiard/pool.py): a job is
accepted, run, and its outcome reported, as separate steps between which the child can be killed.
Signals act as in billiard: SIGUSR1 raises ``SoftTimeLimitExceeded`` in the task; SIGTERM, SIGQUIT and
SIGHUP ``SystemExit`` (``_shutdown_cleanup``); SIGKILL nothing at all.

A child that leaves in its own time first waits until its results were read
(``Worker._ensure_messages_consumed``), then says so and lives on for a second, which the worker
cuts short with SIGTERM unless it is shutting down itself (``Worker._do_exit``, ``on_death``).
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from billiard.common import EX_SOFTWARE
from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals

from tqsim.kernel import Kernel, Process, WaitQueue
from tqsim.kernel.fibers import FiberExit
from tqsim.kernel.system import ProcessExit
from tqsim.worker import exits, pipes

if TYPE_CHECKING:
    from tqsim.worker.jobs import Job

__all__ = ["EXIT_OK", "EXIT_RECYCLE", "Child"]

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
#: billiard/pool.py: the child has done its share of tasks and wants to be replaced.
EXIT_RECYCLE: Final = 0x9B
#: billiard/common.py, ``TERMSIGS_DEFAULT``, without SIGUSR1 which has a handler of its own.
_EXIT_SIGNALS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
#: billiard/pool.py, ``GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT`` and ``..._INTERVAL``.
_READING_TRIES_MAX: Final = 300
_READING_INTERVAL_US: Final = 100_000
#: billiard/pool.py, ``Worker._do_exit``: ``time.sleep(1)``.
_LAST_SLEEP_US: Final = 1_000_000


class Child:
    """A child process of a worker.

    ``report(kind, child, job, content)`` reaches the worker's main process at its next turn;
    ``initialise()`` runs in the child before its first job.  ``job``, ``results_read`` and
    ``is_reapable`` are what the worker knows of its child, ``running`` is what the child does.
    """

    def __init__(
        self,
        kernel: Kernel,
        process: Process,
        index: int,
        *,
        tasks_max: int | None,
        initialise: Callable[[Child], None],
        report: Callable[[str, Child, Job | None, Any], None],
        on_exit: Callable[[Child], None],
        hostname: str,
    ) -> None:
        self.process = process
        self.index = index
        #: The job that was written to the child and whose result has not been read.
        self.job: Job | None = None
        self.running: Job | None = None
        self.tasks_done = 0
        self.results_read = 0
        self.is_job_terminated = False
        #: Whether ``waitpid`` tells of its end, at the very instant of it.
        self.is_reapable = False
        self.ended_us = 0
        self.exit_code: int | None = None
        self._kernel = kernel
        self._tasks_max = tasks_max
        self._initialise = initialise
        self._report = report
        self._on_exit = on_exit
        self._hostname = hostname
        self._inbox: deque[Job | None] = deque()
        self._arrival = WaitQueue(kernel.loop)
        self._end = WaitQueue(kernel.loop)
        self._is_terminating = False
        process.handlers[signal.SIGINT] = signal.SIG_IGN
        process.on_death.append(self._gone)
        self.fiber = kernel.loop.spawn(self._run, process.name, process)

    @property
    def pid(self) -> int:
        """The simulated process id."""
        return self.process.pid

    def give(self, job: Job) -> None:
        """Write a job to the child, which may be leaving or dead: the worker does not know."""
        self.job = job
        self._inbox.append(job)
        self._arrival.wake_one()

    def dismiss(self) -> None:
        """Let the child end once it has done what it was given."""
        self._inbox.append(None)
        self._arrival.wake_one()

    def wait_for_end(self, timeout_us: int | None = None) -> bool:
        """Block until the child has ended; ``False`` when the timeout passed first."""
        loop = self._kernel.loop
        deadline_us = None if timeout_us is None else loop.now_us + timeout_us
        while self.process.is_alive and deadline_us != loop.now_us:
            # The worker may wait here in a signal handler, where its event loop can be woken too.
            left_us = None if deadline_us is None else deadline_us - loop.now_us
            self._end.wait(f"the end of {self.process.name}", left_us)
        return not self.process.is_alive

    # -- in the child -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._initialise(self)
        except FiberExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the process ends with it, whatever it was
            # Before ``Worker.__call__`` tries anything: the child ends without a word.
            self._kernel.end_process(self.process, exits.status(error, EXIT_FAILURE))
            return
        for number in _EXIT_SIGNALS:
            self.process.handlers[number] = self._on_exit_signal
        self.process.handlers[signal.SIGUSR1] = self._on_soft_limit
        exit_code = self._ended(self._work)
        reading_code = self._ended(self._await_reading)
        self._leave(exit_code if reading_code is None else reading_code)

    def _ended(self, step: Callable[[], int | None]) -> Any:
        """Do one step of the child's life and return with which code it ended."""
        try:
            return step()
        except FiberExit:
            raise
        except Exception:  # noqa: BLE001 - billiard logs it, and the process ends
            return EXIT_FAILURE
        except BaseException as error:  # noqa: BLE001 - the process ends with it
            return exits.status(error, EXIT_OK)

    def _work(self) -> int:
        while self._tasks_max is None or self.tasks_done < self._tasks_max:
            if not self._inbox:
                self._arrival.wait("a job")
            if not self._inbox:
                continue
            job = self._inbox.popleft()
            if job is None:
                return EXIT_OK
            self._do(job)
        return EXIT_RECYCLE

    def _do(self, job: Job) -> None:
        self.running = job
        self._report("accepted", self, job, self._kernel.clock.epoch_us)
        # The worker's main process reads the acceptance, and acknowledges, while the task starts.
        self._kernel.loop.sleep(0)
        fiber = self.fiber
        before = fiber.draws
        leaving: BaseException | None = None
        try:
            outcome: tuple[bool, Any] = (True, job.run(self))
        except FiberExit:
            raise
        except BaseException as error:
            if self._is_terminating:
                raise  # unwinding towards exit: there is no result to report
            outcome = (False, ExceptionInfo())
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                leaving = error
                job.note_lost(self, exits.status(error, EXIT_OK))
        finally:
            fiber.draws = before
        self.running = None
        self.tasks_done += 1
        self._report("ready", self, job, pipes.write(outcome))
        if leaving is not None:
            raise leaving

    def _await_reading(self) -> None:
        """Wait until the worker has read every result (``Worker._ensure_messages_consumed``)."""
        for _ in range(_READING_TRIES_MAX):
            if self.results_read >= self.tasks_done:
                return
            self._kernel.loop.sleep(_READING_INTERVAL_US)

    def _leave(self, exit_code: int) -> None:
        signals.worker_process_shutdown.send(sender=self._hostname, pid=self.pid, exitcode=exit_code)
        self._report("death", self, None, None)
        self._ended(lambda: self._kernel.loop.sleep(_LAST_SLEEP_US))
        self._kernel.end_process(self.process, exit_code & 0xFF)

    # -- signals ------------------------------------------------------------------------------

    def _on_soft_limit(self, number: int, frame: Any) -> None:
        # The handler stands from the start of the child to its end (billiard, ``after_fork``);
        # between two jobs there is no task in which it could be raised.
        if self.running is not None:
            raise SoftTimeLimitExceeded

    def _on_exit_signal(self, number: int, frame: Any) -> None:
        if self._is_terminating:
            self._kernel.end_process(self.process, EX_SOFTWARE)
            self._kernel.loop.vanish()
        self.process.handlers[number] = signal.SIG_DFL
        self._is_terminating = True
        raise ProcessExit(-(256 - number))

    def _gone(self) -> None:
        self.exit_code = self.process.exit_code
        self.ended_us = self._kernel.loop.now_us
        self._end.wake_all()
        self._on_exit(self)
