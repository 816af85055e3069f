"""The server by itself: bytes in, bytes out, no kernel and no redis-py."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tqsim.broker.redis.server import Server


def packed(*words: str) -> bytes:
    """Return a command as it goes over the wire."""
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


class Timer:
    """A timer that the test lets fire."""

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self.seconds = seconds
        self.action = action
        self.is_cancelled = False

    def cancel(self) -> None:
        """As the kernel's."""
        self.is_cancelled = True


class Client:
    """A client that keeps what it receives; ``on_receive`` is called each time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.received = b""
        self.is_hung_up = False
        self.on_receive: Callable[[], None] = lambda: None
        self.session = server.connect(self, {"addr": "127.0.0.1:50000"})

    def receive(self, data: bytes) -> None:
        """As a socket's peer."""
        self.received += data
        self.on_receive()

    def hang_up(self) -> None:
        """As a socket's peer."""
        self.is_hung_up = True

    def send(self, *words: str) -> bytes:
        """Send one command and return what has come since."""
        return self.send_raw(packed(*words))

    def send_raw(self, data: bytes) -> bytes:
        """Send bytes and return what has come since."""
        self.server.feed(self.session, data)
        answer, self.received = self.received, b""
        return answer


def make() -> tuple[Server, list[Timer]]:
    """Return a server, and the timers it starts."""
    timers: list[Timer] = []

    def call_later(seconds: float, action: Callable[[], None]) -> Timer:
        timers.append(Timer(seconds, action))
        return timers[-1]

    return Server(call_later), timers


def test_command_may_come_in_pieces() -> None:
    client = Client(make()[0])
    assert client.send_raw(b"*1\r\n$4\r\nPI") == b""
    assert client.send_raw(b"NG\r\n*1\r\n$4\r\nPING\r\n") == b"+PONG\r\n+PONG\r\n"


def test_every_password_is_right() -> None:
    client = Client(make()[0])
    assert client.send("AUTH", "secret") == b"+OK\r\n"
    assert client.send("AUTH", "user", "secret") == b"+OK\r\n"
    assert client.send("HELLO", "3", "AUTH", "user", "secret").startswith(b"%")


def test_blocked_client_is_answered_by_the_push_that_it_waits_for() -> None:
    server, timers = make()
    first, second, pusher = Client(server), Client(server), Client(server)
    assert first.send("BLPOP", "list", "0") == b""
    assert second.send("BLPOP", "list", "0") == b""
    assert timers == []
    assert pusher.send("RPUSH", "list", "a") == b":1\r\n"
    assert first.received == b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n"
    assert second.received == b""


def test_blocked_client_is_answered_with_nothing_when_its_time_is_over() -> None:
    server, timers = make()
    client = Client(server)
    client.send("BLPOP", "list", "2.5")
    assert [timer.seconds for timer in timers] == [2.5]
    timers[0].action()
    assert client.received in (b"$-1\r\n", b"*-1\r\n")
    client.received = b""
    assert client.send("PING") == b"+PONG\r\n"


def test_answered_client_needs_its_timer_no_more() -> None:
    server, timers = make()
    client = Client(server)
    client.send("BLPOP", "list", "2.5")
    Client(server).send("RPUSH", "list", "a")
    assert timers[0].is_cancelled


