"""The server's end of one Redis connection: fakeredis's commands, without its threads.

The main name is :class:`Session`.  fakeredis executes the commands; what it does around them for
real threads is replaced: requests are read here, replies go to the peer as bytes, a blocking command
leaves the server free and is answered later, and the end of a connection is acted on at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import redis
from fakeredis import _msgs as messages
from fakeredis._helpers import QUEUED, NoResponse, SimpleError, SimpleString
from fakeredis._socket._resp import convert_to_resp2, valid_response_type

from tqsim.broker.redis.commands import RedisCommands, text_of
from tqsim.broker.redis.requests import read_request
from tqsim.broker.redis.resp import NO_LIST, SetReply, encode, encode_push
from tqsim.broker.redis.waits import Wait

if TYPE_CHECKING:
    from tqsim.broker.redis.requests import CommandPlan
    from tqsim.broker.redis.server import Observer, Server

__all__ = ["Peer", "Session"]

#: What a reply may be without a look inside, in either version of the protocol.
_PLAIN: Final = (bytes, int, type(None))
_RESP3: Final = 3
_IN_PUBSUB: Final = (
    "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)
_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"
_QUEUED: Final = b"+QUEUED\r\n"


class Peer(Protocol):
    """The client's end of a connection."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""

    def hang_up(self) -> None:
        """Take note that the server has closed the connection."""


