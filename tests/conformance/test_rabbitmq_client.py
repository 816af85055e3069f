"""What kombu and py-amqp make of a call, in the simulation and over a real RabbitMQ 3.10: the client's own layer.

Each body runs on both arms and compares with the same literals.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import amqp
import kombu
import pytest
from amqp.basic_message import Message
from amqp.exceptions import (
    AccessRefused,
    AMQPNotImplementedError,
    ChannelError,
    FrameSyntaxError,
    InternalError,
    InvalidCommand,
    NotFound,
    PreconditionFailed,
)
from amqp.serialization import dumps
from celery import Celery

import tqsim
from tests.conformance.rabbitmq_site import Site

_FAST_REPLY = "amq.rabbitmq.reply-to"
_PREFIX = "PRECONDITION_FAILED - "


class Client:
    """A client of one broker, whose connections are closed at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connections: list[Any] = []
        self.vhost = kombu.Connection(url).virtual_host

    def channel(self) -> Any:
        """Open a connection, and a channel."""
        connection = kombu.Connection(self._url)
        self._connections.append(connection)
        return connection.default_channel

    def queue(self, channel: Any, **options: Any) -> str:
        """Declare a queue that goes with the connection; return its name."""
        return str(channel.queue_declare(exclusive=True, **options).queue)

    def settle(self) -> None:
        """Let what was sent arrive."""
        time.sleep(0.3)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@pytest.fixture(params=["simulation", pytest.param("server", marks=pytest.mark.conformance)])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """One arm after the other."""
    if request.param == "simulation":
        with tqsim.Simulation(Celery("client", broker="amqp://", set_as_current=False)):
            yield Client("amqp://guest:guest@localhost:5672/client")
        return
    site: Site = request.getfixturevalue("rabbitmq_site")
    with site.shared():
        opened = Client(site.url)
        yield opened
        opened.close()


def _publish(channel: Any, body: Any = b"x", key: Any = "nowhere", exchange: Any = "", **message: Any) -> None:
    channel.basic_publish(channel.prepare_message(body, **message), exchange=exchange, routing_key=key)


def _error(action: Callable[[], Any]) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is, that is what is compared
        action()
    return caught.type, str(caught.value)


_LONG = "n" * 256


