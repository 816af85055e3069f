"""The scenarios that come with tqsim: :func:`find` and :func:`entries`.

They are in the package ``tqsim_scenarios``, which is looked up as data and never imported from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from tqsim.errors import UsageError
from tqsim.scenario import Override, Story, load, load_file
from tqsim.scenario.places import nearest

__all__ = ["Entry", "entries", "find"]

_PACKAGE: Final = "tqsim_scenarios"
_SUFFIX: Final = ".toml"


@dataclass(frozen=True, slots=True)
class Entry:
    """One scenario of the gallery: its name and its title."""

    name: str
    title: str


def entries() -> list[Entry]:
    """Return the scenarios of the gallery, by name.

    Raises :class:`~tqsim.UsageError` when the gallery is not installed.
    """
    return [Entry(name, load(text, f"{name}{_SUFFIX}").first.title) for name, text in _texts().items()]


def find(name: str, overrides: Sequence[Override]) -> Story:
    """Return the story in the file of that name, or the one that the gallery knows by it.

    Raises :class:`~tqsim.UsageError` when there is neither, and for what the file says wrong.
    """
    if name.endswith(_SUFFIX) or Path(name).is_file() or "/" in name:
        return load_file(name, overrides)
    texts = _texts()
    if name not in texts:
        raise UsageError(
            f"{name!r} is neither a file nor a scenario of the gallery; {nearest(name, texts)} "
            "A file's name ends in .toml."
        )
    return load(texts[name], f"{name}{_SUFFIX}", overrides)


def _texts() -> dict[str, str]:
    try:
        folder: Traversable = resources.files(_PACKAGE)
    except ModuleNotFoundError:
        raise UsageError(
            f"The gallery is not installed: there is no package {_PACKAGE!r}. Install tqsim-celery as a whole, "
            "or give the path of a scenario file."
        ) from None
    found = sorted(folder.iterdir(), key=lambda item: item.name)
    return {
        item.name.removesuffix(_SUFFIX): item.read_text(encoding="utf-8")
        for item in found
        if item.name.endswith(_SUFFIX)
    }
