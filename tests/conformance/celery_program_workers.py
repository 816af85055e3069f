"""Real workers for generated Celery programs: :class:`RealOnRabbitMQ` and :class:`RealOnRedis`.

They live as long as the arm, which is cleaned after every program: a worker takes two seconds to start.
"""

from __future__ import annotations

import collections
import json
import shutil
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, Final

import redis

from tests.conformance.celery_program_app import Place
from tests.conformance.celery_program_arms import PATIENCE_S, QUEUES, STEP_S, WORKERS, ProgramArm, worker_name
from tests.conformance.celery_program_records import Record
from tests.conformance.celery_programs import Program
from tests.conformance.rabbitmq_site import Site
from tests.conformance.real_workers import RealWorkerProcess
from tests.conformance.redis_server_arm import RealRedis

__all__ = ["RealOnRabbitMQ", "RealOnRedis"]

_MODULE: Final = "tests.conformance.celery_program_app"
_IDLE_CHECKS: Final = 3


class _RealWorkers(ProgramArm):
    """Workers in processes of their own, whichever the broker is."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._workers = {name: self._worker(name) for name in WORKERS}
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
        queues, slots, multiplier = WORKERS[name]
        options = ["-Q", ",".join(queues), "-c", str(slots), "--prefetch-multiplier", str(multiplier)]
        options += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
        return RealWorkerProcess(_MODULE, name, self.place.folder, options, self.place.environment())

    def hostnames(self) -> list[str]:
        return [worker.hostname for worker in self._workers.values()]

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def settle(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        checks = 0
        while checks < _IDLE_CHECKS:
            busy = self._busy()
            checks = 0 if busy else checks + 1
            assert time.monotonic() < deadline, f"the workers do not come to rest: {busy}"
            self.wait(STEP_S * 2)

    def _busy(self) -> list[str]:
        """Return what is under way."""
        found = [f"{count} ready in {queue}" for queue, count in self.ready().items() if count]
        if found:
            return found
        for what in ("active", "reserved", "scheduled"):
            found += [f"{what} in {host}: {tasks}" for host, tasks in self.inspect(what).items() if tasks]
        stats = {worker_name(host): told for host, told in self.inspect("stats").items()}
        for name, worker in self._workers.items():
            if sorted(stats[name]["pool"]["processes"]) != sorted(worker.children()):
                found.append(f"{name} misses a child")
        return found

    @abstractmethod
    def ready(self) -> dict[str, int]:
        """Ready messages of each queue."""

    def clean(self) -> None:
        with self.app.pool.acquire(block=True) as connection:
            for queue in QUEUES:
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
            return {queue: channel.queue_declare(queue, passive=True).message_count for queue in QUEUES}

    def run(self, program: Program) -> Record:
        with self._site.shared():
            return super().run(program)

    def queues(self) -> dict[str, tuple[int, int]]:
        columns = ("name", "messages_ready", "messages_unacknowledged")
        told = self._site.told("list_queues", "-p", self._site.vhost, *columns)
        assert told is not None, "rabbitmqctl does not answer"
        rows = [line.split("\t") for line in told.splitlines()]
        return {row[0]: (int(row[1]), int(row[2])) for row in rows if row[0] in QUEUES}

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
            return {queue: connection.default_channel._size(queue) for queue in QUEUES}

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
