"""Measuring: processor time, memory, and a fresh interpreter for what must not disturb the rest."""

from __future__ import annotations

import functools
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["cpu_s", "in_fresh_interpreter", "resident_bytes"]

_ROOT: Final = Path(__file__).resolve().parents[2]
#: The real one, also while a simulation is open: nobody looks into partial objects.
_PROCESS_TIME: Final = functools.partial(time.process_time)


def cpu_s(action: Callable[[], object]) -> float:
    """Return the processor time of ``action()`` in seconds."""
    begin = _PROCESS_TIME()
    action()
    return _PROCESS_TIME() - begin


def resident_bytes() -> int:
    """Return the resident memory of this process, after a collection."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def in_fresh_interpreter(module: str, *arguments: object) -> Any:
    """Run ``python -m module arguments`` and return what its last line of output says in JSON.

    Raises :class:`RuntimeError` with its error output when it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])
