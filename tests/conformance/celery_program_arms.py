"""What takes the steps of generated Celery programs: :class:`ProgramArm`, and simulated: :class:`SimulatedWorkers`.

An arm has one worker with one slot and a prefetch of one, and one with two slots (:data:`WORKERS`).  The real arms
are in :mod:`tests.conformance.celery_program_workers`.
"""

from __future__ import annotations

import itertools
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from celery.result import GroupResult, result_from_tuple

import tqsim
from tests.conformance.celery_program_app import Place, make_app, notes_of, signature_of
from tests.conformance.celery_program_records import Ending, Record, Run, readable
from tests.conformance.celery_programs import (
    ALPHA,
    BETA,
    GAMMA,
    Again,
    Await,
    Canvas,
    KillChild,
    KillWorker,
    Program,
    Revoke,
    Send,
    Step,
    StopWorker,
)

__all__ = ["PATIENCE_S", "QUEUES", "STEP_S", "WORKERS", "ProgramArm", "SimulatedWorkers", "worker_name"]

#: Their names, on the broker.
QUEUES: Final = (ALPHA, BETA, GAMMA)
#: What each worker consumes, its slots, and how many messages for each slot it takes.
WORKERS: Final = {"single": ((ALPHA,), 1, 1), "double": ((BETA, GAMMA), 2, 16)}
#: How often an arm looks whether something has happened, and how long at most.
STEP_S: Final = 0.05
PATIENCE_S: Final = 90.0
_MOMENT_S: Final = 0.3
#: Virtual seconds after which nothing is left to happen in any program.
_SETTLED_S: Final = 60


