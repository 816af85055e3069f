"""What a history says about its run: seed, policy, start, versions and how to reproduce it.

The main name is :class:`RunInfo`.  It takes no part in the digest, which is of moments only.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from tqsim.errors import UsageError


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The circumstances of one run.

    ``start`` is the ISO text of the simulation's first instant; without an offset it is UTC.
    ``versions`` maps a package's name to its version.  ``reproduction`` is the command or the code
    that repeats the run; without it :attr:`line` lists what is known.  Raises
    :class:`~tqsim.UsageError` if ``start`` is not a date and time.
    """

    seed: int | str | None = None
    policy: str = "fifo"
    start: str = "2030-01-01T00:00:00+00:00"
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    reproduction: str = ""

    def __post_init__(self) -> None:
        parse_instant(self.start, "start")

    @property
    def line(self) -> str:
        """The line that ends every report of a failure: how to repeat this run."""
        if self.reproduction:
            return f"Reproduce: {self.reproduction}"
        versions = "".join(f" {name}={version}" for name, version in sorted(self.versions.items()))
        return f"Reproduce: seed={self.seed} policy={self.policy} start={self.start}{versions}"


def parse_instant(text: str, argument: str) -> datetime.datetime:
    """Return ISO text as an aware datetime; without an offset it is UTC.

    Raises :class:`~tqsim.UsageError`, which names ``argument``, if the text cannot be read.
    """
    try:
        instant = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UsageError(
            f'{argument}={text!r} is not an instant; expected ISO text such as "2030-01-01T00:00:00+00:00".'
        ) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=datetime.UTC)
