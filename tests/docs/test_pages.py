"""Every block of Python in the README and the documentation runs, and prints what the page says.

A block headed ``python file=NAME`` is a file of the page's project.  The other Python blocks run
in order as one script; a ``text`` block after one is what it prints.  Files called ``test_*.py``
are run by pytest with the plugin.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: pathlib.Path) -> list[tuple[str, str, str]]:
    return [(kind, rest.strip(), body) for kind, rest, body in _BLOCK.findall(page.read_text())]


def _run(command: list[str], folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    paths = [str(folder), str(_ROOT), str(_ROOT / "pytest_plugin"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _write_files(page: pathlib.Path, folder: pathlib.Path) -> None:
    for kind, rest, body in _blocks(page):
        if kind == "python" and rest.startswith("file="):
            target = folder / rest.removeprefix("file=")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(body)
            if target.parent != folder:
                (target.parent / "__init__.py").touch()


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_the_scripts_of_a_page_print_what_it_says(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _write_files(page, tmp_path)
    script, expected = [], []
    previous = ""
    for kind, rest, body in _blocks(page):
        if kind == "python" and not rest:
            script.append(body)
        elif kind == "text" and previous == "python":
            expected.append(body)
        previous = kind if not rest else ""
    (tmp_path / "page.py").write_text("\n".join(script))
    done = _run([sys.executable, "-W", "ignore", "page.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(expected)


_TESTED = [page for page in _PAGES if "file=test_" in page.read_text()]


@pytest.mark.parametrize("page", _TESTED, ids=lambda page: str(page.relative_to(_ROOT)))
def test_the_tests_of_a_page_pass(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _write_files(page, tmp_path)
    done = _run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "."], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_is_among_the_tested_pages() -> None:
    assert _ROOT / "README.md" in _TESTED
