"""What may stand in a scenario file: one struct per table.

The main name is :class:`Scenario`.  The structs say names, types and defaults; how a file becomes
one is in :mod:`tqsim.scenario.decoding`, and what is done with it in
:mod:`tqsim.scenario.running`.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct, field

from tqsim.scenario.expectations import Expectation
from tqsim.scenario.faulting import Fault
from tqsim.scenario.kinds import (
    Count,
    Duration,
    Fraction,
    Instant,
    Items,
    Path,
    Rate,
    Seed,
    Switch,
    Table,
    Text,
    Texts,
)

__all__ = [
    "Beat",
    "Broker",
    "Comparison",
    "Exponential",
    "Load",
    "LoadOptions",
    "Lognormal",
    "Run",
    "Scenario",
    "Service",
    "Uniform",
    "Worker",
]

_AT_LEAST_ONE = Meta(description="a whole number of at least 1", ge=1)
_Ones: TypeAlias = Annotated[int, _AT_LEAST_ONE]


class Exponential(Struct, frozen=True, kw_only=True, tag_field="distribution", tag="exponential"):
    """A duration drawn anew each time, exponentially distributed."""

    mean: Duration


class Uniform(Struct, frozen=True, kw_only=True, tag_field="distribution", tag="uniform"):
    """A duration drawn anew each time, evenly from ``low`` to ``high``."""

    low: Duration
    high: Duration


class Lognormal(Struct, frozen=True, kw_only=True, tag_field="distribution", tag="lognormal"):
    """A duration drawn anew each time, log-normally distributed."""

    mean: Duration
    sigma: Annotated[float, Meta(description="a number of at least 0", ge=0)]


class Run(Struct, frozen=True, kw_only=True):
    """How long: let ``length`` pass, then, with ``until_idle``, wait at most ``limit`` for the rest.

    Without either it is until idle.  Messages in ``ignore_queues`` do not count.
    """

    length: Duration | None = None
    until_idle: Switch | None = None
    limit: Duration = "1d"
    ignore_queues: Texts = field(default_factory=list)


class Broker(Struct, frozen=True, kw_only=True):
    """Which broker; without the table the application's URL decides.

    ``persistence`` is of Redis, ``consumer_timeout`` and ``channel_tick_interval`` are of RabbitMQ.
    """

    profile: Annotated[str, Meta(description='"rabbitmq" or "redis"', pattern="^(rabbitmq|redis)$")] = "rabbitmq"
    version: Text | None = None
    persistence: Annotated[str, Meta(description='"none", "rdb" or "aof"', pattern="^(none|rdb|aof)$")] | None = None
    consumer_timeout: Duration | None = None
    channel_tick_interval: Duration | None = None


class Worker(Struct, frozen=True, kw_only=True):
    """A worker, with the options of ``celery worker``; ``app`` is another application's path."""

    app: Path | None = None
    concurrency: _Ones | None = None
    queues: Texts | None = None
    pool: Text | None = None
    prefetch_multiplier: Count | None = None
    max_tasks_per_child: _Ones | None = None
    time_limit: Duration | None = None
    soft_time_limit: Duration | None = None
    task_events: Switch | None = None
    gossip: Switch | None = None
    mingle: Switch | None = None
    heartbeat: Switch | None = None


class Beat(Struct, frozen=True, kw_only=True):
    """Celery's beat, which sends what the application's ``beat_schedule`` says."""

    app: Path | None = None
    max_interval: Duration | None = None


class Service(Struct, frozen=True, kw_only=True):
    """A simulated dependency that takes the place of the function ``replaces``.

    ``error`` is the class of exception that a failed call raises, and ``reply`` the function that
    gives the answer of a call that succeeds.
    """

    replaces: Path | None = None
    latency: Duration | Exponential | Uniform | Lognormal = 0
    capacity: _Ones | None = None
    error_rate: Fraction = 0.0
    error: Path | None = None
    reply: Path | None = None


class LoadOptions(Struct, frozen=True, kw_only=True):
    """What else is said when a task is sent, as in ``apply_async``."""

    queue: Text | None = None
    countdown: Duration | None = None
    expires: Duration | None = None
    priority: Count | None = None


class Load(Struct, frozen=True, kw_only=True):
    """Tasks that come in from outside, ``rate`` a second ``for`` a while, beginning ``after`` a delay.

    ``{number}`` in a text of ``args`` or ``kwargs`` stands for the number of the arrival, from 0; a text
    that is nothing else becomes that number.
    """

    task: Text
    rate: Rate
    for_: Duration = field(name="for")
    arrivals: Annotated[str, Meta(description='"constant" or "poisson"', pattern="^(constant|poisson)$")] = "poisson"
    after: Duration = 0
    args: Items = field(default_factory=list)
    kwargs: Table = field(default_factory=dict)
    options: LoadOptions = LoadOptions()
    enabled: Switch = True


class Comparison(Struct, frozen=True, kw_only=True):
    """What must hold between two variants: ``figure`` is ``times`` as large in ``larger`` as in ``smaller``."""

    figure: Text
    larger: Text
    smaller: Text
    times: Annotated[float, Meta(description="a number above 0", gt=0)] = 1.0


class Scenario(Struct, frozen=True, kw_only=True):
    """One story: an application, the world around it, what goes wrong, and what must hold."""

    title: Text
    app: Path
    description: Annotated[str, Meta(description="text")] = ""
    setup: Path | None = None
    seed: Seed = 0
    policy: Text = "fifo"
    start: Instant = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    timezone: Text = "UTC"
    preemption: Duration = "10ms"
    isolate_globals: Switch = False
    run: Run = Run()
    broker: Broker | None = None
    beat: Beat | None = None
    workers: dict[str, Worker] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    costs: dict[str, Duration | Exponential | Uniform | Lognormal] = field(default_factory=dict)
    load: dict[str, Load] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    expect: dict[str, Expectation] = field(default_factory=dict)
    compare: dict[str, Comparison] = field(default_factory=dict)
    variants: dict[str, Any] = field(default_factory=dict)
