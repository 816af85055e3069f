"""Strategies for Celery programs that have one outcome, however fast the machine is.

The main names are :func:`programs` and :func:`nth`.  What a program must not leave to chance, and how that is avoided:

- Order is promised on the queue with one slot only, and there for the first runs of what the client sends itself
  without an ETA (:func:`promised_order`).  With priorities it depends on what waits together, so those jobs are sent
  behind a job that is seen to run and sleeps on (:func:`_jams`).
- What is revoked before it starts waits in a jam, or for a countdown of two seconds in the worker that takes everything
  at once: every worker stores REVOKED when it is told, and the one with the task again when it comes across it.
- What is revoked, killed or shut down while it runs is seen to run and sleeps for two seconds.  There is one such step
  in a program.
- A worker is killed or shut down while nothing but plain jobs of the client is on its queue: whether a retry, an ETA or
  a link of a canvas falls into the gap would be chance (:func:`_upheavals`).
- ``expires`` is a lifetime of the message too, and RabbitMQ drops it in a queue whose worker is busy; so it is for the
  queues of the worker that takes everything at once, or for a jam.
- What is retried at once is for the queue with one slot.  In the other the next run can be over when the state RETRY
  of the first one is stored.
- A task that is sent twice under one id is a plain one: both may run at once.
- A task that exceeds its hard limit acknowledges failures: else its message keeps the only place in the prefetch.
- Parts of the header of a chord return or fail.  One that is ignored or rejected leaves the chord waiting for ever, and
  Celery's ``chord_unlock`` asks for it every second.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from hypothesis import assume
from hypothesis import strategies as st

from tests.conformance.celery_programs import (
    ALPHA,
    BETA,
    GAMMA,
    Again,
    AutoRetry,
    Await,
    Canvas,
    Chain,
    Chord,
    Deed,
    Die,
    Fail,
    Group,
    Ignore,
    Job,
    KillChild,
    KillWorker,
    Limit,
    Program,
    Publish,
    Reject,
    Replace,
    Retry,
    Return,
    Revoke,
    Send,
    Sleep,
    Step,
    StopWorker,
)

__all__ = ["nth", "programs", "promised_order"]

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

_ALL: Final = (ALPHA, BETA, GAMMA)
_WIDE: Final = (BETA, GAMMA)
_TASKS: Final = ("early", "late", "lost", "kept")
#: Long enough to be seen running and to be acted on.
_VICTIM: Final = Sleep(2)
_BLOCKER: Final = Sleep(1.5)
_BEFORE_START_S: Final = 2
_AFTER_UPHEAVAL_S: Final = 4


def promised_order(program: Program) -> list[str]:
    """Return the jobs whose first runs have an order: what the client puts on the queue with one slot.

    Not those that wait for an ETA or for their rate limit: others overtake them.
    """
    firsts = []
    for canvas in program.sent:
        first = canvas.parts[0] if isinstance(canvas, Chain) else canvas
        if not isinstance(first, Job) or first.queue != ALPHA or first.task == "paced":
            continue
        if first.countdown_s is None and first.eta_s is None:
            firsts.append(first.alias)
    return firsts


def nth(number: int) -> st.SearchStrategy[Program]:
    """Return programs of the kind whose turn it is: three of canvases to one jam and one upheaval."""
    kinds = (_canvases, _upheavals, _canvases, _jams, _canvases)
    return programs(kinds[number % len(kinds)])


@st.composite
def programs(draw: Draw, kind: Callable[[_Pen], list[Step]]) -> Program:
    """Return a program of one kind.

    Hypothesis begins every search with the simplest value, the same poor program each time: it is rejected.
    """
    assume(draw(st.integers(0, 1_000_000)))
    return Program(tuple(kind(_Pen(draw))))


class _Pen:
    """Draws jobs, each under an alias of its own."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self._names = (f"{letter}{turn or ''}" for turn in itertools.count() for letter in string.ascii_lowercase)

    def pick(self, *choices: Any) -> Any:
        """Return one of them."""
        return self.draw(st.sampled_from(choices))

    def times(self, least: int, most: int) -> range:
        """Return so many turns."""
        return range(self.draw(st.integers(least, most)))

    def job(self, deed: Deed, queues: tuple[str, ...], *tasks: str, **options: Any) -> Job:
        """Return a job of any task, or of one of these too."""
        choices = [task for task in (*_TASKS, *tasks) if task != "kept" or deed != Limit("hard")]
        return Job(next(self._names), deed, self.pick(*choices), self.pick(*queues), **options)


