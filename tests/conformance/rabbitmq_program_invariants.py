"""What must hold of any course of a program, whatever the server: :func:`losses` and :func:`duplicates`.

They see what clients saw.  A message may be gone for many reasons, so that nothing is lost is asked of the queues
that give none: without lifetimes, limits, purges or deletions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.conformance.rabbitmq_arms import Letter
from tests.conformance.rabbitmq_program_desk import Seen
from tests.conformance.rabbitmq_programs import (
    Consume,
    DeclareQueue,
    DeleteQueue,
    Get,
    Program,
    Publish,
    Purge,
    Restart,
)

__all__ = ["duplicates", "losses"]

_HARMLESS: Final = (
    "x-queue-type",
    "x-max-priority",
    "x-single-active-consumer",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
)
_LONG_MS: Final = 60_000


def _sightings(program: Program, seen: Sequence[Seen]) -> Iterator[tuple[str, bool, Letter]]:
    """Each message that a client got: from which queue, and whether it was there before."""
    queues = {step.tag: step.queue for step in program.steps if isinstance(step, Consume)}
    for step, one in zip([*program.steps, None], seen, strict=True):
        for tag, letters in one.deliveries.items():
            yield from ((queues[tag], redelivered, letter) for redelivered, letter in letters)
        if isinstance(step, Get) and isinstance(one.answer, tuple):
            yield step.queue, one.answer[0], one.answer[1]
        for queue, left in one.left.items():
            yield from ((queue, found[0], found[1]) for found in _letters(left))


def _letters(left: Any) -> list[Any]:
    """What was left in a queue, unless the server said something else than messages."""
    return left if isinstance(left, list) else []


def duplicates(program: Program, seen: Sequence[Seen]) -> list[str]:
    """Return the messages that came twice from one queue as if for the first time, each with its queue."""
    fresh = Counter(
        (queue, letter.body, str(letter.deaths)) for queue, again, letter in _sightings(program, seen) if not again
    )
    return [f"{queue}: {body}" for (queue, body, _), number in fresh.items() if number > 1]


def losses(program: Program, seen: Sequence[Seen]) -> tuple[list[str], int]:
    """Return the messages for plain queues that no client saw, and how many there were in all."""
    plain = _plain_queues(program)
    found = {letter.body for _, _, letter in _sightings(program, seen)}
    expected: list[str] = []
    present: set[str] = set()
    for step, one in zip(program.steps, seen, strict=False):
        if isinstance(step, DeclareQueue) and not one.failures:
            present.add(step.name)
        if isinstance(step, Publish) and not one.failures and _is_kept(step, plain & present):
            expected.extend(step.bodies)
    return [body for body in expected if body not in found], len(expected)


def _is_kept(step: Publish, queues: set[str]) -> bool:
    return not step.exchange and step.key in queues and step.expiration is None


def _plain_queues(program: Program) -> set[str]:
    """The queues that keep a message until somebody takes it."""
    if any(isinstance(step, Restart) for step in program.steps):
        return set()
    declared = [step for step in program.steps if isinstance(step, DeclareQueue)]
    plain = {step.name for step in declared if not step.exclusive and not step.auto_delete}
    for step in declared:
        if any(
            name not in _HARMLESS or (name == "x-message-ttl" and value != _LONG_MS) for name, value in step.arguments
        ):
            plain.discard(step.name)
    return plain - {step.name for step in program.steps if isinstance(step, (Purge, DeleteQueue))}
