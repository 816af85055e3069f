"""Changes to a scenario from outside the file: ``--set workers.main.concurrency=4``, and variants.

The main names are :class:`Override`, :func:`apply` and :func:`merge`.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import fields

from tqsim.errors import UsageError
from tqsim.scenario.lines import KeyPath
from tqsim.scenario.places import Places, dotted, nearest
from tqsim.scenario.schema import Scenario
from tqsim.scenario.written import written

__all__ = ["Override", "apply", "merge"]

_SINGLE: Final = ("run", "broker", "beat")
_NAMED_BY_TASK: Final = "costs"


@dataclass(frozen=True, slots=True)
class Override:
    """One change: its ``origin`` as the user wrote it, the keys on the way, and the value."""

    origin: str
    keys: KeyPath
    value: Any

    @classmethod
    def parse(cls, text: str) -> Override:
        """Read ``key.key=value``; the value is TOML, and a bare word or duration is text.

        Raises :class:`~tqsim.UsageError` when there is no key or no equals sign.
        """
        key, separator, value = text.partition("=")
        keys = tuple(part.strip() for part in key.split("."))
        if not separator or not all(keys):
            raise UsageError(f"--set {text!r} is wrong; expected KEY=VALUE such as workers.main.concurrency=4.")
        return cls(f"--set {text}", keys, _parsed(value.strip()))


def apply(override: Override, table: Mapping[str, Any], places: Places) -> tuple[dict[str, Any], Places]:
    """Return a changed copy of a scenario's table, and its places.

    Raises :class:`~tqsim.UsageError` when the way to the key is not there; whether the last key is
    known is found out when the table is decoded.
    """
    if override.keys[0] == "variants":
        raise UsageError(
            f"{override.origin}: a variant cannot be changed from outside; set the key itself, which goes for "
            "every variant."
        )
    changed = copy.deepcopy(dict(table))
    path = _path(override)
    inner: Any = changed
    for depth, key in enumerate(path[:-1]):
        inner = _step(inner, key, path[:depth], override)
    if isinstance(inner, list):
        inner[_index(inner, path[-1], path[:-1], override)] = override.value
    elif isinstance(inner, dict):
        if len(path) == 1:
            _require_key(path[0], override)
        inner[path[-1]] = override.value
    else:
        raise UsageError(f"{override.origin}: {dotted(path[:-1])} is {written(inner)}, which has no keys.")
    return changed, places.overridden(path, override.origin)


def merge(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``table`` with ``changes`` laid over it: tables are merged, everything else replaced."""
    result = dict(table)
    for key, value in changes.items():
        before = result.get(key)
        result[key] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _path(override: Override) -> KeyPath:
    """Return the keys, with the dots of a task's name put back."""
    keys = override.keys
    return (keys[0], dotted(keys[1:])) if keys[0] == _NAMED_BY_TASK and len(keys) > 1 else keys


def _step(inner: Any, key: str, path: KeyPath, override: Override) -> Any:
    if isinstance(inner, list):
        return inner[_index(inner, key, path, override)]
    if not isinstance(inner, dict):
        raise UsageError(f"{override.origin}: {dotted(path)} is {written(inner)}, which has no keys.")
    if not path:
        _require_key(key, override)
        if key in _SINGLE or key == _NAMED_BY_TASK:
            return inner.setdefault(key, {})
    if key in ("options", "kwargs"):
        return inner.setdefault(key, {})
    if key not in inner:
        where = f"{dotted(path)} has no {key!r}" if path else f"this scenario has no table {key!r}"
        raise UsageError(f"{override.origin}: {where}; {nearest(key, inner)}")
    return inner[key]


def _require_key(key: str, override: Override) -> None:
    known = [item.encode_name for item in fields(Scenario)]
    if key not in known:
        raise UsageError(f"{override.origin}: there is no key {key!r}; {nearest(key, known)}")


def _index(items: list[Any], key: str, path: KeyPath, override: Override) -> int:
    if not key.isdigit() or int(key) >= len(items):
        raise UsageError(
            f"{override.origin}: {dotted(path)} has no element {key!r}; its length is {len(items)}, and indexes "
            "begin at 0."
        )
    return int(key)
