"""Which messages carry a Celery task.

The main name is :func:`task_of`.  A task of message protocol 2 has its name and its id among the
message's headers (celery/app/amqp.py, ``as_task_v2``); events, remote control and replies have not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["carries_task", "task_of"]


def task_of(message: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the id and the headers of the task in a message of the broker, or ``None``."""
    headers = message.properties.get("application_headers")
    if not headers or "task" not in headers:
        return None
    task_id = headers.get("id")
    return None if task_id is None else (task_id, headers)


def carries_task(message: Any) -> bool:
    """Whether a message carries a task."""
    return task_of(message) is not None
