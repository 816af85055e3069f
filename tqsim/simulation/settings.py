"""The arguments of a simulation, validated.

The main name is :class:`Settings`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from tqsim import durations
from tqsim.durations import Duration
from tqsim.errors import UsageError
from tqsim.kernel import KernelOptions
from tqsim.kernel.clock import parse_start, parse_zone

__all__ = ["DEFAULT_START", "Settings", "installed_versions"]

DEFAULT_START: Final = "2030-01-01T00:00:00Z"
_PREEMPTED: Final = ("random", "pct")
_ADDRESS: Final = re.compile(r"/.+|[^/\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What :class:`tqsim.Simulation` was asked for; see there for the meaning of each."""

    seed: int
    policy: str
    start: str | datetime.datetime
    timezone: str
    preemption: Duration
    history: bool
    allow_network: Sequence[str]
    still_events_max: int
    stall: Duration
    isolate_globals: bool
    reproduction: str

    def kernel_options(self) -> KernelOptions:
        """Return the kernel's part, or raise :class:`~tqsim.UsageError` for a wrong value."""
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise UsageError(f"seed={self.seed!r} is not a seed; expected a whole number.")
        most = self.still_events_max
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise UsageError(f"still_events_max={most!r}; expected a whole number of events, at least 1.")
        for name in ("history", "isolate_globals"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"{name}={getattr(self, name)!r}; expected True or False.")
        self._check_network()
        preemption_us = durations.microseconds(self.preemption, "preemption")
        is_preempted = isinstance(self.policy, str) and self.policy.startswith(_PREEMPTED)
        return KernelOptions(
            seed=self.seed,
            policy=self.policy,
            start=parse_start(self.start, parse_zone(self.timezone)),
            time_zone=self.timezone,
            preemption_us=preemption_us if is_preempted else 0,
            still_events_max=self.still_events_max,
            stall_s=durations.microseconds(self.stall, "stall") / durations.MICROSECONDS_PER_SECOND,
            allow_network=tuple(self.allow_network),
        )

    def _check_network(self) -> None:
        if isinstance(self.allow_network, str):
            raise UsageError(
                f'allow_network={self.allow_network!r} is text; expected a list such as ["localhost:5432"].'
            )
        for address in self.allow_network:
            if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
                raise UsageError(
                    f'allow_network has {address!r}; expected "host:port" such as "localhost:5432", a host, or the '
                    "path of a Unix socket."
                )


def installed_versions() -> dict[str, str]:
    """The versions that a run depends on, by distribution."""
    return {name: _version(name) for name in ("tqsim-celery", "celery", "kombu")}


def _version(distribution: str) -> Any:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
