"""One direction of a connection: what is sent arrives in order, later, or not at all.

The main name is :class:`Way`.  What cannot arrive is sent again as TCP does it, and given up after a
while.  Left out: windows and sizes; a piece of any length takes the same time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from tqsim.kernel.agenda import Timer
from tqsim.kernel.loop import Loop

__all__ = ["Medium", "Way"]

#: TCP sends again 0.2 s after the first time, and from then on after as long as has passed already, up to two
#: minutes (tcp(7); measured on Linux 6.18: 0.2, 0.4, 0.9 s).
_FIRST_AGAIN_US: Final = 200_000
_AGAIN_MAX_US: Final = 120_000_000


class Medium(Protocol):
    """What a way leads through."""

    @property
    def is_cut(self) -> bool:
        """Whether nothing arrives at present."""

    @property
    def is_clear(self) -> bool:
        """Whether everything arrives at once at present."""

    def draw_delay_us(self) -> int:
        """Return how long the next piece takes."""
        ...


class _Parcel:
    __slots__ = ("action", "due_us", "is_work", "sent_us")

    def __init__(self, action: Callable[[], None], sent_us: int, due_us: int, is_work: bool) -> None:
        self.action = action
        self.sent_us = sent_us
        self.due_us = due_us
        self.is_work = is_work


class Way:
    """One direction.  ``on_lost()`` is called when something could not be brought in ``give_up_us``."""

    def __init__(self, loop: Loop, medium: Medium, give_up_us: int, on_lost: Callable[[], None]) -> None:
        self._loop = loop
        self._medium = medium
        self._give_up_us = give_up_us
        self._on_lost = on_lost
        self._parcels: deque[_Parcel] = deque()
        self._last_due_us = 0
        self._timer: Timer | None = None
        self._cut_us: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way, and what is sent now arrives now."""
        return not self._parcels and self._medium.is_clear

    @property
    def carries_work(self) -> bool:
        """Whether something that is work is on its way."""
        return any(parcel.is_work for parcel in self._parcels)

    def send(self, action: Callable[[], None], *, is_work: bool = False) -> None:
        """Call ``action()`` when what was sent arrives: at once, where nothing is in between."""
        if self.is_idle:
            action()
            return
        now_us = self._loop.now_us
        self._last_due_us = max(self._last_due_us, now_us + self._medium.draw_delay_us())
        self._parcels.append(_Parcel(action, now_us, self._last_due_us, is_work))
        if len(self._parcels) == 1:
            self._set_timer()

    def look_again(self) -> None:
        """The medium has changed: what could not arrive is sent again, and what could waits."""
        if not self._medium.is_cut:
            self._cut_us = None
        elif self._cut_us is None:
            self._cut_us = self._loop.now_us
        if not self._parcels:
            return
        now_us = self._loop.now_us
        head = self._parcels[0]
        if not self._medium.is_cut and head.due_us < now_us:
            again_us = max(_sent_again_us(head.sent_us, now_us), head.due_us)
            for parcel in self._parcels:
                parcel.due_us = max(parcel.due_us, again_us)
            self._last_due_us = max(self._last_due_us, again_us)
        self._set_timer()

    def clear(self) -> None:
        """Forget what is on its way."""
        self._parcels.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._parcels or self._loop.is_closed:
            return
        head = self._parcels[0]
        agenda = self._loop.agenda
        if self._medium.is_cut:
            # What was under way when the cut came was as good as acknowledged until then.
            since_us = max(head.sent_us, self._cut_us or 0)
            self._timer = agenda.call_at(since_us + self._give_up_us, self._give_up)
        else:
            self._timer = agenda.call_at(head.due_us, self._arrive)

    def _arrive(self) -> None:
        now_us = self._loop.now_us
        self._timer = None
        while self._parcels and self._parcels[0].due_us <= now_us and not self._medium.is_cut:
            self._parcels.popleft().action()
        self._set_timer()

    def _give_up(self) -> None:
        self.clear()
        self._on_lost()


def _sent_again_us(sent_us: int, now_us: int) -> int:
    """When TCP next sends again what it first sent at ``sent_us``."""
    passed_us = _FIRST_AGAIN_US
    while sent_us + passed_us < now_us:
        passed_us += min(passed_us, _AGAIN_MAX_US)
    return sent_us + passed_us
