"""Where the values of a scenario come from, for messages: :class:`Places`.

A value stands on a line of the file, or was given by an override, which has no line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tqsim.errors import UsageError
from tqsim.scenario.lines import KeyPath

__all__ = ["Places", "dotted", "nearest"]

_ARGUMENT: Final = re.compile(r"(\w+)(?=[=\[])")
#: How the API names what an error is about; the path of a table says it better.
_SUBJECT: Final = re.compile(r"\A(?:beat|load|service|worker) '[^']*': ")


class Places:
    """Knows the origin of each value of one scenario; ``source`` is the file as the user named it."""

    def __init__(
        self, source: str, lines: Mapping[KeyPath, int], overrides: Mapping[KeyPath, str] | None = None
    ) -> None:
        self.source = source
        self._lines = dict(lines)
        self._overrides = dict(overrides or {})

    def overridden(self, path: KeyPath, origin: str) -> Places:
        """Return places in which ``path`` and what is below it come from ``origin``."""
        return Places(self.source, self._lines, {**self._overrides, path: origin})

    def moved(self, lines: Mapping[KeyPath, int]) -> Places:
        """Return places in which some keys stand on other lines of the file."""
        return Places(self.source, {**self._lines, **lines}, self._overrides)

    def lines_below(self, path: KeyPath) -> dict[KeyPath, int]:
        """Return the lines of the keys below ``path``, by their paths from there."""
        count = len(path)
        return {
            found[count:]: line for found, line in self._lines.items() if found[:count] == path and len(found) > count
        }

    def of(self, path: KeyPath) -> str:
        """Return the origin of a path, or of the nearest table around it that has one."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._overrides:
                return self._overrides[path[:length]]
            if path[:length] in self._lines:
                return f"{self.source}, line {self._lines[path[:length]]}"
        return self.source

    def error(self, path: KeyPath, text: str) -> UsageError:
        """Return an error about the value at a path; ``text`` says what is wrong with it."""
        return UsageError(f"{self.of(path)}: {text}")

    @contextmanager
    def located(self, path: KeyPath) -> Iterator[None]:
        """Say of each :class:`~tqsim.UsageError` in the block that it is about the table at a path.

        An error that begins with the name of a key of that table (``"rate=0 is not ..."``) gets the
        key's own place.
        """
        try:
            yield
        except UsageError as error:
            raise type(error)(self._placed(path, str(error))) from error.__cause__

    def _placed(self, path: KeyPath, text: str) -> str:
        text = _SUBJECT.sub("", text) if path else text
        named = _ARGUMENT.match(text)
        if named is not None and self._has((*path, named[1])):
            prefix = f"{dotted(path)}." if path else ""
            return f"{self.of((*path, named[1]))}: {prefix}{text}"
        prefix = f"{dotted(path)}: " if path else ""
        return f"{self.of(path)}: {prefix}{text}"

    def _has(self, path: KeyPath) -> bool:
        return path in self._lines or path in self._overrides


def dotted(path: KeyPath) -> str:
    """Return a path as text, as ``--set`` takes it."""
    return ".".join(path)


def nearest(wanted: str, known: Iterable[str]) -> str:
    """Return advice on a name that is not known, as a sentence: the nearest ones, or all of them."""
    names = sorted(known)
    if not names:
        return "there are none."
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.7)
    if close:
        return f"did you mean {' or '.join(repr(name) for name in close)}?"
    return f"there are: {', '.join(names)}."
