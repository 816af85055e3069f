"""The commands that kombu sends for every message, straight on fakeredis's data.

The main name is :data:`NATIVES`: by name and number of arguments, functions of a database and the arguments.
They do what fakeredis's own commands do, without what these need for options and several members;
``tests/conformance/test_redis_traces.py`` and ``test_redis_commands.py`` hold them to a real server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from fakeredis import _msgs as messages
from fakeredis._command_args_parsing import Float
from fakeredis._core import Item
from fakeredis._helpers import SimpleError
from fakeredis.model import Hash, ZSet

from tqsim.broker.redis.zset_refusals import ZSET_REFUSALS

__all__ = ["NATIVES"]

_PLAIN_NUMBER: Final = re.compile(rb"\d{1,15}(\.\d{1,17})?")


def _found(database: Any, key: bytes, kind: type) -> Any:
    item = database.get(key)
    if item is not None and type(item.value) is not kind:
        raise SimpleError(messages.WRONGTYPE_MSG)
    return item


def _hset(database: Any, arguments: list[bytes]) -> int:
    key, field, value = arguments
    item = _found(database, key, Hash)
    database.notify_watch(key)
    if item is None:
        item = database[key] = Item(Hash())
    fields = item.value
    is_new = field not in fields
    fields[field] = value
    return int(is_new)


def _hdel(database: Any, arguments: list[bytes]) -> int:
    key, field = arguments
    item = _found(database, key, Hash)
    if item is None or field not in item.value:
        return 0
    del item.value[field]
    _close(database, key, item)
    return 1


def _zadd(database: Any, arguments: list[bytes]) -> int:
    key, score, member = arguments
    if not _PLAIN_NUMBER.fullmatch(score):
        ZSET_REFUSALS["zadd"](database, arguments)
    item = _found(database, key, ZSet)
    number = float(score) if _PLAIN_NUMBER.fullmatch(score) else 0.0 + Float.decode(score)
    members = ZSet() if item is None else item.value
    is_new = member not in members
    if members.add(member, number):
        database.notify_watch(key)
        if item is None:
            database[key] = Item(members)
    return int(is_new)


def _zrem(database: Any, arguments: list[bytes]) -> int:
    key, member = arguments
    item = _found(database, key, ZSet)
    if item is None or member not in item.value:
        return 0
    item.value.discard(member)
    _close(database, key, item)
    return 1


def _close(database: Any, key: bytes, item: Any) -> None:
    """After a removal: an empty collection is no key any more."""
    database.notify_watch(key)
    if not item.value:
        database.pop(key, None)


def _lpush(database: Any, arguments: list[bytes]) -> int:
    values = _values(database, arguments[0])
    values.insert(0, arguments[1])
    return len(values)


def _rpush(database: Any, arguments: list[bytes]) -> int:
    values = _values(database, arguments[0])
    values.append(arguments[1])
    return len(values)


def _values(database: Any, key: bytes) -> Any:
    item = _found(database, key, list)
    database.notify_watch(key)
    if item is None:
        item = database[key] = Item([])
    return item.value


NATIVES: Final[MappingProxyType[tuple[str, int], Callable[[Any, list[bytes]], Any]]] = MappingProxyType(
    {
        ("hdel", 2): _hdel,
        ("hset", 3): _hset,
        ("lpush", 2): _lpush,
        ("rpush", 2): _rpush,
        ("zadd", 3): _zadd,
        ("zrem", 2): _zrem,
    }
)
