"""The two arms of the outcomes of tasks: a simulated worker, and a real one on a real RabbitMQ.

The main names are :class:`SimulatedWorker` and :class:`RealWorker`; both have one pool child.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from celery import states

import tqsim
from tests.conformance.outcome_app import LIMITS, make_app
from tests.conformance.rabbitmq_site import Site
from tests.conformance.real_workers import RealWorkerProcess

__all__ = ["Outcome", "RealWorker", "SimulatedWorker", "WorkerArm"]

#: A worker notices a dead child within five seconds, and the task after it is seen to run then.
_PATIENCE_S: Final = 9.0
_STEP_S: Final = 0.05
#: What is done from outside, one second after a task was sent.
_REVOKES: Final = {"revoke": "SIGTERM", "revoke by SIGKILL": "SIGKILL"}


@dataclass(frozen=True)
class Outcome:
    """How a task ended: its state, its result as text, and of every run whether it was redelivered and which retry."""

    state: str
    result: str
    runs: list[tuple[bool, int]]


class WorkerArm(ABC):
    """One worker; :meth:`run` sends one task and tells how it ended."""

    def __init__(self, broker: str, folder: Path, queue: str) -> None:
        self.folder = folder
        self.app = make_app(broker, folder, queue)

    def run(self, task: str, how: str) -> Outcome:
        """Send a task and the next one, do what has to be done from outside, and wait until both have ended."""
        result = self.app.send_task(task, (how,), **LIMITS.get(how, {}))
        self.app.send_task("next")
        self.wait(1.0)
        if how in _REVOKES:
            self.app.control.revoke(result.id, terminate=True, signal=_REVOKES[how])
        elif how == "kill the child":
            self.kill_child()
        elif how == "kill the worker":
            self.restart()
        passed_s = 0.0
        while passed_s < _PATIENCE_S and not (self._notes("next") and result.state in states.READY_STATES):
            self.wait(_STEP_S)
            passed_s += _STEP_S
        self.wait(1.5)
        final = self.app.AsyncResult(result.id)
        return Outcome(final.state, repr(final.result), [(run[0], run[1]) for run in self._notes("run")])

    def _notes(self, what: str) -> list[Any]:
        notes = self.folder / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [value for kind, value in map(json.loads, lines) if kind == what]

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let some time pass."""

    @abstractmethod
    def kill_child(self) -> None:
        """End the pool child with SIGKILL."""

    @abstractmethod
    def restart(self) -> None:
        """End the worker with SIGKILL, and start it again."""

    @abstractmethod
    def close(self) -> None:
        """End it all."""


class SimulatedWorker(WorkerArm):
    """A worker of tqsim."""

    def __init__(self, folder: Path) -> None:
        super().__init__("amqp://guest:guest@127.0.0.1:5672//", folder, "outcomes")
        self._sim = tqsim.Simulation(self.app)
        self._sim.__enter__()
        self._worker = self._sim.worker("w1", concurrency=1)
        self._sim.run(for_=1)

    def wait(self, seconds: float) -> None:
        self._sim.run(for_=seconds)

    def kill_child(self) -> None:
        self._worker.kill_child()

    def restart(self) -> None:
        self._worker.kill()
        self._worker.restart()

    def close(self) -> None:
        self._sim.__exit__(None, None, None)


class RealWorker(WorkerArm):
    """A worker in a process of its own."""

    def __init__(self, folder: Path, site: Site, queue: str) -> None:
        self._lock = site.shared()
        super().__init__(site.url, folder, queue)
        environment = {"OUTCOMES_BROKER": site.url, "OUTCOMES_FOLDER": str(folder), "OUTCOMES_QUEUE": queue}
        options = ["-c", "1", "--without-mingle"]
        self._worker = RealWorkerProcess("tests.conformance.outcome_app", "w", folder, options, environment)
        self._start()

    def _start(self) -> None:
        self._worker.launch()
        self._worker.await_ready()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def kill_child(self) -> None:
        self._worker.kill_child()

    def restart(self) -> None:
        self._worker.kill()
        self._start()

    def close(self) -> None:
        self._worker.kill()
        self._lock.close()