@pytest.mark.parametrize(
    ("call", "origin"),
    [
        pytest.param(lambda c: _publish(c, priority=256), lambda: struct.pack("B", 256), id="priority-256"),
        pytest.param(lambda c: _publish(c, priority=-1), lambda: struct.pack("B", -1), id="priority-negative"),
        pytest.param(lambda c: _publish(c, priority="5"), lambda: struct.pack("B", "5"), id="priority-text"),
        pytest.param(
            lambda c: _publish(c, properties={"delivery_mode": "x"}), lambda: struct.pack("B", "x"), id="mode-text"
        ),
        pytest.param(
            lambda c: _publish(c, properties={"timestamp": "x"}), lambda: struct.pack(">Q", "x"), id="timestamp-text"
        ),
        *(
            pytest.param(
                lambda c, name=name: _publish(c, properties={name: _LONG}),
                lambda: dumps("s", [_LONG]),
                id=f"long-{name}",
            )
            for name in ("correlation_id", "reply_to", "message_id", "expiration", "type", "app_id")
        ),
        *(
            pytest.param(lambda c, name=name: _publish(c, properties={name: 5}), lambda: len(5), id=f"number-{name}")  # type: ignore[arg-type]
            for name in ("correlation_id", "reply_to", "expiration", "type")
        ),
        pytest.param(
            lambda c: _publish(c, properties={"priority": 5}),
            lambda: Message(**dict.fromkeys(["priority"]), **dict.fromkeys(["priority"])),
            id="priority-twice",
        ),
        pytest.param(lambda c: _publish(c, key=_LONG), lambda: dumps("s", [_LONG]), id="long-key"),
        pytest.param(lambda c: _publish(c, key="é" * 128), lambda: dumps("s", ["é" * 128]), id="long-key-in-bytes"),
        pytest.param(lambda c: _publish(c, exchange=_LONG), lambda: dumps("s", [_LONG]), id="long-exchange"),
        pytest.param(lambda c: _publish(c, key=5), lambda: dumps("s", [5]), id="number-key"),
        *(
            pytest.param(
                lambda c, table=table: _publish(c, headers=table),
                lambda table=table: dumps("F", [table]),
                id=f"header-{name}",
            )
            for name, table in {
                "long-name": {_LONG: 1},
                "number-name": {5: 1},
                "2**63": {"a": 2**63},
                "2**64-within": {"a": {"b": [1, 2**64]}},
                "-2**63-1": {"a": -(2**63) - 1},
                "object": {"a": Ellipsis},
                "set-within": {"a": [{1}]},
                "bytearray": {"a": bytearray(b"x")},
            }.items()
        ),
        pytest.param(lambda c: _publish(c, None), lambda: len(None), id="body-none"),  # type: ignore[arg-type]
        pytest.param(lambda c: _publish(c, 5), lambda: len(5), id="body-number"),  # type: ignore[arg-type]
        pytest.param(
            lambda c: _publish(c, memoryview(b"x")), lambda: struct.pack("1s", memoryview(b"x")), id="body-view"
        ),
        pytest.param(
            lambda c: _publish(c, "x", content_encoding="binary"), lambda: "x".encode("binary"), id="body-encoding"
        ),
        pytest.param(lambda c: _publish(c, "\ud800", content_encoding="utf-8"), "\ud800".encode, id="body-text"),
        pytest.param(lambda c: c.queue_declare(_LONG), lambda: dumps("s", [_LONG]), id="declare-long"),
        pytest.param(lambda c: c.queue_declare(5), lambda: dumps("s", [5]), id="declare-number"),
        pytest.param(lambda c: c.queue_declare("", arguments=[1]), lambda: dumps("F", [[1]]), id="declare-list"),
        pytest.param(lambda c: c.queue_declare("", arguments={5: 1}), lambda: dumps("F", [{5: 1}]), id="declare-key"),
        pytest.param(lambda c: c.exchange_declare(_LONG, "direct"), lambda: dumps("s", [_LONG]), id="exchange-long"),
        pytest.param(lambda c: c.queue_bind("q", "amq.direct", _LONG), lambda: dumps("s", [_LONG]), id="bind-long"),
        pytest.param(lambda c: c.queue_delete(5), lambda: dumps("s", [5]), id="delete-number"),
        pytest.param(lambda c: c.basic_get(_LONG), lambda: dumps("s", [_LONG]), id="get-long"),
        pytest.param(lambda c: c.basic_consume("q", _LONG), lambda: dumps("s", [_LONG]), id="consume-long-tag"),
        pytest.param(lambda c: c.basic_qos(0, 65536, False), lambda: struct.pack(">H", 65536), id="qos-large"),
        pytest.param(lambda c: c.basic_qos(-1, 0, False), lambda: struct.pack(">I", -1), id="qos-size-negative"),
        pytest.param(lambda c: c.basic_qos(0, None, False), lambda: int(None), id="qos-none"),  # type: ignore[call-overload]
        pytest.param(lambda c: c.basic_ack(-1), lambda: struct.pack(">Q", -1), id="ack-negative"),
        pytest.param(lambda c: c.basic_ack("1"), lambda: struct.pack(">Q", "1"), id="ack-text"),
        pytest.param(lambda c: c.basic_reject(None, True), lambda: struct.pack(">Q", None), id="reject-none"),
    ],
)
def test_what_cannot_be_written_is_refused_at_the_call(
    client: Client, call: Callable[[Any], Any], origin: Callable[[], Any]
) -> None:
    channel = client.channel()
    assert _error(lambda: call(channel)) == _error(origin)
    assert client.queue(channel)  # and nothing was sent


def test_a_refused_header_is_told_with_its_name_as_it_was_written(client: Client) -> None:
    error, text = _error(lambda: _publish(client.channel(), headers={"a": Ellipsis}))
    assert error is FrameSyntaxError
    assert text == "Table type <class 'ellipsis'> for key b'a' not handled by amqp. [value: Ellipsis]\n"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"delivery_mode": 5}, "invalid message: {delivery_mode_unknown,5}"),
        ({"delivery_mode": 0}, "invalid message: {delivery_mode_unknown,0}"),
        ({"user_id": "bob"}, "user_id property set to 'bob' but authenticated user was 'guest'"),
        ({"user_id": ""}, "user_id property set to '' but authenticated user was 'guest'"),
        ({"reply_to": _FAST_REPLY, "user_id": "bob"}, "fast reply consumer does not exist"),
        ({"user_id": "bob", "expiration": "x"}, "user_id property set to 'bob' but authenticated user was 'guest'"),
        ({"expiration": "x", "delivery_mode": 5}, "invalid expiration 'x': no_integer"),
    ],
)
def test_a_message_that_the_server_refuses_closes_the_channel(client: Client, message: Any, text: str) -> None:
    channel = client.channel()
    queue = client.queue(channel)
    _publish(channel, key=queue, properties=message)
    client.settle()
    declared = _error(lambda: channel.queue_declare(queue, passive=True))
    assert declared == (PreconditionFailed, f"Basic.publish: (406) {_PREFIX}{text}")
    assert channel.queue_declare(queue, passive=True).message_count == 0


