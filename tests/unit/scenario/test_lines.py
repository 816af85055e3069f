"""Lines of keys in a TOML text."""

from __future__ import annotations

import tomllib

import pytest

from tests.repo.sources import ROOT
from tqsim.scenario.lines import key_lines

TEXT = '''\
# a comment = 1
title = "x # no = comment"
text = """
fake = 1
[fake]
"""
raw = \'\'\'
also = "fake" \'\'\'

[workers.main] # table
queues = [
    "a", # first = 1
    { name = "b", of = [1, 2] },
]
options = { deep.er = 1, "quo.ted" = 2 }
when = 2030-01-01 10:00:00

[[step]]
at = 1
[[step]]
at = 2
[step.more]
last.key = true
'''


def test_every_key_and_element_has_its_line() -> None:
    found = {".".join(path): line for path, line in key_lines(TEXT).items()}
    assert found == {
        "title": 2,
        "text": 3,
        "raw": 7,
        "workers": 10,
        "workers.main": 10,
        "workers.main.queues": 11,
        "workers.main.queues.0": 12,
        "workers.main.queues.1": 13,
        "workers.main.queues.1.name": 13,
        "workers.main.queues.1.of": 13,
        "workers.main.queues.1.of.0": 13,
        "workers.main.queues.1.of.1": 13,
        "workers.main.options": 15,
        "workers.main.options.deep": 15,
        "workers.main.options.deep.er": 15,
        "workers.main.options.quo.ted": 15,
        "workers.main.when": 16,
        "step": 18,
        "step.0": 18,
        "step.0.at": 19,
        "step.1": 20,
        "step.1.at": 21,
        "step.1.more": 22,
        "step.1.more.last": 23,
        "step.1.more.last.key": 23,
    }


@pytest.mark.parametrize("path", sorted(ROOT.glob("scenarios/*.toml")), ids=lambda path: path.stem)
def test_every_key_of_the_gallery_is_found(path: object) -> None:
    text = (ROOT / str(path)).read_text(encoding="utf-8")
    assert set(key_lines(text)) == _paths(tomllib.loads(text), ())


def test_text_that_is_not_toml_is_refused() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        key_lines("a = = 1")


def _paths(value: object, path: tuple[str, ...]) -> set[tuple[str, ...]]:
    items: list[tuple[str, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [(str(index), item) for index, item in enumerate(value)]
    found = {path} if path else set()
    for key, item in items:
        found |= _paths(item, (*path, key))
    return found
