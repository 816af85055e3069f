"""Which of Celery's and kombu's places belong to a process.

The main name is :func:`celery_cells`; :func:`app_cells` are those of one application.  Several
real workers share the interpreter, and each must have its own requests, revokes, shutdown flags,
event loop, pools and queues, as it has in production.  Functions that captured one of the
collections as a default argument are led to the present one by :func:`bind_late`.
"""

from __future__ import annotations

import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import celery._state
import celery.app.trace
import celery.worker.consumer.consumer
import celery.worker.consumer.events
import celery.worker.control
import celery.worker.heartbeat
import celery.worker.request
import celery.worker.state
import kombu.asynchronous.hub
import kombu.pools
from celery.utils.collections import LimitedSet

from tqsim.kernel import Cell, Process
from tqsim.kernel.patches import Patches
from tqsim.kernel.steady import OrderedSet

__all__ = ["RequestSet", "app_cells", "bind_late", "celery_cells"]

_state: Final = celery.worker.state


class RequestSet(weakref.WeakSet[Any]):
    """A weak set that is walked in the order of addition instead of memory addresses."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        self.data = OrderedSet()
        self.update(items)


def _limited(maximum: str, expires: str) -> Callable[[Process], Any]:
    return lambda process: LimitedSet(maxlen=getattr(_state, maximum), expires=getattr(_state, expires))


#: The collections of ``celery.worker.state``, and how a new process's are made.
_COLLECTIONS: Final[dict[str, Callable[[Process], Any]]] = {
    "requests": lambda process: {},
    "reserved_requests": lambda process: RequestSet(),
    "active_requests": lambda process: RequestSet(),
    "scheduled_requests": lambda process: RequestSet(),
    "successful_requests": _limited("SUCCESSFUL_MAX", "SUCCESSFUL_EXPIRES"),
    "total_count": lambda process: Counter(),
    "all_total_count": lambda process: [0],
    "revoked": _limited("REVOKES_MAX", "REVOKE_EXPIRES"),
    "revoked_stamps": lambda process: {},
}
#: The same collections under the names by which other modules have imported them.
_ALIASES: Final = (
    (celery.worker.consumer.consumer, "requests", "requests"),
    (celery.worker.consumer.consumer, "reserved_requests", "reserved_requests"),
    (celery.worker.consumer.consumer, "active_requests", "active_requests"),
    (celery.worker.consumer.consumer, "scheduled_requests", "scheduled_requests"),
    (celery.worker.consumer.consumer, "successful_requests", "successful_requests"),
    (celery.worker.consumer.events, "reserved_requests", "reserved_requests"),
    (celery.worker.heartbeat, "active_requests", "active_requests"),
    (celery.worker.heartbeat, "all_total_count", "all_total_count"),
    (celery.app.trace, "successful_requests", "successful_requests"),
    (celery.worker.request, "revoked_tasks", "revoked"),
    (celery.worker.request, "revoked_stamps", "revoked_stamps"),
)


def celery_cells() -> list[Cell]:
    """Return the process-local places of Celery and kombu themselves.

    A name that this version of Celery does not have is left out.
    """
    made: dict[tuple[int, str], Any] = {}

    def of_process(name: str) -> Callable[[Process], Any]:
        def fresh(process: Process) -> Any:
            key = (id(process), name)
            if key not in made:
                made[key] = _COLLECTIONS[name](process)
            return made[key]

        return fresh

    places = [(_state, name, name) for name in _COLLECTIONS] + list(_ALIASES)
    cells = [
        Cell(vars(module), alias, of_process(name), is_rebound=False)
        for module, alias, name in places
        if hasattr(module, alias)
    ]
    cells += [
        Cell(vars(_state), "should_stop", lambda process: None),
        Cell(vars(_state), "should_terminate", lambda process: None),
        Cell(vars(kombu.asynchronous.hub), "_current_loop", lambda process: None),
        Cell(vars(kombu.pools), "connections", lambda process: _pool_group("connections")),
        Cell(vars(kombu.pools), "producers", lambda process: _pool_group("producers")),
        Cell(vars(celery._state), "_task_join_will_block", lambda process: False),
        Cell(vars(celery._state), "default_app", lambda process: celery._state.default_app),
        Cell(vars(celery.app.trace), "_localized", lambda process: []),
    ]
    return cells


def _pool_group(name: str) -> Any:
    kind = type(getattr(kombu.pools, name))
    return kind(limit=kombu.pools.use_global_limit)


def app_cells(app: Any) -> list[Cell]:
    """Return the process-local places of one Celery application.

    Queues, producers and remote control hang on ``app.amqp`` and ``app.control``; a second
    worker's ``queues=`` must not overwrite the first's.
    """
    # Built now, so that the values of the test's own process stand in the places.
    for name in ("amqp", "control", "events"):
        getattr(app, name)
    namespace = app.__dict__
    return [
        Cell(namespace, "amqp", lambda process: _fresh(app, "amqp")),
        Cell(namespace, "control", lambda process: _fresh(app, "control")),
        Cell(namespace, "events", lambda process: _fresh(app, "events")),
        Cell(namespace, "clock", lambda process: type(namespace["clock"])()),
        Cell(namespace, "_pool", lambda process: None),
    ]


def _fresh(app: Any, name: str) -> Any:
    """Build the cached attribute ``name`` of an application anew, leaving the present one."""
    present = app.__dict__.pop(name, None)
    try:
        return getattr(app, name)
    finally:
        if present is not None:
            app.__dict__[name] = present


def bind_late(patches: Patches) -> None:
    """Lead default arguments such as ``add=reserved_requests.add`` to the present collection."""
    owners = {id(getattr(_state, name)): name for name in _COLLECTIONS if hasattr(_state, name)}
    for module in (_state, celery.worker.control, celery.worker.request):
        for function in list(vars(module).values()):
            if isinstance(function, types.FunctionType) and function.__defaults__:
                _lead_defaults(patches, function, owners)


def _lead_defaults(patches: Patches, function: types.FunctionType, owners: dict[int, str]) -> None:
    before = function.__defaults__ or ()
    after = tuple(_late(value, owners) for value in before)
    if any(new is not old for new, old in zip(after, before, strict=True)):
        function.__defaults__ = after
        patches.on_undo(lambda: setattr(function, "__defaults__", before))


def _late(value: Any, owners: dict[int, str]) -> Any:
    name = owners.get(id(getattr(value, "__self__", None)))
    if name is not None:
        return _late_method(name, value.__name__)
    name = owners.get(id(value))
    if name is not None:
        return _LateCollection(name)
    return value


def _late_method(name: str, method: str) -> Callable[..., Any]:
    """A method of a collection that is looked up whenever it is called."""
    namespace = vars(_state)

    def late(*args: Any) -> Any:
        return getattr(namespace[name], method)(*args)

    return late


class _LateCollection:
    """A collection that is looked up whenever it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __contains__(self, item: Any) -> bool:
        return item in vars(_state)[self._name]
