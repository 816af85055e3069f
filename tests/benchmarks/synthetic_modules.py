"""Modules as a large application has them loaded: :func:`load_until`.

Each has about sixty names: functions (some with a clock as default argument), classes with
methods, constants, and imports of ``time``, ``datetime`` and ``threading`` by name.
"""

from __future__ import annotations

import sys
import types
from typing import Final

__all__ = ["load_until"]

_HEAD: Final = """
import collections, datetime, functools, json, logging, os, random, re, threading, time, uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Optional
logger = logging.getLogger(__name__)
_lock = threading.RLock()
"""
_CLOCKS: Final = """
from datetime import date, datetime, timedelta
from time import monotonic, sleep
from uuid import uuid4
def stamped(now=monotonic): return now()
"""
_FUNCTION: Final = """
def function_{0}(first, second=None, *rest, limit={0}, **options): return first, second, rest, limit, options
"""
_CLASS: Final = """
class Model{0}:
    kind = "model{0}"
    def __init__(self, key, size=0): self.key, self.size = key, size
    def save(self, force=False, using=None): return self.key
    def delete(self): return None
    @property
    def title(self): return self.kind
    @classmethod
    def make(cls, *args): return cls(*args)
    @staticmethod
    def check(value, strict=True): return bool(value)
"""
_FUNCTIONS: Final = 16
_CLASSES: Final = 6
_CONSTANTS: Final = 12
#: Every so-manieth module binds clocks by name, as about one in eight does in Django and SQLAlchemy.
_CLOCKED_EVERY: Final = 8


def load_until(count: int) -> int:
    """Put modules into ``sys.modules`` until there are ``count``; return how many were made."""
    body = (
        _HEAD
        + "".join(_FUNCTION.format(number) for number in range(_FUNCTIONS))
        + "".join(_CLASS.format(number) for number in range(_CLASSES))
        + "".join(f"SETTING_{number} = {number}\n" for number in range(_CONSTANTS))
    )
    plain = compile(body, "<synthetic>", "exec")
    clocked = compile(body + _CLOCKS, "<synthetic>", "exec")
    made = 0
    while len(sys.modules) < count:
        module = types.ModuleType(f"synthetic_{made // 20}.part_{made}")
        exec(clocked if made % _CLOCKED_EVERY == 0 else plain, module.__dict__)
        sys.modules[module.__name__] = module
        made += 1
    return made
