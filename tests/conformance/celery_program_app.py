"""The application of the generated Celery programs; it runs in the simulation and in real workers.

A real worker is started with ``celery -A tests.conformance.celery_program_app`` and learns from its environment
where its broker, its results and its notes are.  Every task takes a ``job``, which says what it does, and notes
that it ran.  The main names are :func:`make_app` and :func:`signature_of`.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from celery import Celery, chain, chord, group
from celery.backends.filesystem import FilesystemBackend
from celery.exceptions import Ignore as IgnoreTask
from celery.exceptions import Reject as RejectMessage
from celery.exceptions import SoftTimeLimitExceeded
from kombu import Queue
from kombu.utils.encoding import ensure_bytes

from tests.conformance.celery_programs import (
    ALPHA,
    BETA,
    GAMMA,
    AutoRetry,
    Canvas,
    Chain,
    Group,
    Job,
    Limit,
    Publish,
    Replace,
)

__all__ = ["Place", "WholeFiles", "make_app", "notes_of", "signature_of"]

_LONG_S: Final = 30.0
_LIMIT_S: Final = 1.0
_PRIORITY_MOST: Final = 9
_TASKS: Final[dict[str, dict[str, Any]]] = {
    "early": {},
    "late": {"acks_late": True},
    "lost": {"acks_late": True, "reject_on_worker_lost": True},
    "kept": {"acks_late": True, "acks_on_failure_or_timeout": False},
    "paced": {"rate_limit": "4/s"},
    "auto": {"autoretry_for": (KeyError,), "retry_backoff": 1, "retry_jitter": False, "max_retries": 2},
}


@dataclass(frozen=True)
class Place:
    """Where an application finds its servers and leaves its notes."""

    broker: str
    results: str
    folder: Path

    def environment(self) -> dict[str, str]:
        """Return what a real worker has to be told."""
        return {"PROGRAM_BROKER": self.broker, "PROGRAM_RESULTS": self.results, "PROGRAM_FOLDER": str(self.folder)}

    @staticmethod
    def whole_files(folder: Path) -> str:
        """Return the URL of results in a folder."""
        return f"{__name__}:{WholeFiles.__name__}+file://{folder}"

    @classmethod
    def of_environment(cls) -> Place:
        """Return what this process was told."""
        names = ("PROGRAM_BROKER", "PROGRAM_RESULTS", "PROGRAM_FOLDER")
        broker, results, folder = (os.environ[name] for name in names)
        return cls(broker, results, Path(folder))


class WholeFiles(FilesystemBackend):
    """Results in files, which are replaced as a whole.

    Celery writes them in place: who reads meanwhile finds half of a result, and two writers leave a mixture.
    """

    def set(self, key: bytes, value: bytes) -> None:
        """Store a result."""
        path = Path(os.fsdecode(self._filename(key)))
        draft = path.with_name(f"draft-{os.getpid()}")
        draft.write_bytes(ensure_bytes(value))
        draft.replace(path)


def make_app(place: Place) -> Any:
    """Return the application."""
    app = Celery("programs", broker=place.broker, backend=place.results, set_as_current=False)
    arguments = {"x-max-priority": _PRIORITY_MOST}
    app.conf.update(
        task_queues=[Queue(name, routing_key=name, queue_arguments=arguments) for name in (ALPHA, BETA, GAMMA)],
        task_default_queue=BETA,
        task_default_routing_key=BETA,
        result_extended=True,
        broker_connection_retry_on_startup=True,
    )
    for name, options in _TASKS.items():

        def body(self: Any, *passed: Any, job: dict[str, Any]) -> Any:
            _note_run(place.folder, self.request, passed, job)
            return _end(self, passed, job)

        app.task(body, name=name, bind=True, shared=False, **options)

    def inline(request: Any, error: Any, traceback: Any) -> None:
        """Note an error where it is noticed: Celery calls what takes three arguments on the spot."""
        _note(place.folder, request.id.partition(".")[0], {"inline": request.id, "error": repr(error)})

    app.task(inline, name="inline", shared=False)
    return app


# -- notes ------------------------------------------------------------------------------------


def notes_of(folder: Path, program: str) -> list[dict[str, Any]]:
    """Return what the tasks of a program have noted, in order."""
    path = folder / f"{program}.notes"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _note(folder: Path, program: str, note: dict[str, Any]) -> None:
    with (folder / f"{program}.notes").open("a") as file:
        file.write(json.dumps(note) + "\n")


def _note_run(folder: Path, request: Any, passed: Any, job: dict[str, Any]) -> None:
    info = request.delivery_info
    late_s = None
    if request.eta is not None:
        late_s = (datetime.now(UTC) - datetime.fromisoformat(request.eta)).total_seconds()
    note = {
        "alias": job["alias"], "id": request.id, "parent": request.parent_id, "root": request.root_id,
        "retries": request.retries, "passed": repr(list(passed)), "late_s": late_s, "expires": bool(request.expires),
        "redelivered": info.get("redelivered"), "key": info.get("routing_key"), "exchange": info.get("exchange"),
        "priority": info.get("priority"), "mark": request.get("mark"), "headers": request.headers,
        "limits": request.timelimit, "ignore_result": request.ignore_result, "worker": request.hostname,
    }  # fmt: skip
    _note(folder, job["program"], note)


# -- what a task does -------------------------------------------------------------------------


def _end(task: Any, passed: Any, job: dict[str, Any]) -> Any:
    kind, details = job["deed"]
    if kind in _DEEDS:
        _DEEDS[kind](task, details)
    return [job["alias"], *passed]


def _fail(task: Any, details: Any) -> None:
    raise ValueError("no")


def _sleep(task: Any, details: Any) -> None:
    time.sleep(details["seconds"])  # virtual, or in a real worker


def _retry(task: Any, details: Any) -> None:
    if task.request.retries < details["times"]:
        error = ValueError("again") if details["with_error"] else None
        raise task.retry(countdown=details["countdown_s"], max_retries=details["most"], exc=error)


def _retry_by_itself(task: Any, details: Any) -> None:
    if task.request.retries < details["times"]:
        raise KeyError("again")


def _reject(task: Any, details: Any) -> None:
    if not task.request.delivery_info.get("redelivered"):
        raise RejectMessage("no", requeue=details["requeue"])


def _ignore(task: Any, details: Any) -> None:
    raise IgnoreTask


def _overrun(task: Any, details: Any) -> None:
    try:
        time.sleep(_LONG_S)  # virtual, or in a real worker
    except SoftTimeLimitExceeded:
        if details["kind"] != "soft caught":
            raise


def _die(task: Any, details: Any) -> None:
    if not task.request.delivery_info.get("redelivered"):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(_LONG_S)  # virtual, or in a real worker


def _publish(task: Any, details: Any) -> None:
    task.app.signature(details["canvas"]).apply_async()


def _replace(task: Any, details: Any) -> None:
    raise task.replace(task.app.signature(details["canvas"]))


_DEEDS: Final = {
    "Fail": _fail, "Sleep": _sleep, "Retry": _retry, "AutoRetry": _retry_by_itself, "Reject": _reject,
    "Ignore": _ignore, "Limit": _overrun, "Die": _die, "Publish": _publish, "Replace": _replace,
}  # fmt: skip


# -- signatures -------------------------------------------------------------------------------


def signature_of(app: Any, canvas: Canvas, program: str, *, with_ids: bool = True) -> Any:
    """Return the Celery signature of a canvas; ids of tasks are the program and their aliases, where they are given."""
    make = partial(signature_of, app, program=program, with_ids=with_ids)
    if isinstance(canvas, Job):
        return _job_signature(app, canvas, program, with_ids)
    if isinstance(canvas, Group):
        return group([make(part) for part in canvas.parts], app=app)
    made = (
        chain([make(part) for part in canvas.parts], app=app)
        if isinstance(canvas, Chain)
        else chord([make(part) for part in canvas.header], make(canvas.body), app=app)
    )
    return made if canvas.link_error is None else made.on_error(make(canvas.link_error))


def _job_signature(app: Any, job: Job, program: str, with_ids: bool) -> Any:
    details: dict[str, Any]
    match job.deed:
        case Publish(canvas):
            details = {"canvas": signature_of(app, canvas, program)}
        case Replace(canvas):
            details = {"canvas": signature_of(app, canvas, program, with_ids=False)}
        case _:
            details = dict(vars(job.deed))
    told = {"alias": job.alias, "program": program, "deed": [type(job.deed).__name__, details]}
    name = "auto" if isinstance(job.deed, AutoRetry) else job.task
    options = _options(job)
    if with_ids:
        options["task_id"] = f"{program}.{job.alias}"
    signature = app.signature(name, kwargs={"job": told}, immutable=job.immutable, options=options)
    if job.link is not None:
        signature.link(signature_of(app, job.link, program, with_ids=with_ids))
    if job.link_error == "inline":
        signature.link_error(app.signature("inline"))
    elif job.link_error is not None:
        signature.link_error(signature_of(app, job.link_error, program, with_ids=with_ids))
    return signature


def _options(job: Job) -> dict[str, Any]:
    options: dict[str, Any] = {"queue": job.queue}
    limits = {"soft_time_limit": _LIMIT_S} if isinstance(job.deed, Limit) else {}
    if isinstance(job.deed, Limit) and job.deed.kind == "hard":
        limits = {"time_limit": _LIMIT_S}
    options.update(limits)
    if job.eta_s is not None:
        options["eta"] = datetime.fromtimestamp(time.time() + job.eta_s, UTC)
    said = {
        "countdown": job.countdown_s,
        "expires": job.expires_s,
        "priority": job.priority,
        "ignore_result": job.ignore_result or None,
        "headers": None if job.mark is None else {"mark": job.mark},
    }
    options.update((name, value) for name, value in said.items() if value is not None)
    return options


if "PROGRAM_FOLDER" in os.environ:
    app = make_app(Place.of_environment())
