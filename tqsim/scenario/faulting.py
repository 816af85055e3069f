"""The faults of a scenario file: one struct for each kind, and the :class:`tqsim.faults.Fault` it stands for.

The main names are :data:`Fault` and :func:`fault_of`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field

from tqsim import faults
from tqsim.scenario.kinds import Duration, Switch, Text

__all__ = [
    "BrokerCrash",
    "BrokerRestart",
    "ConnectionReset",
    "Fault",
    "HalfOpen",
    "Latency",
    "MemoryAlarm",
    "OfLinks",
    "Outage",
    "Partition",
    "WorkerKill",
    "fault_of",
]

_Server: TypeAlias = Annotated[str, Meta(description='"broker" or "redis"', pattern="^(broker|redis)$")]
_Loser: TypeAlias = Annotated[str, Meta(description='"path" or "server"', pattern="^(path|server)$")]


class OfLinks(Struct, frozen=True, kw_only=True):
    """Something that befalls the links of a process, or of all, to a server, or to all."""

    process: Text | None = None
    server: _Server | None = None


class Outage(Struct, frozen=True, kw_only=True, tag_field="kind", tag="outage"):
    """A service is down for a while: calls to it fail at once."""

    service: Text
    at: Duration
    for_: Duration = field(name="for")
    enabled: Switch = True


class WorkerKill(Struct, frozen=True, kw_only=True, tag_field="kind", tag="worker_kill"):
    """A worker dies at once (SIGKILL), and perhaps starts again later."""

    worker: Text
    at: Duration
    restart_after: Duration | None = None
    enabled: Switch = True


class BrokerRestart(Struct, frozen=True, kw_only=True, tag_field="kind", tag="broker_restart"):
    """The broker shuts down, and starts again after ``down_for``."""

    at: Duration
    down_for: Duration = 0
    enabled: Switch = True


class BrokerCrash(Struct, frozen=True, kw_only=True, tag_field="kind", tag="broker_crash"):
    """The broker dies without a word, and starts again after ``down_for``."""

    at: Duration
    down_for: Duration = 0
    enabled: Switch = True


class MemoryAlarm(Struct, frozen=True, kw_only=True, tag_field="kind", tag="memory_alarm"):
    """RabbitMQ blocks whoever publishes, for a while."""

    at: Duration
    for_: Duration = field(name="for")
    enabled: Switch = True


class Latency(OfLinks, frozen=True, kw_only=True, tag_field="kind", tag="latency"):
    """What is sent takes a while to arrive, each way."""

    delay: Duration
    jitter: Duration = 0
    at: Duration = 0
    for_: Duration | None = field(name="for", default=None)
    enabled: Switch = True


class Partition(OfLinks, frozen=True, kw_only=True, tag_field="kind", tag="partition"):
    """Nothing arrives, either way, for a while."""

    at: Duration = 0
    for_: Duration | None = field(name="for", default=None)
    enabled: Switch = True


class ConnectionReset(OfLinks, frozen=True, kw_only=True, tag_field="kind", tag="connection_reset"):
    """Every connection is reset at once."""

    at: Duration
    enabled: Switch = True


class HalfOpen(OfLinks, frozen=True, kw_only=True, tag_field="kind", tag="half_open"):
    """Every connection of that moment is lost, and the client is not told."""

    at: Duration
    lost_by: _Loser = "path"
    enabled: Switch = True


Fault: TypeAlias = (
    Outage | WorkerKill | BrokerRestart | BrokerCrash | MemoryAlarm | Latency | Partition | ConnectionReset | HalfOpen
)


def fault_of(fault: Fault) -> faults.Fault:
    """Return what a struct stands for: the function of :mod:`tqsim.faults` of its kind, with its values."""
    make = getattr(faults, str(fault.__struct_config__.tag))
    values = {name: getattr(fault, name) for name in fault.__struct_fields__ if name != "enabled"}
    positional = [values.pop(name) for name in ("service", "worker") if name in values]
    made: faults.Fault = make(*positional, **values)
    return made
