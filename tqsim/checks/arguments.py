"""Arguments of checks: validation, the text of the call, and of counts.

The main names are :func:`whole_number`, :func:`duration_us`, :func:`fraction`, :func:`choice`,
:func:`call_text` and :func:`counted`.  A wrong argument raises :class:`~tqsim.UsageError` with its name, its
value and what was expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tqsim.durations import Duration, microseconds
from tqsim.errors import UsageError


def whole_number(value: object, argument: str, *, at_least: int = 0) -> int:
    """Return a whole number that is not below ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise UsageError(f"{argument}={value!r} is wrong; expected a whole number of at least {at_least}.")
    return value


def duration_us(value: Duration, argument: str, *, positive: bool = False) -> int:
    """Return a duration in microseconds; with ``positive``, zero is wrong too."""
    result = microseconds(value, argument)
    if positive and result == 0:
        raise UsageError(f"{argument}={value!r} is zero; expected a duration above zero.")
    return result


def fraction(value: object, argument: str) -> Fraction:
    """Return a number above 0 and at most 1, as the decimal that was written: 0.07 * 100 is exactly 7."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise UsageError(f"{argument}={value!r} is wrong; expected a fraction above 0 and at most 1.")
    return Fraction(str(value))


def choice(value: str, argument: str, allowed: Sequence[str]) -> str:
    """Return a word that is one of ``allowed``."""
    if value not in allowed:
        expected = ", ".join(repr(word) for word in allowed)
        raise UsageError(f"{argument}={value!r} is unknown; expected one of: {expected}.")
    return value


def call_text(factory: str, *positional: object, **options: object) -> str:
    """Return the call as text, leaving out options that are None or False.

    A function is shown by its name, because its ``repr`` has a memory address.
    """
    parts = [_shown(value) for value in positional]
    given = {key: value for key, value in options.items() if value is not None and value is not False}
    parts += [f"{key}={_shown(value)}" for key, value in given.items()]
    return f"{factory}({', '.join(parts)})"


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun, such as ``"1 task"`` and ``"2 tasks"``."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def _shown(value: object) -> str:
    name = getattr(value, "__name__", None)
    return name if callable(value) and isinstance(name, str) else repr(value)
