"""Clock functions that somebody holds where no search finds them.

The main name is :class:`CapturedClocks`.  ``Column(default=datetime.utcnow)``, ``field(
default_factory=datetime.now)`` and ``partial(time.time)`` keep the C function itself: in a closure,
in an object, in compiled code.  So the C functions are led to the simulation's own, in place: the
table entry that each of them points to (``PyMethodDef``, CPython's Include/methodobject.h) gets
another function pointer, as the time-machine library does with code in C.

Only functions that tell the time are changed.  ``time.sleep`` is not: what is thrown into a fiber
that sleeps could not pass through the C code.  A captured ``time.sleep`` is found as a global or as
a default argument (:mod:`tqsim.kernel.patches`), and waits for real elsewhere.  For the same reason
a wrong argument raises ``SystemError`` here in the place of ``TypeError``.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import freezegun.api

from tqsim.kernel.patches import Patches, is_exempt

__all__ = ["CapturedClocks"]

_RealDatetime: Final = freezegun.api.real_datetime
_RealDate: Final = freezegun.api.real_date
#: ``datetime.today`` is the one of ``date``.
_METHODS: Final = (_RealDatetime.now, _RealDatetime.utcnow, _RealDate.today)
_FUNCTIONS: Final = (
    time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns,
    time.localtime, time.gmtime, time.ctime, time.strftime,
)  # fmt: skip

#: Flags of a C function (methodobject.h), and how one with these flags is called.
_VARARGS, _KEYWORDS, _NOARGS, _CLASS, _FASTCALL = 0x01, 0x02, 0x04, 0x10, 0x80
_Object: Final = ctypes.py_object
_Arguments: Final = ctypes.POINTER(ctypes.py_object)
_Plain: Final = ctypes.PYFUNCTYPE(_Object, _Object, ctypes.c_void_p)
_Tuple: Final = ctypes.PYFUNCTYPE(_Object, _Object, _Object)
_Fast: Final = ctypes.PYFUNCTYPE(_Object, _Object, _Arguments, ctypes.c_ssize_t, ctypes.c_void_p)


class CapturedClocks:
    """Leads the C functions that tell the time to their stand-ins among ``replacements``."""

    def __init__(self, replacements: Mapping[Any, Any]) -> None:
        self._stand_ins = [replacements[real] for real in _FUNCTIONS]
        self._stand_ins += [getattr(replacements[_RealDatetime], real.__name__) for real in _METHODS]

    def install(self, patches: Patches) -> None:
        """Change the functions in place until ``patches`` are undone."""
        for hook, stand_in in zip(_hooks(), self._stand_ins, strict=True):
            if hook is not None:
                hook.lead(stand_in)
                patches.on_undo(hook.restore)


class _MethodDef(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Hook:
    """One C function and what is called in its place.

    It lives as long as the interpreter: another thread may be in the middle of a call.
    """

    def __init__(self, entry: _MethodDef, make: Callable[[_Hook, Any], Any], prototype: Any) -> None:
        self._entry = entry
        self._is_method = bool(entry.flags & _CLASS)
        self._before = entry.function
        self._callback = make(self, prototype(entry.function))
        self._stand_in: Callable[..., Any] | None = None

    def lead(self, stand_in: Callable[..., Any]) -> None:
        """Let the C function give what ``stand_in`` gives."""
        self._stand_in = stand_in
        self._entry.function = ctypes.cast(self._callback, ctypes.c_void_p).value

    def restore(self) -> None:
        """Give the C function its own code again."""
        self._entry.function = self._before
        self._stand_in = None

    def answers(self) -> bool:
        """Whether the stand-in is meant: tools, tqsim itself among them, see real time."""
        if self._stand_in is None:
            return False
        try:
            frame = sys._getframe(2)
        except ValueError:
            return False  # a thread of compiled code
        return not is_exempt(frame.f_globals.get("__name__") or "")

    def answer(self, owner: Any, *args: Any) -> Any:
        """What the stand-in gives, as an instance of the class that was asked."""
        assert self._stand_in is not None
        value = self._stand_in(*args)
        if not self._is_method or owner is _RealDatetime:
            return value
        if issubclass(owner, _RealDatetime):
            return owner.combine(value.date(), value.timetz())
        return owner(value.year, value.month, value.day)


@functools.cache
def _hooks() -> tuple[_Hook | None, ...]:
    """Return the hooks of this interpreter; ``None`` for a function that is declared in an unknown way."""
    return tuple(_hook(function) for function in (*_FUNCTIONS, *_METHODS))


def _hook(function: Any) -> _Hook | None:
    # The word behind the object's head is ``PyCFunctionObject.m_ml``.
    address = ctypes.c_void_p.from_address(id(function) + object.__basicsize__).value
    entry = None if address is None else _MethodDef.from_address(address)
    if entry is None or entry.name != function.__name__.encode():
        return None
    flags = entry.flags & ~_CLASS
    if flags == _NOARGS:
        return _Hook(entry, _plain, _Plain)
    if flags == _VARARGS:
        return _Hook(entry, _tuple, _Tuple)
    if flags == _FASTCALL | _KEYWORDS:
        return _Hook(entry, _fast, _Fast)
    return None


def _plain(hook: _Hook, real: Any) -> Any:
    def called(owner: Any, nothing: Any) -> Any:
        return hook.answer(owner) if hook.answers() else real(owner, None)

    return _Plain(called)


def _tuple(hook: _Hook, real: Any) -> Any:
    def called(owner: Any, args: Any) -> Any:
        return hook.answer(owner, *args) if hook.answers() else real(owner, args)

    return _Tuple(called)


def _fast(hook: _Hook, real: Any) -> Any:
    def called(owner: Any, args: Any, count: int, names: Any) -> Any:
        if not hook.answers():
            return real(owner, args, count, names)
        # The only such function, ``datetime.now(tz=None)``, has one argument: its name says nothing.
        return hook.answer(owner, args[0]) if count or names else hook.answer(owner)

    return _Fast(called)