class Session(RedisCommands):
    """One client as the server sees it; ``peer`` is where its replies go, ``owner`` the name of its process."""

    def __init__(self, server: Server, peer: Peer, client_info: dict[str, Any], owner: str = "") -> None:
        self.home = server
        self.peer = peer
        self.owner = owner
        self.is_open = True
        self._unread = b""
        #: The last request that came alone: a consumer sends the same one again and again.
        #: When its last wait timed out, and the rank of that.
        self.timed_out: tuple[int, int] = (-1, 0)
        self._last: tuple[bytes, list[bytes]] = (b"", [])
        self._outbox: list[bytes] | None = None
        super().__init__(server, 0, client_class=redis.Redis, client_info=client_info)

    @property
    def protocol(self) -> int:
        """The version of RESP that the client asked for."""
        return _RESP3 if self._client_info.get("resp") == _RESP3 else 2

    @property
    def database(self) -> Any:
        """The database that the client has selected."""
        return self._db

    @property
    def database_number(self) -> int:
        """Its number."""
        return self._db_num

    @property
    def is_in_transaction(self) -> bool:
        """Whether the command that runs is part of an EXEC."""
        return self._in_transaction

    def take(self, data: bytes) -> None:
        """Execute the complete commands among what the client has sent so far."""
        self._unread = self._unread + data if self._unread else data
        self._execute()

    def _execute(self) -> None:
        now = self.home.now()  # whatever comes in one piece is executed at one instant
        for database in self.home.dbs.values():
            database.time = now
        data, position = self._unread, 0
        if data.startswith(_MULTI) and data.endswith(_EXEC) and self._run_at_once(data):
            self._unread = b""
            return
        outbox: list[bytes] = []
        self._outbox = outbox
        try:
            while self.is_open and not self._paused and position < len(data):
                if data == self._last[0] and not position:
                    fields, position = self._last[1], len(data)
                    self._process_command(fields)
                    continue
                try:
                    request = read_request(data, position)
                except SimpleError as error:
                    # Not RESP at all; Redis says so and closes the connection (networking.c).
                    outbox.append(encode(error, 2))
                    self.kill()
                    return
                if request is None:
                    break
                fields, end = request
                if not position and end == len(data) and fields:
                    self._last = (data, fields)
                position = end
                if fields:
                    self._process_command(fields)
        finally:
            self._unread = data[position:]
            self._flush()

    def _run_at_once(self, data: bytes) -> bool:
        """Run a whole transaction of native commands; ``False``, and nothing done, when it takes more than that.

        What kombu does for every message, twice.  The replies are those of the commands one by one.
        """
        home = self.home
        if self._paused or self._watches or self._transaction is not None or self._pubsub:
            return False
        if home.uses_acl or home.tells_keys or self._reply_off or self._reply_skip:
            return False
        parts, position, end = [], len(_MULTI), len(data) - len(_EXEC)
        try:
            while position < end:
                request = read_request(data, position)
                if request is None:
                    return False
                fields, position = request
                plan, arguments = home.plans.find(fields)
                if plan.native is None:
                    return False
                parts.append((plan, arguments))
        except (SimpleError, IndexError):
            return False
        if position != end:
            return False
        self._in_transaction = True
        results = [self._run_plan(plan, None, arguments, from_script=False) for plan, arguments in parts]
        self._in_transaction = False
        reply = encode(results, self.protocol)
        self._outbox = None
        self.peer.receive(b"+OK\r\n" + _QUEUED * len(parts) + reply)
        observer = home.observer
        if observer is not None and observer.returning:
            observer.settle_returning()
        if home.has_changed:
            home.serve_blocked()
        return True

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox:
            self.peer.receive(b"".join(outbox))
        if self._killed and outbox is not None:
            self.peer.hang_up()

    def _send(self, data: bytes) -> None:
        if self._outbox is None:
            self.peer.receive(data)
        else:
            self._outbox.append(data)

    def put_response(self, msg: Any) -> None:
        """Send what nobody asked for: a message, or the confirmation of a subscription."""
        self._send(encode_push(msg, self.protocol))

    def answer(self, value: Any) -> None:
        """Answer a command that was blocked, and go on with the next one of the client."""
        self._blocked = False
        self._unblock_reason = None
        self._send(encode(value, self.protocol))
        self.resume()

    def resume(self) -> None:
        """Go on with what the client has sent meanwhile."""
        self._paused = False
        if self._unread and self._outbox is None:
            self._execute()

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
        """Close the connection from the server's side, after what has been sent, and after the running command's reply.

        That is how a client that kills itself hears of it (networking.c, ``CLIENT_CLOSE_AFTER_REPLY``).
        """
        self._killed = True
        self.leave()
        if self._outbox is None:
            self.peer.hang_up()

    # -- commands -----------------------------------------------------------------------------

    def _process_command(self, fields: list[bytes]) -> None:
        home = self.home
        observer = home.observer
        try:
            result = self._respond(home, observer, fields)
        except Exception as error:  # noqa: BLE001 - a bug of the server must not end the client's connection
            name = fields[0].decode(errors="replace")
            result = SimpleError(f"ERR the simulated server failed on {name}: {error!r}")
        suppressed = self._reply_off or self._reply_skip
        self._reply_skip, self._reply_skip_next = self._reply_skip_next, False
        if not suppressed and type(result) is not NoResponse:
            self._send(_QUEUED if result is QUEUED else encode(result, self.protocol))
        if observer is not None and observer.returning:
            observer.settle_returning()
        if home.has_changed:
            home.serve_blocked()

    def _respond(self, home: Server, observer: Observer | None, fields: list[bytes]) -> Any:
        """Run one command, or queue it; see ``BaseFakeSocket._process_command``."""
        is_running = False
        name = ""
        try:
            plan, arguments = home.plans.find(fields)
            name = plan.name
            if home.uses_acl:
                home.acl.validate_command(self._client_info.user, self._client_info, fields)
            function = getattr(self, plan.function_name)
            if self._transaction is not None and not plan.is_immediate:
                self._transaction.append((function, plan.signature, arguments))
                return QUEUED
            is_running = True
            if observer is not None and observer.held:
                observer.before(self, name)
            return self._run_plan(plan, function, arguments, from_script=False)
        except SimpleError as error:
            if self._transaction is not None and not is_running:
                self._transaction_failed = True
            if name == "exec" and error.value.startswith("ERR "):
                error.value = "EXECABORT Transaction discarded because of: " + error.value[4:]
                self._forget_transaction()
                self._clear_watches()
            return error

    def _run_command(self, func: Any, sig: Any, args: list[Any], from_script: bool) -> Any:
        """Run a command of a transaction or a script; called by fakeredis."""
        try:
            plan = self.home.plans.of(sig, len(args))
        except SimpleError as error:
            return error
        return self._run_plan(plan, func, args, from_script=from_script)

    def _run_plan(
        self, plan: CommandPlan, function: Callable[..., Any] | None, arguments: list[Any], *, from_script: bool
    ) -> Any:
        home = self.home
        items: Any = ()
        self._subkey_events = []
        try:
            if plan.native is not None and not home.tells_keys and not self._pubsub:
                result = plan.native(self._db, arguments)
                return self._told(home.observer, plan.name, arguments, result)
            if plan.refusal is not None:
                plan.refusal(self._db, arguments)
            applied = (arguments, ()) if plan.takes_bytes else plan.apply(arguments, self._db)
            if from_script or self._pubsub:
                self._require_allowed(plan, from_script=from_script)
            if len(applied) == 1:
                result = applied[0]
            else:
                values, items = applied
                assert function is not None
                result = function(*values)
                if type(result) not in _PLAIN:
                    result = self._shaped(plan, result)
            if result is None:
                if plan.lacks_list and not from_script:
                    result = NO_LIST
            elif plan.is_set and type(result) is list and not from_script:
                result = SetReply(result)
        except SimpleError as error:
            result = SimpleError(text_of(plan.name, error.value))
        for item in items:
            item.writeback(remove_empty_val=not plan.keeps_empty)
        if home.tells_keys:
            self._keyspace_notifications(items, plan.name.encode())
            self._subkey_notifications(items)
        return self._told(home.observer, plan.name, arguments, result)

    def _told(self, observer: Observer | None, name: str, arguments: list[Any], result: Any) -> Any:
        if observer is not None and name in observer.names:
            observer.ran(self, name, arguments, result)
        return result

    def _require_allowed(self, plan: CommandPlan, *, from_script: bool) -> None:
        if from_script and plan.forbids_script:
            raise SimpleError(messages.COMMAND_IN_SCRIPT_MSG)
        if self._pubsub and self.protocol != _RESP3 and plan.name not in self.ACCEPTED_COMMANDS_WHILE_PUBSUB:
            raise SimpleError(_IN_PUBSUB.format(plan.name))

    def _shaped(self, plan: CommandPlan, result: Any) -> Any:
        if plan.keeps_reply or plan.name == "exec" or type(result) is NoResponse or type(result) is SimpleString:
            return result
        version = self._resp_version
        if version == 2:
            result = convert_to_resp2(result)
        if not valid_response_type(result, version):
            raise AssertionError(f"no Redis reply: {result!r}")
        return result

    # -- what fakeredis calls -----------------------------------------------------------------

    def _blocking(
        self,
        timeout: float | None,
        func: Callable[[bool], Any],
        shape: Callable[[Any], Any] | None = None,
    ) -> Any:
        value = func(True)
        if value is not None or self._in_transaction:
            return value if shape is None else shape(value)
        return self._block(timeout, func, shape)

    def _wait_for(self, keys: list[bytes], attempt: Callable[[list[bytes], bool], Any], timeout: float) -> Any:
        value = attempt(keys, True)
        if value is not None or self._in_transaction:
            return value
        return self._block(timeout, lambda is_first: attempt(keys, is_first), None, keys, attempt)

    def _block(
        self,
        timeout: float | None,
        attempt: Callable[[bool], Any],
        shape: Callable[[Any], Any] | None,
        keys: list[bytes] | None = None,
        attempt_at: Callable[[list[bytes], bool], Any] | None = None,
    ) -> NoResponse:
        self._blocked = True
        self.pause()
        self.home.block(self, timeout, Wait(self, attempt, shape, keys, attempt_at))
        return NoResponse()

    def acl_setuser(self, username: bytes, *args: bytes) -> SimpleString:
        """ACL SETUSER; until the first one everybody may do everything."""
        self.home.uses_acl = True
        answer: SimpleString = super().acl_setuser(username, *args)
        return answer
