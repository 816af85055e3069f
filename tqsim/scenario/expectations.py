"""What a scenario expects: one struct per check, and the check that it stands for.

The main names are :data:`Expectation`, :func:`build` and :func:`described`.  The keys of a struct are the
arguments of the function in :mod:`tqsim.checks` that its ``check`` names; ``lost`` is a check of scenarios
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import fields

from tqsim import checks
from tqsim.checks import Check, Verdict, Violation
from tqsim.checks.arguments import call_text, counted
from tqsim.history import History
from tqsim.scenario.kinds import Count, Duration, Durations, Fraction, Switch, Text, Texts
from tqsim.scenario.written import written

__all__ = [
    "AtMostRuns",
    "ExactlyOnce",
    "Expectation",
    "InOrder",
    "Latency",
    "Lost",
    "NoOverlap",
    "NoStartAfterExpiry",
    "NothingLost",
    "QueueDepth",
    "RetryDelays",
    "Succeeded",
    "Throughput",
    "build",
    "described",
    "lost",
]

_OWN: Final = ("variant",)
#: Keys that say whom an expectation is about; they come last in its description.
_ABOUT: Final = ("task", "allow_empty")
#: Keys whose default goes without saying.
_OBVIOUS: Final = ("of", "by")


class _Expected(Struct, frozen=True, kw_only=True, tag_field="check"):
    """``variant`` restricts an expectation to one or some of the variants."""

    variant: Text | Texts | None = None


class _OfTasks(_Expected, frozen=True, kw_only=True, tag_field="check"):
    task: Text | None = None
    allow_empty: Switch = False


class NothingLost(_OfTasks, frozen=True, kw_only=True, tag="nothing_lost"):
    """Every task reaches a terminal state."""

    worker_lost_is_failure: Switch = False


class ExactlyOnce(_OfTasks, frozen=True, kw_only=True, tag="exactly_once"):
    """Every task succeeds exactly once."""


class AtMostRuns(_OfTasks, frozen=True, kw_only=True, tag="at_most_runs"):
    """No task starts more than ``n`` times."""

    n: Count


class NoOverlap(_OfTasks, frozen=True, kw_only=True, tag="no_overlap"):
    """No two runs of one task id run at the same time."""


class RetryDelays(_OfTasks, frozen=True, kw_only=True, tag="retry_delays"):
    """The delay of every retry is as expected."""

    expected: Durations | None = None
    within: Durations | None = None
    tolerance: Duration = 0


class Throughput(_OfTasks, frozen=True, kw_only=True, tag="throughput"):
    """In every window of time, enough and not too much happens."""

    at_least: Count | None = None
    at_most: Count | None = None
    window: Duration = "1s"
    of: Text = "starts"


class Latency(_OfTasks, frozen=True, kw_only=True, tag="latency"):
    """Percentiles of a time are at most the given durations."""

    p50: Duration | None = None
    p95: Duration | None = None
    p99: Duration | None = None
    max: Duration | None = None
    of: Text = "wait"


class QueueDepth(_Expected, frozen=True, kw_only=True, tag="queue_depth"):
    """No queue, or the one called ``queue``, holds more than ``at_most`` ready messages."""

    at_most: Count
    queue: Text | None = None
    allow_empty: Switch = False


class Succeeded(_OfTasks, frozen=True, kw_only=True, tag="succeeded"):
    """At least this fraction of the tasks has succeeded."""

    at_least: Fraction = 1.0


class NoStartAfterExpiry(_OfTasks, frozen=True, kw_only=True, tag="no_start_after_expiry"):
    """No run starts after its message has expired."""


class InOrder(_OfTasks, frozen=True, kw_only=True, tag="in_order"):
    """Tasks start, or succeed, in the order in which they were published."""

    by: Text = "start"


class Lost(_OfTasks, frozen=True, kw_only=True, tag="lost"):
    """Exactly ``count`` tasks are lost: nothing holds them any more and nobody was told."""

    count: Annotated[int, Meta(description="a whole number of at least 0", ge=0)]


Expectation: TypeAlias = (
    NothingLost
    | ExactlyOnce
    | AtMostRuns
    | NoOverlap
    | RetryDelays
    | Throughput
    | Latency
    | QueueDepth
    | Succeeded
    | NoStartAfterExpiry
    | InOrder
    | Lost
)


def build(expectation: Expectation) -> Check:
    """Return the check that an expectation stands for, called as :func:`described`.

    Raises :class:`~tqsim.UsageError` for arguments that the check refuses.
    """
    options = {
        name: getattr(expectation, name)
        for name in expectation.__struct_fields__
        if name not in _OWN and getattr(expectation, name) is not None
    }
    check = _FACTORIES[str(expectation.__struct_config__.tag)](**options)
    return Check(described(expectation), check.judge)


def described(expectation: Expectation) -> str:
    """Return an expectation in the words of the file, such as ``at_most_runs (n = 2, task = "shop.mail")``.

    Defaults are told too, unless they go without saying.
    """
    told = []
    for item in sorted(fields(expectation), key=lambda item: item.name in _ABOUT):
        value = getattr(expectation, item.name)
        goes_without_saying = value == item.default and (not value or item.name in _OBVIOUS)
        if item.name not in _OWN and not goes_without_saying:
            told.append(f"{item.name} = {written(value)}")
    options = f" ({', '.join(told)})" if told else ""
    return f"{expectation.__struct_config__.tag}{options}"


def lost(*, count: int, task: str | None = None, allow_empty: bool = False) -> Check:
    """Exactly ``count`` tasks are lost: delivered, cut off, and given to nobody again."""

    def judge(history: History) -> Verdict:
        lives = history.tasks(task)
        unfinished = checks.nothing_lost(task=task)(history)
        if not lives:
            return Verdict() if allow_empty else unfinished  # which says that nothing was judged
        found = {life.id for life in lives if life.state == "lost"}
        if len(found) == count:
            return Verdict(judged=len(lives))
        verb = "is" if 1 in (len(found), len(lives)) else "are"
        total = Violation(None, f"{len(found)} of {counted(len(lives), 'task')} {verb} lost; expected {count}.")
        each = (violation for violation in unfinished.violations if violation.task_id in found)
        return Verdict((total, *each), len(lives))

    return Check(call_text("lost", count=count, task=task, allow_empty=allow_empty), judge)


_FACTORIES: Final[Mapping[str, Callable[..., Check]]] = MappingProxyType(
    {
        "at_most_runs": checks.at_most_runs,
        "exactly_once": checks.exactly_once,
        "in_order": checks.in_order,
        "latency": checks.latency,
        "lost": lost,
        "no_overlap": checks.no_overlap,
        "no_start_after_expiry": checks.no_start_after_expiry,
        "nothing_lost": checks.nothing_lost,
        "queue_depth": checks.queue_depth,
        "retry_delays": checks.retry_delays,
        "succeeded": checks.succeeded,
        "throughput": checks.throughput,
    }
)
