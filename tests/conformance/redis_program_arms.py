"""The two arms of generated Redis programs: :class:`SimulatedArm` and :class:`RealArm`.

Both are context managers for one program.  An arm says where its server is, gives a client to the test itself
(``admin``), stops and starts the server, and settles: afterwards whatever was sent has been answered.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Final, Protocol, Self

import kombu.transport.redis
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

import tqsim
from tests.conformance.redis_server_arm import RealRedis

__all__ = ["DATABASE", "Arm", "RealArm", "SimulatedArm", "plain_client"]

DATABASE: Final = 10
_HOST: Final = "127.0.0.1"
_PORT: Final = 6379
_PATIENCE_S: Final = 10.0


class Arm(Protocol):
    """One server, for one program."""

    port: int
    admin: Any
    is_stopped: bool

    def settle(self) -> None:
        """Return when everything that was sent to the server has been executed and answered."""

    def stop(self) -> None:
        """Shut the server down in order."""

    def start(self) -> None:
        """Start it again, with what it has kept."""


def plain_client(port: int, protocol: int = 3, **options: Any) -> Any:
    """Return a client with one connection that tries everything once."""
    retry = Retry(NoBackoff(), 0)
    return redis.Redis(
        _HOST, port, DATABASE, protocol=protocol, retry=retry, single_connection_client=True, **options
    )  # fmt: skip


class SimulatedArm:
    """A simulation with the program's clients inside; nothing is under way there when a call returns."""

    def __init__(self, persistence: str = "none", port: int = _PORT) -> None:
        self.port = port
        self.is_stopped = False
        app = Celery("conformance", broker=f"redis://{_HOST}:{port}/{DATABASE}", set_as_current=False)
        self._simulation = tqsim.Simulation(app, broker=tqsim.Redis(persistence=persistence))

    def __enter__(self) -> Self:
        self._simulation.__enter__()
        self.admin = plain_client(self.port)
        return self

    def settle(self) -> None:
        """As of :class:`Arm`."""

    def stop(self) -> None:
        """As of :class:`Arm`; the public ``restart_broker()`` is this and a start."""
        self._simulation._broker.stop()
        self.is_stopped = True

    def start(self) -> None:
        """As of :class:`Arm`."""
        self._simulation._broker.start()
        self.is_stopped = False
        self.admin = plain_client(self.port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._simulation.__exit__(kind, error, trace)


class RealArm:
    """A running server, emptied for the program, and emptied of its clients and files after it."""

    def __init__(self, server: RealRedis, persistence: str = "none") -> None:
        self.port = server.port
        self.is_stopped = False
        self._server = server
        self._persistence = persistence

    def __enter__(self) -> Self:
        self._server.flush()
        kombu.transport.redis.Channel._fanout_queues.clear()  # of the process, where each program has one of its own
        self.admin = plain_client(self.port)
        self._keep(self._persistence)
        return self

    def _keep(self, persistence: str) -> None:
        """Change what the running server keeps."""
        if persistence == "none":
            return
        self.admin.config_set("save", "3600 1" if persistence == "rdb" else "")
        self.admin.config_set("appendonly", "yes" if persistence == "aof" else "no")
        begin = time.monotonic()
        while self.admin.info("persistence")["aof_rewrite_in_progress"]:
            if time.monotonic() > begin + _PATIENCE_S:
                raise TimeoutError("the append-only file is not written")
            time.sleep(0.005)

    def settle(self) -> None:
        """As of :class:`Arm`.

        The server runs what was sent before the first PING before that, and writes the answers at the end of that
        turn of its loop at the latest (networking.c, ``handleClientsWithPendingWrites``), before it reads the second.
        """
        self.admin.ping()
        self.admin.ping()

    def stop(self) -> None:
        """As of :class:`Arm`."""
        self._server.stop()
        self.is_stopped = True

    def start(self) -> None:
        """As of :class:`Arm`."""
        self._server.start(self._persistence)
        self.is_stopped = False
        self.admin = plain_client(self.port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_stopped:
            self.start()
        if self._persistence != "none":
            self.admin.config_set("save", "")
            self.admin.config_set("appendonly", "no")
        for kind_of_client in ("normal", "pubsub"):
            self.admin.execute_command("CLIENT", "KILL", "TYPE", kind_of_client)
        self.admin.close()
        if self._persistence != "none":
            self._server.forget_files()
