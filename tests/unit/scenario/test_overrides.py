"""Changes from ``--set``."""

from __future__ import annotations

import pytest

from tests.unit.refusals import refusal
from tests.unit.scenario.stories import error_of, story
from tqsim.scenario import Override
from tqsim.scenario.overrides import merge


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1", 1), ("a=1.5", 1.5), ("a=true", True), ('a="x"', "x"), ("a=10m", "10m"), ("a=[1, 2]", [1, 2])],
)
def test_a_value_is_toml_and_a_bare_word_is_text(text: str, value: object) -> None:
    assert Override.parse(text).value == value


def test_values_are_changed_added_and_reached_in_arrays() -> None:
    changes = ("workers.main.concurrency=4", "workers.main.pool=solo", "workers.main.queues.0=mail", "seed=9")
    scenario = story("", "", *changes, "run.limit=2h", "costs.shop.charge=1s", "load.orders.kwargs.x=1").first
    worker = scenario.workers["main"]
    assert (worker.concurrency, worker.pool, worker.queues) == (4, "solo", ["mail"])
    assert (scenario.seed, scenario.run.limit) == (9, "2h")
    assert (scenario.costs, scenario.load["orders"].kwargs) == ({"shop.charge": "1s"}, {"x": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("workers.man.concurrency=4", "workers has no 'man'; did you mean 'main'?"),
        ("faults.up.at=1", "faults has no 'up'; there are: down."),
        ("compare.x.times=1", ("this scenario has no table 'compare'; there are: app, expect, faults, load, "
         "services, title, workers.")),
        ("worker.main=1", "there is no key 'worker'; did you mean 'workers'?"),
        ("workers.main.concurency=4", "unknown key 'workers.main.concurency'; did you mean 'concurrency'?"),
        ("workers.main.concurrency=0", ("workers.main.concurrency=0 is wrong; expected a whole number of at "
         "least 1.")),
        ("workers.main.queues.1=x", ("workers.main.queues has no element '1'; its length is 1, and indexes begin "
         "at 0.")),
        ("load.orders.rate.x=1", "load.orders.rate is 2, which has no keys."),
        ("load.orders.rate.x.y=1", "load.orders.rate is 2, which has no keys."),
        ("variants.a.seed=1", ("a variant cannot be changed from outside; set the key itself, which goes for "
         "every variant.")),
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_told_what_there_is(change: str, message: str) -> None:
    assert error_of("", "", change) == f"--set {change}: {message}"


@pytest.mark.parametrize("text", ["workers", "=3", "a..b=3"])
def test_a_change_without_key_or_value_is_refused(text: str) -> None:
    assert refusal(lambda: Override.parse(text)) == (
        f"--set {text!r} is wrong; expected KEY=VALUE such as workers.main.concurrency=4."
    )


def test_merging_replaces_values_and_keeps_the_rest() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge(before, {"a": {"c": [3]}, "e": {"f": 1}}) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": {"f": 1}}
    assert before == {"a": {"b": 1, "c": [1, 2]}, "d": 1}