# -- jobs -------------------------------------------------------------------------------------


def _sound_deed(pen: _Pen, queues: tuple[str, ...]) -> Deed:
    """Return a deed that returns or fails in the end, as chords need it."""
    kind = pen.pick(Return, Return, Return, Fail, Sleep, Retry, AutoRetry, Replace)
    if kind is Sleep:
        return Sleep(0.3)
    if kind is Retry:
        times = pen.pick(1, 2)
        return Retry(times, 1, pen.pick(times, times, times - 1), pen.pick(True, False))
    if kind is AutoRetry:
        return AutoRetry(1)
    if kind is Replace:
        return Replace(pen.job(Return(), queues))
    return kind()  # type: ignore[no-any-return]


def _any_deed(pen: _Pen, queues: tuple[str, ...]) -> Deed:
    kind = pen.pick(None, None, None, None, None, Reject, Reject, Ignore, Limit, Die, Publish, Replace, AutoRetry)
    if kind is None:
        return _sound_deed(pen, queues)
    if kind is Reject:
        return Reject(pen.pick(True, False))
    if kind is Limit:
        return Limit(pen.pick("soft", "soft caught", "hard"))
    if kind in (Publish, Replace):
        parts = tuple(pen.job(pen.pick(Return(), Return(), Fail()), queues) for _ in range(2))
        return kind(pen.pick(parts[0], Chain(parts), Group(parts)))  # type: ignore[no-any-return]
    return AutoRetry(pen.pick(1, 2, 3)) if kind is AutoRetry else kind()


def _retried_at_once(pen: _Pen) -> Job:
    return pen.job(Retry(pen.pick(1, 2), 0, pen.pick(1, 2), pen.pick(True, False)), (ALPHA,), **_callbacks(pen, _ALL))


def _part(pen: _Pen, queues: tuple[str, ...], *, is_sound: bool) -> Job:
    """Return a job that may stand in a canvas."""
    deed = (_sound_deed if is_sound else _any_deed)(pen, queues)
    options: dict[str, Any] = {
        "countdown_s": pen.pick(None, None, None, 1),
        "immutable": pen.pick(False, False, True),
        "mark": pen.pick(None, None, "marked"),
    }
    return pen.job(deed, queues, "paced", **options, **_callbacks(pen, queues))


def _callbacks(pen: _Pen, queues: tuple[str, ...]) -> dict[str, Any]:
    callbacks: dict[str, Any] = {}
    if pen.pick(False, False, True):
        callbacks["link"] = pen.job(Return(), queues)
    on_error = pen.pick(None, None, "inline", Job)
    if on_error is not None:
        callbacks["link_error"] = on_error if on_error == "inline" else pen.job(Return(), queues)
    return callbacks


def _lone_job(pen: _Pen, queues: tuple[str, ...]) -> Job:
    """Return a job that the client sends by itself, with what only such a job may have."""
    kind = pen.pick("plain", "eta", "expires", "unstored", "prioritised", "retried at once")
    if kind == "retried at once" and ALPHA in queues:
        return _retried_at_once(pen)
    if kind == "eta":
        return pen.job(_any_deed(pen, queues), queues, eta_s=1)
    if kind == "expires":
        when = pen.pick({"expires_s": 60}, {"expires_s": -1}, {"expires_s": 0.4, "countdown_s": 1})
        return pen.job(Return(), _WIDE, **when)
    if kind == "unstored":
        return pen.job(pen.pick(Return(), Fail()), queues, ignore_result=True, **_callbacks(pen, queues))
    if kind == "prioritised":
        return pen.job(Return(), _WIDE, priority=pen.pick(0, 3, 9), mark="marked")
    return _part(pen, queues, is_sound=False)


# -- canvases ---------------------------------------------------------------------------------


def _canvas(pen: _Pen, queues: tuple[str, ...]) -> Canvas:
    shapes = (_lone_job, _lone_job, _chain, _group, _chord, _chain_of_chord)
    made: Canvas = pen.pick(*shapes)(pen, queues)
    return made


def _chain(pen: _Pen, queues: tuple[str, ...]) -> Chain:
    parts: list[Canvas] = [_part(pen, queues, is_sound=False) for _ in pen.times(2, 3)]
    if pen.pick(False, False, True):
        parts.append(_group(pen, queues))
    return Chain(tuple(parts), _error_callback(pen, queues))


