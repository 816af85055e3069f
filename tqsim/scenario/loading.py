"""From a file to the scenarios in it: :func:`load`.

A file is one story.  Without ``[variants]`` it is one scenario; with them it is one for each, made by
laying the variant's table over the file, and they are compared side by side.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqsim.errors import UsageError
from tqsim.scenario.decoding import decode
from tqsim.scenario.figures import FIGURES
from tqsim.scenario.lines import key_lines
from tqsim.scenario.overrides import Override, apply, merge
from tqsim.scenario.places import Places, nearest
from tqsim.scenario.schema import Scenario
from tqsim.scenario.written import written

__all__ = ["Story", "Variant", "load", "load_file"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a story runs; ``name`` is empty if there is only one."""

    name: str
    scenario: Scenario
    places: Places


@dataclass(frozen=True, slots=True)
class Story:
    """What a file tells: one scenario, or several variants of it.  ``source`` is the file's name."""

    source: str
    variants: tuple[Variant, ...]

    @property
    def first(self) -> Scenario:
        """The scenario of the first variant, which has the words that are common to all."""
        return self.variants[0].scenario


def load_file(path: str | Path, overrides: Sequence[Override] = ()) -> Story:
    """Read a scenario file.

    Raises :class:`~tqsim.UsageError` if it cannot be read, and as :func:`load` does.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: the file cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: the file is not text in UTF-8.") from None
    return load(text, str(path), overrides)


def load(text: str, source: str, overrides: Sequence[Override] = ()) -> Story:
    """Read a scenario from its text; ``source`` is what messages call it.

    Raises :class:`~tqsim.UsageError` that names source, line, key, value and what was expected.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: not a TOML file: {error}.") from None
    places = Places(source, key_lines(text))
    variants = _variants(table, places)
    return Story(source, tuple(_variant(name, table, places, variants, overrides) for name in variants or [""]))


def _variants(table: dict[str, Any], places: Places) -> list[str]:
    names = table.get("variants", {})
    if not isinstance(names, dict):
        raise places.error(("variants",), f"variants={written(names)} is wrong; expected tables such as [variants.a].")
    for name, changes in names.items():
        path = ("variants", name)
        if not isinstance(changes, dict):
            raise places.error(path, f"variants.{name}={written(changes)} is wrong; expected a table of changes.")
        for key in ("variants", "compare"):
            if key in changes:
                raise places.error((*path, key), f"a variant cannot change {key!r}, which is about all of them.")
    return list(names)


def _variant(
    name: str, table: dict[str, Any], places: Places, names: list[str], overrides: Sequence[Override]
) -> Variant:
    if name:
        places = places.moved(places.lines_below(("variants", name)))
        table = merge(table, table["variants"][name])
    for override in overrides:
        table, places = apply(override, table, places)
    scenario = decode(Scenario, table, (), places)
    _require_known_variants(scenario, places, names)
    return Variant(name, scenario, places)


def _require_known_variants(scenario: Scenario, places: Places, names: list[str]) -> None:
    for key, expectation in scenario.expect.items():
        wanted = expectation.variant
        for name in [wanted] if isinstance(wanted, str) else wanted or []:
            if name not in names:
                path = ("expect", key, "variant")
                raise places.error(path, f"expect.{key}.variant={written(name)} is unknown; {nearest(name, names)}")
    for key, comparison in scenario.compare.items():
        for side in ("larger", "smaller"):
            name = getattr(comparison, side)
            if name not in names:
                path = ("compare", key, side)
                raise places.error(path, f"compare.{key}.{side}={written(name)} is no variant; {nearest(name, names)}")
        if comparison.figure not in FIGURES:
            path = ("compare", key, "figure")
            advice = nearest(comparison.figure, FIGURES)
            raise places.error(path, f"compare.{key}.figure={written(comparison.figure)} is unknown; {advice}")
