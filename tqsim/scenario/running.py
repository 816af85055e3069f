"""A story runs: :func:`run` makes of each variant a :class:`tqsim.Simulation` and judges its history.

Everything goes through the public API, so a scenario can be written again in Python word for word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
from celery import Celery

from tqsim import durations, load
from tqsim.broker.profile import RabbitMQ, Redis, profile_for
from tqsim.checks import Check
from tqsim.durations import Duration
from tqsim.errors import NoProgress, UnsupportedError, UsageError
from tqsim.load import Arrivals, Distribution
from tqsim.scenario.expectations import build
from tqsim.scenario.faulting import fault_of
from tqsim.scenario.importing import find_application, find_object
from tqsim.scenario.judging import compared, judged, notices, troubles
from tqsim.scenario.kinds import per_second
from tqsim.scenario.loading import Story, Variant
from tqsim.scenario.outcome import Outcome, VariantOutcome
from tqsim.scenario.references import Applications, require_known_names
from tqsim.scenario.schema import (
    Exponential,
    Load,
    Lognormal,
    Uniform,
    Worker,
)
from tqsim.scenario.written import written
from tqsim.simulation import ClientHandle, Simulation

__all__ = ["Observer", "run"]

#: Called with the variant's name, its open simulation, and the length of its run in microseconds, if known.
Observer: TypeAlias = Callable[[str, Simulation, "int | None"], None]

_NUMBER = "{number}"
#: The keys of ``[broker]`` that one of the profiles has.
_ONLY_FOR: Final = {"redis": ("persistence",), "rabbitmq": ("consumer_timeout", "channel_tick_interval")}


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A variant whose names have all been found."""

    variant: Variant
    apps: Applications
    broker: RabbitMQ | Redis
    setup: Callable[[], object] | None
    checks: dict[str, Check]


def run(story: Story, *, reproduction: str = "", observer: Observer | None = None) -> Outcome:
    """Run every variant of a story, one after the other, and judge them.

    ``reproduction`` is the command that repeats the run.  Raises :class:`~tqsim.UsageError` for what the
    file says wrong, before anything runs if it can be known then, and :class:`~tqsim.NoProgress`.
    """
    prepared = [_prepare(variant) for variant in story.variants]
    outcomes = tuple(_run(item, reproduction, observer) for item in prepared)
    return Outcome(outcomes, compared(story, outcomes))


def _prepare(variant: Variant) -> _Prepared:
    scenario, places = variant.scenario, variant.places
    with places.located(()):
        apps = {"": find_application(scenario.app, "app")}
    broker = _broker(variant, apps[""])
    for name, worker in scenario.workers.items():
        with places.located(("workers", name)):
            apps[name] = apps[""] if worker.app is None else find_application(worker.app, "app")
    require_known_names(scenario, apps, places)
    with places.located(("setup",)):  # its module is imported before a simulation is open
        setup = None if scenario.setup is None else _find_setup(scenario.setup)
    checks: dict[str, Check] = {}
    for name, expectation in scenario.expect.items():
        wanted = expectation.variant
        names = [wanted] if isinstance(wanted, str) else wanted
        with places.located(("expect", name)):
            check = build(expectation)
        if names is None or variant.name in names:
            checks[name] = check
    return _Prepared(variant, apps, broker, setup, checks)


def _find_setup(path: str) -> Callable[[], object]:
    setup: Callable[[], object] = find_object(path, "setup")
    if not callable(setup):
        raise UsageError(f"{path!r} is of type {type(setup).__name__!r}; expected a function without arguments.")
    return setup


def _set_up(path: str, setup: Callable[[], object]) -> None:
    """Call the scenario's own ``setup``, whose errors are its author's."""
    try:
        setup()
    except NoProgress:
        raise
    except Exception as error:
        raise UsageError(f"{path!r} raised {type(error).__name__}: {error}.") from error


def _run(prepared: _Prepared, reproduction: str, observer: Observer | None) -> VariantOutcome:
    variant, apps = prepared.variant, prepared.apps
    scenario, places = variant.scenario, variant.places
    with places.located(()):
        simulation = Simulation(
            apps[""],
            seed=scenario.seed,
            policy=scenario.policy,
            start=scenario.start,
            timezone=scenario.timezone,
            preemption=scenario.preemption,
            isolate_globals=scenario.isolate_globals,
            broker=prepared.broker,
            reproduction=reproduction,
        )
    with simulation as sim:
        if scenario.setup is not None and prepared.setup is not None:
            with places.located(("setup",)):
                _set_up(scenario.setup, prepared.setup)
        clients = _furnish(sim, variant, apps)
        if observer is not None:
            length = scenario.run.length
            observer(variant.name, sim, None if length is None else durations.microseconds(length))
        _pass_time(sim, variant)
        ended_early = troubles(clients)
    judgements = judged(sim.history, prepared.checks, variant)
    return VariantOutcome(variant.name, sim.history, judgements, ended_early, notices(sim.history))


