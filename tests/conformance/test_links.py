"""What a client sees of a bad network, in the simulation and behind a router that drops packets.

Times are compared as what must have passed and what must not: a real network is never exact.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import kombu
import pytest
import redis
from amqp.exceptions import ConnectionForced
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

import tqsim
from tests.conformance.network import RealNetwork
from tests.conformance.rabbitmq_site import Site
from tests.conformance.redis_server_arm import RealRedis
from tqsim import faults

#: A real socket looks for a timeout when it would send again, which depends on how quick answers were before:
#: 1.3 s for one second on an idle machine, 5.3 s were seen on a busy one.
_LATEST_S: Final = 8.0


class Net(ABC):
    """One network, and a client's way over it; ``amqp`` and ``redis`` are the servers' URLs."""

    amqp: str
    redis: str

    @abstractmethod
    def run(self, body: Callable[[], None]) -> None:
        """Run a body at the client."""

    @abstractmethod
    def cut(self) -> None:
        """Let nothing arrive."""

    @abstractmethod
    def mend(self) -> None:
        """Let everything arrive again."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the connections at both ends."""

    @abstractmethod
    def forget(self) -> None:
        """Let the server, and not the client, lose the connections."""

    @abstractmethod
    def elsewhere(self, action: Callable[[Any], Any]) -> Any:
        """Let somebody with a sound network do something with a client of Redis; return what comes of it."""


class SimulatedNet(Net):
    """The links of a simulation."""

    amqp = "amqp://guest:guest@localhost:5672//"
    redis = "redis://localhost:6379/0"

    def __init__(self, sim: tqsim.Simulation) -> None:
        self._sim = sim
        self._cut: Any = None

    def run(self, body: Callable[[], None]) -> None:
        body()

    def cut(self) -> None:
        self._cut = self._sim.faults.add(faults.partition("test"))
        self._cut.__enter__()

    def mend(self) -> None:
        self._cut.__exit__(None, None, None)

    def reset(self) -> None:
        self._sim.faults.add(faults.connection_reset("test", at=0))

    def forget(self) -> None:
        self._sim.faults.add(faults.half_open("test", at=0, lost_by="server"))

    def elsewhere(self, action: Callable[[Any], Any]) -> Any:
        handle = self._sim.client(lambda: action(redis.Redis.from_url(self.redis)))
        time.sleep(0.1)  # virtual
        return handle.result()


class RealNet(Net):
    """A router between the client and a real server."""

    def __init__(self, network: RealNetwork, amqp: str = "", redis_port: int = 0) -> None:
        self._network = network
        # A thread that is made here, and not by the client, is not where the client is.
        self._pool = ThreadPoolExecutor(1)
        self._pool.submit(lambda: None).result()
        self._url = f"redis://127.0.0.1:{redis_port}/0"
        host, port = network.address
        self.amqp = amqp.format(host=host, port=port)
        self.redis = f"redis://{host}:{port}/0"

    def run(self, body: Callable[[], None]) -> None:
        self._network.run(body)

    def cut(self) -> None:
        self._network.cut()

    def mend(self) -> None:
        self._network.mend()

    def reset(self) -> None:
        self._network.reset()

    def forget(self) -> None:
        self.cut()
        self.reset()
        time.sleep(0.3)  # until what would tell the client is dropped
        self.mend()

    def elsewhere(self, action: Callable[[Any], Any]) -> Any:
        return self._pool.submit(lambda: action(redis.Redis.from_url(self._url))).result()


@pytest.fixture(params=["simulation", pytest.param("server", marks=pytest.mark.conformance)])
def amqp_net(request: pytest.FixtureRequest) -> Iterator[Net]:
    """A way to RabbitMQ."""
    if request.param == "simulation":
        with tqsim.Simulation(Celery("links", broker="amqp://", set_as_current=False)) as sim:
            yield SimulatedNet(sim)
        return
    _require_network()
    site: Site = request.getfixturevalue("rabbitmq_site")
    amqp = site.url.replace(f"@{site.host}:{site.port}/", "@{host}:{port}/")
    with RealNetwork(site.host, site.port) as network:
        yield RealNet(network, amqp)


@pytest.fixture(params=["simulation", pytest.param("server", marks=pytest.mark.conformance)])
def redis_net(request: pytest.FixtureRequest) -> Iterator[Net]:
    """A way to Redis."""
    if request.param == "simulation":
        with tqsim.Simulation(Celery("links", broker="redis://", set_as_current=False)) as sim:
            yield SimulatedNet(sim)
        return
    _require_network()
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as server, RealNetwork("127.0.0.1", server.port) as network:
        yield RealNet(network, redis_port=server.port)


def _require_network() -> None:
    missing = RealNetwork.missing()
    if missing is not None:
        pytest.skip(missing)


def _connected(net: Net, **options: Any) -> tuple[Any, Any, str]:
    connection = kombu.Connection(net.amqp, **options)
    channel = connection.default_channel
    return connection, channel, channel.queue_declare("", exclusive=True, auto_delete=True).queue


