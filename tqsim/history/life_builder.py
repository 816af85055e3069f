"""Builders of one task's life: the meaning of each moment.

The main name is :class:`LifeBuilder`.  It also follows the copies of the task's messages through the
broker, because only they tell a task that waits from a task that is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from tqsim.history.copies import Copies
from tqsim.history.instants import Instants
from tqsim.history.lives import TERMINAL_STATES, Attempt, Publish, TaskLife
from tqsim.history.values import JsonValue

_Fields = Mapping[str, JsonValue]

_OUTCOMES: Final = {f"task.{word}": word for word in (*TERMINAL_STATES, "retried", "lost")}
_CUT_OFF: Final = ("lost", "terminated")


class _AttemptBuilder:
    __slots__ = (
        "child",
        "cut",
        "delivery",
        "ended",
        "error",
        "outcomes",
        "received",
        "redelivered",
        "retries",
        "started",
        "worker",
    )

    def __init__(self, delivery: int | None, worker: str) -> None:
        self.delivery = delivery
        self.worker = worker
        self.child: int | None = None
        self.retries = 0
        self.redelivered = False
        # Pairs of time and order.
        self.received: tuple[int, int] | None = None
        self.started: tuple[int, int] | None = None
        self.ended: tuple[int, int] | None = None
        self.cut = False
        self.outcomes: list[str] = []
        self.error: str | None = None

    @property
    def outcome(self) -> str | None:
        for word in self.outcomes:
            if word in _CUT_OFF:
                return word
        if self.outcomes:
            return self.outcomes[0]
        return "lost" if self.cut else None

    def attempt(self, number: int) -> Attempt:
        received, started, ended = self.received, self.started, self.ended
        return Attempt(
            number=number,
            delivery=self.delivery,
            retries=self.retries,
            worker=self.worker,
            child=self.child,
            redelivered=self.redelivered,
            received_us=received[0] if received else None,
            started_us=started[0] if started else None,
            ended_us=ended[0] if ended else None,
            received_order=received[1] if received else None,
            started_order=started[1] if started else None,
            ended_order=ended[1] if ended else None,
            outcome=self.outcome,
            outcomes=tuple(self.outcomes),
            error=self.error,
        )


class LifeBuilder:
    """Takes the moments of one task id in order and gives its life so far."""

    __slots__ = (
        "_attempts",
        "_copies",
        "_details",
        "_first",
        "_id",
        "_instants",
        "_last",
        "_order",
        "_publishes",
        "_settled",
        "_settled_order",
        "_settled_us",
        "_unfinished",
        "is_task",
    )

    def __init__(self, task_id: str, order: int, at_us: int, instants: Instants) -> None:
        self._id = task_id
        self._order = self._last = order
        self._first = at_us
        self._instants = instants
        self._details: dict[str, str] = {}
        self._publishes: list[Publish] = []
        self._attempts: list[_AttemptBuilder] = []
        self._unfinished: list[_AttemptBuilder] = []
        self._copies = Copies()
        self._settled: str | None = None
        self._settled_us: int | None = None
        self._settled_order: int | None = None
        self.is_task = False

    def take_message(self, name: str, order: int, fields: _Fields) -> None:
        """Take a ``message.*`` moment."""
        self._last = order
        self._copies.take(name, fields)
        if name == "message.queued" and fields.get("queue") is not None:
            self._note_queue(str(fields["queue"]))

    def _note_queue(self, queue: str) -> None:
        """A publish to an exchange does not say in which queue it ends; the first that takes it does."""
        self._details.setdefault("queue", queue)
        if self._publishes and self._publishes[-1].queue is None:
            self._publishes[-1] = dataclasses.replace(self._publishes[-1], queue=queue)

    def take_task(self, name: str, order: int, at_us: int, process: str, fields: _Fields) -> None:
        """Take a ``task.*`` moment."""
        self.is_task = True
        self._last = order
        for key in ("task", "queue", "args", "kwargs", "parent_id", "root_id", "group_id"):
            value = fields.get(key)
            if value is not None and key not in self._details:
                self._details[key] = str(value)
        if name == "task.published":
            self._reopen()
            self._publishes.append(self._publish(order, at_us, process, fields))
        elif name != "task.unknown":  # no attempt ever begins
            self._take_attempt(name, order, at_us, process, fields)

    def cut(self, order: int, at_us: int, process: str, child: int | None) -> bool:
        """End the unfinished attempts that a dead process or child held; return whether there were any."""
        found = False
        for attempt in self._open(process):
            if child is None or attempt.child == child:
                attempt.cut = True
                self._end(attempt, order, at_us)
                found = True
        return found

    def is_held_by(self, process: str) -> bool:
        """Whether the process has an unfinished attempt of this task."""
        return bool(self._open(process))

    def life(self) -> TaskLife:
        """Return the life so far."""
        details = self._details
        return TaskLife(
            id=self._id,
            name=details.get("task", ""),
            state=self._state(),
            published_us=self._publishes[0].at_us if self._publishes else self._first,
            settled_us=self._settled_us,
            settled_order=self._settled_order,
            publishes=tuple(self._publishes),
            attempts=tuple(item.attempt(number) for number, item in enumerate(self._attempts, start=1)),
            queue=details.get("queue"),
            args=details.get("args", ""),
            kwargs=details.get("kwargs", ""),
            parent_id=details.get("parent_id"),
            root_id=details.get("root_id"),
            group_id=details.get("group_id"),
            first_order=self._order,
            last_order=self._last,
        )

    def _take_attempt(self, name: str, order: int, at_us: int, process: str, fields: _Fields) -> None:
        attempt = self._attempt_of(name, process, fields)
        retries, child, error = fields.get("retries"), fields.get("child"), fields.get("error")
        if isinstance(retries, int):
            attempt.retries = retries
        if isinstance(child, int):
            attempt.child = child
        if error is not None and attempt.error is None:
            attempt.error = str(error)
        if name == "task.received":
            if not isinstance(retries, int) and self._publishes:
                attempt.retries = self._publishes[-1].retries
            attempt.received = (at_us, order)
            attempt.redelivered = bool(fields.get("redelivered", False))
        elif name == "task.started":
            attempt.started = (at_us, order)
            self._reopen()
        elif name in _OUTCOMES:
            attempt.outcomes.append(_OUTCOMES[name])
            self._end(attempt, order, at_us)
            self._settle(_OUTCOMES[name], order, at_us, requeue=bool(fields.get("requeue", False)))

    def _attempt_of(self, name: str, process: str, fields: _Fields) -> _AttemptBuilder:
        delivery = fields.get("delivery")
        if isinstance(delivery, int):
            for attempt in reversed(self._attempts):
                if attempt.delivery == delivery:
                    return attempt
            for attempt in self._open(process):
                if attempt.delivery is None and attempt.started is None:
                    attempt.delivery = delivery
                    return attempt
        elif name != "task.received":
            # A recorder that knows no deliveries: the latest unfinished attempt of this process.
            unfinished = self._open(process)
            if unfinished:
                return unfinished[-1]
            if name != "task.started" and self._attempts and self._attempts[-1].worker == process:
                return self._attempts[-1]
        attempt = _AttemptBuilder(delivery if isinstance(delivery, int) else None, process)
        self._attempts.append(attempt)
        self._unfinished.append(attempt)
        return attempt

    def _open(self, process: str) -> list[_AttemptBuilder]:
        return [item for item in self._unfinished if item.worker == process]

    def _end(self, attempt: _AttemptBuilder, order: int, at_us: int) -> None:
        if attempt.ended is None:
            attempt.ended = (at_us, order)
            self._unfinished.remove(attempt)

    def _settle(self, outcome: str, order: int, at_us: int, *, requeue: bool) -> None:
        if outcome not in TERMINAL_STATES or (outcome == "rejected" and requeue):
            return
        if self._settled != "succeeded":
            self._settled, self._settled_order, self._settled_us = outcome, order, at_us

    def _reopen(self) -> None:
        if self._settled != "succeeded":
            self._settled = None
            self._settled_order = self._settled_us = None

    def _state(self) -> str:
        if self._settled is not None:
            return self._settled
        if any(item.started for item in self._unfinished):
            return "running"
        last = self._attempts[-1].outcome if self._attempts else None
        if not self._unfinished:
            if self._copies.seen and not self._copies.is_any:
                return "lost"
            if not self._copies.seen and last == "lost":
                return "lost"
        return "retried" if last == "retried" else "pending"

    def _publish(self, order: int, at_us: int, process: str, fields: _Fields) -> Publish:
        retries, queue, countdown = fields.get("retries"), fields.get("queue"), fields.get("countdown")
        return Publish(
            at_us=at_us,
            order=order,
            process=process,
            retries=retries if isinstance(retries, int) else 0,
            queue=None if queue is None else str(queue),
            eta_us=self._instants.microseconds(fields.get("eta")),
            expires_us=self._instants.microseconds(fields.get("expires")),
            countdown=float(countdown) if isinstance(countdown, (int, float)) else None,
        )