def test_commands_behind_a_blocked_one_wait() -> None:
    server, _ = make()
    client = Client(server)
    assert client.send_raw(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nk\r\n$1\r\n0\r\n*1\r\n$4\r\nPING\r\n") == b""
    Client(server).send("RPUSH", "k", "v")
    assert client.received == b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n+PONG\r\n"


def test_client_that_has_gone_takes_nothing() -> None:
    server, timers = make()
    gone = Client(server)
    gone.send("BLPOP", "list", "9")
    server.feed(gone.session, None)
    assert timers[0].is_cancelled
    client = Client(server)
    assert client.send("RPUSH", "list", "a") == b":1\r\n"
    assert client.send("LLEN", "list") == b":1\r\n"
    assert gone.received == b""


def test_unblocked_client_gets_nothing_or_an_error() -> None:
    server, _ = make()
    first, second, admin = Client(server), Client(server), Client(server)
    numbers = [client.send("CLIENT", "ID").strip(b":\r\n").decode() for client in (first, second)]
    first.send("BLPOP", "list", "0")
    second.send("BLPOP", "list", "0")
    assert admin.send("CLIENT", "UNBLOCK", numbers[0]) == b":1\r\n"
    assert admin.send("CLIENT", "UNBLOCK", numbers[1], "ERROR") == b":1\r\n"
    assert first.received in (b"$-1\r\n", b"*-1\r\n")
    assert second.received.startswith(b"-UNBLOCKED")


def test_killed_client_is_told() -> None:
    server, _ = make()
    victim, admin = Client(server), Client(server)
    number = victim.send("CLIENT", "ID").strip(b":\r\n").decode()
    assert admin.send("CLIENT", "KILL", "ID", number) == b":1\r\n"
    assert victim.is_hung_up


def test_messages_go_out_in_the_order_of_subscription() -> None:
    server, _ = make()
    order: list[int] = []
    clients = [Client(server) for _ in range(20)]
    for client in reversed(clients):
        client.send("SUBSCRIBE", "news")
    for number, client in enumerate(clients):
        client.on_receive = functools.partial(order.append, number)
    assert Client(server).send("PUBLISH", "news", "x") == b":20\r\n"
    assert order == list(reversed(range(20)))


def test_command_inside_a_command_comes_after_it() -> None:
    server, _ = make()
    listener, sender = Client(server), Client(server)
    listener.send("SUBSCRIBE", "news")

    def interrupt() -> None:
        listener.on_receive = lambda: None
        assert server.is_busy
        server.feed(listener.session, b"*2\r\n$11\r\nUNSUBSCRIBE\r\n$4\r\nnews\r\n")

    listener.on_receive = interrupt
    assert sender.send("PUBLISH", "news", "x") == b":1\r\n"
    assert listener.received.endswith(b"$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n")
    assert sender.send("PUBLISH", "news", "x") == b":0\r\n"


def test_what_is_no_command_ends_the_connection() -> None:
    client = Client(make()[0])
    assert client.send_raw(b"*1\r\n+PING\r\n") == b"-ERR Protocol error: expected '$', got '+'\r\n"
    assert client.is_hung_up


def test_command_may_come_as_a_line() -> None:
    client = Client(make()[0])
    assert client.send_raw(b"PING\r\nGET / HTTP/1.1\r\n") == (
        b"+PONG\r\n-ERR wrong number of arguments for 'get' command\r\n"
    )


def test_key_events_are_off_until_they_are_asked_for() -> None:
    server, _ = make()
    listener, client = Client(server), Client(server)
    listener.send("PSUBSCRIBE", "__keyspace@0__:*")
    client.send("SET", "k", "v")
    assert listener.received == b""
    client.send("CONFIG", "SET", "notify-keyspace-events", "KEA")
    client.send("SET", "k", "v")
    assert b"__keyspace@0__:k" in listener.received


def test_transaction_in_one_piece_is_answered_as_in_several() -> None:
    """What comes as one is run at once when all of it is native; the replies are the same."""
    commands = [
        ("MULTI",),
        ("ZADD", "index", "1.5", "tag"),
        ("HSET", "unacked", "tag", "m"),
        ("LPUSH", "index", "wrong type"),
        ("HDEL", "unacked", "tag"),
        ("RPUSH", "q", "m"),
        ("EXEC",),
    ]
    slow, fast = Client(make()[0]), Client(make()[0])
    answers = b"".join(slow.send(*words) for words in commands)
    at_once = b"".join(packed(*words) for words in commands)
    assert fast.send_raw(at_once) == answers
    assert b"-WRONGTYPE" in answers
    assert fast.send("LRANGE", "q", "0", "-1") == slow.send("LRANGE", "q", "0", "-1") == b"*1\r\n$1\r\nm\r\n"


def test_transaction_in_one_piece_minds_a_watched_key() -> None:
    server, _ = make()
    client, other = Client(server), Client(server)
    client.send("WATCH", "k")
    other.send("HSET", "k", "f", "v")
    packed = b"*1\r\n$5\r\nMULTI\r\n*3\r\n$4\r\nZREM\r\n$1\r\nz\r\n$1\r\nm\r\n*1\r\n$4\r\nEXEC\r\n"
    assert client.send_raw(packed) == b"+OK\r\n+QUEUED\r\n*-1\r\n"


def test_dozing_client_keeps_its_place_in_the_line() -> None:
    clock = [1_000.0]
    timers: list[Timer] = []

    def call_later(seconds: float, action: Callable[[], None]) -> Timer:
        timers.append(Timer(seconds, action))
        return timers[-1]

    server = Server(call_later, now=lambda: clock[0])
    first, second, sender = Client(server), Client(server), Client(server)
    first.send("BRPOP", "q", "1")
    clock[0] += 0.25
    second.send("BRPOP", "q", "1")
    assert server.doze(first.session)
    clock[0] += 0.5  # 0.75: the first has waited longest
    sender.send("LPUSH", "q", "a")
    assert first.received.endswith(b"a\r\n")
    first.send("BRPOP", "q", "1")  # at 0.75
    server.doze(first.session)
    server.doze(second.session)
    clock[0] += 1.25  # 2.0: the second asked again at 1.25, the first at 1.75
    sender.send("LPUSH", "q", "b")
    assert second.received.endswith(b"b\r\n")
    server.wake_up(first.session)
    assert timers[-1].seconds == 0.75
