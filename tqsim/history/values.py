"""Values of fields, made fit for JSON by one rule.

The main name is :func:`json_value`.  A history keeps only what JSON can carry, converted at the
moment of recording, so that a saved history equals the recorded one and nothing that happens later
changes what was recorded.  The rule, first match wins:

- ``None``, text, booleans, integers and finite floats stay; other floats become text (``"inf"``, ``"nan"``);
- subclasses of text, integers and floats become the plain kind;
- lists and tuples become lists; sets become lists sorted by the text of their items;
- mappings become dictionaries with text as keys;
- dates and times become ISO text; a ``timedelta`` becomes seconds;
- exceptions become ``"ValueError: message"``;
- everything else, bytes too, becomes its ``repr``, without memory addresses, which differ from run to run.

Anything nested deeper than ten levels becomes its ``repr``.  The module knows nothing of moments.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

_DEPTH_MAX: Final = 10
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def json_value(value: object, *, depth: int = 0) -> JsonValue:
    """Return ``value`` as something JSON can carry, by the rule in this module's docstring.

    ``depth`` is the number of containers around the value.  Nothing is raised for strange values;
    an object whose ``repr`` raises is given as ``"<unprintable NAME>"``.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else float.__repr__(value)
    if depth < _DEPTH_MAX:
        if isinstance(value, Mapping):
            return {_key(key): json_value(item, depth=depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [json_value(item, depth=depth + 1) for item in value]
        if isinstance(value, (set, frozenset)):
            items = [json_value(item, depth=depth + 1) for item in value]
            return sorted(items, key=stable_text)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return stable_text(value)


def stable_text(value: object) -> str:
    """Return the ``repr`` of ``value`` without memory addresses, an exception as ``"Name: message"``.

    Recorders use it for arguments and errors, so that two equal runs record equal text.
    """
    try:
        if isinstance(value, BaseException):
            message = str(value)
            name = type(value).__name__
            text = f"{name}: {message}" if message else name
        else:
            text = repr(value)
    except Exception:  # noqa: BLE001  (a repr is code of the application and may raise anything)
        return f"<unprintable {type(value).__name__}>"
    return _ADDRESS.sub("", text) if " at 0x" in text else text


def _key(key: object) -> str:
    return str.__str__(key) if isinstance(key, str) else stable_text(key)
