"""An application for workers that are cut off; a real one is started with ``celery -A tests.conformance.link_app``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

__all__ = ["HEARTBEAT_S", "app", "make_app", "runs"]

HEARTBEAT_S = 20


def make_app(broker: str, folder: Path, has_control: bool) -> Any:
    """Return the application; each run of its task is noted in ``folder``."""
    app = Celery("links", broker=broker, set_as_current=False)
    app.conf.update(
        broker_heartbeat=HEARTBEAT_S,
        worker_enable_remote_control=has_control,
        task_default_queue=f"links-{folder.name}",
    )

    def body(self: Any, seconds: float) -> None:
        time.sleep(seconds)
        with (folder / "runs").open("a") as file:
            file.write(json.dumps(bool(self.request.delivery_info.get("redelivered"))) + "\n")

    app.task(body, name="late", bind=True, acks_late=True, shared=False)
    return app


def runs(folder: Path) -> list[bool]:
    """Return of each run whether its message was redelivered."""
    notes = folder / "runs"
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def _from_environment() -> Any:
    folder = os.environ.get("LINKS_FOLDER")
    if folder is None:
        return None
    return make_app(os.environ["LINKS_BROKER"], Path(folder), os.environ["LINKS_CONTROL"] == "True")


app = _from_environment()