def _broker(variant: Variant, app: Celery) -> RabbitMQ | Redis:
    """Return the file's broker, or the one that the application's URL names.

    Raises :class:`~tqsim.UnsupportedError` if that one is not simulated.
    """
    wanted = variant.scenario.broker
    if wanted is not None:
        for profile, keys in _ONLY_FOR.items():
            for key in keys if profile != wanted.profile else ():
                value = getattr(wanted, key)
                if value is not None:
                    with variant.places.located(("broker", key)):
                        raise UsageError(f'{key}={value!r} is only for profile = "{profile}".')
        kind = Redis if wanted.profile == "redis" else RabbitMQ
        return kind(**_given(wanted, "version", *_ONLY_FOR[wanted.profile]))
    try:
        return profile_for(app)
    except UnsupportedError as error:
        reason = str(error).partition(" Pass Simulation(")[0]  # what follows is the remedy in Python
        raise UnsupportedError(
            f"{variant.places.of(('app',))}: app={written(variant.scenario.app)}: {reason} "
            'Add the table [broker] with profile = "rabbitmq" or "redis" to run it on a simulated server all the same.'
        ) from None


def _furnish(sim: Simulation, variant: Variant, apps: Applications) -> dict[str, ClientHandle]:
    """Start everything of a scenario; return the clients that send its loads."""
    scenario, places = variant.scenario, variant.places
    for name, service in scenario.services.items():
        with places.located(("services", name, "latency")):
            latency = _distribution(service.latency)
        with places.located(("services", name)):
            options = _given(service, "replaces", "capacity", "error_rate")
            for key in ("error", "reply"):
                path = getattr(service, key)
                if path is not None:
                    options[key] = find_object(path, key)
            sim.service(name, latency=latency, **options)
    for task, cost in scenario.costs.items():
        with places.located(("costs", task)):
            sim.cost(task, _distribution(cost))
    for name, worker in scenario.workers.items():
        with places.located(("workers", name)):
            sim.worker(name, app=apps[name], **_worker_options(worker))
    if scenario.beat is not None:
        with places.located(("beat",)):
            app = apps[""] if scenario.beat.app is None else find_application(scenario.beat.app, "app")
            interval = scenario.beat.max_interval
            sim.beat(app=app, max_interval=None if interval is None else _seconds(interval))
    clients: dict[str, ClientHandle] = {}
    for name, wanted in scenario.load.items():
        if wanted.enabled:
            with places.located(("load", name)):
                clients[name] = sim.load(_arrivals(wanted), _signature(wanted, apps), name=name)
    for name, fault in scenario.faults.items():
        if fault.enabled:
            with places.located(("faults", name)):
                sim.faults.add(fault_of(fault))
    return clients


def _pass_time(sim: Simulation, variant: Variant) -> None:
    wanted = variant.scenario.run
    try:
        if wanted.length is not None:
            sim.run(for_=wanted.length)
        if wanted.until_idle or (wanted.until_idle is None and wanted.length is None):
            sim.run_until_idle(limit=wanted.limit, ignore_queues=wanted.ignore_queues)
    except NoProgress as verdict:
        if not variant.name:
            raise
        raise NoProgress(f"Variant {variant.name!r}: {verdict}") from verdict


def _given(struct: msgspec.Struct, *names: str) -> dict[str, Any]:
    """Return the values that were given; None stands for what was not."""
    return {name: getattr(struct, name) for name in names if getattr(struct, name) is not None}


def _worker_options(worker: Worker) -> dict[str, Any]:
    options = _given(worker, *(name for name in worker.__struct_fields__ if name != "app"))
    for key in ("time_limit", "soft_time_limit"):
        if key in options:
            options[key] = _seconds(options[key])
    return options


def _seconds(value: Duration) -> float:
    return durations.seconds(durations.microseconds(value))


def _distribution(value: Duration | Exponential | Uniform | Lognormal) -> Duration | Distribution:
    if isinstance(value, Exponential):
        return load.exponential(value.mean)
    if isinstance(value, Uniform):
        return load.uniform(value.low, value.high)
    if isinstance(value, Lognormal):
        return load.lognormal(value.mean, value.sigma)
    return value


def _arrivals(wanted: Load) -> Arrivals:
    make = load.constant if wanted.arrivals == "constant" else load.poisson
    return make(per_second(wanted.rate), for_=wanted.for_, after=wanted.after)


def _signature(wanted: Load, apps: Applications) -> Callable[[int], Any]:
    app = next(app for app in apps.values() if wanted.task in app.tasks)
    task = app.tasks[wanted.task]
    options = _given(wanted.options, *wanted.options.__struct_fields__)
    for key in ("countdown", "expires"):
        if key in options:
            options[key] = _seconds(options[key])

    def signature(number: int) -> Any:
        return task.signature(_numbered(wanted.args, number), _numbered(wanted.kwargs, number), **options)

    return signature


def _numbered(value: Any, number: int) -> Any:
    """Put the number of the arrival in the place of ``{number}``."""
    if isinstance(value, str):
        return number if value == _NUMBER else value.replace(_NUMBER, str(number))
    if isinstance(value, list):
        return [_numbered(item, number) for item in value]
    if isinstance(value, dict):
        return {key: _numbered(item, number) for key, item in value.items()}
    return value
