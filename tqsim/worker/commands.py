"""Remote-control commands whose effect belongs to the process that ran them.

The main name is :func:`keep_commands`.  ``rate_limit`` and ``time_limit`` set attributes of a task,
which in production only the worker that was told has; Celery walks the ids of a ``revoke`` in the
order of a set of texts; and ``enable_events`` needs the event dispatcher, which a worker with
neither gossip nor heartbeats has not got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet
from typing import Any, Final

import celery.worker.control
from celery.worker import state as worker_state
from celery.worker.consumer.events import Events
from celery.worker.control import Panel

from tqsim.kernel import Cell, Kernel

__all__ = ["keep_commands"]

#: Commands that change a task, and the attributes they set (celery/worker/control.py).
_ATTRIBUTES: Final = {"rate_limit": ("rate_limit",), "time_limit": ("soft_time_limit", "time_limit")}


class _OrderedIds(MutableSet[Any]):
    """A set that is walked in the order of addition, and shown as a set."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: Any) -> None:
        """Add an item; an item that is there keeps its place."""
        self._items[value] = None

    def discard(self, value: Any) -> None:
        """Remove an item if it is there."""
        self._items.pop(value, None)

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self._items)) + "}" if self._items else "set()"


def keep_commands(kernel: Kernel) -> None:
    """Keep what commands change to the process they run in, until the kernel closes."""
    kernel.patches.set_item(vars(celery.worker.control), "set", _OrderedIds)
    local: set[tuple[int, str]] = set()
    for name, attributes in _ATTRIBUTES.items():
        kernel.patches.set_item(Panel.data, name, _keeping(kernel, Panel.data[name], attributes, local))
    _make_events_patient(kernel)
    kernel.patches.set_item(Panel.data, "enable_events", _dispatching(Panel.data["enable_events"]))


def _make_events_patient(kernel: Kernel) -> None:
    """Let Celery's ``Events`` step connect only when somebody wants events.

    Every production worker has a dispatcher, because of heartbeats and gossip.  A simulated one
    has neither unless asked, so the dispatcher is made when events are first enabled.
    """
    make, start = Events.__init__, Events.start

    def patient_init(step: Any, c: Any, **kwargs: Any) -> None:
        make(step, c, **kwargs)
        step.is_wanted = step.send_events or not kwargs.get("are_events_patient")
        if not step.is_wanted:
            step.enabled = step.send_events = True

    def patient_start(step: Any, c: Any) -> None:
        if step.is_wanted:
            start(step, c)

    kernel.patches.set(Events, "__init__", patient_init)
    kernel.patches.set(Events, "start", patient_start)


def _dispatching(command: Callable[..., Any]) -> Callable[..., Any]:
    def run(state: Any, **kwargs: Any) -> Any:
        consumer = state.consumer
        step = next((step for step in consumer.steps if isinstance(step, Events)), None)
        if consumer.event_dispatcher is None and step is not None and not step.is_wanted:
            step.is_wanted = True
            step.start(consumer)
            consumer.update_strategies()
            for request in tuple(worker_state.reserved_requests):
                request.eventer = consumer.event_dispatcher
        return command(state, **kwargs)

    return run


def _keeping(
    kernel: Kernel, command: Callable[..., Any], attributes: tuple[str, ...], local: set[tuple[int, str]]
) -> Callable[..., Any]:
    def run(state: Any, task_name: Any = None, **kwargs: Any) -> Any:
        task = state.app.tasks.get(task_name)
        if task is not None:
            for attribute in attributes:
                if (id(task), attribute) not in local:
                    local.add((id(task), attribute))
                    _make_local(kernel, task, attribute)
        return command(state, task_name=task_name, **kwargs)

    return run


def _make_local(kernel: Kernel, task: Any, attribute: str) -> None:
    value = getattr(task, attribute)
    kernel.patches.set_item(vars(task), attribute, value)
    kernel.make_local([Cell(vars(task), attribute, lambda process: value)])
