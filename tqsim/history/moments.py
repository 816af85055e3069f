"""The vocabulary of moments: every name a history may contain, one line each.

The main name is :data:`MOMENTS`, a mapping from name to meaning; each name also has a constant
(``task.started`` is :data:`TASK_STARTED`).  Histories, fault points, checks and reports use these
names and no others.  What a moment looks like in memory is not said here but in
:mod:`tqsim.history.record`.

A moment has a time, a name, the process that it happened in (``"w1"``, ``"client"``; a pool child
has its worker's name, and its pid in the field ``child``), the task id if one is concerned, and
fields.  These fields mean the same wherever they occur, and the derived lives depend on them:

- ``task``: the task's name.  ``retries``: an integer.  ``queue``, ``exchange``, ``routing_key``: text.
- ``eta``, ``expires``: seconds since the simulation's start (a number), or the ISO text of the
  message header.  ``countdown``: seconds.  ``args``, ``kwargs``: the text of the arguments.
- ``message``: what a message is known by, the same in every queue and through every redelivery; carried with
  ``queue`` by all message moments from ``message.queued`` on.  The task id of a task's message is the
  moment's.  ``no_ack``, on ``message.delivered``: the broker expects no ack and forgets the message.
- ``delivery``: an integer, unique per delivery to a worker; carried by every task moment from
  ``task.received`` on.  Message moments without ``message`` are told apart by it.
- ``redelivered``, on ``task.received``: true or false.  ``requeue``, on ``task.rejected``: true or false.
- ``child``: the pid of a pool child, on ``task.started`` and after; on ``child.ended``, ``pid`` will do.
- ``error``: the text of an exception; on ``process.stopped``, of the one that ended a worker which nobody had asked
  to end.  ``hard``, on ``task.timed_out``: which of the two limits.
- ``kind`` and ``concurrency``, on ``process.started`` and ``restarted``: "worker", "client" or "beat", and
  its number of slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_MEANINGS: dict[str, str] = {}


def _moment(name: str, meaning: str) -> str:
    _MEANINGS[name] = meaning
    return name


MESSAGE_PUBLISHED: Final = _moment("message.published", "a client sent a message to an exchange or a queue")
MESSAGE_UNROUTABLE: Final = _moment("message.unroutable", "no queue took a message, and it is gone")
MESSAGE_QUEUED: Final = _moment("message.queued", "a queue took one copy of a message")
MESSAGE_DELIVERED: Final = _moment("message.delivered", "a queue handed a message to a consumer")
MESSAGE_ACKED: Final = _moment("message.acked", "a consumer acknowledged a message, and the broker forgot it")
MESSAGE_REJECTED: Final = _moment("message.rejected", "a consumer gave a message up, and it left its queue")
MESSAGE_REQUEUED: Final = _moment("message.requeued", "an unacked message became ready in its queue again")
MESSAGE_DROPPED: Final = _moment("message.dropped", "the broker or the network discarded a message")
MESSAGE_EXPIRED: Final = _moment("message.expired", "a message outlived its time to live in a queue")
MESSAGE_DEAD_LETTERED: Final = _moment("message.dead_lettered", "a queue sent a message on to its dead-letter exchange")
MESSAGE_RETURNED: Final = _moment("message.returned", "a mandatory message went back to its sender")

TASK_PUBLISHED: Final = _moment("task.published", "a task message left a process, first or as a retry")
TASK_UNPUBLISHED: Final = _moment("task.unpublished", "a load could not publish a task message, and went on")
TASK_RECEIVED: Final = _moment("task.received", "a worker took a task message, and an attempt begins")
TASK_STARTED: Final = _moment("task.started", "a slot of a worker began to run a task's body")
TASK_SUCCEEDED: Final = _moment("task.succeeded", "a task's body returned")
TASK_FAILED: Final = _moment("task.failed", "an attempt failed for good, with an error")
TASK_RETRIED: Final = _moment("task.retried", "an attempt ended by asking for a retry")
TASK_REJECTED: Final = _moment("task.rejected", "an attempt ended by rejecting its message, requeued or not")
TASK_UNKNOWN: Final = _moment("task.unknown", "a worker knew no task of that name, and gave the message up")
TASK_IGNORED: Final = _moment("task.ignored", "an attempt ended by raising Ignore")
TASK_REVOKED: Final = _moment("task.revoked", "a worker discarded a task that was revoked or had expired")
TASK_LOST: Final = _moment("task.lost", "the child that ran an attempt died")
TASK_TERMINATED: Final = _moment("task.terminated", "the child that ran an attempt was ended on request")
TASK_TIMED_OUT: Final = _moment("task.timed_out", "an attempt reached its soft or hard time limit")

PROCESS_STARTED: Final = _moment("process.started", "a simulated process began: a client, a worker, a beat")
PROCESS_STOPPED: Final = _moment("process.stopped", "a simulated process ended in its own time")
PROCESS_KILLED: Final = _moment("process.killed", "a simulated process was ended without warning")
PROCESS_RESTARTED: Final = _moment("process.restarted", "a simulated process was asked to begin again")
PROCESS_CRASHED: Final = _moment("process.crashed", "the main fiber of a simulated process raised")
CHILD_STARTED: Final = _moment("child.started", "a pool child of a worker began")
CHILD_ENDED: Final = _moment("child.ended", "a pool child of a worker ended, and what it ran with it")
WORKER_READY: Final = _moment("worker.ready", "a worker consumes from its queues")
BEAT_SENT: Final = _moment("beat.sent", "beat sent a scheduled task that was due")

QUEUE_DECLARED: Final = _moment("queue.declared", "a queue was declared and exists from here on")
QUEUE_DELETED: Final = _moment("queue.deleted", "a queue was deleted, and its ready messages with it")
CONNECTION_OPENED: Final = _moment("connection.opened", "a process connected to a server")
CONNECTION_CLOSED: Final = _moment("connection.closed", "a process closed its connection to a server")
BROKER_STOPPED: Final = _moment("broker.stopped", "the broker's server went away")
BROKER_STARTED: Final = _moment("broker.started", "the broker's server came up, at the start or again")

SERVICE_CALLED: Final = _moment("service.called", "task code called a simulated service")
SERVICE_ANSWERED: Final = _moment("service.answered", "a simulated service answered a call")
SERVICE_FAILED: Final = _moment("service.failed", "a simulated service refused a call or let it time out")

FAULT_INSTALLED: Final = _moment("fault.installed", "a fault's rule was added")
FAULT_REMOVED: Final = _moment("fault.removed", "a fault's rule was taken away")
FAULT_STRUCK: Final = _moment("fault.struck", "a fault's rule decided against an operation")

NOTE_WRITTEN: Final = _moment("note.written", "the user's own mark")

MOMENTS: Final[Mapping[str, str]] = MappingProxyType(_MEANINGS)
"""Every name of a moment and its meaning, in the order of this file."""
