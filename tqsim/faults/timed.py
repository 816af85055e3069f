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
from tqsim.faults.conditions import Condition, Route

__all__ = ["REPAIRS", "Fault", "Step", "broker_crash", "broker_restart", "memory_alarm", "outage", "worker_kill"]

#: The verbs of steps that end what an earlier one began.
REPAIRS: Final = ("service.recover", "worker.restart", "broker.start", "broker.calm", "link.mend")


@dataclass(frozen=True, slots=True)
class Step:
    """One action: ``verb`` upon ``target`` at ``at_us`` microseconds after the fault was added.

    One with ``at_us=None`` is taken when the fault is removed, and not before.

    Verbs: ``service.fail``, ``service.recover``, ``worker.kill``, ``worker.restart``, ``broker.stop``,
    ``broker.crash``, ``broker.start``, ``broker.alarm``, ``broker.calm``, and those of links, which have a
    ``route``: ``link.worsen`` and ``link.mend``, by a ``condition``, ``link.reset``, ``link.lost_by_path`` and
    ``link.lost_by_server``.
    """

    at_us: int | None
    verb: str
    target: str
    route: Route | None = None
    condition: Condition | None = None

    @property
    def repairs(self) -> bool:
        """Whether the step ends what an earlier one began."""
        return self.verb in REPAIRS


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


def broker_crash(*, at: Duration, down_for: Duration = 0) -> Fault:
    """The broker dies without a word, and starts again after ``down_for``.

    What is not on disk is lost: see :meth:`tqsim.broker.rabbitmq.Server.crash`.  For RabbitMQ, and for a Redis
    without persistence.
    """
    at_us, length_us = durations.microseconds(at, "at"), durations.microseconds(down_for, "down_for")
    return Fault(
        f"crash of the broker at {durations.text(at_us)}, down for {durations.text(length_us)}",
        (Step(at_us, "broker.crash", "broker"), Step(at_us + length_us, "broker.start", "broker")),
    )


def memory_alarm(*, at: Duration, for_: Duration) -> Fault:
    """RabbitMQ raises its memory alarm for a while: whoever publishes is blocked, consumers are served."""
    at_us, length_us = durations.microseconds(at, "at"), durations.microseconds(for_, "for_")
    return Fault(
        f"memory alarm at {durations.text(at_us)} for {durations.text(length_us)}",
        (Step(at_us, "broker.alarm", "broker"), Step(at_us + length_us, "broker.calm", "broker")),
    )


def _named(name: str, argument: str) -> str:
    if not isinstance(name, str) or not name:
        raise UsageError(f"{argument}={name!r} is not a name; expected text.")
    return name
