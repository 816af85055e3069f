"""Fresh interpreters for one script: :func:`run_in_fresh_interpreters`.

Two run at a time.  Each has its own hash seed, and memory that is laid out differently: before
anything is imported, junk of a size of its own is allocated and every other piece freed again, so
that objects, and with them whatever is ordered by address, come to lie elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Interpreter", "first_difference", "run_in_fresh_interpreters"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_AT_A_TIME: Final = 2
_TIMEOUT_S: Final = 120
#: A hole between any two pieces that stay; the sizes go through all size classes of pymalloc.
_BEGIN: Final = """
import runpy, sys
junk = [bytearray(16 + (number * {step}) % 700) for number in range({pieces})]
more = [{{number: str(number) * ({step} % 5)}} for number in range({pieces} // 4)]
del junk[::2], more[::3]
sys.argv = {arguments!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Interpreter:
    """One fresh interpreter: its hash seed, the pieces of junk, and the script's arguments."""

    hash_seed: int
    pieces: int
    arguments: tuple[str, ...]


def run_in_fresh_interpreters(module: str, interpreters: Sequence[Interpreter]) -> list[dict[str, str]]:
    """Run ``python -m module`` in every interpreter; return what each printed, as ``{first word: rest}``.

    Raises :class:`RuntimeError` with the error output of the first that fails.
    """
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(lambda interpreter: _run(module, interpreter), interpreters))


def _run(module: str, interpreter: Interpreter) -> dict[str, str]:
    script = _BEGIN.format(
        step=interpreter.pieces % 89 + 7, pieces=interpreter.pieces,
        arguments=[module, *interpreter.arguments], module=module,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=_ROOT, env={**os.environ, "PYTHONHASHSEED": str(interpreter.hash_seed)},
        capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{interpreter} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


def first_difference(one: Path, other: Path) -> str:
    """Describe where two saved histories part, for the message of a failure."""
    for number, (left, right) in enumerate(_moments(one, other), start=1):
        if left != right:
            return f"moment {number} differs:\n  {left[:2000]}\n  {right[:2000]}"
    return "the moments are equal as far as both go"


def _moments(one: Path, other: Path) -> Iterator[tuple[str, str]]:
    lines = [path.read_text(encoding="utf-8").splitlines()[1:] for path in (one, other)]
    return zip(*lines, strict=False)
