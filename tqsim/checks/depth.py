"""How long queues get: :func:`queue_depth`."""

from __future__ import annotations

from tqsim.checks.arguments import call_text, counted, whole_number
from tqsim.checks.selection import ALLOW_EMPTY, moments_at
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import instant
from tqsim.errors import UsageError
from tqsim.history import History, QueueLife


def queue_depth(*, at_most: int, queue: str | None = None, allow_empty: bool = False) -> Check:
    """No queue, or the one called ``queue``, ever holds more than ``at_most`` ready messages.

    Messages with a consumer, not yet acknowledged, do not count.
    """
    whole_number(at_most, "at_most")
    if queue is not None and not isinstance(queue, str):
        raise UsageError(f"queue={queue!r} is wrong; expected a queue's name, or None for every queue.")

    def judge(history: History) -> Verdict:
        known = history.queues()
        names = [name for name in known if queue is None or name == queue]
        if not names:
            return Verdict() if allow_empty else Verdict((Violation(None, _no_match(queue, known)),))
        found = (_violation(history, history.queue(name), at_most) for name in names)
        return Verdict(tuple(violation for violation in found if violation is not None), len(names))

    return Check(call_text("queue_depth", at_most=at_most, queue=queue, allow_empty=allow_empty), judge)


def _violation(history: History, life: QueueLife, at_most: int) -> Violation | None:
    over = [change for change in life.changes if change[2] > at_most]
    if not over:
        return None
    first, peak = over[0], max(over, key=lambda change: change[2])
    text_of_peak = f"queue {life.name!r} held {counted(peak[2], 'ready message')} at {instant(peak[0])}"
    return Violation(
        None,
        f"{text_of_peak}, and more than {at_most} from {instant(first[0])} on; expected at most {at_most}.",
        moments_at(history, first[1], peak[1]),
    )


def _no_match(queue: str | None, known: list[str]) -> str:
    listed = f"known queues: {', '.join(sorted(known))}" if known else "this history has no queues at all"
    wanted = "" if queue is None else f"no queue named {queue!r}; "
    return f"Nothing was judged: {wanted}{listed}; {ALLOW_EMPTY}"
