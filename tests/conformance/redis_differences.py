"""Where the simulated Redis answers otherwise than a real one, by conversation and line.

They are named in ``docs/explanation/fidelity.md``.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DIFFERENCES"]

_SERVER: Final = {
    "a SELECT x": repr("-ERR DB index is out of range"),
    "a CONFIG SET nothing 1": repr("+OK"),
    "a SWAPDB 10 x": repr("-ERR DB index is out of range"),
}
_SCRIPTS: Final = {
    "a EVAL \"return redis.call('INCR', KEYS[1])\" 1 k": repr("-ERR value is not an integer or out of range"),
}
_SCAN: Final = {"a SCAN x": repr("-ERR value is not an integer or out of range")}

DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    f"{body} (RESP{protocol})": lines
    for protocol in (2, 3)
    for body, lines in (
        ("sessions/scripts", _SCRIPTS),
        ("strings/scan", _SCAN),
        ("strings/server: ping, echo, select, flush", _SERVER),
    )
}
