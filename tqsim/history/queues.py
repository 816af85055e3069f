"""Lives of queues: how many ready messages each held, and when.

The main name is :class:`QueueLife`, made by :func:`derive_queues` from ``message.*`` and ``queue.*`` moments.
The depth counts ready messages only; those with a consumer, not yet acknowledged, are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tqsim.history.copies import Copies
from tqsim.history.rows import AT_US, NAME, Row, fields_of

_OUTSIDE: Final = ("message.published", "message.unroutable", "message.returned")


@dataclass(frozen=True, slots=True)
class QueueLife:
    """One queue: what it took and its depth over time.

    ``changes`` has (time in microseconds, index of the moment, depth from then on), in order.
    """

    name: str
    queued: int
    changes: tuple[tuple[int, int, int], ...]

    @property
    def depth_max(self) -> int:
        """The largest depth that there was."""
        return max((depth for _, _, depth in self.changes), default=0)

    def depth_mean(self, end_us: int) -> float:
        """Return the depth averaged over the time from the start of the simulation to ``end_us``."""
        area = 0
        for number, (at_us, _, depth) in enumerate(self.changes):
            until_us = self.changes[number + 1][0] if number + 1 < len(self.changes) else end_us
            area += depth * max(0, until_us - at_us)
        return area / end_us if end_us > 0 else 0.0


class _Tally:
    __slots__ = ("changes", "copies", "queued")

    def __init__(self) -> None:
        self.queued = 0
        self.copies = Copies()
        self.changes: list[tuple[int, int, int]] = []

    def note(self, at_us: int, order: int) -> None:
        depth = self.copies.ready
        if depth != (self.changes[-1][2] if self.changes else 0):
            self.changes.append((at_us, order, depth))


def derive_queues(rows: Iterable[Row]) -> dict[str, QueueLife]:
    """Return every queue that the rows name, by name, in the order of appearance."""
    tallies: dict[str, _Tally] = {}
    for order, row in enumerate(rows):
        name: str = row[NAME]
        if not name.startswith(("message.", "queue.")) or name in _OUTSIDE:
            continue
        fields = fields_of(row)
        queue = fields.get("queue")
        if not isinstance(queue, str):
            continue
        tally = tallies.get(queue)
        if tally is None:
            tally = tallies[queue] = _Tally()
        if name == "queue.deleted":
            tally.copies.drop_ready()
        elif name.startswith("message."):
            tally.queued += name == "message.queued"
            tally.copies.take(name, fields)
        tally.note(row[AT_US], order)
    return {
        name: QueueLife(name=name, queued=tally.queued, changes=tuple(tally.changes)) for name, tally in tallies.items()
    }
