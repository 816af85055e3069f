"""The two arms of generated Celery programs: simulated workers, and real ones.

The main names are :class:`SimulatedWorkers`, :class:`RealOnRabbitMQ` and :class:`RealOnRedis`.  Either arm has one
worker with one slot and a prefetch of one, and one with two slots.  The simulation is made anew for every program; real
workers live as long as the arm, which is cleaned after every program.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import redis
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
from tests.conformance.rabbitmq_server_arm import Site, shared_server
from tests.conformance.real_workers import RealWorkerProcess
from tests.conformance.redis_server_arm import RealRedis

__all__ = ["ProgramArm", "RealOnRabbitMQ", "RealOnRedis", "SimulatedWorkers"]

_QUEUES: Final = (ALPHA, BETA, GAMMA)
#: What each worker consumes, its slots, and how many messages for each slot it takes.
_WORKERS: Final = {"single": ((ALPHA,), 1, 1), "double": ((BETA, GAMMA), 2, 16)}
_STEP_S: Final = 0.05
_MOMENT_S: Final = 0.3
_PATIENCE_S: Final = 90.0
#: A worker notices the end of a child within five seconds.
_NOTICED_S: Final = 6.0
_IDLE_CHECKS: Final = 3


class ProgramArm(ABC):
    """An application, two workers, and what is done with them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.app = make_app(place)
        self._numbers = itertools.count(1)

    def run(self, program: Program) -> Record:
        """Take all steps, wait until nothing is left to happen, and tell what happened."""
        name = f"p{os.getpid()}x{next(self._numbers)}"
        before = self._prefetch()
        for step in program.steps:
            self._take(step, program, name)
        self.settle(program)
        after = self._prefetch()
        notes = [_comparable(note, program, name) for note in notes_of(self.place.folder, name)]
        record = Record(
            endings={job.alias: self._ending(program, name, job.alias) for job in program.jobs},
            runs=[Run.of(note, name) for note in notes if "alias" in note],
            inline=[readable(note, name) for note in notes if "inline" in note],
            queues=self.queues(),
            prefetch={worker: after[worker] - before[worker] for worker in after},
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
                self.kill_worker()
            case StopWorker():
                self.stop_worker()

    def _send(self, canvas: Canvas, name: str) -> None:
        signature_of(self.app, canvas, name).apply_async()

    def _await(self, alias: str, name: str) -> None:
        passed_s = 0.0
        while not any(note.get("alias") == alias for note in notes_of(self.place.folder, name)):
            assert passed_s < _PATIENCE_S, f"{alias} does not begin"
            self.wait(_STEP_S)
            passed_s += _STEP_S
        self.wait(_MOMENT_S)

    def _host_of(self, program: Program, alias: str) -> str:
        (queue,) = (job.queue for job in program.jobs if job.alias == alias)
        return next(
            host for host, (queues, _, _) in zip(self.hostnames(), _WORKERS.values(), strict=True) if queue in queues
        )

    def _prefetch(self) -> dict[str, int]:
        return {_stem(host): told["prefetch_count"] for host, told in self.inspect("stats").items()}

    def inspect(self, what: str) -> dict[str, Any]:
        """Ask both workers."""
        told: dict[str, Any] = getattr(self.app.control.inspect(self.hostnames(), timeout=10), what)() or {}
        assert len(told) == len(_WORKERS), f"{what}: {sorted(told)} answered"
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
    def settle(self, program: Program) -> None:
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


def _stem(hostname: str) -> str:
    """The name of a worker without the number of its start and its host."""
    return hostname.partition("@")[0].rstrip("0123456789")


def _comparable(note: dict[str, Any], program: Program, name: str) -> dict[str, Any]:
    """Return what was told without what is another in every arm, or chance."""
    if "alias" not in note:
        return note
    told = {**note, "worker": _stem(note["worker"])}
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
        self._is_redis = broker == "redis"
        self._sim = tqsim.Simulation(self.app)
        self._sim.__enter__()
        self._workers = {
            name: self._sim.worker(name, queues=list(queues), concurrency=slots, prefetch_multiplier=multiplier)
            for name, (queues, slots, multiplier) in _WORKERS.items()
        }
        self._sim.run(for_=1)

    def hostnames(self) -> list[str]:
        return [worker.hostname for worker in self._workers.values()]

    def wait(self, seconds: float) -> None:
        self._sim.run(for_=seconds)

    def settle(self, program: Program) -> None:
        if self._is_redis and program.has(KillWorker):
            self.wait(_PATIENCE_S)  # what it had taken stays unacknowledged for an hour
        else:
            self._sim.run_until_idle(limit=_PATIENCE_S)
        self.wait(_NOTICED_S)

    def queues(self) -> dict[str, tuple[int, int]]:
        views = {name: self._sim.queue(name) for name in _QUEUES}
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


class _RealWorkers(ProgramArm):
    """Workers in processes of their own, whichever the broker is."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._workers = {name: self._worker(name) for name in _WORKERS}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        for worker in self._workers.values():
            worker.launch()
        for worker in self._workers.values():
            worker.await_ready()

    def run(self, program: Program) -> Record:
        """As in the simulation; after an error the next program finds other workers."""
        try:
            return super().run(program)
        except Exception:
            self._end()
            self.clean()
            self._start()
            raise

    def _end(self) -> None:
        for worker in self._workers.values():
            worker.kill()

    def _worker(self, name: str) -> RealWorkerProcess:
        queues, slots, multiplier = _WORKERS[name]
        options = ["-Q", ",".join(queues), "-c", str(slots), "--prefetch-multiplier", str(multiplier)]
        options += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
        module = "tests.conformance.celery_program_app"
        return RealWorkerProcess(module, name, self.place.folder, options, self.place.environment())

    def hostnames(self) -> list[str]:
        return [worker.hostname for worker in self._workers.values()]

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def settle(self, program: Program) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        checks = 0
        while checks < _IDLE_CHECKS:
            busy = self._busy()
            checks = 0 if busy else checks + 1
            assert time.monotonic() < deadline, f"the workers do not come to rest: {busy}"
            self.wait(_STEP_S * 2)

    def _busy(self) -> list[str]:
        """Return what is under way."""
        found = [f"{count} ready in {queue}" for queue, count in self.ready().items() if count]
        if found:
            return found
        for what in ("active", "reserved", "scheduled"):
            found += [f"{what} in {host}: {tasks}" for host, tasks in self.inspect(what).items() if tasks]
        stats = {_stem(host): told for host, told in self.inspect("stats").items()}
        for name, worker in self._workers.items():
            if sorted(stats[name]["pool"]["processes"]) != sorted(worker.children()):
                found.append(f"{name} misses a child")
        return found

    @abstractmethod
    def ready(self) -> dict[str, int]:
        """Ready messages of each queue."""

    def clean(self) -> None:
        with self.app.pool.acquire(block=True) as connection:
            for queue in _QUEUES:
                connection.default_channel.queue_purge(queue)

    def kill_child(self) -> None:
        self._workers["single"].kill_child()

    def kill_worker(self) -> None:
        self._workers["single"].kill()
        self._restart()

    def stop_worker(self) -> None:
        self._workers["single"].stop()
        self._restart()

    def _restart(self) -> None:
        self._workers["single"].launch()
        self._workers["single"].await_ready()

    def close(self) -> None:
        self._end()
        self.app.close()


class RealOnRabbitMQ(_RealWorkers):
    """Real workers on a vhost of their own, with results in files."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._results = folder / "results"
        self._results.mkdir()
        super().__init__(Place(site.url, Place.whole_files(self._results), folder))

    def ready(self) -> dict[str, int]:
        with self.app.pool.acquire(block=True) as connection:
            channel = connection.default_channel
            return {queue: channel.queue_declare(queue, passive=True).message_count for queue in _QUEUES}

    def run(self, program: Program) -> Record:
        with shared_server():
            return super().run(program)

    def queues(self) -> dict[str, tuple[int, int]]:
        columns = ("name", "messages_ready", "messages_unacknowledged")
        told = self._site.told("list_queues", "-p", self._site.vhost, *columns)
        assert told is not None, "rabbitmqctl does not answer"
        rows = [line.split("\t") for line in told.splitlines()]
        return {row[0]: (int(row[1]), int(row[2])) for row in rows if row[0] in _QUEUES}

    def clean(self) -> None:
        super().clean()
        shutil.rmtree(self._results)
        self._results.mkdir()


class RealOnRedis(_RealWorkers):
    """Real workers on a Redis server of their own, with results there too."""

    def __init__(self, server: RealRedis, folder: Path) -> None:
        url = f"redis://127.0.0.1:{server.port}"
        self._broker = redis.Redis(port=server.port, db=0)
        self._stored = redis.Redis(port=server.port, db=1)
        super().__init__(Place(f"{url}/0", f"{url}/1", folder))

    def ready(self) -> dict[str, int]:
        with self.app.pool.acquire(block=True) as connection:
            return {queue: connection.default_channel._size(queue) for queue in _QUEUES}

    def queues(self) -> dict[str, tuple[int, int]]:
        held: Any = self._broker.hvals("unacked")
        unacked = collections.Counter(json.loads(message)[2] for message in held)
        return {queue: (count, unacked[queue]) for queue, count in self.ready().items()}

    def clean(self) -> None:
        super().clean()
        self._broker.delete("unacked", "unacked_index")
        self._stored.flushdb()

    def close(self) -> None:
        # Results that are collected later would ask the server to forget them.
        self.app.backend.remove_pending_result = lambda result: result
        super().close()
        self._broker.close()
        self._stored.close()