def test_a_message_of_ones_own_user_is_taken(client: Client) -> None:
    channel = client.channel()
    queue = client.queue(channel)
    _publish(channel, key=queue, properties={"user_id": "guest", "delivery_mode": 1, "reply_to": f"{_FAST_REPLY}.x"})
    client.settle()
    assert channel.queue_declare(queue, passive=True).message_count == 1


def test_faults_of_the_header_table_come_before_the_delivery_mode(client: Client) -> None:
    channel = client.channel()
    _publish(channel, headers={"CC": 5}, properties={"delivery_mode": 5})
    client.settle()
    reason = 'invalid message: {unacceptable_type_in_header,"CC",signedint}'
    assert _error(lambda: client.queue(channel)) == (PreconditionFailed, f"Basic.publish: (406) {_PREFIX}{reason}")


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"b": float("-inf")}])
def test_a_header_that_is_no_finite_number_ends_the_connection(client: Client, value: Any) -> None:
    channel = client.channel()
    _publish(channel, headers={"a": value})
    client.settle()
    assert _error(lambda: client.queue(channel)) == (InternalError, "(0, 0): (541) INTERNAL_ERROR")


def test_a_missing_exchange_comes_before_a_header_that_cannot_be_read(client: Client) -> None:
    channel = client.channel()
    _publish(channel, exchange="missing", headers={"a": float("nan")})
    client.settle()
    text = f"Basic.publish: (404) NOT_FOUND - no exchange 'missing' in vhost '{client.vhost}'"
    assert _error(lambda: client.queue(channel)) == (NotFound, text)


def test_a_prefetch_size_is_refused(client: Client) -> None:
    channel = client.channel()
    text = "Basic.qos: (540) NOT_IMPLEMENTED - prefetch_size!=0 (5)"
    assert _error(lambda: channel.basic_qos(5, 1, False)) == (AMQPNotImplementedError, text)


def test_a_prefetch_count_may_be_text(client: Client) -> None:
    assert client.channel().basic_qos(0, "3", False) == ()


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_only_a_stream_has_an_offset(client: Client, kind: str) -> None:
    channel = client.channel()
    queue = "offset" + kind
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": kind})
    place = f"queue '{queue}' in vhost '{client.vhost}'"

    def consume(**arguments: Any) -> tuple[type[BaseException], str]:
        table = {name.replace("_", "-"): value for name, value in arguments.items()}
        return _error(lambda: channel.basic_consume(queue, "t", callback=print, arguments=table))

    offset = (
        f"Basic.consume: (406) {_PREFIX}invalid arg 'x-stream-offset' for {place} of queue type rabbit_{kind}_queue"
    )
    assert consume(x_stream_offset="first") == (PreconditionFailed, offset)
    priority = f"Basic.consume: (406) {_PREFIX}invalid arg 'x-priority' for {place}: \"expected integer, got longstr\""
    assert consume(x_stream_offset="first", x_priority="y") == (PreconditionFailed, priority)
    channel.queue_delete(queue)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("", "invalid exchange type ''"),
        (None, "invalid exchange type ''"),
        ("never-heard-of", "unknown exchange type 'never-heard-of'"),
        ("Topic", "unknown exchange type 'Topic'"),
    ],
)
def test_exchange_types_that_do_not_exist(client: Client, kind: Any, text: str) -> None:
    channel = client.channel()
    declared = _error(lambda: channel.exchange_declare("e", kind))
    assert declared == (InvalidCommand, f"Exchange.declare: (503) COMMAND_INVALID - {text}")


def test_a_name_that_the_server_gave_cannot_be_declared_again(client: Client) -> None:
    channel = client.channel()
    queue = client.queue(channel)
    text = f"Queue.declare: (403) ACCESS_REFUSED - queue name '{queue}' contains reserved prefix 'amq.*'"
    assert _error(lambda: client.queue(channel, queue=queue)) == (AccessRefused, text)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_transaction_must_have_begun(client: Client, end: str) -> None:
    channel = client.channel()
    text = f"Tx.{end}: (406) {_PREFIX}channel is not transactional"
    assert _error(getattr(channel, f"tx_{end}")) == (PreconditionFailed, text)


def test_recovering_without_requeue_fails_at_the_next_request(client: Client) -> None:
    channel = client.channel()
    channel.basic_recover(False)
    client.settle()
    text = "Basic.recover: (540) NOT_IMPLEMENTED - requeue=false"
    assert _error(lambda: client.queue(channel)) == (AMQPNotImplementedError, text)


