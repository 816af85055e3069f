"""The ready messages of a queue."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tqsim.broker.rabbitmq.messages import Message, Queued
from tqsim.broker.rabbitmq.ready import PriorityReady, Ready


def _queued(number: int, priority: int | None = None) -> Queued:
    properties = {} if priority is None else {"priority": priority}
    return Queued(Message(number, "", "q", b"", properties), cast("Any", None))


def _numbers(ready: Ready) -> list[int]:
    return [queued.message.number for queued in ready]


def _emptied(ready: Ready) -> list[int]:
    return [ready.pop().message.number for _ in range(ready.count)]


def test_messages_leave_in_the_order_in_which_they_came() -> None:
    ready = Ready()
    for number in (1, 2, 5):
        ready.append(_queued(number))
    assert (ready.count, _numbers(ready)) == (3, [1, 2, 5])
    assert _emptied(ready) == [1, 2, 5]
    assert ready.count == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_messages_that_come_back_stand_where_they_stood(order: tuple[int, ...]) -> None:
    ready = Ready()
    for number in range(8):
        ready.append(_queued(number))
    out = [ready.pop() for _ in range(4)]
    for index in order:
        ready.put_back(out[index])
    ready.append(_queued(8))
    assert _numbers(ready) == list(range(9))
    assert _emptied(ready) == list(range(9))


def test_an_older_message_goes_before_those_that_follow_it_only() -> None:
    ready = Ready()
    for number in range(4):
        ready.append(_queued(number))
    first, second = ready.pop(), ready.pop()
    ready.put_back(second)
    assert ready.pop() is second
    assert ready.pop().message.number == 2
    ready.put_back(first)
    assert _emptied(ready) == [0, 3]


def test_higher_priorities_go_first_and_each_keeps_its_own_order() -> None:
    ready = PriorityReady(5)
    for number, priority in enumerate([1, 5, None, 9, 0, 3, 5, 3]):
        ready.append(_queued(number, priority))
    assert _numbers(ready) == [1, 3, 6, 5, 7, 0, 2, 4]
    out = [ready.pop() for _ in range(6)]
    for queued in (out[4], out[1], out[0]):
        ready.put_back(queued)
    assert (ready.count, _emptied(ready)) == (5, [1, 3, 7, 2, 4])


@pytest.mark.parametrize("ready", [Ready(), PriorityReady(3)])
def test_keep_and_clear_leave_the_rest_in_order(ready: Ready) -> None:
    for number in range(6):
        ready.append(_queued(number, number % 2))
    ready.put_back(ready.pop())
    before = _numbers(ready)
    ready.keep(lambda queued: queued.message.number not in (1, 2))
    assert (ready.count, _numbers(ready)) == (4, [number for number in before if number not in (1, 2)])
    ready.clear()
    assert (ready.count, _numbers(ready)) == (0, [])
    ready.append(_queued(9))
    assert _emptied(ready) == [9]


def test_nothing_can_be_taken_from_an_empty_priority_queue() -> None:
    with pytest.raises(LookupError, match=r"^pop\(\) from an empty queue$"):
        PriorityReady(3).pop()
