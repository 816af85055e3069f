"""From what the broker and the workers tell to the moments of a history.

The main name is :class:`Recorder`.  The moments of a message are kept when it carries a task.
"""

from __future__ import annotations

from typing import Any, Final

from tqsim.broker.tasks import task_of
from tqsim.history import History
from tqsim.kernel import Kernel

__all__ = ["Recorder"]

_BROKER: Final = "broker"
_OF_MESSAGE: Final = ("queue", "redelivered", "reason")


class Recorder:
    """Writes one simulation's history."""

    def __init__(self, kernel: Kernel, history: History) -> None:
        self._agenda = kernel.loop.agenda
        self._record = history.record
        self._history = history
        self._kernel = kernel
        self._home: str | None = None

    def note(self, name: str, process: str, task_id: str | None = None, **fields: Any) -> None:
        """Write a moment of a process."""
        if not self._history.is_sealed:
            self._record(name, at_us=self._agenda.now_us, process=process, task_id=task_id, **fields)

    def observe(self, name: str, **fields: Any) -> None:
        """Take what the broker tells (see :class:`tqsim.broker.rabbitmq.Server`)."""
        if self._history.is_sealed:
            return
        message = fields.get("message")
        if message is not None:
            self._message(name, message, fields)
            return
        now_us = self._agenda.now_us
        if name in ("queue.declared", "queue.deleted"):
            self._record(name, at_us=now_us, process=_BROKER, queue=self._queue_name(fields))
        elif name in ("connection.opened", "connection.closed"):
            self._record(name, at_us=now_us, process=fields["connection"])
        elif name == "server.stopped":
            self._record("broker.stopped", at_us=now_us, process=_BROKER)
        elif name == "server.started":
            self._record("broker.started", at_us=now_us, process=_BROKER)

    def _message(self, name: str, message: Any, fields: dict[str, Any]) -> None:
        task = task_of(message)
        if task is None:
            return  # events, remote control and replies are not a task's life
        task_id, headers = task
        if name == "message.published":
            self._published(message, headers, task_id)
            return
        more = {key: fields[key] for key in _OF_MESSAGE if fields.get(key) is not None}
        if "queue" in more:
            more["queue"] = self._queue_name(fields)
        if "delivery_number" in fields:
            more["delivery"] = fields["delivery_number"]
        now_us = self._agenda.now_us
        self._record(name, at_us=now_us, process=_BROKER, task_id=task_id, message=message.number, **more)

    def _queue_name(self, fields: dict[str, Any]) -> str:
        """The name of a queue, with its vhost where that is not the simulation's first."""
        vhost, queue = fields["vhost"], str(fields["queue"])
        if self._home is None:
            self._home = vhost
        return queue if vhost == self._home else f"{vhost}:{queue}"

    def _published(self, message: Any, headers: Any, task_id: Any) -> None:
        process = self._kernel.speaker
        owner = process if process.parent is None else process.parent
        self._record(
            "task.published",
            at_us=self._agenda.now_us,
            process=owner.name,
            task_id=task_id,
            task=headers.get("task"),
            retries=headers.get("retries") or 0,
            eta=headers.get("eta"),
            expires=headers.get("expires"),
            exchange=message.exchange,
            routing_key=message.routing_key,
            queue=None if message.exchange else message.routing_key,
            args=headers.get("argsrepr"),
            kwargs=headers.get("kwargsrepr"),
            root_id=headers.get("root_id"),
            parent_id=headers.get("parent_id"),
            group_id=headers.get("group"),
        )
