"""The machine and a real RabbitMQ 3.10 refuse the same, in the same words.

Each refusal is compared as a whole: what is closed, the code, the text and the method.  The arms
are those of ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Closed
from tests.conformance.rabbitmq_refusals import LOCKED, LOCKED_TEXT, REFUSED, UNANSWERED, Names


def _cut(text: str) -> str:
    """Return ``text`` as RabbitMQ puts it into a short string of 255 bytes."""
    return text if len(text) <= 255 else text[:252] + "..."


@pytest.mark.parametrize("case", REFUSED)
def test_request_with_an_answer_is_refused(arm: Arm, case: str) -> None:
    request, code, text, method = REFUSED[case]
    names = Names(arm)
    lane = arm.client().lane()
    # Declared on another channel, so that the one under test has no current queue.
    setup = lane.client.lane()
    setup.queue(names.queue)
    setup.exchange(names.exchange)
    with pytest.raises(Closed) as refused:
        request(lane, names)
    expected = _cut(text.format(**vars(names)))
    closed = refused.value
    scope = "connection" if code >= 500 else "channel"
    assert (closed.scope, closed.code, closed.text, closed.method) == (scope, code, expected, method)


@pytest.mark.parametrize("case", UNANSWERED)
def test_request_without_an_answer_is_refused_afterwards(arm: Arm, case: str) -> None:
    request, code, text, method = UNANSWERED[case]
    names = Names(arm)
    lane = arm.client().lane()
    lane.queue(names.queue)
    request(lane, names)
    closed = lane.ends_with()
    expected = text.format(**vars(names))
    scope = "connection" if code >= 500 else "channel"
    assert (closed.scope, closed.code, closed.text, closed.method) == (scope, code, expected, method)


@pytest.mark.parametrize("case", LOCKED)
def test_exclusive_queue_is_locked_for_other_connections(arm: Arm, case: str) -> None:
    request, method = LOCKED[case]
    names = Names(arm)
    owner = arm.client().lane()
    owner.queue(names.queue, exclusive=True)
    owner.exchange(names.exchange)
    owner.bind(names.queue, names.exchange, "bound")
    other = arm.client().lane()
    other.publish("", names.queue, "anyone may publish")
    with pytest.raises(Closed) as refused:
        request(other, names)
    closed = refused.value
    expected = _cut(LOCKED_TEXT.format(**vars(names)))
    assert (closed.scope, closed.code, closed.text, closed.method) == ("channel", 405, expected, method)
    arm.settle()
    assert owner.fetch_all(names.queue) == [("anyone may publish", False)]


def test_what_is_no_error(arm: Arm) -> None:
    names = Names(arm)
    lane = arm.client().lane()
    lane.queue(names.queue, arguments={"x-foo": 1})
    lane.queue(names.queue, arguments={"x-foo": 2, "x-queue-type": "classic"})
    lane.exchange(names.exchange)
    lane.exchange(names.exchange, "topic", passive=True)
    lane.exchange(names.exchange, arguments={"x-foo": 1})
    lane.exchange("amq.direct", durable=True)
    lane.delete_exchange(names.missing, if_unused=True)
    lane.unbind(names.missing, names.exchange, "k")
    lane.unbind(names.queue, names.missing, "k")
    lane.unbind(names.queue, names.exchange, "k")
    lane.cancel("unknown")
    lane.nack(0, multiple=True)
    assert lane.delete_queue(names.missing) == 0
    arm.settle()
    assert lane.closed is None


def test_long_texts_are_cut_to_a_short_string(arm: Arm) -> None:
    lane = arm.client().lane()
    with pytest.raises(Closed) as refused:
        lane.counts("n" * 240)
    text = refused.value.text
    assert (len(text), text[-4:]) == (255, "n...")


def test_opening_a_channel_twice_ends_the_connection(arm: Arm) -> None:
    with pytest.raises(Closed) as refused:
        arm.client().open_twice()
    closed = refused.value
    assert (closed.scope, closed.code, closed.method) == ("connection", 504, (20, 10))
    assert closed.text == "CHANNEL_ERROR - second 'channel.open' seen"
