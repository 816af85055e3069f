"""Faults of the links between processes and servers.

``process`` is the name of a worker (its pool children share its links), of a beat or of a client; without one,
everybody's links are meant.  ``server`` is ``"broker"``, ``"redis"`` (every Redis server, also the broker where
it is one) or ``None`` for both.  Times count from the moment at which the fault is added.
"""

from __future__ import annotations

from typing import Final

from tqsim import durations
from tqsim.durations import Duration
from tqsim.errors import UsageError
from tqsim.faults.conditions import Condition, Route
from tqsim.faults.timed import Fault, Step

__all__ = ["connection_reset", "half_open", "latency", "partition"]

_LOSERS: Final = ("path", "server")


def latency(
    process: str | None = None,
    *,
    delay: Duration,
    jitter: Duration = 0,
    at: Duration = 0,
    for_: Duration | None = None,
    server: str | None = None,
) -> Fault:
    """What is sent takes ``delay``, and up to ``jitter`` more, to arrive; each way, and in order.

    Without ``for_`` it lasts until the fault is removed.  Several latencies add up.  Without ``server`` the
    result backend is as far away as the broker.
    """
    delay_us, jitter_us = durations.microseconds(delay, "delay"), durations.microseconds(jitter, "jitter")
    text = f"latency of {durations.text(delay_us)}"
    if jitter_us:
        text += f" and up to {durations.text(jitter_us)} more"
    return _lasting(text, Route(process, server), Condition(delay_us, jitter_us), at, for_)


def partition(
    process: str | None = None, *, at: Duration = 0, for_: Duration | None = None, server: str | None = None
) -> Fault:
    """Nothing arrives, either way, and nobody is told; what was sent is sent again when it is over.

    Who notices, and when, is as on Linux: by heartbeats, timeouts of the client, and TCP's own.  Without
    ``server`` the result backend is cut off too; ``server="broker"`` leaves a Redis for results within reach.
    """
    return _lasting("partition", Route(process, server), Condition(is_cut=True), at, for_)


def connection_reset(process: str | None = None, *, at: Duration, server: str | None = None) -> Fault:
    """Every connection is reset at once, at both ends; what was on its way is lost."""
    return _once("reset of connections", "link.reset", Route(process, server), at)


def half_open(process: str | None = None, *, at: Duration, server: str | None = None, lost_by: str = "path") -> Fault:
    """Every connection of now is lost and the client is not told; new ones are sound.

    ``lost_by="path"``: something in between, such as a firewall, has forgotten the connection, and nothing
    arrives any more, either way.  ``lost_by="server"``: the server has forgotten it, and answers the next thing
    that the client sends with a reset.  Without ``server`` the connections to the result backend are lost too.
    """
    if lost_by not in _LOSERS:
        raise UsageError(f'lost_by={lost_by!r}; expected "path" or "server".')
    return _once(f"loss of connections by the {lost_by}", f"link.lost_by_{lost_by}", Route(process, server), at)


def _once(what: str, verb: str, route: Route, at: Duration) -> Fault:
    at_us = durations.microseconds(at, "at")
    step = Step(at_us, verb, str(route), route)
    return Fault(f"{what} from {route} at {durations.text(at_us)}", (step,))


def _lasting(what: str, route: Route, condition: Condition, at: Duration, for_: Duration | None) -> Fault:
    at_us = durations.microseconds(at, "at")
    text = f"{what} from {route} at {durations.text(at_us)}"
    end_us = None
    if for_ is not None:
        length_us = durations.microseconds(for_, "for_")
        end_us = at_us + length_us
        text += f" for {durations.text(length_us)}"
    begin = Step(at_us, "link.worsen", str(route), route, condition)
    return Fault(text, (begin, Step(end_us, "link.mend", str(route), route, condition)))
