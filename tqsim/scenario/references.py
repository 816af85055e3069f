"""Whether the names in a scenario lead anywhere: tasks, queues, workers and services.

The main name is :func:`require_known_names`.  It looks before anything runs, so that a misspelt name is
not found out an hour of virtual time later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from celery import Celery

from tqsim.broker.rabbitmq.topics import matches, words
from tqsim.errors import UsageError
from tqsim.scenario.faulting import OfLinks, Outage, WorkerKill
from tqsim.scenario.importing import task_names
from tqsim.scenario.lines import KeyPath
from tqsim.scenario.places import Places, dotted, nearest
from tqsim.scenario.schema import Scenario

__all__ = ["Applications", "require_known_names"]

#: The scenario's application under an empty name, and those of workers under the workers' names.
Applications = Mapping[str, Celery]


def require_known_names(scenario: Scenario, apps: Applications, places: Places) -> None:
    """Raise :class:`~tqsim.UsageError` for a task, queue, worker or service that is not there."""
    tasks = sorted({name for app in apps.values() for name in task_names(app)})
    for name, load in scenario.load.items():
        _require(load.task, tasks, ("load", name, "task"), places, "task", "is not registered")
    for name in scenario.costs:
        _require(name, tasks, ("costs", name), places, "task", "is not registered")
    for name, expectation in scenario.expect.items():
        task = getattr(expectation, "task", None)
        if task is not None:
            _require(task, tasks, ("expect", name, "task"), places, "task", "is not registered")
    for name, fault in scenario.faults.items():
        path = ("faults", name)
        if isinstance(fault, Outage):
            _require(fault.service, scenario.services, (*path, "service"), places, "service", "is unknown")
        elif isinstance(fault, WorkerKill):
            _require(fault.worker, scenario.workers, (*path, "worker"), places, "worker", "is unknown")
        elif isinstance(fault, OfLinks) and fault.process is not None:
            processes = [*scenario.workers, *scenario.load, *(["beat"] if scenario.beat is not None else [])]
            _require(fault.process, processes, (*path, "process"), places, "process", "is unknown")
    _require_queues(scenario, apps, places)


def _require(name: str, known: Iterable[str], path: KeyPath, places: Places, noun: str, complaint: str) -> None:
    names = list(known)
    if name not in names:
        raise places.error(path, f"{dotted(path)}: {noun} {name!r} {complaint}; {nearest(name, names)}")


def _require_queues(scenario: Scenario, apps: Applications, places: Places) -> None:
    consumed: dict[str, None] = {}
    for name, worker in scenario.workers.items():
        app = apps[name]
        declared = _declared(app)
        for number, queue in enumerate(worker.queues or []):
            if queue not in declared and not app.conf.task_create_missing_queues:
                raise places.error(
                    ("workers", name, "queues", str(number)),
                    f"workers.{name}.queues: queue {queue!r} is not in the application's task_queues, and "
                    f"task_create_missing_queues is off; {nearest(queue, declared)}",
                )
        consumed.update(dict.fromkeys(worker.queues or declared))
    for name, load in scenario.load.items():
        app = _application_of(load.task, apps)
        asked = load.options.queue
        queues = [asked] if asked else _routed(app, load.task, ("load", name, "task"), places)
        if load.enabled and queues and not any(queue in consumed for queue in queues):
            raise places.error(
                ("load", name, "options", "queue") if asked else ("load", name, "task"),
                f"load.{name} sends to queue {' and '.join(map(repr, queues))}, which no worker consumes; "
                f"{_consumed(consumed)}",
            )


def _consumed(queues: Iterable[str]) -> str:
    names = ", ".join(repr(name) for name in queues)
    return f"the workers consume: {names}." if names else "there are no workers."


def _declared(app: Celery) -> list[str]:
    """Return the queues that a worker of the application consumes unless told otherwise."""
    declared: list[str] = list(app.amqp.Queues(app.conf.task_queues))
    return declared


def _application_of(task: str, apps: Applications) -> Celery:
    return next(app for app in apps.values() if task in app.tasks)


def _routed(app: Celery, task: str, path: KeyPath, places: Places) -> list[str]:
    """Return the queues to which the application's own routes send a task; none where that is not known."""
    declared = app.amqp.Queues(app.conf.task_queues)
    try:
        route: dict[str, Any] = app.amqp.Router(declared).route({}, task)
    except Exception as error:
        raise UsageError(f"{places.of(path)}: the application cannot route {task!r}: {error}") from error
    queue = route.get("queue")
    if queue is not None:
        return [str(getattr(queue, "name", queue))]
    if route.get("exchange"):
        return _bound(declared.values(), route)
    return [str(route.get("routing_key") or app.conf.task_default_queue)]


def _bound(queues: Iterable[Any], route: Mapping[str, Any]) -> list[str]:
    """Return those of the application's queues that an exchange leads to; a headers exchange tells too late."""
    exchange = str(getattr(route["exchange"], "name", route["exchange"]))
    key = str(route.get("routing_key") or "")
    found = []
    for queue in queues:
        if queue.exchange is None or queue.exchange.name != exchange:
            continue
        kind, bound = queue.exchange.type, str(queue.routing_key or "")
        is_match = {"fanout": True, "direct": bound == key, "topic": matches(words(bound), words(key))}
        if is_match.get(kind, False):
            found.append(str(queue.name))
    return found
