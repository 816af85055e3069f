"""Where the simulated Redis answers otherwise than a real one, by conversation and line.

They are named in ``docs/explanation/fidelity.md``.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DIFFERENCES"]

_SERVER: Final = {"a CONFIG SET nothing 1": repr("+OK")}

DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    f"{body} (RESP{protocol})": lines
    for protocol in (2, 3)
    for body, lines in (("strings/server: ping, echo, select, flush", _SERVER),)
}
