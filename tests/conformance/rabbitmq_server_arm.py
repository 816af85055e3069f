"""The arm of a real RabbitMQ server on loopback, through py-amqp.

The main name is :class:`ServerArm`; it works on a :class:`Site`, the vhost that a test session gets for
itself.  What is under way arrives after a quiet time, so this arm is slow and bounded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import amqp
import pytest
from amqp import spec

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
from tests.conformance.rabbitmq_site import Site

__all__ = ["ServerArm"]

Answer = TypeVar("Answer")

_QUIET_S: Final = 0.05
_QUIET_PASSES: Final = 2
_PASSES_MAX: Final = 200
# What the server starts with.
_CONSUMER_TIMEOUT_MS: Final = 1_800_000
_CHANNEL_TICK_MS: Final = 60_000
# Shares of the machine's memory from which on the server blocks publishers, and how long it takes to see.
_LITTLE: Final = "0.00001"
_ENOUGH: Final = "0.4"
_ALARM_S: Final = 0.5


class _Channel(amqp.Channel):
    """py-amqp's channel would open itself again after a close; this one stays closed."""

    lane: _ServerLane

    def _on_close(self, reply_code: int, reply_text: str, class_id: int, method_id: int) -> None:
        self.send_method(spec.Channel.CloseOk)
        self.is_open = False
        self.lane.closed = Closed("channel", reply_code, reply_text, (class_id, method_id))
        raise self.lane.closed


class _Connection(amqp.Connection):
    Channel = _Channel
    ended: Closed | None = None
    cancel_notify = True

    def _on_start(self, major: int, minor: int, properties: Table, *rest: Any) -> None:
        if not self.cancel_notify:  # py-amqp announces whatever the server says it can do
            properties["capabilities"].pop("consumer_cancel_notify")
        super()._on_start(major, minor, properties, *rest)

    def _on_close(self, reply_code: int, reply_text: str, class_id: int, method_id: int) -> None:
        self.ended = Closed("connection", reply_code, reply_text, (class_id, method_id))
        self.collect()
        raise self.ended


