"""A worker that is cut off from RabbitMQ and comes back, simulated and real.

The heartbeat is 20 s: the worker looks three times as often (``broker_heartbeat_checkrate``) and sends one at every
second look, so after 13.3 s, and its socket gives up a second later; the broker gives it up after 40 to 60 s.  The cut
ends in between, well before TCP happens to tell the broker.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

import tqsim
from tests.conformance.link_app import make_app, runs
from tests.conformance.network import RealNetwork
from tests.conformance.rabbitmq_site import Site
from tests.conformance.real_workers import RealWorkerProcess
from tqsim import faults

#: What the simulation leaves out unless it is asked for it: the events would be sent into the cut after two seconds.
_OPTIONS: Final = ("-c", "1", "--without-mingle", "--without-gossip", "--without-heartbeat")
#: The worker's socket has given up by then, and the broker has not.
_CUT_S: Final = 25.0


@dataclass(frozen=True)
class Kind:
    """What is chosen of a worker."""

    has_control: bool = True
    heartbeat_s: int = 20
    pool: str = "prefork"


class LinkedWorker(ABC):
    """A worker whose link to the broker can be cut."""

    app: Any

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def cut(self) -> None:
        """Let nothing arrive, either way."""

    @abstractmethod
    def mend(self) -> None:
        """Let everything arrive again."""

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Whether the worker has not ended."""

    @abstractmethod
    def log(self) -> str:
        """Return what it has logged."""


class SimulatedLinkedWorker(LinkedWorker):
    """A worker of tqsim."""

    def __init__(self, sim: tqsim.Simulation, app: Any, pool: str, caplog: pytest.LogCaptureFixture) -> None:
        self.app = app
        self._sim = sim
        self._caplog = caplog
        self._worker = sim.worker("w1", concurrency=1, pool=pool)
        self._cut: Any = None

    def wait(self, seconds: float) -> None:
        self._sim.run(for_=seconds)

    def cut(self) -> None:
        self._cut = self._sim.faults.add(faults.partition("w1"))
        self._cut.__enter__()

    def mend(self) -> None:
        self._cut.__exit__(None, None, None)

    @property
    def is_alive(self) -> bool:
        return self._worker.is_alive

    def log(self) -> str:
        return self._caplog.text


class RealLinkedWorker(LinkedWorker):
    """A worker in a process of its own, behind a router."""

    def __init__(self, network: RealNetwork, site: Site, folder: Path, kind: Kind) -> None:
        self.app = make_app(site.url, folder, kind.has_control, kind.heartbeat_s)
        self._network = network
        host, port = network.address
        broker = site.url.replace(f"@{site.host}:{site.port}/", f"@{host}:{port}/")
        environment = {
            "LINKS_BROKER": broker,
            "LINKS_FOLDER": str(folder),
            "LINKS_CONTROL": str(kind.has_control),
            "LINKS_HEARTBEAT": str(kind.heartbeat_s),
        }
        options = (*_OPTIONS, "-P", kind.pool)
        self._worker = RealWorkerProcess(
            "tests.conformance.link_app", "w", folder, options, environment, network.prefix
        )
        self._worker.launch()
        self._worker.await_ready()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def cut(self) -> None:
        self._network.cut()

    def mend(self) -> None:
        self._network.mend()

    @property
    def is_alive(self) -> bool:
        return self._worker.process.poll() is None

    def log(self) -> str:
        return self._worker.log.read_text()

    def close(self) -> None:
        """End it."""
        self._worker.kill()


@pytest.fixture(params=["simulation", pytest.param("server", marks=[pytest.mark.conformance, pytest.mark.slow])])
def arm(request: pytest.FixtureRequest) -> str:
    """Where the worker runs."""
    kind: str = request.param
    return kind


@pytest.fixture
def worker(
    arm: str, kind: Kind, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[LinkedWorker]:
    """A worker with one pool child."""
    if arm == "simulation":
        app = make_app("amqp://", tmp_path, kind.has_control, kind.heartbeat_s)
        with tqsim.Simulation(app) as sim:
            yield SimulatedLinkedWorker(sim, app, kind.pool, caplog)
        return
    missing = RealNetwork.missing()
    if missing is not None:
        pytest.skip(missing)
    site: Site = request.getfixturevalue("rabbitmq_site")
    with site.shared(), RealNetwork(site.host, site.port) as network:
        real = RealLinkedWorker(network, site, tmp_path, kind)
        yield real
        real.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Kind()])
def test_a_worker_that_is_back_too_early_ends(worker: LinkedWorker) -> None:
    """Its remote control queue is exclusive, and the broker still holds the lost connection."""
    worker.wait(1)
    worker.cut()
    worker.wait(_CUT_S)
    worker.mend()
    worker.wait(8)
    assert not worker.is_alive, worker.log()
    assert 'Unrecoverable error: ResourceLocked(405, "RESOURCE_LOCKED - cannot obtain exclusive access' in worker.log()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Kind(has_control=False)])
def test_a_worker_without_remote_control_goes_on_and_runs_the_task_again(worker: LinkedWorker, tmp_path: Path) -> None:
    """The acknowledgement was lost with the connection, and the broker finds that out later."""
    worker.wait(1)
    worker.app.send_task("late", (5,))
    worker.wait(1)
    worker.cut()
    worker.wait(_CUT_S)
    worker.mend()
    worker.wait(8)
    assert runs(tmp_path) == [False]
    worker.wait(30)
    assert worker.is_alive
    assert runs(tmp_path) == [False, True]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Kind(has_control=False, heartbeat_s=2, pool="solo")])
def test_a_task_in_the_event_loop_keeps_the_heartbeats_back(worker: LinkedWorker, tmp_path: Path) -> None:
    """The broker gives the worker up while the task runs, and the task comes again."""
    worker.wait(1)
    worker.app.send_task("late_once", (9,))
    worker.wait(16)
    assert worker.is_alive
    assert runs(tmp_path) == [False, True]
    assert "Connection to broker lost" in worker.log()
