"""Histories in files: JSON lines, one moment per line.

The main names are :func:`write` and :func:`read`.  The first line is an object with the format's name and
version, the run's circumstances, the number of moments, the end of the run in microseconds and the
digest.  Every other line is an array ``[at_us, name, process, task_id, fields]``.  The digest is the start of
the SHA-256 of all lines but the first: ``tail -n +2 FILE | sha256sum`` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tqsim.errors import UsageError
from tqsim.history.moments import MOMENTS
from tqsim.history.rows import Row, canonical_line
from tqsim.history.run_info import RunInfo

FORMAT: Final = "tqsim-history"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file."""

    info: RunInfo
    moments: int
    end_us: int
    digest: str


def write(path: Path, header: Header, rows: Iterable[Row]) -> None:
    """Write a history; whatever was at ``path`` is replaced.

    Raises :class:`~tqsim.UsageError` when that cannot be written.
    """
    info = header.info
    first = {
        "format": FORMAT,
        "version": VERSION,
        "seed": info.seed,
        "policy": info.policy,
        "start": info.start,
        "versions": dict(info.versions),
        "reproduction": info.reproduction,
        "moments": header.moments,
        "end_us": header.end_us,
        "digest": header.digest,
    }
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(first) + "\n")
            for row in rows:
                file.write(canonical_line(row) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error}); expected a file in a folder that exists.") from error


def read(path: Path) -> tuple[Header, list[Row]]:
    """Read a history's header and rows.

    Raises :class:`~tqsim.UsageError` with file, line number and expectation if the file cannot be read, is of
    another format or version, is cut short or has a line that is no moment.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); expected a file of history.save().") from error
    header = _header(path, lines[0])
    if lines[-1] != "":
        raise _wrong(path, len(lines), "is cut short", "a line that ends with a line feed")
    if len(lines) - 2 != header.moments:
        found = f"the file ends after {len(lines) - 2} moments"
        raise _wrong(path, len(lines) - 1, found, f"{header.moments}, as its first line says")
    shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
    texts: dict[str, str] = {}
    numbered = enumerate(lines[1:-1], start=2)
    return header, [_row(path, number, line, shapes, texts) for number, line in numbered]


def _header(path: Path, line: str) -> Header:
    expected = f'an object with "format": "{FORMAT}" and "version": {VERSION}'
    first = _parsed(path, 1, line, expected)
    if not isinstance(first, dict) or first.get("format") != FORMAT:
        raise _wrong(path, 1, "is not the head of a history", expected)
    if first.get("version") != VERSION:
        raise _wrong(path, 1, f"has the format version {first.get('version')!r}", f"version {VERSION}")
    try:
        info = RunInfo(
            seed=first["seed"],
            policy=str(first["policy"]),
            start=first["start"],
            versions={str(key): str(value) for key, value in first["versions"].items()},
            reproduction=str(first["reproduction"]),
        )
        return Header(info, int(first["moments"]), int(first["end_us"]), str(first["digest"]))
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        expected = "seed, policy, start, versions, reproduction, moments, end_us and digest"
        raise _wrong(path, 1, f"has a wrong or missing entry ({error})", expected) from error


def _row(
    path: Path, number: int, line: str, shapes: dict[tuple[str, ...], tuple[str, ...]], texts: dict[str, str]
) -> Row:
    expected = "[at_us, name, process, task_id, fields]"
    match _parsed(path, number, line, expected):
        case [int(at_us), str(name), str(process), str() | None as task_id, dict(fields)] if type(at_us) is int:
            if name not in MOMENTS:
                found = f"has the unknown moment {name!r}"
                raise _wrong(path, number, found, "a name of tqsim.history.MOMENTS")
        case _:
            raise _wrong(path, number, "is not a moment", expected)
    keys = tuple(fields)
    if task_id is not None:
        task_id = texts.setdefault(task_id, task_id)
    process = texts.setdefault(process, process)
    name = texts.setdefault(name, name)
    return (at_us, name, process, task_id, shapes.setdefault(keys, keys), *fields.values())


def _parsed(path: Path, number: int, line: str, expected: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise _wrong(path, number, "is not JSON", expected) from None


def _wrong(path: Path, number: int, found: str, expected: str) -> UsageError:
    return UsageError(f"{path}, line {number}: {found}; expected {expected}.")