class ProgramArm(ABC):
    """An application, two workers, and what is done with them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.app = make_app(place)
        self._numbers = itertools.count(1)
        self._away_s = 0.0

    def run(self, program: Program) -> Record:
        """Take all steps, wait until nothing is left to happen, and tell what happened."""
        name = f"p{os.getpid()}x{next(self._numbers)}"
        before = self._prefetch()
        self._away_s = 0.0
        for step in program.steps:
            self._take(step, program, name)
        self.settle()
        after = self._prefetch()
        notes = [_comparable(note, program, name) for note in notes_of(self.place.folder, name)]
        record = Record(
            endings={job.alias: self._ending(program, name, job.alias) for job in program.jobs},
            runs=[Run.of(note, name) for note in notes if "alias" in note],
            inline=[readable(note, name) for note in notes if "inline" in note],
            queues=self.queues(),
            prefetch={worker: after[worker] - before[worker] for worker in after},
            away_s=self._away_s,
        )
        self.clean()
        return record

    def _take(self, step: Step, program: Program, name: str) -> None:
        match step:
            case Send(canvas) | Again(canvas):
                self._send(canvas, name)
            case Await(alias):
                self._await(alias, name)
            case Revoke(alias, None):
                self.wait(_MOMENT_S)  # for the task to be where it waits; else what the worker knows of it is chance
                self.app.control.revoke(f"{name}.{alias}")
            case Revoke(alias, signal):
                # Every other worker would store the state too, before or after the one that ends the task.
                hosts = [self._host_of(program, alias)]
                self.app.control.revoke(f"{name}.{alias}", hosts, terminate=True, signal=signal)
            case KillChild():
                self.kill_child()
            case KillWorker():
                self._without_worker(self.kill_worker)
            case StopWorker():
                self._without_worker(self.stop_worker)

    def _without_worker(self, restart: Callable[[], None]) -> None:
        begin = time.monotonic()
        restart()
        self._away_s += time.monotonic() - begin

    def _send(self, canvas: Canvas, name: str) -> None:
        signature_of(self.app, canvas, name).apply_async()

    def _await(self, alias: str, name: str) -> None:
        passed_s = 0.0
        while not any(note.get("alias") == alias for note in notes_of(self.place.folder, name)):
            assert passed_s < PATIENCE_S, f"{alias} does not begin"
            self.wait(STEP_S)
            passed_s += STEP_S
        self.wait(_MOMENT_S)

    def _host_of(self, program: Program, alias: str) -> str:
        (queue,) = (job.queue for job in program.jobs if job.alias == alias)
        return next(
            host for host, (queues, _, _) in zip(self.hostnames(), WORKERS.values(), strict=True) if queue in queues
        )

    def _prefetch(self) -> dict[str, int]:
        return {worker_name(host): told["prefetch_count"] for host, told in self.inspect("stats").items()}

    def inspect(self, what: str) -> dict[str, Any]:
        """Ask both workers."""
        told: dict[str, Any] = getattr(self.app.control.inspect(self.hostnames(), timeout=10), what)() or {}
        assert len(told) == len(WORKERS), f"{what}: {sorted(told)} answered"
        return told

    def _ending(self, program: Program, name: str, alias: str) -> Ending:
        meta = self.app.backend.get_task_meta(f"{name}.{alias}", cache=False)
        extended = {key: meta.get(key) for key in ("name", "retries", "queue")}
        extended["traceback"] = bool(meta.get("traceback"))
        told = {"alias": alias, "parent": meta.get("parent_id"), "worker": meta.get("worker") or ""}
        extended.update(_comparable(told, program, name))
        return Ending(
            state=meta["status"],
            result=readable(meta.get("result"), name),
            children=self._children(program, name, alias, meta),
            extended=readable(extended, name),
        )

    def _children(self, program: Program, name: str, alias: str, meta: dict[str, Any]) -> tuple[str, ...]:
        results = [result_from_tuple(child, app=self.app) for child in meta.get("children") or ()]
        ids = [leaf.removeprefix(f"{name}.") for result in results for leaf in _leaves(result)]
        # The one that tells the body of a failure gives it its own children too.
        chance = [part for joint in program.joints if joint.body == alias for part in joint.header]
        return tuple(sorted(child if child in program.aliases else "<drawn>" for child in ids if child not in chance))

    @abstractmethod
    def hostnames(self) -> list[str]:
        """The node names of the workers."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let some time pass."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until nothing is left to happen."""

    @abstractmethod
    def queues(self) -> dict[str, tuple[int, int]]:
        """Ready and unacknowledged messages of each queue."""

    @abstractmethod
    def clean(self) -> None:
        """Make ready for another program."""

    @abstractmethod
    def kill_child(self) -> None:
        """End the child of the worker with one slot."""

    @abstractmethod
    def kill_worker(self) -> None:
        """End the worker with one slot, and start it again."""

    @abstractmethod
    def stop_worker(self) -> None:
        """Shut the worker with one slot down, and start it again."""

    @abstractmethod
    def close(self) -> None:
        """End it all."""


def _leaves(result: Any) -> Iterator[str]:
    if isinstance(result, GroupResult):
        for part in result.results:
            yield from _leaves(part)
    else:
        yield result.id


def worker_name(hostname: str) -> str:
    """Return the name of a worker without the number of its start and its host."""
    return hostname.partition("@")[0].rstrip("0123456789")


def _comparable(note: dict[str, Any], program: Program, name: str) -> dict[str, Any]:
    """Return what was told without what is another in every arm, or chance."""
    if "alias" not in note:
        return note
    told = {**note, "worker": worker_name(note["worker"])}
    for joint in program.joints:
        header = [f"{name}.{alias}" for alias in joint.header]
        if note["alias"] in joint.after:
            told.update((key, "<of the header>") for key in ("parent", "root") if note.get(key) in header)
    return told


class SimulatedWorkers(ProgramArm):
    """Workers of tqsim; runs one program."""

    def __init__(self, broker: str, folder: Path) -> None:
        results = folder / "results"
        results.mkdir(parents=True)
        url, backend = {
            "rabbitmq": ("amqp://guest:guest@127.0.0.1:5672//", Place.whole_files(results)),
            "redis": ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1"),
        }[broker]
        super().__init__(Place(url, backend, folder))
        self._sim = tqsim.Simulation(self.app)
        self._sim.__enter__()
        self._workers = {
            name: self._sim.worker(name, queues=list(queues), concurrency=slots, prefetch_multiplier=multiplier)
            for name, (queues, slots, multiplier) in WORKERS.items()
        }
        self._sim.run(for_=1)

    def hostnames(self) -> list[str]:
        return [worker.hostname for worker in self._workers.values()]

    def wait(self, seconds: float) -> None:
        self._sim.run(for_=seconds)

    def settle(self) -> None:
        self.wait(_SETTLED_S)

    def queues(self) -> dict[str, tuple[int, int]]:
        views = {name: self._sim.queue(name) for name in QUEUES}
        return {name: (view.ready_count, view.unacked_count) for name, view in views.items()}

    def clean(self) -> None:
        pass

    def kill_child(self) -> None:
        self._workers["single"].kill_child()

    def kill_worker(self) -> None:
        self._workers["single"].kill()
        self._restart()

    def stop_worker(self) -> None:
        self._workers["single"].stop()
        self._sim.run(until=lambda: not self._workers["single"].is_alive)
        self._restart()

    def _restart(self) -> None:
        self._workers["single"].restart()
        self.wait(1)

    def close(self) -> None:
        self._sim.__exit__(None, None, None)