def _publish(channel: Any, queue: str) -> None:
    channel.basic_publish(channel.prepare_message("x", content_encoding="utf-8"), "", queue)


def _publish_on_and_on(channel: Any, queue: str) -> None:
    for _ in range(160):
        _publish(channel, queue)
        time.sleep(0.05)


def test_publishing_into_a_cut_fails_only_later(amqp_net: Net) -> None:
    """py-amqp's TCP_USER_TIMEOUT is a second; its look at the socket before a publish swallows the first error."""

    def body() -> None:
        connection, channel, queue = _connected(amqp_net)
        amqp_net.cut()
        begin = time.monotonic()
        with pytest.raises(BrokenPipeError, match="Broken pipe"):
            _publish_on_and_on(channel, queue)
        assert 0.9 <= time.monotonic() - begin <= _LATEST_S
        connection.collect()
        amqp_net.mend()

    amqp_net.run(body)


def test_what_was_sent_into_a_short_cut_arrives(amqp_net: Net) -> None:
    def body() -> None:
        connection, channel, queue = _connected(amqp_net)
        amqp_net.cut()
        _publish(channel, queue)
        time.sleep(0.5)
        amqp_net.mend()
        begin = time.monotonic()
        channel.queue_declare(queue, passive=True)
        assert time.monotonic() - begin < _LATEST_S
        time.sleep(0.3)  # a queue counts before it takes in what was sent before (rabbit_amqqueue_process.erl)
        assert channel.queue_declare(queue, passive=True).message_count == 1
        connection.close()

    amqp_net.run(body)


def test_a_question_into_a_cut_times_out(amqp_net: Net) -> None:
    def body() -> None:
        connection, channel, queue = _connected(amqp_net)
        amqp_net.cut()
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match=r"\[Errno 110\] Connection timed out"):
            channel.queue_declare(queue, passive=True)
        assert 0.9 <= time.monotonic() - begin <= _LATEST_S
        amqp_net.mend()
        connection.collect()

    amqp_net.run(body)


def test_a_reader_is_told_of_a_timeout_once_and_then_of_the_end(amqp_net: Net) -> None:
    """The timeout looks like nothing to read (``socket.timeout`` is ``TimeoutError``)."""

    def body() -> None:
        connection, channel, queue = _connected(amqp_net)
        amqp_net.cut()
        _publish(channel, queue)
        time.sleep(_LATEST_S)
        with pytest.raises(TimeoutError, match=r"\[Errno 110\] Connection timed out"):
            connection.drain_events(timeout=0.1)
        with pytest.raises(OSError, match="Server unexpectedly closed connection"):
            connection.drain_events(timeout=0.1)
        amqp_net.mend()
        connection.collect()

    amqp_net.run(body)


def test_connecting_over_a_cut_times_out(amqp_net: Net) -> None:
    def body() -> None:
        amqp_net.cut()
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out"):
            kombu.Connection(amqp_net.amqp, connect_timeout=1).transport.establish_connection()
        assert 0.95 <= time.monotonic() - begin <= 1.5
        amqp_net.mend()

    amqp_net.run(body)


def test_a_silent_connection_survives_a_cut_without_heartbeats(amqp_net: Net) -> None:
    def body() -> None:
        connection, channel, queue = _connected(amqp_net)
        amqp_net.cut()
        time.sleep(3)
        amqp_net.mend()
        assert channel.queue_declare(queue, passive=True).message_count == 0
        connection.close()

    amqp_net.run(body)


def test_the_server_gives_up_a_client_whose_heartbeats_do_not_arrive(amqp_net: Net) -> None:
    """Three heartbeats after the opening at the latest; what was unacknowledged is there again."""

    def body() -> None:
        connection, channel, _ = _connected(amqp_net, heartbeat=1)
        name = f"links-{time.time_ns()}"
        channel.queue_declare(name, auto_delete=False)
        _publish(channel, name)
        assert channel.basic_get(name) is not None
        amqp_net.cut()
        time.sleep(6)
        amqp_net.mend()
        with kombu.Connection(amqp_net.amqp) as other:
            message = other.default_channel.basic_get(name)
            assert message.delivery_info["redelivered"]
            other.default_channel.queue_delete(name)
        connection.collect()

    amqp_net.run(body)


def test_a_silent_connection_is_given_up_when_its_probes_are_not_answered(amqp_net: Net) -> None:
    """SO_KEEPALIVE; with a TCP_USER_TIMEOUT, one probe without an answer is enough (tcp(7))."""

    def body() -> None:
        settings = {socket.TCP_KEEPIDLE: 1, socket.TCP_KEEPINTVL: 1}
        connection, _, _ = _connected(amqp_net, transport_options={"socket_settings": settings})
        amqp_net.cut()
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match=r"\[Errno 110\] Connection timed out"):
            connection.drain_events()
        assert 1 <= time.monotonic() - begin <= _LATEST_S
        amqp_net.mend()
        connection.collect()

    amqp_net.run(body)


