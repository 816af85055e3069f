"""kombu's Redis transport on both servers: order, requeues, restores, the visibility timeout.

Each body runs in the simulation, and, where a server can be started, on a real Redis; it asserts what
both must show.  The server is real, or simulated; kombu is its own in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import kombu
import pytest
from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue

import tqsim
from tests.conformance.redis_server_arm import RealRedis

#: A sweep at each call, so that small visibility timeouts can be measured.
_SWEEP: Final = {"unacked_restore_throttle": 1}


class Desk:
    """What a body works with: connections to one database of an empty server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: list[Any] = []

    def connect(self, **options: Any) -> Any:
        """Connect with transport options."""
        connection = Connection(self._url, transport_options=options)
        self._open.append(connection)
        return connection

    def close(self) -> None:
        """End what is open."""
        for connection in self._open:
            connection.release()


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.conformance)])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """One arm after the other."""
    if request.param == "simulated":
        app = Celery("conformance", broker="redis://", set_as_current=False)
        with tqsim.Simulation(app):
            desk = Desk("redis://localhost:6379/10")
            yield desk
            desk.close()
        return
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as server:
        desk = Desk(f"redis://127.0.0.1:{server.port}/10")
        yield desk
        desk.close()


def send(connection: Any, queue: str, *bodies: Any, **properties: Any) -> None:
    """Publish each body straight to a queue."""
    with connection.Producer() as producer:
        for body in bodies:
            producer.publish(body, routing_key=queue, **properties)


def drain(connection: Any, seconds: float) -> None:
    """Let events come in until nothing has come for so long."""
    while True:
        try:
            connection.drain_events(timeout=seconds)
        except TimeoutError:
            return


def taken(connection: Any, queues: list[str], prefetch: int = 0, seconds: float = 0.3) -> list[Any]:
    """Consume for a while, and return the messages that came; none is acknowledged."""
    channel, messages = connection.channel(), []
    with Consumer(
        channel, [Queue(name) for name in queues], callbacks=[lambda body, message: messages.append(message)]
    ) as consumer:
        if prefetch:
            consumer.qos(prefetch_count=prefetch)
        drain(connection, seconds)
    return messages


def words(messages: list[Any]) -> list[Any]:
    """The bodies; a redelivered one with a star."""
    return [f"{message.payload}{'*' * bool(message.delivery_info.get('redelivered'))}" for message in messages]


def test_messages_of_one_priority_come_in_order(desk: Desk) -> None:
    connection = desk.connect()
    send(connection, "q", "a", "b", "c")
    assert words(taken(connection, ["q"])) == ["a", "b", "c"]


def test_lowest_priority_number_comes_first(desk: Desk) -> None:
    connection = desk.connect()
    for priority in (0, 9, 5, 3, 2, 7):
        send(connection, "q", priority, priority=priority)
    assert words(taken(connection, ["q"])) == ["0", "2", "5", "3", "7", "9"]


def test_priority_steps_can_be_chosen(desk: Desk) -> None:
    connection = desk.connect(priority_steps=list(range(10)), sep=":")
    for priority in (0, 9, 5, 3, 2, 7):
        send(connection, "q", priority, priority=priority)
    assert words(taken(connection, ["q"])) == ["0", "2", "3", "5", "7", "9"]
    assert connection.default_channel.client.keys("q:*") == []


@pytest.mark.parametrize(
    ("strategy", "expected"), [("round_robin", "bababa"), ("priority", "bbbaaa"), ("sorted", "aaabbb")]
)
def test_strategy_orders_queues(desk: Desk, strategy: str, expected: str) -> None:
    connection = desk.connect(queue_order_strategy=strategy)
    send(connection, "a", "a", "a", "a")
    send(connection, "b", "b", "b", "b")
    assert "".join(words(taken(connection, ["b", "a"]))) == expected


@pytest.mark.parametrize("strategy", ["round_robin", "priority", "sorted"])
def test_priority_goes_before_the_order_of_queues(desk: Desk, strategy: str) -> None:
    """routing.rst asks for ``queue_order_strategy="priority"``; the key list is priority-major anyway."""
    connection = desk.connect(queue_order_strategy=strategy)
    send(connection, "a", "a9", priority=9)
    send(connection, "b", "b0", priority=0)
    assert words(taken(connection, ["a", "b"])) == ["b0", "a9"]


