"""The machine and a real RabbitMQ 3.10 keep the same through a restart and through a crash.

The real arm has a node of its own, which is stopped in good order or halted at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.rabbitmq_arms import Arm, Confirmed
from tests.conformance.rabbitmq_machine_arm import MachineArm
from tests.conformance.rabbitmq_node import Node
from tests.conformance.rabbitmq_server_arm import ServerArm
from tests.conformance.rabbitmq_site import Site


class Mortal(ABC):
    """A server that can end; its clients end with it."""

    arm: Arm

    @abstractmethod
    def end(self, how: str) -> None:
        """Have it ``restart`` or ``crash``, and come up again."""

    def close(self) -> None:
        """End it for good."""
        self.arm.close()


class MortalMachine(Mortal):
    """tqsim's."""

    def __init__(self) -> None:
        self.arm: MachineArm = MachineArm()

    def end(self, how: str) -> None:
        server = self.arm.server
        (server.stop if how == "restart" else server.crash)()
        server.start()


class MortalNode(Mortal):
    """A node of its own."""

    def __init__(self, folder: Path) -> None:
        self._node = Node(folder)
        self._node.open()
        self._site = Site(node=self._node)
        self.arm: ServerArm = ServerArm(self._site, 1)

    def end(self, how: str) -> None:
        (self._node.restart if how == "restart" else self._node.crash)()
        self.arm.forget_clients()

    def close(self) -> None:
        super().close()
        self._site.close()
        self._node.close()


@pytest.fixture(params=["machine", pytest.param("server", marks=[pytest.mark.conformance, pytest.mark.slow])])
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mortal]:
    """One arm after the other."""
    missing = Node.missing()
    if request.param == "server" and missing is not None:
        pytest.skip(missing)
    opened = MortalMachine() if request.param == "machine" else MortalNode(tmp_path / "node")
    yield opened
    opened.close()


#: What is left of six messages, of which the first five were fetched, and then one was acknowledged and one
#: given back.  The fourth is not persistent, which a quorum queue does not care for.
_LEFT = {
    ("classic", "restart"): "0* 2* 4* 5",
    ("classic", "crash"): "0* 2* 4* 5*",
    ("quorum", "restart"): "2* 3* 4* 5 0*",
    ("quorum", "crash"): "2* 3* 4* 5 0*",
}


@pytest.mark.parametrize(("kind", "how"), list(_LEFT))
def test_durable_things_and_persistent_messages_survive(mortal: Mortal, kind: str, how: str) -> None:
    arm = mortal.arm
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"), durable=True, arguments={"x-queue-type": kind})
    passing = lane.queue(arm.name("passing"))
    durable, transient = arm.name("durable"), arm.name("transient")
    lane.exchange(durable, durable=True)
    lane.exchange(transient)
    for exchange in (durable, transient):
        lane.bind(queue, exchange, "key")
    lane.confirm()
    for number in range(6):
        lane.publish("", queue, str(number), delivery_mode=1 if number == 3 else 2)
    arm.wait(300)
    assert sorted(lane.answers) == [Confirmed(number, True) for number in range(1, 7)]
    for _ in range(5):
        lane.get(queue)
    lane.ack(2)
    lane.reject(1)
    arm.wait(300)
    mortal.end(how)
    # A quorum queue learns only when it is up that those who held its messages are gone.
    arm.wait(1_000)
    after = arm.client().lane()
    left = " ".join(body + "*" * redelivered for body, redelivered in after.fetch_all(queue))
    assert left == _LEFT[kind, how]
    after.publish(durable, "key", "through the binding")
    arm.wait(200)
    assert after.contents(queue) == "through the binding"
    assert (arm.counts(passing), arm.has_exchange(durable), arm.has_exchange(transient)) == (None, True, False)


@pytest.mark.parametrize(("how", "used"), [("restart", None), ("crash", 0)])
def test_a_used_auto_delete_queue_survives_a_crash_only(mortal: Mortal, how: str, used: int | None) -> None:
    arm = mortal.arm
    lane = arm.client().lane()
    queues = [lane.queue(arm.name(stem), durable=True, auto_delete=True) for stem in ("idle", "used")]
    lane.consume(queues[1], "a")
    prioritised = lane.queue(arm.name("priorities"), durable=True, arguments={"x-max-priority": 5})
    lane.confirm()
    for number in range(4):
        lane.publish("", prioritised, str(number), priority=number % 2, delivery_mode=2)
    arm.wait(300)
    mortal.end(how)
    counts = [arm.counts(queue) for queue in queues]
    assert [found and found.ready for found in counts] == [0, used]
    assert arm.client().lane().contents(prioritised) == "1 3 0 2"
