"""The page on scenario files names every key, and its example runs."""

from __future__ import annotations

import inspect
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from tqsim.scenario import expectations, faulting, figures, schema

_ROOT = pathlib.Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _keys() -> Iterator[str]:
    for module in (schema, faulting, expectations):
        for name, struct in inspect.getmembers(module, inspect.isclass):
            if issubclass(struct, msgspec.Struct) and struct.__module__ == module.__name__ and name[0] != "_":
                yield from struct.__struct_encode_fields__
                if isinstance(struct.__struct_config__.tag, str):
                    yield struct.__struct_config__.tag
    yield from figures.FIGURES


def test_every_key_check_and_figure_is_on_the_page() -> None:
    prose = _BLOCK.sub("", _PAGE)
    words = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`[^`]+`", prose))))
    assert sorted({*_keys()} - words) == []


def test_the_example_of_the_page_is_met(tmp_path: pathlib.Path) -> None:
    for kind, rest, body in _BLOCK.findall(_PAGE):
        name = "clinic.toml" if kind == "toml" else rest.strip().removeprefix("file=")
        if kind in ("toml", "python"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(body, encoding="utf-8")
    command = [sys.executable, "-c", "from tqsim.cli import main; main()", "run", "clinic.toml"]
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 2 expectations are met." in done.stdout