def test_rejected_message_comes_next_and_is_redelivered(desk: Desk) -> None:
    """``reject(requeue=True)`` restores with ``leftmost``: LPUSH, the end that is popped last."""
    connection = desk.connect()
    send(connection, "q", "a", "b", "c")
    messages = taken(connection, ["q"])
    messages[0].requeue()
    send(connection, "q", "d")
    assert words(taken(connection, ["q"])) == ["a*", "d"]


def test_unacknowledged_messages_return_when_the_channel_closes(desk: Desk) -> None:
    first, second = desk.connect(), desk.connect()
    send(first, "q", "a", "b", "c")
    assert words(taken(first, ["q"])) == ["a", "b", "c"]
    first.release()
    # Each is pushed to the end that is popped, in the order of delivery: the last one comes first.
    assert words(taken(second, ["q"])) == ["c*", "b*", "a*"]


def test_outstanding_pop_of_a_closing_channel_takes_a_message_with_it(desk: Desk) -> None:
    """Its BRPOP was sent before the consumer was cancelled, and pops one message more for nobody."""
    first, second = desk.connect(), desk.connect()
    assert taken(first, ["q"], seconds=0.1) == []
    send(second, "q", "a", "b")
    assert second.default_channel.client.llen("q") == 1


def test_acknowledged_messages_do_not_return(desk: Desk) -> None:
    first, second = desk.connect(), desk.connect()
    send(first, "q", "a", "b")
    messages = taken(first, ["q"])
    messages[0].ack()
    first.release()
    assert words(taken(second, ["q"])) == ["b*"]


def test_prefetch_limits_what_is_taken(desk: Desk) -> None:
    connection = desk.connect()
    send(connection, "q", *"abcd")
    assert words(taken(connection, ["q"], prefetch=2)) == ["a", "b"]
    assert connection.default_channel.client.llen("q") == 2


def test_message_returns_after_the_visibility_timeout_and_not_before(desk: Desk) -> None:
    first, second = desk.connect(**_SWEEP), desk.connect(visibility_timeout=1, **_SWEEP)
    send(first, "q", "a")
    assert words(taken(first, ["q"])) == ["a"]
    begin = time.time()
    channel = second.default_channel
    channel.qos.restore_visible(interval=1)
    assert channel.client.llen("q") == 0
    time.sleep(1.2 - (time.time() - begin))
    channel.qos.restore_visible(interval=1)
    assert (channel.client.llen("q"), channel.client.hlen("unacked")) == (1, 0)
    assert words(taken(second, ["q"])) == ["a*"]


def test_sweep_restores_the_youngest_first_and_so_delivers_it_first(desk: Desk) -> None:
    """``ZRANGE ... REV``: the highest score comes first, and is pushed first to the end that is popped last."""
    connection = desk.connect(visibility_timeout=0.1, **_SWEEP)
    send(connection, "q", "a", "b", "c")
    channel = connection.default_channel
    for _ in "abc":
        channel.basic_get("q")
        time.sleep(0.02)
    time.sleep(0.3)
    channel.qos.restore_visible(interval=1)
    assert words([channel.basic_get("q") for _ in "abc"]) == ["a*", "b*", "c*"]


def test_sweep_acts_at_every_tenth_call(desk: Desk) -> None:
    first, second = desk.connect(), desk.connect(visibility_timeout=0.05)
    send(first, "q", "a")
    taken(first, ["q"], seconds=0.1)
    time.sleep(0.2)
    qos = second.default_channel.qos
    qos._vrestore_count = 1  # the first call has been
    left = []
    for _ in range(10):
        qos.restore_visible()
        left.append(second.default_channel.client.hlen("unacked"))
    assert left == [1] * 9 + [0]


def test_ack_after_a_restore_takes_the_record_of_the_copy(desk: Desk) -> None:
    """Both copies have one delivery tag, so the first ack removes the record of the second copy."""
    connection = desk.connect(visibility_timeout=0.05, **_SWEEP)
    send(connection, "q", "a")
    channel = connection.default_channel
    mine = channel.basic_get("q")
    time.sleep(0.2)
    channel.qos.restore_visible(interval=1)
    theirs = channel.basic_get("q")
    assert mine.delivery_tag == theirs.delivery_tag
    assert channel.client.hlen("unacked") == 1
    mine.ack()
    assert channel.client.hlen("unacked") == 0
    theirs.ack()


