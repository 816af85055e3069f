"""The reference names what there is: the attributes of what the functions return."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from tqsim.broker.views import MessageView, QueueView
from tqsim.history import Attempt, TaskLife
from tqsim.simulation import WorkerHandle

_PAGE: Final = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
#: Positions in a history and times in microseconds have no place in an overview.
_LEFT_OUT: Final = re.compile(r"_|.*_(us|order)")


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("TaskLife", [TaskLife]),
        ("Attempt", [Attempt]),
        ("QueueView", [QueueView, MessageView]),
        ("WorkerHandle", [WorkerHandle]),
    ],
)
def test_the_attributes_of_what_is_returned_are_those_that_it_has(name: str, classes: list[Any]) -> None:
    (line,) = (line for line in _PAGE.splitlines() if line.startswith(f"| `{name}`, "))
    named = re.findall(r"`(\w+)(?:\(\w*\))?`", line.split("|")[2])
    assert sorted(named) == sorted(key for kind in classes for key in dir(kind) if not _LEFT_OUT.match(key))
