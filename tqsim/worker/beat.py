"""Celery's beat as a simulated process: its own ``Service`` on virtual time.

The main name is :class:`BeatProgram`.  The schedule file of the default scheduler lives in a
temporary directory of the simulation, so that a restart finds it and nothing is left behind.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any, Final

from celery import beat
from celery.utils.imports import load_extension_class_names, symbol_by_name

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.errors import UsageError
from tqsim.kernel import Kernel, Process
from tqsim.worker.runtime import Note

__all__ = ["BeatProgram"]

_SCHEDULE_FILE: Final = "celerybeat-schedule"
_OPTIONS: Final = ("max_interval", "scheduler")


class BeatProgram:
    """One beat; ``options`` are ``max_interval`` and ``scheduler``, as of ``celery beat``.

    Raises :class:`~tqsim.UsageError` for any other.
    """

    def __init__(self, kernel: Kernel, app: Any, name: str, options: dict[str, Any], note: Note | None) -> None:
        self.app = app
        self.name = name
        self.process: Process | None = None
        for option, value in options.items():
            if option not in _OPTIONS:
                raise UsageError(
                    f"beat {name!r}: {option}={value!r} is not an option of a beat; accepted are: "
                    f"{', '.join(sorted((*_OPTIONS, 'app')))}."
                )
        max_interval = options.get("max_interval")
        if max_interval is not None and (
            isinstance(max_interval, bool) or not isinstance(max_interval, (int, float)) or max_interval <= 0
        ):
            raise UsageError(
                f"beat {name!r}: max_interval={max_interval!r} is not possible; expected a number of seconds above 0."
            )
        self._scheduler = _find_scheduler(name, options.get("scheduler") or app.conf.beat_scheduler)
        self._kernel = kernel
        self._options = options
        self._note = note
        self._directory: str | None = None
        self._starts = 0

    @property
    def is_alive(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.is_alive

    def start(self) -> None:
        """Start the process."""
        if self.is_alive:
            raise UsageError(f"Beat {self.name!r} is running already; kill() or stop() it first.")
        self._starts += 1
        if self._directory is None:
            self._directory = tempfile.mkdtemp(prefix="tqsim-beat-")
            self._kernel.patches.on_undo(lambda: shutil.rmtree(str(self._directory), ignore_errors=True))
        process = self.process = self._kernel.new_process(self.name)
        self._tell("process.restarted" if self._starts > 1 else "process.started", kind="beat", pid=process.pid)
        self._kernel.loop.spawn(self._run, self.name, process).background = True

    def _run(self) -> None:
        assert self.process is not None
        process = self.process
        self.app.set_current()
        service = beat.Service(
            self.app,
            max_interval=self._options.get("max_interval"),
            schedule_filename=str(Path(str(self._directory)) / _SCHEDULE_FILE),
            scheduler_cls=self._scheduler,
        )

        def end(number: int, frame: Any) -> None:
            # celery.apps.beat.Beat.install_sync_handler
            service.sync()
            raise SystemExit(0)

        process.handlers[signal.SIGTERM] = process.handlers[signal.SIGINT] = end
        _make_patient(self._kernel, service.scheduler)
        self._tell_of_entries(service.scheduler)
        try:
            service.start()
        except SystemExit:
            pass
        self._tell("process.stopped", kind="beat")
        self._kernel.end_process(process, 0)

    def _tell_of_entries(self, scheduler: Any) -> None:
        apply_entry = scheduler.apply_entry

        def telling(entry: Any, *args: Any, **kwargs: Any) -> Any:
            self._tell("beat.sent", entry=entry.name, task=entry.task)
            return apply_entry(entry, *args, **kwargs)

        scheduler.apply_entry = telling

    def stop(self) -> None:
        """Ask it to write its schedule and end."""
        self._require_alive("stop")
        assert self.process is not None
        self._kernel.system.deliver(self.process, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._require_alive("kill")
        assert self.process is not None
        self._tell("process.killed", kind="beat", signal="SIGKILL")
        self._kernel.end_process(self.process, -signal.SIGKILL)

    def _require_alive(self, what: str) -> None:
        if not self.is_alive:
            raise UsageError(f"Beat {self.name!r} cannot {what}: it has ended already. Start it with restart().")

    def _tell(self, name: str, **fields: Any) -> None:
        if self._note is not None:
            self._note(name, self.name, None, **fields)


def _make_patient(kernel: Kernel, scheduler: Any) -> None:
    """Let time pass where beat would spin.

    Beat wakes 10 ms early (``Scheduler.adjust``) and then calls ``tick`` again and again until
    the entry is due; the last milliseconds pass in the real loop and never in virtual time.
    """
    tick = scheduler.tick
    loop = kernel.loop
    spins = [0, -1]

    def patient_tick(*args: Any, **kwargs: Any) -> Any:
        interval = tick(*args, **kwargs)
        if interval and interval > 0:
            spins[:] = [0, loop.now_us]
            return interval
        spins[0] = spins[0] + 1 if spins[1] == loop.now_us else 1
        spins[1] = loop.now_us
        if spins[0] > len(scheduler.schedule) + 1:
            loop.sleep(_time_to_next_us(scheduler))
            spins[0] = 0
        return interval

    scheduler.tick = patient_tick


def _time_to_next_us(scheduler: Any) -> int:
    heap = scheduler._heap
    if not heap:
        return MICROSECONDS_PER_SECOND
    waits = []
    for event in heap:
        is_due, remaining_s = scheduler.is_due(event[2])
        if is_due:
            return 1
        if isinstance(remaining_s, (int, float)):
            waits.append(remaining_s)
    return max(1, round(min(waits, default=1.0) * MICROSECONDS_PER_SECOND))


def _find_scheduler(name: str, wanted: Any) -> Any:
    """Return the class that is meant, as ``celery.beat.Service.get_scheduler`` finds it."""
    try:
        aliases = dict(load_extension_class_names("celery.beat_schedulers"))
        return symbol_by_name(wanted, aliases=aliases)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"beat {name!r}: scheduler={wanted!r} cannot be loaded ({error}); expected a class, or the path of one."
        ) from None
