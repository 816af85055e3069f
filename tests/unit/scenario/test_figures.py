"""Figures of services and of runs."""

from __future__ import annotations

import pytest

from tqsim.history import History
from tqsim.scenario import FIGURES, figure, service_figures
from tqsim.scenario.figures import BUCKETS, figure_text

SECOND = 1_000_000


def test_calls_are_counted_by_service_and_over_time() -> None:
    history = called(0, 0, 19 * SECOND, 20 * SECOND)
    history.record("service.failed", at_us=20 * SECOND, service="pay")
    (found,) = service_figures(history, 20 * SECOND)
    assert (found.name, found.calls, found.failed, found.peak) == ("pay", 4, 1, 2)
    # The end of the run belongs to the last part.
    assert found.time_line == (2, *[0] * (BUCKETS - 2), 2)


@pytest.mark.parametrize(
    ("times", "peak"),
    [
        ((), 0),
        ((0,), 1),
        ((0, SECOND - 1), 2),
        ((0, SECOND), 1),
        ((0, 600_000, 1_100_000, 1_500_000), 3),
    ],
)
def test_the_peak_is_the_most_within_any_second(times: tuple[int, ...], peak: int) -> None:
    assert figure("calls_per_second_peak", called(*times)) == peak


def test_every_figure_can_be_had_of_an_empty_run() -> None:
    assert {name: figure(name, History()) for name in FIGURES} == dict.fromkeys(FIGURES, 0)


def test_counts_and_durations_are_written_for_people() -> None:
    assert figure_text("calls", 12_345) == "12,345"
    assert figure_text("end_to_end_p95", 90 * SECOND) == "1m 30s"


def called(*times: int) -> History:
    history = History()
    for at_us in times:
        history.record("service.called", at_us=at_us, process="w", service="pay")
    return history