def _group(pen: _Pen, queues: tuple[str, ...]) -> Group:
    return Group(tuple(_part(pen, queues, is_sound=False) for _ in pen.times(2, 3)))


def _chord(pen: _Pen, queues: tuple[str, ...]) -> Chord:
    header = tuple(_header_part(pen, queues) for _ in pen.times(2, 3))
    return Chord(header, _part(pen, queues, is_sound=True), _error_callback(pen, queues))


def _header_part(pen: _Pen, queues: tuple[str, ...]) -> Canvas:
    if pen.pick(False, False, True):
        return Chain(tuple(_part(pen, queues, is_sound=True) for _ in range(2)))
    return _part(pen, queues, is_sound=True)


def _chain_of_chord(pen: _Pen, queues: tuple[str, ...]) -> Chain:
    """Return a chain in which a chord stands, or a group that Celery makes one of, because something follows it."""
    middle: Canvas = _chord(pen, queues)
    if pen.pick(False, True):
        middle = Group(tuple(_part(pen, queues, is_sound=True) for _ in range(2)))
    first, last = _part(pen, queues, is_sound=True), _part(pen, queues, is_sound=True)
    return Chain((first, middle, last), _error_callback(pen, queues))


def _error_callback(pen: _Pen, queues: tuple[str, ...]) -> Job | None:
    return pen.job(Return(), queues) if pen.pick(False, False, True) else None


# -- the kinds of programs --------------------------------------------------------------------


def _canvases(pen: _Pen) -> list[Step]:
    """Return canvases of every kind; some jobs are revoked before they start or sent twice, and one while it runs."""
    steps: list[Step] = []
    for _ in pen.times(5, 8):
        what = pen.pick(_canvas, _canvas, _canvas, _revoked, _sent_twice)
        steps += [Send(_canvas(pen, _ALL))] if what is _canvas else what(pen)
    return steps + _interference(pen)


def _revoked(pen: _Pen) -> list[Step]:
    job = pen.job(pen.pick(Return(), Fail()), _WIDE, countdown_s=_BEFORE_START_S)
    return [Send(job), Revoke(job.alias), *pen.pick((), (Again(job),))]


def _sent_twice(pen: _Pen) -> list[Step]:
    job = pen.job(pen.pick(Return(), Fail()), _ALL)
    return [Send(job), Again(job)]


def _interference(pen: _Pen) -> list[Step]:
    """Return what is done to a job that is seen to run."""
    what: Literal["nothing", "kill", "revoke"] = pen.pick("nothing", "nothing", "kill", "revoke", "revoke")
    if what == "nothing":
        return []
    victim = pen.job(_VICTIM, (ALPHA,) if what == "kill" else _ALL, **_callbacks(pen, _ALL))
    end = KillChild() if what == "kill" else Revoke(victim.alias, pen.pick(None, "SIGTERM", "SIGKILL"))
    return [Send(victim), Await(victim.alias), end]


def _jams(pen: _Pen) -> list[Step]:
    """Return jobs with priorities that wait together behind one that runs; some expire, one may be revoked."""
    blocker = pen.job(_BLOCKER, (ALPHA,))
    steps: list[Step] = [Send(blocker), Await(blocker.alias)]
    for _ in pen.times(3, 7):
        priority, expires_s = pen.pick(None, 0, 3, 5, 9), pen.pick(None, None, None, 0.4)
        job = pen.job(Return(), (ALPHA,), priority=priority, expires_s=expires_s)
        steps.append(Send(job))
    return [*steps, *pen.pick((), (Revoke(job.alias),))]


def _upheavals(pen: _Pen) -> list[Step]:
    """Return plain jobs for the worker with one slot, which is killed or shut down, beside canvases for the other.

    An ETA is later than that, so that the worker has such a job in its timer, or not yet.
    """

    def plain_jobs(least: int, most: int, *countdowns_s: float | None) -> list[Step]:
        return [
            Send(pen.job(pen.pick(Return(), Fail()), (ALPHA,), countdown_s=pen.pick(None, *countdowns_s)))
            for _ in pen.times(least, most)
        ]

    victim = pen.job(_VICTIM, (ALPHA,))
    steps = [*plain_jobs(0, 2, None, _AFTER_UPHEAVAL_S), Send(victim), *plain_jobs(1, 3, None, _AFTER_UPHEAVAL_S)]
    steps += [Send(_canvas(pen, _WIDE)) for _ in pen.times(1, 3)]
    return [*steps, Await(victim.alias), pen.pick(KillWorker(), StopWorker()), *plain_jobs(0, 1)]
