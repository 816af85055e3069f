"""A small scenario file to make wrong in one place at a time."""

from __future__ import annotations

from typing import Final

from tests.unit.refusals import refusal
from tqsim.scenario import Override, Story, load

__all__ = ["STORY", "error_of", "story"]

STORY: Final = """\
title = "A story"
app = "shop:app"

[workers.main]
concurrency = 2
queues = ["orders"]

[services.payments]
latency = { distribution = "uniform", low = "1s", high = "2s" }

[load.orders]
task = "shop.charge"
rate = 2
for = "10m"

[faults.down]
kind = "outage"
service = "payments"
at = "1m"
for = "1m"

[expect.all]
check = "nothing_lost"
"""


def story(old: str = "", new: str = "", *changes: str) -> Story:
    """Return the story with ``old`` replaced by ``new``, and with changes as from ``--set``."""
    assert old in STORY
    return load(STORY.replace(old, new, 1), "story.toml", [Override.parse(change) for change in changes])


def error_of(old: str = "", new: str = "", *changes: str) -> str:
    """Return the whole message of the error that such a story gives."""
    return refusal(lambda: story(old, new, *changes))