def test_fanout_reaches_every_queue_that_listens(desk: Desk) -> None:
    exchange = Exchange("news", type="fanout")
    listeners = [desk.connect(), desk.connect()]
    heard: list[list[str]] = [[], []]
    consumers = []
    for index, connection in enumerate(listeners):
        queue = Queue(f"listener{index}", exchange, auto_delete=True)
        consumer = Consumer(connection.channel(), [queue], callbacks=[_hearing(heard[index])], no_ack=True)
        consumer.consume()
        consumers.append(consumer)
        drain(connection, 0.1)
    sender = desk.connect()
    with sender.Producer(exchange=exchange) as producer:
        producer.publish("one")
        producer.publish("two")
    for connection in listeners:
        drain(connection, 0.1)
    assert heard == [["one", "two"], ["one", "two"]]


def _hearing(words_heard: list[str]) -> Callable[[str, Any], None]:
    return lambda body, message: words_heard.append(body)


def test_topic_exchange_routes_by_pattern(desk: Desk) -> None:
    exchange = Exchange("logs", type="topic")
    connection = desk.connect()
    for name, key in (("all", "#"), ("errors", "*.error"), ("shop", "shop.*")):
        Queue(name, exchange, routing_key=key)(connection.default_channel).declare()
    with connection.Producer(exchange=exchange) as producer:
        for key in ("shop.error", "shop.info", "mail.error"):
            producer.publish(key, routing_key=key)
    assert {name: words(taken(connection, [name], seconds=0.05)) for name in ("all", "errors", "shop")} == {
        "all": ["shop.error", "shop.info", "mail.error"],
        "errors": ["shop.error", "mail.error"],
        "shop": ["shop.error", "shop.info"],
    }


def test_prefix_goes_before_every_key(desk: Desk) -> None:
    connection = desk.connect(global_keyprefix="shop:")
    send(connection, "q", "a", "b")
    [message, _] = taken(connection, ["q"])
    plain = desk.connect().default_channel.client
    assert sorted(plain.keys("*")) == [b"shop:unacked", b"shop:unacked_index"]
    message.ack()
    assert plain.hlen("shop:unacked") == 1


def test_without_ack_emulation_nothing_is_recorded(desk: Desk) -> None:
    first, second = desk.connect(ack_emulation=False), desk.connect()
    send(first, "q", "a")
    assert words(taken(first, ["q"])) == ["a"]
    assert second.default_channel.client.keys("unacked*") == []


@pytest.mark.skipif(kombu.VERSION < (5, 6), reason="kombu 5.5 has no expiring queues on Redis")
def test_queue_with_expiry_goes_by_itself(desk: Desk) -> None:
    connection = desk.connect()
    queue = Queue("q", Exchange("x"), routing_key="q", expires=0.2)(connection.default_channel)
    queue.declare()
    with connection.Producer(exchange=queue.exchange) as producer:
        producer.publish("a", routing_key="q")
    client = connection.default_channel.client
    assert 0 < client.pttl("q") <= 200
    time.sleep(0.3)
    assert client.llen("q") == 0


def test_purge_counts_all_priorities(desk: Desk) -> None:
    connection = desk.connect()
    for priority in (0, 9, 5):
        send(connection, "q", priority, priority=priority)
    assert connection.default_channel.queue_purge("q") == 3
    assert connection.default_channel.queue_declare("q", passive=False).message_count == 0


def test_get_fetches_in_order_of_priority(desk: Desk) -> None:
    connection = desk.connect()
    send(connection, "q", "late", priority=9)
    send(connection, "q", "soon", priority=0)
    channel = connection.default_channel
    found = [channel.basic_get("q"), channel.basic_get("q"), channel.basic_get("q")]
    assert [None if message is None else message.payload for message in found] == ["soon", "late", None]
    assert channel.client.hlen("unacked") == 2


def test_two_consumers_take_turns(desk: Desk) -> None:
    """Who has waited longest is served: both ask for one message at a time."""
    first, second = desk.connect(), desk.connect()
    got: list[str] = []
    for name, connection in (("first", first), ("second", second)):
        consumer = Consumer(
            connection.channel(), [Queue("q")], no_ack=True,
            callbacks=[lambda body, message, name=name: got.append(f"{name}:{body}")],
        )  # fmt: skip
        consumer.consume()
        drain(connection, 0.1)  # its BRPOP is sent, and stays
    send(desk.connect(), "q", "a", "b")
    drain(second, 0.1)
    drain(first, 0.1)
    assert got == ["second:b", "first:a"]
