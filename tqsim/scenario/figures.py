"""Numbers of one run that variants are compared by, and those of its services.

The main names are :data:`FIGURES`, :func:`figure` and :func:`service_figures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.history import History, percentile
from tqsim.report.figures import brief, count

__all__ = ["BUCKETS", "FIGURES", "ServiceFigures", "figure", "figure_text", "service_figures"]

#: Into how many equal parts the time line of a service is cut.
BUCKETS: Final = 20

_DURATIONS: Final = ("end_to_end_p95",)


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The calls to one service; ``peak`` is the largest number within one second.

    ``time_line`` counts the calls in each of :data:`BUCKETS` equal parts of ``length_us``.
    """

    name: str
    calls: int
    failed: int
    peak: int
    time_line: tuple[int, ...]
    length_us: int


def service_figures(history: History, length_us: int) -> tuple[ServiceFigures, ...]:
    """Return the figures of each service that was called, in order of its first call.

    ``length_us`` is the end of the time line, so that several runs can share one.
    """
    calls: dict[str, list[int]] = {}
    failed: dict[str, int] = {}
    for moment in history.moments_named("service.called", "service.failed"):
        name = str(moment.fields.get("service"))
        if moment.name == "service.called":
            calls.setdefault(name, []).append(moment.at_us)
        else:
            failed[name] = failed.get(name, 0) + 1
    return tuple(
        ServiceFigures(
            name=name,
            calls=len(times),
            failed=failed.get(name, 0),
            peak=_peak(times),
            time_line=_time_line(times, length_us),
            length_us=length_us,
        )
        for name, times in calls.items()
    )


def figure(name: str, history: History) -> int:
    """Return one of :data:`FIGURES` of a run; durations are in microseconds."""
    return FIGURES[name](history)


def figure_text(name: str, value: int) -> str:
    """Return a figure as people read it: a count, or a duration to about three digits."""
    return brief(value) if name in _DURATIONS else count(value)


def _peak(times: Sequence[int]) -> int:
    """Return the largest number of calls in any stretch of one second, ``[t, t + 1s)``."""
    first = peak = 0
    for last, at_us in enumerate(times):
        while at_us - times[first] >= MICROSECONDS_PER_SECOND:
            first += 1
        peak = max(peak, last - first + 1)
    return peak


def _time_line(times: Sequence[int], length_us: int) -> tuple[int, ...]:
    counts = [0] * BUCKETS
    for at_us in times:
        counts[min(BUCKETS - 1, at_us * BUCKETS // max(1, length_us))] += 1
    return tuple(counts)


def _calls(history: History) -> int:
    return len(history.moments_named("service.called"))


def _failed_calls(history: History) -> int:
    return len(history.moments_named("service.failed"))


def _peak_calls(history: History) -> int:
    return _peak([moment.at_us for moment in history.moments_named("service.called")])


def _runs(history: History) -> int:
    return sum(len(life.runs) for life in history.tasks())


def _retries(history: History) -> int:
    return sum(run.outcome == "retried" for life in history.tasks() for run in life.runs)


def _lost(history: History) -> int:
    return sum(life.state == "lost" for life in history.tasks())


def _succeeded(history: History) -> int:
    return sum(life.state == "succeeded" for life in history.tasks())


def _duration_p95(history: History) -> int:
    values = sorted(life.duration_us for life in history.tasks() if life.duration_us is not None)
    return percentile(values, 95) if values else 0


FIGURES: Final[Mapping[str, Callable[[History], int]]] = MappingProxyType(
    {
        "calls": _calls,
        "calls_failed": _failed_calls,
        "calls_per_second_peak": _peak_calls,
        "end_to_end_p95": _duration_p95,
        "lost": _lost,
        "retries": _retries,
        "runs": _runs,
        "succeeded": _succeeded,
    }
)
