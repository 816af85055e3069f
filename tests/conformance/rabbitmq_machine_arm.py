"""The arm of tqsim's own RabbitMQ machine.

The main name is :class:`MachineArm`.  Time is a number here, and nothing is ever waited for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from tests.conformance.rabbitmq_arms import (
    Arm,
    Client,
    Closed,
    Confirmed,
    Counts,
    Delivery,
    Fetched,
    Lane,
    Letter,
    Returned,
    Table,
)
from tqsim.broker.rabbitmq import (
    Blocked,
    Channel,
    ChannelClosed,
    Confirm,
    ConnectionClosed,
    ConnectionLost,
    ConsumerCancelled,
    Deliver,
    Refusal,
    Return,
    Server,
    Settings,
    Unblocked,
)

__all__ = ["MachineArm"]

Answer = TypeVar("Answer")


def _text(body: bytes | str) -> str:
    return body if isinstance(body, str) else body.decode()


class _MachineLane(Lane):
    def __init__(self, client: _MachineClient, channel: Channel) -> None:
        super().__init__(client)
        self.channel = channel

    def exchange(self, name: str, kind: str = "direct", **options: Any) -> None:
        self._ask(lambda: self.channel.exchange_declare(name, kind, **options))

    def delete_exchange(self, name: str, if_unused: bool = False) -> None:
        self._ask(lambda: self.channel.exchange_delete(name, if_unused=if_unused))

    def queue(self, name: str = "", **options: Any) -> str:
        return self._ask(lambda: self.channel.queue_declare(name, **options).queue)

    def counts(self, queue: str) -> Counts:
        answer = self._ask(lambda: self.channel.queue_declare(queue, passive=True))
        return Counts(answer.message_count, answer.consumer_count)

    def delete_queue(self, queue: str, if_unused: bool = False, if_empty: bool = False) -> int:
        return self._ask(lambda: self.channel.queue_delete(queue, if_unused=if_unused, if_empty=if_empty))

    def purge(self, queue: str) -> int:
        return self._ask(lambda: self.channel.queue_purge(queue))

    def bind(self, queue: str, exchange: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.queue_bind(queue, exchange, key, arguments))

    def unbind(self, queue: str, exchange: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.queue_unbind(queue, exchange, key, arguments))

    def bind_exchange(self, destination: str, source: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.exchange_bind(destination, source, key, arguments))

    def unbind_exchange(self, destination: str, source: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.exchange_unbind(destination, source, key, arguments))

    def confirm(self) -> None:
        self._ask(self.channel.confirm_select)

    def transact(self) -> None:
        self._ask(self.channel.tx_select)

    def fetch(self, queue: str) -> Letter | None:
        got = self._ask(lambda: self.channel.basic_get(queue, True))
        if got is None:
            return None
        return Letter.of(_text(got.message.body), got.exchange, got.routing_key, dict(got.message.properties))

    def consume(self, queue: str, tag: str = "", **options: Any) -> str:
        return self._ask(lambda: self.channel.basic_consume(queue, tag, **options))

    def cancel(self, tag: str) -> None:
        self._ask(lambda: self.channel.basic_cancel(tag))

    def get(self, queue: str, no_ack: bool = False) -> Fetched | None:
        got = self._ask(lambda: self.channel.basic_get(queue, no_ack))
        if got is None:
            return None
        return Fetched(_text(got.message.body), got.redelivered, got.delivery_tag, got.message_count)

    def qos(self, count: int, shared: bool = False, size: int = 0) -> None:
        self._ask(lambda: self.channel.basic_qos(count, shared, size))

    def recover(self, requeue: bool = True) -> None:
        self._ask(lambda: self.channel.basic_recover(requeue))

    def close(self) -> None:
        self.channel.close()

    def publish(
        self,
        exchange: str,
        key: str,
        body: str,
        *,
        mandatory: bool = False,
        immediate: bool = False,
        **properties: Any,
    ) -> None:
        self.channel.basic_publish(exchange, key, body.encode(), properties, mandatory, immediate)
        self.channel.connection.fall_silent()

    def ack(self, tag: int, multiple: bool = False) -> None:
        self.channel.basic_ack(tag, multiple)

    def nack(self, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        self.channel.basic_nack(tag, multiple, requeue)

    def reject(self, tag: int, requeue: bool = True) -> None:
        self.channel.basic_reject(tag, requeue)

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except Refusal as refusal:
            self.closed = Closed(refusal.scope, refusal.code, refusal.text, refusal.method)
            raise self.closed from None


class _MachineClient(Client):
    def __init__(self, arm: MachineArm, name: str, cancel_notify: bool, heartbeat_s: float) -> None:
        super().__init__(arm)
        self._connection = arm.server.connect(
            name=name,
            vhost=arm.vhost,
            notify=lambda: None,
            consumer_cancel_notify=cancel_notify,
            heartbeat_s=heartbeat_s,
        )
        self._connection.fall_silent()
        self._lanes: dict[Channel, _MachineLane] = {}

    def lane(self) -> _MachineLane:
        channel = self._connection.channel()
        lane = self._lanes[channel] = _MachineLane(self, channel)
        return lane

    def open_twice(self) -> Lane:
        number = self.lane().channel.number
        try:
            self._connection.channel(number)
        except Refusal as refusal:
            raise Closed(refusal.scope, refusal.code, refusal.text, refusal.method) from None
        raise AssertionError("opened twice")

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()

    def read(self) -> None:
        outbox = self._connection.outbox
        while outbox:
            event = outbox.popleft()
            if isinstance(event, ConnectionClosed):
                self.closed = Closed("connection", event.code, event.text, event.method)
            elif isinstance(event, Deliver):
                body = _text(event.message.body)
                delivery = Delivery(event.consumer_tag, body, event.redelivered, event.delivery_tag)
                lane = self._lanes[event.channel]
                lane.deliveries.append(delivery)
                lane.letters.append(Letter.of(body, event.exchange, event.routing_key, dict(event.message.properties)))
            elif isinstance(event, ChannelClosed):
                lane = self._lanes[event.channel]
                lane.closed = Closed("channel", event.code, event.text, event.method)
            elif isinstance(event, ConsumerCancelled):
                self._lanes[event.channel].cancelled.append(event.consumer_tag)
            elif isinstance(event, Return):
                returned = Returned(event.code, event.text, event.exchange, event.routing_key)
                self._lanes[event.channel].returned.append(returned)
                self._lanes[event.channel].answers.append(returned)
            elif isinstance(event, ConnectionLost):
                self.is_lost = True
            elif isinstance(event, Blocked):
                self.told.append("blocked")
            elif isinstance(event, Unblocked):
                self.told.append("unblocked")
            elif isinstance(event, Confirm):
                self._lanes[event.channel].answers.append(Confirmed(event.number, event.taken))


class MachineArm(Arm):
    """A fresh machine per test, with the rules of a version of RabbitMQ."""

    vhost = "/"

    def __init__(self, version: str = "3.10") -> None:
        self._now = 0
        self._settings = Settings(version=version)
        self.server = self._new_server(self._settings)
        self._clients: list[_MachineClient] = []

    def _new_server(self, settings: Settings) -> Server:
        numbers = itertools.count(1)
        return Server(now=lambda: self._now, names=lambda prefix: f"{prefix}{next(numbers):04}", settings=settings)

    def impatient(self, timeout_ms: int, tick_ms: int) -> Client:
        assert not self._clients, "connect the impatient client first"
        impatient = replace(self._settings, consumer_timeout_ms=timeout_ms, channel_tick_interval_ms=tick_ms)
        self.server = self._new_server(impatient)
        return self.client()

    def name(self, stem: str) -> str:
        return stem

    def alarm(self, is_raised: bool) -> None:
        self.server.alarm(is_raised)

    def client(self, *, cancel_notify: bool = True, heartbeat_s: float = 0) -> Client:
        client = _MachineClient(self, f"client-{len(self._clients)}", cancel_notify, heartbeat_s)
        self._clients.append(client)
        return client

    def settle(self) -> None:
        for client in self._clients:
            client.read()

    def wait(self, milliseconds: int) -> None:
        end = self._now + milliseconds * 1_000
        while (due := self.server.next_deadline()) is not None and due <= end:
            self._now = due
            self.server.expire()
        self._now = end
        self.settle()

    def close(self) -> None:
        for client in self._clients:
            client.close()
