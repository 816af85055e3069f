"""Faults that strike at a given time and pass.

The main name is :class:`Fault`, a named list of :class:`Step`; the functions make the usual ones.
Times count from the moment at which the fault is added to a simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tqsim import durations
from tqsim.durations import Duration
from tqsim.errors import UsageError

__all__ = ["Fault", "Step", "broker_restart", "outage", "worker_kill"]

_REPAIRS: Final = ("service.recover", "worker.restart", "broker.start")


@dataclass(frozen=True, slots=True)
class Step:
    """One action: ``verb`` upon ``target`` at ``at_us`` microseconds after the fault was added.

    Verbs: ``service.fail``, ``service.recover``, ``worker.kill``, ``worker.restart``,
    ``broker.stop``, ``broker.start``.
    """

    at_us: int
    verb: str
    target: str

    @property
    def repairs(self) -> bool:
        """Whether the step ends what an earlier one began."""
        return self.verb in _REPAIRS


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong: its ``name`` in words, and what happens when."""

    name: str
    steps: tuple[Step, ...]


def outage(service: str, *, at: Duration, for_: Duration) -> Fault:
    """The service called ``service`` is down for a while: calls to it fail at once."""
    at_us, length_us = durations.microseconds(at, "at"), durations.microseconds(for_, "for_")
    return Fault(
        f"outage of {service} at {durations.text(at_us)} for {durations.text(length_us)}",
        (
            Step(at_us, "service.fail", _named(service, "service")),
            Step(at_us + length_us, "service.recover", service),
        ),
    )


def worker_kill(worker: str, *, at: Duration, restart_after: Duration | None = None) -> Fault:
    """The worker called ``worker`` dies at once (SIGKILL), and perhaps starts again later."""
    at_us = durations.microseconds(at, "at")
    steps = [Step(at_us, "worker.kill", _named(worker, "worker"))]
    text = f"kill of {worker} at {durations.text(at_us)}"
    if restart_after is not None:
        delay_us = durations.microseconds(restart_after, "restart_after")
        steps.append(Step(at_us + delay_us, "worker.restart", worker))
        text += f", restart {durations.text(delay_us)} later"
    return Fault(text, tuple(steps))


def broker_restart(*, at: Duration, down_for: Duration = 0) -> Fault:
    """The broker shuts down, and starts again after ``down_for``; what is durable survives."""
    at_us, length_us = durations.microseconds(at, "at"), durations.microseconds(down_for, "down_for")
    return Fault(
        f"restart of the broker at {durations.text(at_us)}, down for {durations.text(length_us)}",
        (Step(at_us, "broker.stop", "broker"), Step(at_us + length_us, "broker.start", "broker")),
    )


def _named(name: str, argument: str) -> str:
    if not isinstance(name, str) or not name:
        raise UsageError(f"{argument}={name!r} is not a name; expected text.")
    return name
