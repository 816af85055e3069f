"""On which line of a TOML file a key stands: :func:`key_lines`.

``tomllib`` gives values without their places.  This reads the same text a second time, only for the
keys, and trusts that it is TOML: ``tomllib`` must have accepted it before.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Final, TypeAlias

__all__ = ["KeyPath", "key_lines"]

#: Where a value stands: keys of tables, and indexes of arrays as text.
KeyPath: TypeAlias = tuple[str, ...]

_SKIPPED: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY: Final = re.compile(
    r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
    r"""(?:[ \t]*\.[ \t]*(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'))*"""
)
_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_SCALAR: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""+|'
    r"'''.*?'''+|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'|"
    r"[^\s,\]}#]+(?: [0-9:.]+[^\s,\]}#]*)?",
    re.DOTALL,
)


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """Return the line, from 1, on which each key, table and array element first stands.

    Raises :class:`tomllib.TOMLDecodeError` if the text is not TOML.
    """
    tomllib.loads(text)
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}

    def read(self) -> Mapping[KeyPath, int]:
        table: KeyPath = ()
        while self._next():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _next(self) -> str:
        """Skip blanks and comments; return the character that follows, or nothing at the end."""
        self._at = self._match(_SKIPPED).end()
        return self._text[self._at : self._at + 1]

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"not TOML at character {self._at}")
        return match

    def _note(self, path: KeyPath) -> None:
        line = self._text.count("\n", 0, self._at) + 1
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _key(self) -> KeyPath:
        match = self._match(_KEY)
        parts = _PART.findall(match[0])
        self._at = match.end()
        return tuple(_unquoted(part) for part in parts)

    def _header(self) -> KeyPath:
        start, is_array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        self._next()
        path = self._within_arrays(self._key())
        self._next()
        self._at += 2 if is_array else 1
        if is_array:
            index = self._tables[path] = self._tables.get(path, -1) + 1
            path = (*path, str(index))
        end, self._at = self._at, start
        self._note(path)
        self._at = end
        return path

    def _within_arrays(self, keys: KeyPath) -> KeyPath:
        """Return the path of a header, with the present index of each array of tables on the way."""
        path: KeyPath = ()
        for number, key in enumerate(keys):
            path = (*path, key)
            if path in self._tables and number < len(keys) - 1:
                path = (*path, str(self._tables[path]))
        return path

    def _pair(self, table: KeyPath) -> None:
        start = self._at
        path = (*table, *self._key())
        end, self._at = self._at, start
        self._note(path)
        self._at = end
        self._next()
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        first = self._next()
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._at = self._match(_SCALAR).end()

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._next() != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._note((*path, str(index)))
            self._value((*path, str(index)))
            index += 1
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._next() != "}":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)
        self._at += 1


def _unquoted(part: str) -> str:
    if part[0] in "\"'":
        return next(iter(tomllib.loads(f"{part} = 0")))
    return part
