"""An application on a quorum queue, whose countdowns wait in the broker.

A real worker is started with ``celery -A tests.conformance.delayed_app``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

__all__ = ["QUEUE", "app", "make_app", "runs"]

QUEUE = "delayed"


def make_app(broker: str, folder: Path) -> Any:
    """Return the application; each run of its task is noted in ``folder``."""
    app = Celery("delayed", broker=broker, set_as_current=False)
    app.conf.task_queues = [
        Queue(QUEUE, Exchange(QUEUE, "topic"), routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})
    ]
    app.conf.update(
        task_default_queue=QUEUE,
        task_default_exchange=QUEUE,
        task_default_exchange_type="topic",
        task_default_routing_key=QUEUE,
        worker_detect_quorum_queues=True,
        broker_native_delayed_delivery_queue_type="classic",
    )

    def body(name: str) -> None:
        with (folder / "runs").open("a") as file:
            file.write(f"{name}\n")

    app.task(body, name="note", shared=False)
    return app


def runs(folder: Path) -> list[str]:
    """Return the names of the runs so far."""
    notes = folder / "runs"
    return notes.read_text().split() if notes.exists() else []


def _from_environment() -> Any:
    folder = os.environ.get("DELAYED_FOLDER")
    return None if folder is None else make_app(os.environ["DELAYED_BROKER"], Path(folder))


app = _from_environment()
