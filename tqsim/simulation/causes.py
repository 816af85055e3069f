"""What the test's own publishes have caused and is not over yet.

The main name is :class:`Causes`.  Celery's ``root_id`` joins everything that one publish caused:
retries, callbacks, chains, chords.  A message counts from its publish until the broker is rid of
it, a run until it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tqsim.broker.tasks import task_of

__all__ = ["Causes"]

_GONE: Final = (
    "message.acked",
    "message.rejected",
    "message.dropped",
    "message.expired",
    "message.unroutable",
)


class Causes:
    """Follows the messages of tasks whose root was published by the test itself.

    ``running()`` gives the ids of the tasks that run now; ``is_test()`` whether the test itself asks for what
    happens now.
    """

    def __init__(self, is_test: Callable[[], bool], running: Callable[[], list[str]]) -> None:
        self._is_test = is_test
        self._running = running
        self._depth = 0
        self._roots: dict[str, None] = {}
        self._messages: dict[tuple[int, str], str] = {}
        self._tasks: dict[str, str] = {}

    @property
    def is_following(self) -> bool:
        """Whether an eager block is open."""
        return self._depth > 0

    def begin(self) -> None:
        """Start to follow; blocks may nest."""
        self._depth += 1

    def end(self) -> None:
        """Stop following, and forget."""
        self._depth -= 1
        if not self._depth:
            self._roots.clear()
            self._messages.clear()
            self._tasks.clear()

    @property
    def is_open(self) -> bool:
        """Whether something that a publish of the test caused is still on its way."""
        if self._messages:
            return True
        return any(task_id in self._tasks for task_id in self._running())

    def describe(self) -> str:
        """What is still on its way, in words."""
        names = list(dict.fromkeys(self._messages.values()))
        names += [self._tasks[task_id] for task_id in self._running() if task_id in self._tasks]
        return ", ".join(names) or "nothing"

    def observe(self, name: str, **fields: Any) -> None:
        """Take what the broker tells."""
        message = fields.get("message")
        if message is None or not self._depth:
            return
        task = task_of(message)
        if task is None:
            return
        task_id, headers = task
        if name == "message.published":
            root = headers.get("root_id") or task_id
            if self._is_test():
                self._roots[root] = None
            if root in self._roots:
                self._tasks[task_id] = str(headers["task"])
        elif task_id in self._tasks:
            key = (message.number, f"{fields.get('vhost')}:{fields.get('queue')}")
            if name == "message.queued":
                self._messages[key] = f"{headers['task']} {task_id}"
            elif name in _GONE:
                self._messages.pop(key, None)
