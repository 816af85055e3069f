"""The command that runs one test again with its seed.

The main name is :func:`reproduction_command`.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import Final

import pytest

__all__ = ["reproduction_command", "shell_word"]

_PLAIN: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
# What a double-quoted word may not contain in a POSIX shell; "!" is for interactive ones.
_ACTIVE_IN_QUOTES: Final = frozenset('"$`\\!\n')


def reproduction_command(item: pytest.Item, seed: int, *, is_counted_by_option: bool) -> str:
    """Return a shell command that repeats ``item``, to be run in the folder where pytest was started.

    ``is_counted_by_option`` tells that the item has its seed in its name because of
    ``--tqsim-seeds``, which the command then needs too.
    """
    # Node ids begin with a path from the root of the tests, which need not be the present folder.
    _, separator, name = item.nodeid.partition("::")
    path = os.path.relpath(item.path, item.config.invocation_params.dir)
    words = ["pytest", shell_word(f"{path}{separator}{name}"), f"--tqsim-seed={seed}"]
    if is_counted_by_option:
        words.append("--tqsim-seeds=1")
    return " ".join(words)


def shell_word(text: str) -> str:
    """Return ``text`` as one word of a shell, in double quotes where they are needed and enough."""
    if _PLAIN.fullmatch(text):
        return text
    if _ACTIVE_IN_QUOTES.isdisjoint(text):
        return f'"{text}"'
    return shlex.quote(text)
