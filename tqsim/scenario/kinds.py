"""Kinds of values in a scenario file, each with the words for what is expected.

The main names are the annotated types.  ``extra={"verify": ...}`` names a function that looks
closer than a type can and raises :class:`~tqsim.UsageError`; the reader of a file is told the description.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from tqsim import durations
from tqsim.errors import UsageError

__all__ = [
    "Count",
    "Duration",
    "Durations",
    "Fraction",
    "Instant",
    "Items",
    "Path",
    "Rate",
    "Seed",
    "Switch",
    "Table",
    "Text",
    "Texts",
    "per_second",
]

_PER: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = 'seconds as a number of at least 0, or text such as "1.5s", "10m", "2h30m" or "1d"'
_RATE: Final = 'a number of arrivals per second above 0, or text such as "90/m" or "4/h"'


def per_second(value: float | str, argument: str = "rate") -> float:
    """Return a rate as arrivals per second; text such as ``"90/m"`` is per second, minute, hour or day.

    Raises :class:`~tqsim.UsageError`, which names ``argument``, for anything else and for zero.
    """
    number: float | None
    if isinstance(value, str):
        amount, _, unit = value.replace(" ", "").partition("/")
        try:
            number = float(amount) / _PER[unit]
        except (KeyError, ValueError):
            number = None
    else:
        number = float(value)
    if number is None or not 0 < number < float("inf"):
        raise UsageError(f"{argument}={value!r} is not a rate; expected {_RATE}.")
    return number


def _verify_path(value: str, argument: str) -> None:
    module, separator, attribute = value.partition(":")
    if not (module and separator and attribute):
        raise UsageError(f'{argument}={value!r} is wrong; expected "package.module:name".')


def _verify_durations(value: list[Any], argument: str) -> None:
    """Look at the durations in a list, and in lists in it; how many there must be is left to the check."""
    for item in value:
        if isinstance(item, list):
            _verify_durations(item, argument)
        else:
            durations.microseconds(item, argument)


def _meta(description: str, verify: Callable[[Any, str], object] | None = None, **limits: Any) -> Meta:
    return Meta(description=description, extra={"verify": verify} if verify else None, **limits)


Text: TypeAlias = Annotated[str, _meta("text that is not empty", min_length=1)]
Texts: TypeAlias = Annotated[list[str], _meta("a list of texts")]
Items: TypeAlias = Annotated[list[Any], _meta("a list")]
Table: TypeAlias = Annotated[dict[str, Any], _meta("a table")]
Switch: TypeAlias = Annotated[bool, _meta("true or false")]
Seed: TypeAlias = Annotated[int, _meta("a whole number")]
Count: TypeAlias = Annotated[int, _meta("a whole number of at least 0", ge=0)]
Fraction: TypeAlias = Annotated[float, _meta("a number from 0 to 1", ge=0, le=1)]
Path: TypeAlias = Annotated[str, _meta('text such as "package.module:name"', _verify_path)]
Duration: TypeAlias = Annotated[str | int | float, _meta(_DURATION, durations.microseconds)]
Durations: TypeAlias = Annotated[list[Any], _meta('a list of durations such as [1, "2s"]', _verify_durations)]
Rate: TypeAlias = Annotated[str | int | float, _meta(_RATE, per_second)]
Instant: TypeAlias = Annotated[
    datetime.datetime, _meta("a date and time such as 2030-01-01T00:00:00Z, without quotes or with them")
]