def test_a_client_that_looks_after_heartbeats_misses_them(amqp_net: Net) -> None:
    """amqp/connection.py, ``heartbeat_tick``; here TCP is told to be patient."""

    def body() -> None:
        settings = {socket.TCP_USER_TIMEOUT: 0}
        connection, _, _ = _connected(amqp_net, heartbeat=1, transport_options={"socket_settings": settings})
        amqp_net.cut()
        begin = time.monotonic()
        with pytest.raises(ConnectionForced, match="Too many heartbeats missed"):
            _look_after(connection)
        assert 1.9 <= time.monotonic() - begin <= 4
        amqp_net.mend()
        connection.collect()

    amqp_net.run(body)


def _look_after(connection: Any) -> None:
    for _ in range(40):
        connection.heartbeat_check(2)
        try:
            connection.drain_events(timeout=0.25)
        except TimeoutError:
            pass


@pytest.mark.parametrize("how", ["reset", "forget"])
def test_a_lost_connection_is_reset_when_it_is_used(amqp_net: Net, how: str) -> None:
    def body() -> None:
        connection, channel, queue = _connected(amqp_net)
        getattr(amqp_net, how)()
        time.sleep(0.3)
        with pytest.raises(ConnectionResetError, match=r"\[Errno 104\] Connection reset by peer"):
            channel.queue_declare(queue, passive=True)
        connection.collect()

    amqp_net.run(body)


def test_a_reader_of_a_reset_connection_is_told(amqp_net: Net) -> None:
    def body() -> None:
        connection, _, _ = _connected(amqp_net)
        amqp_net.reset()
        with pytest.raises(ConnectionResetError, match=r"\[Errno 104\] Connection reset by peer"):
            connection.drain_events(timeout=1)
        connection.collect()

    amqp_net.run(body)


def test_a_reader_of_a_forgotten_connection_is_not_told(amqp_net: Net) -> None:
    def body() -> None:
        connection, _, _ = _connected(amqp_net)
        amqp_net.forget()
        with pytest.raises(TimeoutError, match="timed out"):
            connection.drain_events(timeout=1)
        connection.collect()

    amqp_net.run(body)


def test_redis_answers_after_a_short_cut(redis_net: Net) -> None:
    def body() -> None:
        client = redis.Redis.from_url(redis_net.redis, socket_timeout=None)
        client.set("a", 1)
        redis_net.cut()
        begin = time.monotonic()
        writer = client.pubsub()  # nothing is sent by this
        time.sleep(0.3)
        redis_net.mend()
        assert client.get("a") == b"1"
        assert time.monotonic() - begin < 1.5
        writer.close()
        client.close()

    redis_net.run(body)


def test_redis_does_what_the_client_has_given_up(redis_net: Net) -> None:
    def body() -> None:
        client = redis.Redis.from_url(redis_net.redis, socket_timeout=0.5, retry=None)
        client.set("n", 0)
        redis_net.cut()
        begin = time.monotonic()
        with pytest.raises(redis.TimeoutError, match="Timeout reading from socket"):
            client.incr("n")
        assert 0.45 <= time.monotonic() - begin <= 1
        time.sleep(0.5)
        redis_net.mend()
        time.sleep(3)  # until TCP has sent it again
        assert client.get("n") == b"1"
        client.close()

    redis_net.run(body)


def test_connecting_to_redis_over_a_cut_times_out(redis_net: Net) -> None:
    def body() -> None:
        redis_net.cut()
        client = redis.Redis.from_url(redis_net.redis, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
        begin = time.monotonic()
        with pytest.raises(redis.TimeoutError, match="Timeout connecting to server"):
            client.ping()
        assert 0.95 <= time.monotonic() - begin <= 1.5
        redis_net.mend()
        client.close()

    redis_net.run(body)


@pytest.mark.parametrize("how", ["reset", "forget"])
def test_redis_clients_are_told_of_a_lost_connection_when_they_use_it(redis_net: Net, how: str) -> None:
    def body() -> None:
        client = redis.Redis.from_url(redis_net.redis, retry=None)
        connection: Any = client.connection_pool.get_connection()
        connection.connect()
        getattr(redis_net, how)()
        time.sleep(0.3)
        connection._sock.sendall(b"PING\r\n") if how == "forget" else None
        time.sleep(0.3)
        with pytest.raises(ConnectionResetError, match=r"\[Errno 104\] Connection reset by peer"):
            connection._sock.recv(10)
        connection.disconnect()
        client.close()

    redis_net.run(body)


def test_a_message_popped_for_a_lost_client_is_gone(redis_net: Net) -> None:
    """The server still holds the BRPOP of a client that cannot be reached."""

    def body() -> None:
        client = redis.Redis.from_url(redis_net.redis)
        waiting = client.connection_pool.get_connection()
        waiting.send_command("BRPOP", "q", 60)
        time.sleep(0.2)
        other = redis.Redis.from_url(redis_net.redis)
        other.ping()
        redis_net.cut()
        waiting.disconnect()  # what says so cannot arrive
        assert redis_net.elsewhere(lambda near: [near.lpush("q", "x", "y"), near.lrange("q", 0, -1)]) == [2, [b"y"]]
        redis_net.mend()
        client.close()
        other.close()

    redis_net.run(body)
