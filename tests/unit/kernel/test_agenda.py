from __future__ import annotations

import sys

from tqsim.kernel.agenda import Agenda


def test_timers_fire_in_time_and_those_of_one_instant_in_the_order_of_making() -> None:
    agenda = Agenda()
    log: list[tuple[int, str]] = []
    for due_us, name in ((20, "c"), (10, "a"), (10, "b")):
        agenda.call_at(due_us, lambda name=name: log.append((agenda.now_us, name)))  # type: ignore[misc]
    for _ in range(3):
        agenda.step()

    assert log == [(10, "a"), (10, "b"), (20, "c")]


def test_a_timer_for_the_past_fires_now() -> None:
    agenda = Agenda()
    agenda.call_at(10, lambda: None)
    agenda.step()
    timer = agenda.call_at(3, lambda: None)

    assert (timer.due_us, agenda.next_due_us()) == (10, 10)


def test_a_cancelled_timer_never_fires_and_does_not_count() -> None:
    agenda = Agenda()
    log: list[str] = []
    first = agenda.call_at(10, lambda: log.append("first"))
    second = agenda.call_at(20, lambda: log.append("second"))
    first.cancel()
    first.cancel()

    assert (agenda.live_count, agenda.next_due_us(), first.is_pending, second.is_pending) == (1, 20, False, True)
    agenda.step()
    second.cancel()

    assert (log, agenda.live_count, agenda.next_due_us()) == (["second"], 0, None)


def test_a_timer_may_cancel_another_of_the_same_instant() -> None:
    agenda = Agenda()
    log: list[str] = []
    timers = [agenda.call_at(10, lambda: timers[1].cancel()), agenda.call_at(10, lambda: log.append("second"))]  # noqa: PLW0108 - the list is not there yet
    agenda.step()

    assert (log, agenda.next_due_us(), agenda.live_count) == ([], None, 0)


def test_memory_stays_flat_over_many_cancelled_timers() -> None:
    agenda = Agenda()
    keep = [agenda.call_at(10**9 + number, lambda: None) for number in range(100)]
    longest = 0
    for number in range(100_000):
        agenda.call_at(10**8 + number, lambda: None).cancel()
        longest = max(longest, len(agenda._queue))

    assert longest <= 1_000
    assert (agenda.live_count, agenda.next_due_us(), all(timer.is_pending for timer in keep)) == (100, 10**9, True)
    assert sys.getsizeof(agenda._queue) < 20_000


def test_compaction_keeps_the_order_of_what_is_left() -> None:
    agenda = Agenda()
    log: list[int] = []
    timers = [agenda.call_at(number % 7, lambda number=number: log.append(number)) for number in range(3_000)]  # type: ignore[misc]
    for number, timer in enumerate(timers):
        if number % 3:
            timer.cancel()
    while agenda.next_due_us() is not None:
        agenda.step()

    assert log == sorted(range(0, 3_000, 3), key=lambda number: (number % 7, number))


def test_nothing_is_due_after_clearing() -> None:
    agenda = Agenda()
    timer = agenda.call_at(10, lambda: None)
    agenda.clear()

    assert (agenda.next_due_us(), agenda.live_count, timer.is_pending) == (None, 0, False)
