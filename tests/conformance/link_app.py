"""An application for workers that are cut off; a real one is started with ``celery -A tests.conformance.link_app``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

__all__ = ["app", "make_app", "runs"]


def make_app(broker: str, folder: Path, has_control: bool, heartbeat_s: int = 20) -> Any:
    """Return the application; each run of its tasks is noted in ``folder``.

    ``late`` takes its time whenever it runs, ``late_once`` only the first time.
    """
    app = Celery("links", broker=broker, set_as_current=False)
    app.conf.update(
        broker_heartbeat=heartbeat_s,
        worker_enable_remote_control=has_control,
        task_default_queue=f"links-{folder.name}",
    )

    def late(self: Any, seconds: float) -> None:
        time.sleep(seconds)
        with (folder / "runs").open("a") as file:
            file.write(json.dumps(_is_redelivered(self)) + "\n")

    def late_once(self: Any, seconds: float) -> None:
        late(self, 0 if _is_redelivered(self) else seconds)

    for body in (late, late_once):
        app.task(body, name=body.__name__, bind=True, acks_late=True, shared=False)
    return app


def _is_redelivered(task: Any) -> bool:
    return bool(task.request.delivery_info.get("redelivered"))


def runs(folder: Path) -> list[bool]:
    """Return of each run whether its message was redelivered."""
    notes = folder / "runs"
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def _from_environment() -> Any:
    folder = os.environ.get("LINKS_FOLDER")
    if folder is None:
        return None
    has_control, heartbeat_s = os.environ["LINKS_CONTROL"] == "True", int(os.environ["LINKS_HEARTBEAT"])
    return make_app(os.environ["LINKS_BROKER"], Path(folder), has_control, heartbeat_s)


app = _from_environment()