def test_a_reply_consumer_cannot_acknowledge(client: Client) -> None:
    channel = client.channel()
    text = f"Basic.consume: (406) {_PREFIX}reply consumer cannot acknowledge"
    assert _error(lambda: channel.basic_consume(_FAST_REPLY, "t", callback=print)) == (PreconditionFailed, text)


def test_arguments_are_read_as_they_were_written(client: Client) -> None:
    channel = client.channel()
    queue = client.queue(channel, queue="argued", arguments={"x-dead-letter-exchange": b"x"})
    again = _error(lambda: channel.queue_declare(queue, exclusive=True, arguments={"x-dead-letter-exchange": "y"}))
    place = f"queue '{queue}' in vhost '{client.vhost}'"
    text = f"inequivalent arg 'x-dead-letter-exchange' for {place}: received 'y' but current is 'x'"
    assert again == (PreconditionFailed, f"Queue.declare: (406) {_PREFIX}{text}")
    moment = datetime(2020, 1, 1)
    declared = _error(lambda: channel.queue_declare("when", exclusive=True, arguments={"x-expires": moment}))
    place = f"queue 'when' in vhost '{client.vhost}'"
    text = f"invalid arg 'x-expires' for {place}: \"expected integer, got timestamp\""
    assert declared == (PreconditionFailed, f"Queue.declare: (406) {_PREFIX}{text}")


# --- while a request waits for its answer -----------------------------------------------------------------------------


def test_a_return_that_has_come_is_raised_by_the_next_request(client: Client) -> None:
    channel = client.channel()
    message = channel.prepare_message(b"x")
    channel.basic_publish(message, exchange="", routing_key="nowhere", mandatory=True)
    client.settle()
    assert _error(lambda: client.queue(channel)) == (ChannelError, "Basic.return: (312) NO_ROUTE")
    assert client.queue(channel)  # the channel is whole


def test_the_request_that_a_return_interrupts_is_carried_out(client: Client) -> None:
    channel = client.channel()
    channel.basic_publish(channel.prepare_message(b"x"), exchange="", routing_key="nowhere", mandatory=True)
    client.settle()
    with pytest.raises(ChannelError):
        channel.queue_declare("interrupted", exclusive=True)
    assert channel.queue_declare("interrupted", passive=True).queue == "interrupted"


def test_deliveries_that_have_come_are_handed_over_by_a_request(client: Client) -> None:
    channel = client.channel()
    queue, seen = client.queue(channel), []
    channel.basic_consume(queue, "t", no_ack=True, callback=lambda message: seen.append(message.body))
    for body in (b"1", b"2"):
        _publish(channel, body, queue)
    client.settle()
    assert seen in ([], [b"1"])  # a publish acts on one event that has come
    channel.queue_declare(queue, passive=True)
    assert seen == [b"1", b"2"]


def test_what_comes_because_of_a_request_comes_after_it(client: Client) -> None:
    channel = client.channel()
    queue, seen = client.queue(channel), []
    _publish(channel, b"1", queue)
    client.settle()
    channel.basic_consume(queue, "t", no_ack=True, callback=lambda message: seen.append(message.body))
    assert seen == []
    client.settle()
    channel.queue_declare(queue, passive=True)
    assert seen == [b"1"]


def test_a_consumer_hears_of_deliveries_until_it_is_cancelled(client: Client) -> None:
    channel = client.channel()
    queue, seen = client.queue(channel), []
    channel.basic_consume(queue, "t", callback=lambda message: seen.append(message.body))
    _publish(channel, b"1", queue)
    client.settle()
    assert channel.basic_cancel("t") == "t"
    assert seen == [b"1"]


def test_a_callback_makes_requests_while_another_one_waits(client: Client) -> None:
    channel = client.channel()
    queue, other = client.queue(channel), client.queue(channel)
    seen: list[Any] = []

    def receive(message: Any) -> None:
        seen.append(("begin", message.body))
        count = channel.queue_declare(other, passive=True).message_count
        seen.append(("end", message.body, count))

    channel.basic_consume(queue, "t", no_ack=True, callback=receive)
    publisher = client.channel()
    for body in (b"1", b"2", b"3"):
        _publish(publisher, body, queue)
    _publish(publisher, b"other", other)
    client.settle()
    assert channel.queue_purge(other) == 1
    begins, ends = [b"1", b"2", b"3"], [b"3", b"2", b"1"]
    assert seen == [*(("begin", body) for body in begins), *(("end", body, 0) for body in ends)]


