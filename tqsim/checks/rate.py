"""How much is done per stretch of time: :func:`throughput`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from tqsim.checks.arguments import call_text, choice, counted, duration_us, whole_number
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import Duration, instant, text
from tqsim.errors import UsageError
from tqsim.history import MOMENTS, History, Moment, TaskLife

_OF = {"starts": "start", "completions": "completion"}

# Time and index of each thing that is counted, in order.
_Event = tuple[int, int]


def throughput(
    *,
    at_least: int | None = None,
    at_most: int | None = None,
    window: Duration = "1s",
    of: str = "starts",
    where: Callable[[Moment], bool] | None = None,
    task: TaskFilter = None,
    allow_empty: bool = False,
) -> Check:
    """In every stretch of time of the length ``window``, enough and not too much happens.

    Counted are the ``of="starts"`` of runs, the ``"completions"`` (tasks reaching a terminal state), or the
    moments with a name of the vocabulary such as ``"service.called"``, of which ``where`` may choose; without
    ``task``, moments that concern no task count too.  ``at_most`` holds for every window ``[t, t + window)``.
    ``at_least`` holds for every whole window from the first publish until the last task has started (or
    ended, or the last such moment), which is the end of the run if some task never does; a time shorter
    than one window is one window.  Overlapping violations are reported once.
    """
    if at_least is None and at_most is None:
        raise UsageError("throughput limits nothing; expected at_least, at_most or both, such as at_most=10.")
    for argument, value in (("at_least", at_least), ("at_most", at_most)):
        if value is not None:
            whole_number(value, argument)
    choice(of, "of", (*_OF, *MOMENTS))
    if where is not None and of in _OF:
        raise UsageError(f'where={where!r} goes with the name of a moment; expected of="service.called" or the like.')
    window_us = duration_us(window, "window", positive=True)
    noun = _OF.get(of, f"{of} moment")

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        events = _events(history, lives, of, where, every=task is None)
        violations: list[Violation] = []
        if at_most is not None:
            for first, count in _crowded(events, window_us, at_most):
                found = f"{counted(count, noun)} within {text(window_us)} from {instant(events[first][0])} on"
                moments = moments_at(history, *(order for _, order in events[first : first + count]))
                violations.append(Violation(None, f"{found}; expected at most {at_most}.", moments))
        if at_least is not None and events:
            span = (min(life.published_us for life in lives), _end_us(history, lives, events, of))
            for since_us, count in _sparse(events, window_us, at_least, span):
                found = f"{counted(count, noun)} within {text(window_us)} from {text(since_us)} on"
                moments = moments_at(history, *_around(events, since_us))
                violations.append(Violation(None, f"{found}; expected at least {at_least}.", moments))
        return Verdict(tuple(violations), len(events))

    name = call_text(
        "throughput",
        at_least=at_least,
        at_most=at_most,
        window=window,
        of=None if of == "starts" else of,
        where=where,
        task=task,
        allow_empty=allow_empty,
    )
    return over_tasks(name, judge, task=task, allow_empty=allow_empty, needs=f"had any {noun}s")


def _events(
    history: History,
    lives: Sequence[TaskLife],
    of: str,
    where: Callable[[Moment], bool] | None,
    *,
    every: bool,
) -> list[_Event]:
    events: list[_Event] = []
    if of == "starts":
        events = [(run.started_us or 0, run.started_order or 0) for life in lives for run in life.runs]
    elif of == "completions":
        events = [(life.settled_us or 0, life.settled_order or 0) for life in lives if life.is_terminal]
    else:
        ids = {life.id: None for life in lives}
        for order, moment in enumerate(history.moments):
            if moment.name == of and (every or moment.task_id in ids) and (where is None or where(moment)):
                events.append((moment.at_us, order))
    return sorted(events)


def _end_us(history: History, lives: Sequence[TaskLife], events: Sequence[_Event], of: str) -> int:
    if of not in _OF:
        return events[-1][0]
    ends: list[int] = []
    for life in lives:
        first_us = life.runs[0].started_us if of == "starts" and life.runs else life.settled_us
        ends.append(history.end_us if first_us is None else first_us)
    return max(*ends, events[-1][0])


def _crowded(events: Sequence[_Event], window_us: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Yield the index of the first event and the number of events of each window with too many."""
    times = [at_us for at_us, _ in events]
    first = 0
    while first < len(times):
        count = bisect_left(times, times[first] + window_us) - first
        if count > at_most:
            yield first, count
            first += count
        else:
            first += 1


def _sparse(
    events: Sequence[_Event], window_us: int, at_least: int, span: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield the start and the number of events of each window with too few."""
    begin_us, end_us = span
    times = [at_us for at_us, _ in events]
    # The emptiest windows begin right after an event, or at the beginning.
    starts = [begin_us] + [at_us + 1 for at_us in times if at_us >= begin_us]
    next_us = begin_us
    for since_us in starts:
        whole = since_us + window_us <= end_us + 1 or since_us == begin_us
        if since_us < next_us or not whole:
            continue
        count = bisect_left(times, since_us + window_us) - bisect_left(times, since_us)
        if count < at_least:
            yield since_us, count
            next_us = since_us + window_us


def _around(events: Sequence[_Event], since_us: int) -> tuple[int | None, int | None]:
    """Return the indexes of the last event before an instant and the first one from it on."""
    place = bisect_left(events, (since_us, -1))
    before = events[place - 1][1] if place else None
    after = events[place][1] if place < len(events) else None
    return before, after
