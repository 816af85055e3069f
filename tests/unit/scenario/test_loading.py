"""From text to scenarios: what is read, and what every wrong file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.refusals import refusal
from tests.unit.scenario.stories import STORY, error_of, story
from tqsim.scenario import load, load_file
from tqsim.scenario.faulting import Outage
from tqsim.scenario.schema import Uniform

DURATION = 'seconds as a number of at least 0, or text such as "1.5s", "10m", "2h30m" or "1d"'
CHECKS = (
    '"at_most_runs", "exactly_once", "in_order", "latency", "lost", "no_overlap", "no_start_after_expiry", '
    '"nothing_lost", "queue_depth", "retry_delays", "succeeded", "throughput"'
)

KINDS = (
    '"broker_crash", "broker_restart", "connection_reset", "half_open", "latency", "memory_alarm", "outage", '
    '"partition", "worker_kill"'
)


def test_a_file_becomes_structs() -> None:
    scenario = story().first
    assert scenario.workers["main"].queues == ["orders"]
    assert scenario.services["payments"].latency == Uniform(low="1s", high="2s")
    assert scenario.faults["down"] == Outage(service="payments", at="1m", for_="1m")
    assert scenario.load["orders"].arrivals == "poisson"
    assert scenario.seed == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "concurrency = 2",
            "concurency = 2",
            "story.toml, line 5: unknown key 'workers.main.concurency'; did you mean 'concurrency'?",
        ),
        (
            'title = "A story"',
            'title = "A story"\nzzz = 1',
            (
                "story.toml, line 2: unknown key 'zzz'; there are: app, beat, broker, compare, costs, description, "
                "expect, faults, isolate_globals, load, policy, preemption, run, seed, services, setup, start, "
                "timezone, title, variants, workers."
            ),
        ),
        (
            "concurrency = 2",
            'concurrency = "two"',
            'story.toml, line 5: workers.main.concurrency="two" is wrong; expected a whole number of at least 1.',
        ),
        (
            "concurrency = 2",
            "concurrency = true",
            "story.toml, line 5: workers.main.concurrency=true is wrong; expected a whole number of at least 1.",
        ),
        (
            "[workers.main]\nconcurrency = 2",
            "workers.main = 3",
            "story.toml, line 4: workers.main=3 is wrong; expected a table.",
        ),
        (
            "rate = 2",
            'rate = "2/y"',
            (
                'story.toml, line 13: load.orders.rate="2/y" is wrong; expected a number of arrivals per second '
                'above 0, or text such as "90/m" or "4/h".'
            ),
        ),
        (
            'for = "10m"',
            'for = "ten"',
            f'story.toml, line 14: load.orders.for="ten" is wrong; expected {DURATION}.',
        ),
        (
            'for = "10m"',
            "for = []",
            f"story.toml, line 14: load.orders.for=[] is wrong; expected {DURATION}.",
        ),
        (
            'for = "10m"\n',
            "",
            f"story.toml, line 11: 'for' is missing in load.orders; expected {DURATION}.",
        ),
        (
            'app = "shop:app"\n',
            "",
            "story.toml: 'app' is missing; expected text such as \"package.module:name\".",
        ),
        (
            'app = "shop:app"',
            'app = "shop"',
            'story.toml, line 2: app="shop" is wrong; expected text such as "package.module:name".',
        ),
        (
            'kind = "outage"',
            'kind = "outtage"',
            (
                f'story.toml, line 17: faults.down.kind="outtage" is unknown; expected one of: {KINDS}. '
                "Did you mean 'outage'?"
            ),
        ),
        (
            'kind = "outage"\n',
            "",
            (f"story.toml, line 16: 'kind' is missing in faults.down; expected one of: {KINDS}."),
        ),
        (
            'check = "nothing_lost"',
            'check = "nothing_los"',
            (
                f'story.toml, line 23: expect.all.check="nothing_los" is unknown; expected one of: {CHECKS}. '
                "Did you mean 'nothing_lost'?"
            ),
        ),
        (
            'low = "1s"',
            "low = -1",
            f"story.toml, line 9: services.payments.latency.low=-1 is wrong; expected {DURATION}.",
        ),
        (
            'check = "nothing_lost"',
            'check = "retry_delays"\nexpected = [1, "soon"]',
            (
                'story.toml, line 24: expect.all.expected=[1, "soon"] is wrong; expected a list of durations such as '
                '[1, "2s"].'
            ),
        ),
        (
            'check = "nothing_lost"',
            'check = "nothing_lost"\nvariant = "x"',
            'story.toml, line 24: expect.all.variant="x" is unknown; there are none.',
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_line(old: str, new: str, message: str) -> None:
    assert error_of(old, new) == message


def test_a_file_that_is_not_toml_is_told_where() -> None:
    assert refusal(lambda: load("a = = 1", "x.toml")) == "x.toml: not a TOML file: Invalid value (at line 1, column 5)."


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    assert refusal(lambda: load_file(path)) == f"{path}: the file cannot be read (No such file or directory)."


def test_a_variant_lays_its_table_over_the_file() -> None:
    text = STORY + "[variants.slow]\nload.orders.rate = 1\n[variants.fast]\nload.orders.rate = 9\n"
    found = load(text, "story.toml")
    assert [(variant.name, variant.scenario.load["orders"].rate) for variant in found.variants] == [
        ("slow", 1),
        ("fast", 9),
    ]
    assert {variant.scenario.load["orders"].for_ for variant in found.variants} == {"10m"}


def test_a_wrong_value_in_a_variant_has_the_line_of_the_variant() -> None:
    assert refusal(lambda: load(STORY + "[variants.slow]\nload.orders.rate = []\n", "story.toml")) == (
        "story.toml, line 25: load.orders.rate=[] is wrong; expected a number of arrivals per second above 0, "
        'or text such as "90/m" or "4/h".'
    )


def test_a_comparison_names_variants_and_a_figure_that_exist() -> None:
    variants = '[variants.a]\n[variants.b]\n[compare.x]\nlarger = "a"\nsmaller = "b"\nfigure = "calls"\n'
    assert load(STORY + variants, "story.toml").first.compare["x"].times == 1.0
    assert (
        refusal(lambda: load(STORY + variants.replace('"calls"', '"call"'), "story.toml"))
        == "story.toml, line 29: compare.x.figure=\"call\" is unknown; did you mean 'calls'?"
    )
    assert (
        refusal(lambda: load(STORY + variants.replace('larger = "a"', 'larger = "z"'), "story.toml"))
        == 'story.toml, line 27: compare.x.larger="z" is no variant; there are: a, b.'
    )
