"""Where fakeredis answers otherwise than a real Redis 7.0, put right: :class:`RedisCommands`.

Found and held by ``tests/conformance/test_redis_traces.py``; what is left is listed in
``tests/conformance/redis_differences.py``.  How a command is dispatched is not here.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, Final

from fakeredis import _msgs as messages
from fakeredis._command_args_parsing import Int, Timeout
from fakeredis._commands import Key, Signature
from fakeredis._core import CommandItem
from fakeredis._core._database import delete_keys
from fakeredis._helpers import OK, NoResponse, SimpleError, SimpleString, compile_pattern
from fakeredis.model import ExpiringMembersSet, XStream, ZSet

from tqsim.broker.redis.reading import read_timeout
from tqsim.broker.redis.scripts import ScriptCommands

__all__ = ["EXTRA_COMMANDS", "LISTS_OR_NOTHING", "SETS", "RedisCommands", "text_of"]

_FIXED: Any = (Key(),)
_STORE: Any = (Key(), Key(ZSet), bytes, bytes)
_MOVE: Any = (bytes, bytes, bytes, bytes, Timeout)
#: Commands that fakeredis does not have, or whose arguments it takes for other than they are.
EXTRA_COMMANDS: Final = MappingProxyType(
    {
        "blmove": Signature("blmove", "blmove", _MOVE, flags=messages.FLAG_NO_SCRIPT),
        "sintercard": Signature("sintercard", "sintercard", (Int,), (bytes,)),
        "zrangestore": Signature("zrangestore", "zrangestore", _STORE, (bytes,)),
        "touch": Signature("touch", "touch", _FIXED, _FIXED),
        "config get": Signature("config get", "config_get", (bytes,), (bytes,)),
        "wait": Signature("wait", "wait", (bytes, bytes)),  # type: ignore[arg-type]
    }
)
#: Commands whose nothing is a list that is not there, and not a string.
LISTS_OR_NOTHING: Final = frozenset(
    {
        "blmpop",
        "blmove",
        "blpop",
        "brpop",
        "brpoplpush",
        "bzpopmax",
        "bzpopmin",
        "exec",
        "lmpop",
        "xrange",
        "xread",
        "xreadgroup",
        "xrevrange",
    }
)
#: Commands that answer with a set in RESP3.
SETS: Final = frozenset({"sdiff", "sinter", "smembers", "sunion"})
#: What a command says, and what the real one does.
_TEXTS: Final = MappingProxyType(
    {
        ("xgroup create", messages.XGROUP_BUSYGROUP): "BUSYGROUP Consumer Group name already exists",
    }
)
_NO_TIME: Final = re.compile(r"ERR invalid expire time in (\w+)")
_DEFAULTS: Final = MappingProxyType(
    {
        b"appendonly": b"no",
        b"databases": b"16",
        b"maxmemory": b"0",
        b"maxmemory-policy": b"noeviction",
        b"notify-keyspace-events": b"",
        b"save": b"",
        b"timeout": b"0",
    }
)


class RedisCommands(ScriptCommands):
    """fakeredis's commands, some of them as the real server has them."""

    def _wait_for(self, keys: list[bytes], attempt: Callable[[list[bytes], bool], Any], timeout: float) -> Any:
        """Block until ``attempt(keys, is_first)`` gives something; a key that is ready is tried by itself."""
        raise NotImplementedError

    def _expireat(self, key: CommandItem, timestamp: float, *args: bytes) -> int:
        """EXPIRE and its kin, which delete a key whose time is over (expire.c, ``checkAlreadyExpired``)."""
        is_set: int = super()._expireat(key, timestamp, *args)
        if is_set and timestamp <= self._db.time:
            delete_keys(key)
        return is_set

    def copy(self, key: CommandItem, newkey: CommandItem, *args: bytes) -> int:
        """COPY, of which either may change without the other."""
        is_copied: int = super().copy(key, newkey, *args)
        if is_copied:
            newkey.value = copy.deepcopy(key.value)
            newkey.expireat = key.expireat
        return is_copied

    # -- lists --------------------------------------------------------------------------------

    def _bpop(self, args: Any, op: Callable[[list[bytes]], bytes]) -> Any:
        *keys, text = args

        def attempt(among: list[bytes], is_first: bool) -> Any:
            return self._bpop_pass(among, op, is_first)

        return self._wait_for(keys, attempt, read_timeout(text))

    def _of_type(self, keys: Any, kind: type, *, is_first: bool) -> list[bytes]:
        """The keys to pop from; a key of another type is refused at once, and wakes nobody later."""
        found = []
        for key in keys:
            item = self._db.get(key)
            if item is None:
                continue
            if type(item.value) is kind:
                found.append(key)
            elif is_first and not found:
                raise SimpleError(messages.WRONGTYPE_MSG)
        return found

    def _bzpop(self, keys: Any, reverse: bool, first_pass: bool) -> Any:
        return super()._bzpop(self._of_type(keys, ZSet, is_first=first_pass), reverse, first_pass)

    def _zmpop(self, keys: Any, count: int, reverse: bool, first_pass: bool) -> Any:
        return super()._zmpop(self._of_type(keys, ZSet, is_first=first_pass), count, reverse, first_pass)

    def _lmpop(self, keys: Any, count: int, direction_left: bool, first_pass: bool) -> Any:
        keys = self._of_type(keys, list, is_first=first_pass)
        popped = super()._lmpop(keys, count, direction_left, first_pass)
        if popped is not None and not self._db[popped[0]].value:
            del self._db[popped[0]]
        return popped

    def getex(self, key: CommandItem, *args: bytes) -> Any:
        """GETEX, which says nothing about a time that nothing would have."""
        return super().getex(key, *args) if key else None

    def sintercard(self, numkeys: int, *args: bytes) -> int:
        """SINTERCARD: nothing is in common with a set that is not there."""
        items = [self._db.get(key) for key in args[:numkeys]]
        if any(item is not None and type(item.value) is not ExpiringMembersSet for item in items):
            raise SimpleError(messages.WRONGTYPE_MSG)
        return 0 if None in items else super().sintercard(numkeys, *args)

    def blmove(self, source: bytes, target: bytes, src: Any, dst: Any, timeout: float) -> Any:
        """BLMOVE; fakeredis does not wait for a list that is not there yet."""

        def attempt(is_first: bool) -> Any:
            taken = CommandItem(source, self._db, item=self._db.get(source), default=None)
            if taken.value is not None and not isinstance(taken.value, list):
                return self._lmove(taken, taken, src, dst, is_first) if is_first else None
            if not taken.value:
                return None
            given = taken
            if target != source:
                given = CommandItem(target, self._db, item=self._db.get(target), default=[])
                if not isinstance(given.value, list):
                    raise SimpleError(messages.WRONGTYPE_MSG)
            element = self._lmove(taken, given, src, dst, is_first)
            taken.writeback()
            if given is not taken:
                given.writeback()
            return element

        return self._blocking(timeout, attempt)

    def bitcount(self, key: CommandItem, *args: bytes) -> int:
        """BITCOUNT: a key that is not there has no bits, whatever comes after it."""
        return super().bitcount(key, *args) if key else 0

    # -- transactions and subscriptions -------------------------------------------------------

    def exec_(self) -> Any:
        """EXEC, which does not run either when a watched key has expired (multi.c, ``isWatchedKeyExpired``)."""
        for key, database in self._watches:
            item = database._dict.get(key)
            if item is not None and database.expired(item):
                self._watch_notified = True
        return super().exec_()

    def _unsubscribe(self, channels: Iterable[bytes], subscribers: dict[bytes, Any], mtype: bytes) -> NoResponse:
        named = list(channels) or [channel for channel, members in subscribers.items() if self in members]
        if not named:
            self.put_response([mtype, None, self._pubsub])
            return NoResponse()
        return super()._unsubscribe(named, subscribers, mtype)

    # -- streams ------------------------------------------------------------------------------

    def xread(self, *args: bytes) -> Any:
        """XREAD, whose wrong number of arguments is told before their syntax."""
        if len(args) < 3:
            raise SimpleError("ERR wrong number of arguments for 'xread' command")
        return super().xread(*args)

    def xdel(self, key: CommandItem, *args: bytes) -> int:
        """XDEL, which looks at the ids when there is a stream."""
        return 0 if self._db.get(key.key) is None else super().xdel(key, *args)

    def xinfo_groups(self, key: CommandItem) -> Any:
        """XINFO GROUPS, by name."""
        return sorted(super().xinfo_groups(key), key=repr)

    def xrange(self, key: CommandItem, _min: Any, _max: Any, *args: bytes) -> Any:
        """XRANGE: of a stream that is there, no entries at all are no list."""
        found = super().xrange(key, _min, _max, *args)
        return None if key and _asks_for_none(args) else found

    def xrevrange(self, key: CommandItem, _min: Any, _max: Any, *args: bytes) -> Any:
        """XREVRANGE, as XRANGE."""
        found = super().xrevrange(key, _min, _max, *args)
        return None if key and _asks_for_none(args) else found

    def _empty_stream_read_reply(self, result: Any) -> Any:
        return super()._empty_stream_read_reply(result) if result else None

    def _xread(self, stream_start_id_list: Any, count: Any, blocking: bool, first_pass: bool) -> Any:
        """Read; what has become another type meanwhile wakes nobody."""
        items = [(pair, self._db.get(pair[0])) for pair in stream_start_id_list]
        streams = [pair for pair, item in items if item is None or type(item.value) is XStream]
        return super()._xread(streams, count, blocking, first_pass)

    def _xreadgroup(
        self, consumer_name: bytes, group_params: Any, count: Any, noack: bool, min_idle_time: Any, first_pass: bool
    ) -> Any:
        """Read for a consumer; fakeredis would read at the first pass too, and forget what it read."""
        found = super()._xreadgroup(consumer_name, group_params, count, noack, min_idle_time, False)
        return found or None

    def _xreadgroup_reply(self, result: Any) -> Any:
        return super()._xreadgroup_reply(result) if result else None

    def xpending(self, key: CommandItem, group_name: bytes, *args: bytes) -> Any:
        """XPENDING; its summary has the counts of consumers as text."""
        answer = super().xpending(key, group_name, *args)
        if not args and isinstance(answer, list) and answer[-1]:
            answer[-1] = [[name, b"%d" % count] for name, count in answer[-1]]
        return answer

    # -- connections and the server -----------------------------------------------------------

    def hello(self, *args: bytes) -> Any:
        """HELLO: whatever password the application has is right, and there are two protocols."""
        if args and args[0] not in (b"2", b"3"):
            raise SimpleError("NOPROTO unsupported protocol version")
        kept, rest = [], list(args)
        while rest:
            word = rest.pop(0)
            if word.upper() == b"AUTH" and len(rest) >= 2:
                del rest[:2]
            else:
                kept.append(word)
        return super().hello(*kept)

    def client_setname(self, value: bytes) -> SimpleString:
        """CLIENT SETNAME, without spaces."""
        if any(not 0x21 <= byte <= 0x7E for byte in value):
            raise SimpleError("ERR Client names cannot contain spaces, newlines or special characters.")
        answer: SimpleString = super().client_setname(value)
        return answer

    def client_getname(self) -> bytes | None:
        """CLIENT GETNAME: nothing, where none was set."""
        return super().client_getname() or None

    def config_get(self, *patterns: bytes) -> Any:
        """CONFIG GET, of the settings that clients ask for."""
        settings = {**_DEFAULTS, **self._server.config}
        return {
            name: settings[name]
            for pattern in patterns
            for name in sorted(settings)
            if compile_pattern(pattern.lower()).match(name)
        }

    def touch(self, *keys: CommandItem) -> int:
        """TOUCH: how many of the keys are there."""
        return sum(bool(key) for key in keys)

    def wait(self, replicas: bytes, timeout: bytes) -> int:
        """WAIT: there are no replicas."""
        return 0

    def _auth(self, *args: bytes) -> SimpleString:
        """AUTH: whatever password the application has is right."""
        return OK


def _asks_for_none(args: tuple[bytes, ...]) -> bool:
    return len(args) == 2 and int(args[1]) <= 0


def text_of(name: str, text: str) -> str:
    """Return what the real server says where a command of fakeredis says ``text``."""
    found = _NO_TIME.fullmatch(text)
    return f"ERR invalid expire time in '{found[1]}' command" if found else _TEXTS.get((name, text), text)
