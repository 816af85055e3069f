"""The files of this repository, as the rules want them: :class:`Source` and :class:`Finding`.

The tree is walked, not asked of git, so that the rules also hold in an unpacked archive.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Finding", "Source", "report", "sources_of_product", "sources_of_tests", "text_files"]

ROOT: Final = Path(__file__).resolve().parents[2]

_PRODUCT_FOLDERS: Final = ("tqsim", "pytest_plugin", "scenarios")
_LEFT_OUT: Final = frozenset({"build", "dist", "htmlcov", "node_modules", "__pycache__"})
_HIDDEN_BUT_OURS: Final = frozenset({".ci", ".github", ".gitignore"})
_TEXT_SUFFIXES: Final = frozenset(
    {
        "",
        ".cfg",
        ".in",
        ".ini",
        ".json",
        ".md",
        ".out",
        ".py",
        ".rst",
        ".sh",
        ".toml",
        ".txt",
        ".yaml",
        ".yml",
    }
)


@dataclass(frozen=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Show the place as editors understand it."""
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Source:
    """A Python module: its path from the root, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return self.text.splitlines()

    def finding(self, node: ast.AST, message: str) -> Finding:
        """Say that ``node`` breaks a rule."""
        return Finding(self.path, getattr(node, "lineno", 1), message)


def sources_of_product() -> list[Source]:
    """Return the modules that users install."""
    return [source for folder in _PRODUCT_FOLDERS for source in _python_below(ROOT / folder)]


def sources_of_tests() -> list[Source]:
    """Return the modules below ``tests``."""
    return list(_python_below(ROOT / "tests"))


def text_files() -> list[Path]:
    """Return every text file of the project that is not made by a tool."""
    return [path for path in _files_below(ROOT) if path.suffix in _TEXT_SUFFIXES]


def report(findings: list[Finding]) -> str:
    """Return one line per finding: the message of an assertion."""
    return "\n" + "\n".join(str(finding) for finding in findings)


def _python_below(folder: Path) -> Iterator[Source]:
    for path in _files_below(folder):
        if path.suffix == ".py":
            yield Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


def _files_below(folder: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_ours(name))
        for name in sorted(filter(_is_ours, names)):
            yield Path(directory, name)


def _is_ours(name: str) -> bool:
    if name in _LEFT_OUT or name.endswith(".egg-info"):
        return False
    return not name.startswith(".") or name in _HIDDEN_BUT_OURS