def test_a_channel_that_is_opened_meanwhile(client: Client) -> None:
    channel = client.channel()
    queue, seen = client.queue(channel), []
    channel.basic_consume(queue, "t", no_ack=True, callback=lambda message: seen.append(message.body))
    _publish(channel, b"1", queue)
    client.settle()
    second = channel.connection.channel()
    assert seen == [b"1"]
    _publish(second, b"2", "nowhere", exchange="missing")
    client.settle()
    text = f"Basic.publish: (404) NOT_FOUND - no exchange 'missing' in vhost '{client.vhost}'"
    assert _error(lambda: channel.queue_declare(queue, passive=True)) == (NotFound, text)


# --- what is received -------------------------------------------------------------------------------------------------


def _received(client: Client, body: Any, **message: Any) -> Any:
    channel = client.channel()
    queue = client.queue(channel)
    _publish(channel, body, queue, **message)
    client.settle()
    return channel.basic_get(queue, no_ack=True)


def test_a_received_message_is_one_of_py_amqp(client: Client) -> None:
    message = _received(client, b"x", headers={"a": 1})
    assert type(message) is amqp.Message
    assert message.headers == {"a": 1}
    assert list(message.delivery_info) == ["delivery_tag", "redelivered", "exchange", "routing_key", "message_count"]
    assert message.channel is not None


@pytest.mark.parametrize(
    ("message", "properties"),
    [
        ({}, {}),
        ({"headers": {}}, {"application_headers": {}}),
        ({"properties": {"foo": 1, "app_id": "a"}}, {"app_id": "a"}),
        ({"properties": {"timestamp": 5, "type": "t"}}, {"timestamp": 5, "type": "t"}),
        ({"properties": {"correlation_id": "é", "message_id": ""}}, {"correlation_id": "é", "message_id": ""}),
        ({"priority": True}, {"priority": 1}),
        ({"headers": {"a": b"bytes", "b": b"\xff"}}, {"application_headers": {"a": "bytes", "b": b"\xff"}}),
        ({"headers": {"a": (1, (2,)), "é": "é"}}, {"application_headers": {"a": [1, [2]], "é": "é"}}),
        (
            {"headers": {"a": {"b": [1, None, True, 1.5, {}]}, "i": -(2**63)}},
            {"application_headers": {"a": {"b": [1, None, True, 1.5, {}]}, "i": -(2**63)}},
        ),
        (
            {"headers": {"d": Decimal("1.50"), "t": datetime(2020, 1, 1)}},
            {"application_headers": {"d": Decimal("1.5"), "t": datetime(2020, 1, 1)}},
        ),
    ],
)
def test_properties_arrive_as_they_were_written(client: Client, message: Any, properties: Any) -> None:
    received = _received(client, b"x", **message).properties
    assert received == properties
    assert repr(received) == repr(properties)


@pytest.mark.parametrize(
    ("body", "encoding", "received"),
    [
        (b"x", None, b"x"),
        (b"", None, ""),
        (bytearray(b"x"), None, b"x"),
        (b"x", "utf-8", "x"),
        (b"\xff", "utf-8", b"\xff"),
        ("é", "latin-1", "é"),
        ("é", "utf-8", "é"),
        (b"x", "binary", b"x"),
    ],
)
def test_bodies_arrive_as_bytes_or_as_the_text_that_they_are_said_to_be(
    client: Client, body: Any, encoding: str | None, received: Any
) -> None:
    got = _received(client, body, content_encoding=encoding).body
    assert (got, type(got)) == (received, type(received))


def test_a_returned_message_is_one_of_py_amqp(client: Client) -> None:
    channel, seen = client.channel(), []
    channel.events["basic_return"].add(lambda *returned: seen.append(returned))
    message = channel.prepare_message(b"x", headers={"a": 1})
    channel.basic_publish(message, exchange="", routing_key="nowhere", mandatory=True)
    client.settle()
    client.queue(channel)
    [(error, exchange, key, returned)] = seen
    assert (type(error), exchange, key) == (ChannelError, "", "nowhere")
    assert (type(returned), returned.body, returned.properties) == (
        amqp.Message, b"x", {"application_headers": {"a": 1}},
    )  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.exchange_delete("nothing"),
        lambda c: c.queue_unbind("nothing", "amq.direct", "k"),
        lambda c: c.exchange_unbind("amq.topic", "amq.direct", "k"),
        lambda c: c.basic_qos(0, 1, False),
        lambda c: c.confirm_select(),
    ],
)
def test_requests_without_a_result_return_py_amqps_empty_one(client: Client, call: Callable[[Any], Any]) -> None:
    assert call(client.channel()) == ()
