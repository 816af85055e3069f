"""One child of a prefork pool: a simulated process that runs one job after another.

The main name is :class:`Child`.  It follows billiard's ``Worker.workloop`` (billiard/pool.py): a
job is accepted, run, and its outcome reported, as separate steps between which the child can be
killed.  Signals act as in billiard: SIGUSR1 raises ``SoftTimeLimitExceeded`` in the task, SIGTERM
``SystemExit`` (``_shutdown_cleanup``), SIGKILL nothing at all.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals

from tqsim.kernel import Kernel, Process, WaitQueue
from tqsim.kernel.fibers import FiberExit
from tqsim.kernel.system import ProcessExit

if TYPE_CHECKING:
    from tqsim.worker.jobs import Job

__all__ = ["EXIT_OK", "EXIT_RECYCLE", "Child"]

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
#: billiard/pool.py: the child has done its share of tasks and wants to be replaced.
EXIT_RECYCLE: Final = 0x9B


class Child:
    """A child process of a worker.

    ``report(kind, job, outcome)`` reaches the worker's main process at its next turn;
    ``initialise()`` runs in the child before its first job.
    """

    def __init__(
        self,
        kernel: Kernel,
        process: Process,
        index: int,
        *,
        tasks_max: int | None,
        initialise: Callable[[Child], None],
        report: Callable[[str, Child, Job, Any], None],
        on_exit: Callable[[Child], None],
        hostname: str,
    ) -> None:
        self.process = process
        self.index = index
        self.job: Job | None = None
        self.tasks_done = 0
        self.is_job_terminated = False
        self.is_leaving = False
        self.exit_code: int | None = None
        self._kernel = kernel
        self._tasks_max = tasks_max
        self._initialise = initialise
        self._report = report
        self._on_exit = on_exit
        self._hostname = hostname
        self._inbox: deque[Job | None] = deque()
        self._arrival = WaitQueue(kernel.loop)
        self._is_terminating = False
        process.handlers[signal.SIGUSR1] = self._on_soft_limit
        process.handlers[signal.SIGTERM] = self._on_term
        process.handlers[signal.SIGINT] = signal.SIG_IGN
        process.on_death.append(self._gone)
        self.fiber = kernel.loop.spawn(self._run, process.name, process)

    @property
    def pid(self) -> int:
        """The simulated process id."""
        return self.process.pid

    @property
    def is_idle(self) -> bool:
        """Whether the child can be given a job."""
        return (
            self.process.is_alive
            and self.job is None
            and not self._is_terminating
            and not self.is_leaving
            and (self._tasks_max is None or self.tasks_done < self._tasks_max)
        )

    def give(self, job: Job) -> None:
        """Write a job to the child."""
        self.job = job
        self._inbox.append(job)
        self._arrival.wake_one()

    def dismiss(self) -> None:
        """Let the child end once it has done what it was given."""
        self._inbox.append(None)
        self._arrival.wake_one()

    # -- in the child -------------------------------------------------------------------------

    def _run(self) -> None:
        exit_code = EXIT_FAILURE
        try:
            self._initialise(self)
            exit_code = self._work()
        except ProcessExit as error:
            exit_code = error.code if isinstance(error.code, int) else EXIT_FAILURE
        except FiberExit:
            raise
        except SystemExit as error:
            exit_code = _exit_code(error)
        except BaseException:  # noqa: BLE001 - whatever it was, the process ends with it
            exit_code = EXIT_FAILURE
        self._leave(exit_code)

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
        loop = self._kernel.loop
        self._report("accepted", self, job, self._kernel.clock.epoch_us)
        # The worker's main process reads the acceptance, and acknowledges, while the task starts.
        loop.sleep(0)
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
        finally:
            fiber.draws = before
        self.tasks_done += 1
        self._report("ready", self, job, outcome)
        if leaving is not None:
            raise leaving

    def _leave(self, exit_code: int) -> None:
        signals.worker_process_shutdown.send(sender=self._hostname, pid=self.pid, exitcode=exit_code)
        self._kernel.end_process(self.process, exit_code)

    # -- signals ------------------------------------------------------------------------------

    def _on_soft_limit(self, number: int, frame: Any) -> None:
        # The handler stands from the start of the child to its end (billiard, ``after_fork``);
        # between two jobs there is no task in which it could be raised.
        if self.job is not None:
            raise SoftTimeLimitExceeded

    def _on_term(self, number: int, frame: Any) -> None:
        if self._is_terminating:
            self._kernel.end_process(self.process, -number)
            self._kernel.loop.vanish()
        self._is_terminating = True
        raise ProcessExit(-number)

    def _gone(self) -> None:
        self.exit_code = self.process.exit_code
        self._on_exit(self)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return EXIT_OK
    return error.code if isinstance(error.code, int) else EXIT_FAILURE
