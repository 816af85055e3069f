"""What came of the runs of a story: :func:`judged` for one run, :func:`compared` for several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqsim.checks import Check, run_checks
from tqsim.errors import CheckFailed
from tqsim.history import History, moments
from tqsim.scenario.figures import figure, figure_text
from tqsim.scenario.loading import Story, Variant
from tqsim.scenario.outcome import Judgement, VariantOutcome
from tqsim.simulation import ClientHandle
from tqsim.worker.ends import WorkerEnd

__all__ = ["compared", "judged", "notices", "troubles"]


def judged(history: History, checks: Mapping[str, Check], variant: Variant) -> tuple[Judgement, ...]:
    """Judge one run by its checks, which are known by the names of their expectations."""
    return tuple(_judged(history, name, check, variant) for name, check in checks.items())


def compared(story: Story, outcomes: Sequence[VariantOutcome]) -> tuple[Judgement, ...]:
    """Judge what must hold between the variants of a story."""
    histories = {outcome.name: outcome.history for outcome in outcomes}
    judgements = []
    for name, wanted in story.first.compare.items():
        larger, smaller = (figure(wanted.figure, histories[side]) for side in (wanted.larger, wanted.smaller))
        is_met = larger > wanted.times * smaller
        factor = "" if wanted.times == 1 else f"{wanted.times:g} x "
        found = [figure_text(wanted.figure, value) for value in (larger, smaller)]
        expected = f"{wanted.larger} > {factor}{wanted.smaller}"
        words = f"{wanted.figure}: {expected} ({found[0]} and {found[1]})"
        both = f"{found[0]} in {wanted.larger!r} and {found[1]} in {wanted.smaller!r}"
        details = "" if is_met else f"{wanted.figure} is {both}; expected {expected}."
        place = story.variants[0].places.of(("compare", name))
        judgements.append(Judgement(name, words, place, is_met, judged=2, details=details))
    return tuple(judgements)


def troubles(clients: Mapping[str, ClientHandle]) -> tuple[str, ...]:
    """Tell of each load that ended early; ``clients`` are what sends them, by name."""
    found = []
    for name, client in clients.items():
        if client.is_done:
            try:
                client.result()
            except Exception as error:  # noqa: BLE001 - whatever a publish raises is told in words
                found.append(f"load {name!r} ended early with {type(error).__name__}: {error}")
    return tuple(found)


def notices(history: History) -> tuple[str, ...]:
    """Tell of each worker that ended by itself, and of each load of which something could not be published."""
    return (*_ends_of_workers(history), *_unpublished(history))


def _ends_of_workers(history: History) -> list[str]:
    return [
        str(WorkerEnd(moment.process, moment.at_us, int(str(moment.fields["exit_code"])), str(moment.fields["error"])))
        for moment in history.moments_named(moments.PROCESS_STOPPED)
        if moment.fields.get("error")
    ]


def _unpublished(history: History) -> list[str]:
    failed: dict[str, list[str]] = {}
    for moment in history.moments_named(moments.TASK_UNPUBLISHED):
        failed.setdefault(moment.process, []).append(str(moment.fields["error"]))
    return [
        f"load {name!r}: {len(errors)} could not be published{', the first' if len(errors) > 1 else ''} because of "
        f"{errors[0]}"
        for name, errors in failed.items()
    ]


def _judged(history: History, name: str, check: Check, variant: Variant) -> Judgement:
    place = variant.places.of(("expect", name))
    try:
        (verdict,) = run_checks(history, [check])
    except CheckFailed as failure:
        details = str(failure).removesuffix(f"\n{history.info.line}")
        return Judgement(name, check.name, place, is_met=False, variant=variant.name, details=details)
    return Judgement(name, check.name, place, is_met=True, variant=variant.name, judged=verdict.judged)
