"""The clock that code inside a simulation reads.

The main name is :class:`Clock`.  freezegun supplies the stand-ins for ``datetime`` and ``date``
(subclasses with its instance checks, so ``isinstance`` goes on working); their values here are
*plain* ``datetime`` objects, because freezegun's own break yaml, msgpack and pickle.  The
functions of ``time`` read it too; they are :mod:`tqsim.kernel.time_functions`.

Left out: C code that asks the operating system itself (SQLite's is patched by
:mod:`tqsim.kernel.sqlite`), and subclasses of ``datetime`` made before the simulation opened.
"""

from __future__ import annotations

import copyreg
import datetime as datetime_module
import importlib
import os
import pickle
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from typing import Any, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import freezegun.api

from tqsim.errors import UsageError
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches

__all__ = ["Clock", "parse_start", "parse_zone"]

_RealDatetime: Final = freezegun.api.real_datetime
_RealDate: Final = freezegun.api.real_date
_UTC: Final = datetime_module.UTC
_EPOCH: Final = _RealDatetime(1970, 1, 1, tzinfo=_UTC)
_MICROSECOND: Final = datetime_module.timedelta(microseconds=1)
#: A fiber that reads the clock this often without doing anything else is waiting busily.
_BUSY_READS: Final = 20_000
_BUSY_READS_MORE: Final = 100
_BUSY_STEP_US: Final = 1_000


