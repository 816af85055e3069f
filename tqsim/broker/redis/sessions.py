"""The server's end of one Redis connection: fakeredis's commands, without its threads.

The main name is :class:`Session`.  fakeredis executes the commands; what it does around them for
real threads is replaced: replies go to the peer as bytes, a blocking command leaves the server free
and is answered later, and the end of a connection is acted on at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import redis
from fakeredis._helpers import OK, NoResponse, SimpleError, SimpleString
from fakeredis._socket import FakeSocket

from tqsim.broker.redis.resp import encode, encode_push

if TYPE_CHECKING:
    from tqsim.broker.redis.server import Server

__all__ = ["Peer", "Session"]

_NOTIFY_SETTING: Final = b"notify-keyspace-events"


class Peer(Protocol):
    """The client's end of a connection."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""

    def hang_up(self) -> None:
        """Take note that the server has closed the connection."""


class _Reply:
    """The answer to a command, as opposed to what is sent unasked."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Session(FakeSocket):
    """One client as the server sees it; ``peer`` is where its replies go."""

    def __init__(self, server: Server, peer: Peer, client_info: dict[str, Any]) -> None:
        self.home = server
        self.peer = peer
        self.is_open = True
        super().__init__(server, 0, client_class=redis.Redis, client_info=client_info)

    @property
    def protocol(self) -> int:
        """The version of RESP that the client asked for."""
        return 3 if self._client_info.get("resp") == 3 else 2

    @property
    def database(self) -> Any:
        """The database that the client has selected."""
        return self._db

    def take(self, data: bytes) -> None:
        """Execute the complete commands among what the client has sent so far."""
        try:
            self._parser.send(data)
        except SimpleError as error:
            # Not RESP at all; Redis says so and closes the connection (networking.c).
            self.put_response(_Reply(error))
            self.kill()

    def put_response(self, msg: Any) -> None:
        """Send a reply, or a message that nobody asked for."""
        if isinstance(msg, _Reply):
            self.peer.receive(encode(msg.value, self.protocol))
        else:
            self.peer.receive(encode_push(msg, self.protocol))

    def answer(self, value: Any) -> None:
        """Answer a command that was blocked, and go on with the next one of the client."""
        self._blocked = False
        self._unblock_reason = None
        self.put_response(_Reply(value))
        self.resume()

    def take_unblock_reason(self) -> bool:
        """Whether CLIENT UNBLOCK ended the wait; raises fakeredis's error when it asked for one."""
        if self._unblock_reason is None:
            return False
        self._take_unblock_reason()
        return True

    def leave(self) -> None:
        """Forget the client: its subscriptions, its watches, its wait."""
        if not self.is_open:
            return
        self.is_open = False
        self.home.drop(self)
        self._discard_subscriptions()
        self._clear_watches()

    def kill(self) -> None:
        """Close the connection from the server's side, after what has been sent."""
        self._killed = True
        self.leave()
        self.peer.hang_up()

    # -- what fakeredis calls -----------------------------------------------------------------

    def _process_command(self, fields: list[bytes]) -> None:
        try:
            super()._process_command(fields)
        except Exception as error:  # noqa: BLE001 - a bug of the server must not end the client's connection
            name = fields[0].decode(errors="replace") if fields else ""
            self.put_response(_Reply(SimpleError(f"ERR the simulated server failed on {name}: {error!r}")))
        self.home.serve_blocked()

    def _decode_result(self, result: Any) -> Any:
        """Keep the value as it is: status replies and errors differ from strings on the wire."""
        return result if isinstance(result, NoResponse) else _Reply(result)

    def _blocking(
        self,
        timeout: float | None,
        func: Callable[[bool], Any],
        shape: Callable[[Any], Any] | None = None,
    ) -> Any:
        value = func(True)
        if value is not None or self._in_transaction:
            return value if shape is None else shape(value)
        self._blocked = True
        self.pause()
        self.home.block(self, timeout, func, shape)
        return NoResponse()

    def _keyspace_notifications(self, command_items: Any, event: bytes) -> None:
        # Off by default (redis.conf, notify-keyspace-events); fakeredis sends them always.
        if self._server.config.get(_NOTIFY_SETTING):
            super()._keyspace_notifications(command_items, event)

    def _auth(self, *args: bytes) -> SimpleString:
        """AUTH: whatever password the application has is right."""
        return OK

    def hello(self, *args: bytes) -> Any:
        """HELLO, whose AUTH part is as right as AUTH."""
        kept, rest = [], list(args)
        while rest:
            word = rest.pop(0)
            if word.upper() == b"AUTH" and len(rest) >= 2:
                del rest[:2]
            else:
                kept.append(word)
        return super().hello(*kept)
