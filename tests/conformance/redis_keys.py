"""The key space of a database as text, for comparison: :func:`key_space` and :class:`Names`.

Types, values, the order of lists and of sorted sets, and whether a key expires; messages of kombu are decoded.  Left
out is what no server promises: scores that are moments, and the order of sets and hashes.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final

__all__ = ["Names", "key_space"]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT: Final = 1e6
_STREAM_ID: Final = re.compile(r"\b1\d{12}-\d+\b")
_ADDRESS: Final = re.compile(r"\b0x[0-9a-f]{6,}\b")
_SECONDS: Final = re.compile(r"\b1\d{9}\.\d+\b")


class Names:
    """Names for ids that differ from run to run, by first appearance."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def settled(self, text: str) -> str:
        """Return ``text`` with a name in the place of each such id, and without moments and addresses."""
        return _ADDRESS.sub("somewhere", _SECONDS.sub("a moment", self._named(text)))

    def _named(self, text: str) -> str:
        return _STREAM_ID.sub(self._name, _UUID.sub(self._name, text))

    def _name(self, match: re.Match[str]) -> str:
        return self._names.setdefault(match[0], f"id{len(self._names) + 1}")


def key_space(client: Any, names: Names) -> list[str]:
    """Return a line for each key: lists first, as their messages name the ids of the rest."""
    kinds = {key: client.type(key).decode() for key in sorted(client.keys("*"))}
    lines = []
    for kind in ("list", "string", "stream", "zset", "set", "hash"):
        for key in [key for key, found in kinds.items() if found == kind]:
            is_expiring = " expires" * (client.pttl(key) >= 0)
            value = _READERS[kind](client, key, names)
            lines.append(f"{key.decode()} ({kind}{is_expiring}): {value}")
    return lines


def _list(client: Any, key: bytes, names: Names) -> list[str]:
    return [names.settled(_decoded(item)) for item in client.lrange(key, 0, -1)]


def _zset(client: Any, key: bytes, names: Names) -> list[str]:
    pairs = client.execute_command("ZRANGE", key, "0", "-1", "WITHSCORES")
    return [names.settled(f"{member!r}: {_score(score)}") for member, score in _paired(pairs)]


def _paired(pairs: list[Any]) -> list[Any]:
    return (
        pairs if not pairs or isinstance(pairs[0], (list, tuple)) else list(zip(pairs[::2], pairs[1::2], strict=True))
    )


def _score(score: Any) -> str:
    return "a moment" if abs(float(score)) >= _MOMENT and float(score) != float("inf") else repr(float(score))


def _set(client: Any, key: bytes, names: Names) -> list[str]:
    return sorted(names.settled(repr(member)) for member in client.smembers(key))


def _hash(client: Any, key: bytes, names: Names) -> list[str]:
    fields = client.hgetall(key).items()
    by_value = sorted(fields, key=lambda pair: (_UUID.sub("", _decoded(pair[1])), _UUID.sub("", repr(pair[0]))))
    return [names.settled(f"{field!r}: {_decoded(value)}") for field, value in by_value]


def _stream(client: Any, key: bytes, names: Names) -> list[str]:
    groups = [{**group, "pending": group["pending"]} for group in client.xinfo_groups(key)]
    return [names.settled(repr(entry)) for entry in client.xrange(key)] + [
        names.settled(repr((group["name"], group["pending"], group["last-delivered-id"]))) for group in groups
    ]


def _string(client: Any, key: bytes, names: Names) -> str:
    return names.settled(repr(client.get(key)))


_READERS: Final = {
    "hash": _hash, "list": _list, "set": _set, "stream": _stream, "string": _string, "zset": _zset,
}  # fmt: skip


def _decoded(value: bytes) -> str:
    """A message of kombu with its body as text; anything else as it is."""
    try:
        found = json.loads(value)
    except ValueError:
        return repr(value)
    message = found[0] if isinstance(found, list) and found else found
    if isinstance(message, dict) and isinstance(message.get("body"), str):
        message["body"] = base64.b64decode(message["body"]).decode()
    return json.dumps(found, sort_keys=True)