class _ServerLane(Lane):
    def __init__(self, client: _ServerClient, channel: _Channel) -> None:
        super().__init__(client)
        self.channel = channel
        channel.lane = self
        channel.events["basic_return"].add(self._on_return)
        channel.events["basic_ack"].add(lambda tag, multiple: self._on_confirm(tag, multiple, True))
        channel.events["basic_nack"].add(lambda tag, multiple: self._on_confirm(tag, multiple, False))
        self._confirmed: set[int] = set()

    def exchange(self, name: str, kind: str = "direct", **options: Any) -> None:
        flags = ("passive", "durable", "auto_delete", "internal")
        bits = [bool(options.get(flag)) for flag in flags]
        arguments = (0, name, kind, *bits, False, options.get("arguments"))
        self._ask(
            lambda: self.channel.send_method(
                spec.Exchange.Declare, "BssbbbbbF", arguments, wait=spec.Exchange.DeclareOk
            )
        )

    def delete_exchange(self, name: str, if_unused: bool = False) -> None:
        self._ask(lambda: self.channel.exchange_delete(name, if_unused=if_unused))

    def queue(self, name: str = "", **options: Any) -> str:
        options.setdefault("auto_delete", False)
        return str(self._ask(lambda: self.channel.queue_declare(name, **options).queue))

    def counts(self, queue: str) -> Counts:
        answer = self._ask(lambda: self.channel.queue_declare(queue, passive=True))
        return Counts(answer.message_count, answer.consumer_count)

    def delete_queue(self, queue: str, if_unused: bool = False, if_empty: bool = False) -> int:
        return int(self._ask(lambda: self.channel.queue_delete(queue, if_unused, if_empty)))

    def purge(self, queue: str) -> int:
        return int(self._ask(lambda: self.channel.queue_purge(queue)))

    def bind(self, queue: str, exchange: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.queue_bind(queue, exchange, key, arguments=arguments))

    def unbind(self, queue: str, exchange: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.queue_unbind(queue, exchange, key, arguments=arguments))

    def bind_exchange(self, destination: str, source: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.exchange_bind(destination, source, key, arguments=arguments))

    def unbind_exchange(self, destination: str, source: str, key: str, arguments: Table | None = None) -> None:
        self._ask(lambda: self.channel.exchange_unbind(destination, source, key, arguments=arguments))

    def confirm(self) -> None:
        self._ask(self.channel.confirm_select)

    def transact(self) -> None:
        self._ask(self.channel.tx_select)

    def fetch(self, queue: str) -> Letter | None:
        message = self._ask(lambda: self.channel.basic_get(queue, True))
        if message is None:
            return None
        info = message.delivery_info
        return Letter.of(message.body, info["exchange"], info["routing_key"], message.properties)

    def consume(self, queue: str, tag: str = "", **options: Any) -> str:
        return str(
            self._ask(
                lambda: self.channel.basic_consume(
                    queue, tag, callback=self._on_message, on_cancel=self.cancelled.append, **options
                )
            )
        )

    def cancel(self, tag: str) -> None:
        self._ask(lambda: self.channel.basic_cancel(tag))

    def get(self, queue: str, no_ack: bool = False) -> Fetched | None:
        message = self._ask(lambda: self.channel.basic_get(queue, no_ack))
        if message is None:
            return None
        info = message.delivery_info
        return Fetched(message.body, info["redelivered"], info["delivery_tag"], info["message_count"])

    def qos(self, count: int, shared: bool = False, size: int = 0) -> None:
        self._ask(lambda: self.channel.basic_qos(size, count, shared))

    def recover(self, requeue: bool = True) -> None:
        # py-amqp does not wait for the answer.
        self._ask(lambda: self.channel.send_method(spec.Basic.Recover, "b", (requeue,), wait=spec.Basic.RecoverOk))

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
        message = amqp.Message(body, **properties)
        self.channel.basic_publish(message, exchange, key, mandatory, immediate)

    def ack(self, tag: int, multiple: bool = False) -> None:
        self.channel.basic_ack(tag, multiple)

    def nack(self, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        self.channel.send_method(spec.Basic.Nack, "Lbb", (tag, multiple, requeue))

    def reject(self, tag: int, requeue: bool = True) -> None:
        self.channel.basic_reject(tag, requeue)

    def _on_message(self, message: Any) -> None:
        info = message.delivery_info
        delivery = Delivery(info["consumer_tag"], message.body, info["redelivered"], info["delivery_tag"])
        self.deliveries.append(delivery)
        self.letters.append(Letter.of(message.body, info["exchange"], info["routing_key"], message.properties))

    def _on_return(self, error: Any, exchange: str, key: str, message: Any) -> None:
        returned = Returned(error.reply_code, error.reply_text, exchange, key)
        self.returned.append(returned)
        self.answers.append(returned)

    def _on_confirm(self, tag: int, multiple: bool, taken: bool) -> None:
        # "multiple" stands for everything up to the tag that was not answered before.
        numbers = range(1, tag + 1) if multiple else (tag,)
        for number in numbers:
            if number not in self._confirmed:
                self._confirmed.add(number)
                self.answers.append(Confirmed(number, taken))

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except Closed as closed:
            self.closed = closed
            raise


class _ServerClient(Client):
    def __init__(self, arm: ServerArm, cancel_notify: bool, heartbeat_s: float = 0) -> None:
        super().__init__(arm)
        self.connection = _Connection(
            f"{arm.site.host}:{arm.site.port}",
            arm.site.user,
            arm.site.password,
            virtual_host=arm.vhost,
            heartbeat=heartbeat_s,
            on_blocked=lambda reason: self.told.append("blocked"),
            on_unblocked=lambda: self.told.append("unblocked"),
        )
        self.connection.cancel_notify = cancel_notify
        self.connection.connect()
        self.first: _Channel | None = None

    def lane(self) -> Lane:
        channel, self.first = self.first or self.connection.channel(), None
        return _ServerLane(self, channel)

    def open_twice(self) -> Lane:
        channel = self.connection.channel()
        channel.send_method(spec.Channel.Open, "s", ("",), wait=spec.Channel.OpenOk)
        raise AssertionError("opened twice")

    def close(self) -> None:
        if self.connection.connected:
            self.connection.close()

    def abort(self) -> None:
        self.connection.collect()

    def read(self) -> None:
        self.drain()

    def drain(self) -> bool:
        """Take in what is there within the quiet time; return whether there was anything."""
        found = False
        while self.connection.connected:
            try:
                self.connection.drain_events(timeout=_QUIET_S)
            except TimeoutError:
                break
            except Closed:
                self.closed = self.connection.ended
            except ConnectionResetError:
                self.is_lost = True
                self.connection.collect()
            found = True
        return found


class ServerArm(Arm):
    """A real server; ``number`` makes the names of this test its own."""

    def __init__(self, site: Site, number: int) -> None:
        self.vhost = site.vhost
        self.site = site
        self._is_impatient = False
        self._is_alarmed = False
        # A body that changes a setting of the server has the server for itself.
        self._lock = site.shared()
        self._prefix = f"tqsim-{os.getpid()}-{number}-"
        self._names: list[str] = []
        self._clients: list[_ServerClient] = []

    def name(self, stem: str) -> str:
        name = self._prefix + stem
        self._names.append(name)
        return name

    def alarm(self, is_raised: bool) -> None:
        self._is_alarmed = is_raised
        if is_raised:
            self._lock.alone()
        if not self.site.control("set_vm_memory_high_watermark", _LITTLE if is_raised else _ENOUGH):
            pytest.skip("rabbitmqctl cannot change the server's settings")
        time.sleep(_ALARM_S)

    def forget_clients(self) -> None:
        """Give up the connections of a server that has ended."""
        for client in self._clients:
            client.abort()
        self._clients.clear()

    def client(self, *, cancel_notify: bool = True, heartbeat_s: float = 0) -> Client:
        client = _ServerClient(self, cancel_notify, heartbeat_s)
        self._clients.append(client)
        return client

    def impatient(self, timeout_ms: int, tick_ms: int) -> Client:
        self._lock.alone()
        # A channel reads the timeout when it opens and the tick's interval at each tick.
        self._is_impatient = True
        if not self.site.set_number("channel_tick_interval", tick_ms):
            pytest.skip("rabbitmqctl cannot change the server's settings")
        self.site.set_number("consumer_timeout", timeout_ms)
        try:
            client = _ServerClient(self, cancel_notify=True)
            client.first = client.connection.channel()
        finally:
            self.site.set_number("consumer_timeout", _CONSUMER_TIMEOUT_MS)
        self._clients.append(client)
        return client

    def settle(self) -> None:
        quiet = 0
        for _ in range(_PASSES_MAX):
            arrived = [client.drain() for client in self._clients]
            quiet = 0 if any(arrived) else quiet + 1
            if quiet == _QUIET_PASSES:
                return
        raise AssertionError("the server does not come to rest")

    def wait(self, milliseconds: int) -> None:
        end = time.monotonic() + milliseconds / 1_000
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _QUIET_S))
        self.settle()

    def close(self) -> None:
        if self._is_alarmed:
            self.alarm(False)
        if self._is_impatient:
            self.site.set_number("channel_tick_interval", _CHANNEL_TICK_MS)
        for client in self._clients:
            client.close()
        cleaner = _ServerClient(self, cancel_notify=True)
        for name in self._names:
            cleaner.lane().delete_queue(name)
            cleaner.lane().delete_exchange(name)
        cleaner.close()
        self._lock.close()