def parse_zone(time_zone: str) -> ZoneInfo:
    """Return the time zone of that name, or raise :class:`~tqsim.UsageError` when there is none."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise UsageError(
            f'timezone={time_zone!r} is not a known time zone; expected a name such as "UTC" or "Europe/Paris".'
        ) from None


def parse_start(start: str | datetime_module.datetime, zone: datetime_module.tzinfo = _UTC) -> datetime_module.datetime:
    """Return the start of a simulation as an aware UTC ``datetime``; a naive value is in ``zone``.

    Raises :class:`~tqsim.UsageError` for text that is no ISO 8601 date.
    """
    if isinstance(start, _RealDatetime):
        value = start
    else:
        try:
            value = _RealDatetime.fromisoformat(start)
        except (TypeError, ValueError):
            raise UsageError(
                f'start={start!r} is not a date and time; expected ISO 8601 such as "2030-01-01T00:00:00Z".'
            ) from None
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(_UTC)


class Clock:
    """Virtual time as the standard library's functions give it.

    ``start`` is aware; ``time_zone`` the name of the zone of every simulated process.
    """

    def __init__(self, loop: Loop, start: datetime_module.datetime, time_zone: str) -> None:
        self._loop = loop
        self._start_us = (start - _EPOCH) // _MICROSECOND
        self.time_zone = time_zone
        self.zone = parse_zone(time_zone)

    @property
    def epoch_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return self._start_us + self._loop.agenda.now_us

    def now(self) -> datetime_module.datetime:
        """The present moment, aware, in UTC."""
        return _EPOCH + self.epoch_us * _MICROSECOND

    def read_us(self) -> int:
        """The clock as a fiber reads it: a fiber that does nothing else is moved on in time."""
        loop = self._loop
        fiber = loop.current
        if fiber is not None:
            fiber.reads += 1
            if fiber.reads > _BUSY_READS:
                self._pass_busy_time(fiber)
        return self._start_us + loop.agenda.now_us

    def _pass_busy_time(self, fiber: Fiber) -> None:
        """Let a moment pass for a fiber that waits by reading the clock: to the next event, or 1 ms."""
        loop = self._loop
        due_us = loop.agenda.next_due_us()
        step_us = _BUSY_STEP_US if due_us is None else due_us - loop.agenda.now_us
        loop.sleep(min(max(step_us, 1), _BUSY_STEP_US))
        # It is known to be waiting now, so the following steps come sooner.
        fiber.reads = _BUSY_READS - _BUSY_READS_MORE

    def replacements(self) -> dict[Any, Any]:
        """The classes of the ``datetime`` module, with their stand-ins."""
        return {
            _RealDatetime: _datetime_class(self, self._loop, self.zone),
            _RealDate: _date_class(self, self._loop, self.zone),
        }

    def install(self, patches: Patches, replacements: dict[Any, Any]) -> None:
        """Enter freezegun's registers, set the process's time zone and make dates picklable.

        Raises :class:`~tqsim.UsageError` when somebody else has frozen the clock.
        """
        if freezegun.api.freeze_factories:
            raise UsageError(
                "The clock is frozen already (freezegun). A simulation has its own clock: leave "
                "freeze_time() before opening it, and set the date with Simulation(start=...)."
            )
        _refuse_time_machine(patches)
        _enter_freezegun(patches, self)
        _enter_time_zone(patches, self.time_zone)
        for original in (_RealDatetime, _RealDate):
            patches.set_item(copyreg.dispatch_table, original, _reduce_plainly)
            _register_with_serialisers(patches, original, replacements[original])


def _datetime_class(clock: Clock, loop: Loop, zone: ZoneInfo) -> type:
    """A stand-in for ``datetime.datetime`` whose every value is a plain ``datetime``."""

    def present(tz: datetime_module.tzinfo | None) -> Any:
        if loop.is_closed or get_ident() != loop.os_thread:
            return _RealDatetime.now(tz)
        moment = _EPOCH + clock.read_us() * _MICROSECOND
        if tz is None:
            return moment.astimezone(zone).replace(tzinfo=None)
        return moment.astimezone(tz)

    class datetime(freezegun.api.FakeDatetime):  # noqa: N801 - it stands in for datetime.datetime
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            target = _RealDatetime if cls.__dict__.get("_is_stand_in") else cls
            return _RealDatetime.__new__(target, *args, **kwargs)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return present(tz)

        @classmethod
        def today(cls) -> Any:
            return present(None)

        @classmethod
        def utcnow(cls) -> Any:
            return present(_UTC).replace(tzinfo=None)

        @classmethod
        def fromtimestamp(cls, timestamp: float, tz: Any = None) -> Any:
            return _RealDatetime.fromtimestamp(timestamp, tz)

        @classmethod
        def strptime(cls, date_string: str, format: str) -> Any:  # noqa: A002 - as the original
            return _RealDatetime.strptime(date_string, format)

    return _finish_class(datetime, _RealDatetime)


def _date_class(clock: Clock, loop: Loop, zone: ZoneInfo) -> type:
    """A stand-in for ``datetime.date`` whose every value is a plain ``date``."""

    class date(freezegun.api.FakeDate):  # noqa: N801 - it stands in for datetime.date
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            target = _RealDate if cls.__dict__.get("_is_stand_in") else cls
            return _RealDate.__new__(target, *args, **kwargs)

        @classmethod
        def today(cls) -> Any:
            if loop.is_closed or get_ident() != loop.os_thread:
                return _RealDate.today()
            return (_EPOCH + clock.read_us() * _MICROSECOND).astimezone(zone).date()

    return _finish_class(date, _RealDate)


def _finish_class(stand_in: Any, real: Any) -> type:
    stand_in._is_stand_in = True
    stand_in.__module__ = "datetime"
    stand_in.__qualname__ = real.__name__
    for name in ("min", "max", "resolution"):
        setattr(stand_in, name, getattr(real, name))
    return cast(type, stand_in)


class _ClassReference:
    """Pickles as ``getattr(import_module("datetime"), name)``: needs no tqsim to be read.

    While a simulation is open ``datetime.datetime`` is a stand-in, so that pickle's usual
    reference by name would be refused ("not the same object").
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> Any:
        return getattr(importlib.import_module("datetime"), self.name)(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (_ModuleReference(), self.name)


class _ModuleReference:
    """Pickles as ``import_module("datetime")``."""

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, ("datetime",)


def _reduce_plainly(value: Any) -> tuple[Any, ...]:
    plain = value.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    return _ClassReference(type(value).__name__), plain[1]


def _register_with_serialisers(patches: Patches, original: Any, stand_in: Any) -> None:
    """Let encoders that were registered for the original class find the stand-in too."""
    import sqlite3  # imported late: not every Python is built with it

    adapters = cast(dict[Any, Any], sqlite3.adapters)
    key = (original, sqlite3.PrepareProtocol)
    if key in adapters:
        patches.set_item(adapters, (stand_in, sqlite3.PrepareProtocol), adapters[key])


def _refuse_time_machine(patches: Patches) -> None:
    """Refuse to open inside ``time_machine.travel``, and to travel inside: two clocks would be mixed."""
    module = sys.modules.get("time_machine")
    if module is None:
        return
    if getattr(module, "coordinates_stack", None):
        raise UsageError(
            "The clock is travelling already (time-machine). A simulation has its own clock: leave "
            "time_machine.travel() before opening it, and set the date with Simulation(start=...)."
        )
    patches.set(module.travel, "start", _refusing("time_machine.travel()"))


def _refusing(what: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise UsageError(
            f"{what} was entered while a simulation is open. A simulation has its own clock: "
            "move it with sim.run(for_=...), or set the date with Simulation(start=...)."
        )

    return refuse


def _enter_freezegun(patches: Patches, clock: Clock) -> None:
    """Register as freezegun's frozen time, and refuse another freeze while that lasts."""
    api = freezegun.api

    def current() -> datetime_module.datetime:
        return clock.now().replace(tzinfo=None)

    registers: list[tuple[list[Any], Any]] = [
        (api.freeze_factories, current),
        (api.tz_offsets, datetime_module.timedelta(0)),
        (api.ignore_lists, ()),
        (api.tick_flags, False),
    ]
    for register, value in registers:
        register.append(value)

    def leave() -> None:
        for register, _ in registers:
            register.pop()

    patches.on_undo(leave)
    patches.set(api._freeze_time, "start", _refusing("freeze_time()"))


def _enter_time_zone(patches: Patches, name: str) -> None:
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()

    def restore() -> None:
        if before is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = before
        time.tzset()

    patches.on_undo(restore)
