from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.unit.checks.reading import texts
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import (
    Check,
    at_most_runs,
    exactly_once,
    in_order,
    latency,
    no_overlap,
    no_start_after_expiry,
    nothing_lost,
    retry_delays,
    succeeded,
    throughput,
)
from tqsim.history import History

FACTORIES: list[Callable[..., Check]] = [
    exactly_once,
    in_order,
    no_overlap,
    no_start_after_expiry,
    nothing_lost,
    succeeded,
    lambda **options: at_most_runs(1, **options),
    lambda **options: latency(max=1, **options),
    lambda **options: retry_delays(expected=[1], **options),
    lambda **options: throughput(at_most=1, **options),
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_misspelt_name_does_not_pass(factory: Callable[..., Check]) -> None:
    story = Story().publish("a").publish("b", task="shop.mail")
    story.run("a", 1, 2)
    history = story.history()

    assert texts(factory(task="shop.chrage")(history)) == [
        (
            "Nothing was judged: no task named 'shop.chrage' (known task names: shop.charge, shop.mail); "
            "set allow_empty to true if that is meant."
        )
    ]
    assert factory(task="shop.chrage", allow_empty=True)(history).passed


@pytest.mark.parametrize("factory", FACTORIES)
def test_an_empty_history_does_not_pass(factory: Callable[..., Check]) -> None:
    assert texts(factory()(History())) == [
        "Nothing was judged: this history has no tasks at all; set allow_empty to true if that is meant."
    ]
    assert factory(allow_empty=True)(History()).passed


def test_a_function_that_chooses_nothing_does_not_pass() -> None:
    history = Story().publish("a").history()

    assert texts(nothing_lost(task=lambda life: life.id == "b")(history)) == [
        (
            "Nothing was judged: no task chosen by the function given as task= "
            "(known task names: shop.charge); set allow_empty to true if that is meant."
        )
    ]


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_filter_that_is_neither_name_nor_function_is_refused(factory: Callable[..., Check]) -> None:
    assert refusal(lambda: factory(task=cast("Any", 3))) == (
        "task=3 is wrong; expected a task's name, a function of a TaskLife, or None."
    )


def test_a_check_is_called_like_the_call_that_made_it() -> None:
    assert [
        nothing_lost().name,
        repr(at_most_runs(3, task="shop.charge")),
        in_order(key=len, by="success").name,  # type: ignore[arg-type]
        throughput(at_most=0, window="1m", of="completions").name,
        retry_delays(expected=[1, "2s"], tolerance=0.1, allow_empty=True).name,
    ] == [
        "nothing_lost()",
        "at_most_runs(3, task='shop.charge')",
        "in_order(key=len, by='success')",
        "throughput(at_most=0, window='1m', of='completions')",
        "retry_delays(expected=[1, '2s'], tolerance=0.1, allow_empty=True)",
    ]
