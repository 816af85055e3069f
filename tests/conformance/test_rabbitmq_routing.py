"""The machine and a real RabbitMQ 3.10 do the same: headers, bound and alternate exchanges, CC and BCC.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rabbitmq_arms import Arm, Closed, Lane, Returned, Table


def _heads(arm: Arm, lane: Lane, bindings: dict[str, Table]) -> tuple[str, dict[str, str]]:
    exchange = arm.name("x")
    lane.exchange(exchange, "headers")
    queues = {}
    for stem, arguments in bindings.items():
        queues[stem] = lane.queue(arm.name(stem))
        lane.bind(queues[stem], exchange, "ignored", arguments)
    return exchange, queues


# --- headers -------------------------------------------------------------------------------------


def test_all_wants_every_header_and_any_wants_one(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange, queues = _heads(
        arm,
        lane,
        {
            "unsaid": {"a": 1, "b": "2"},
            "all": {"a": 1, "b": "2", "x-match": "all"},
            "any": {"a": 1, "b": "2", "x-match": "any"},
        },
    )
    headers: dict[str, Table] = {
        "both": {"a": 1, "b": "2"},
        "more": {"a": 1, "b": "2", "c": 3},
        "a": {"a": 1},
        "b": {"b": "2", "a": 2},
        "neither": {"a": "1", "b": 2},
    }
    for body, table in headers.items():
        lane.publish(exchange, "any key", body, application_headers=table)
    lane.publish(exchange, "ignored", "none")
    found = {stem: lane.contents(queue) for stem, queue in queues.items()}
    assert found == {"unsaid": "both more", "all": "both more", "any": "both more a b"}


def test_a_binding_without_headers_matches_everything_and_any_of_none_nothing(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange, queues = _heads(
        arm,
        lane,
        {
            "empty": {},
            "any": {"x-match": "any"},
            "x": {"x-foo": 1},
            "any x": {"x-foo": 1, "x-match": "any"},
            "all with x": {"x-foo": 1, "x-match": "all-with-x"},
            "any with x": {"x-foo": 1, "a": 1, "x-match": "any-with-x"},
        },
    )
    lane.publish(exchange, "", "none")
    lane.publish(exchange, "", "foo", application_headers={"x-foo": 1})
    lane.publish(exchange, "", "other", application_headers={"a": 1, "x-foo": 2})
    found = {stem: lane.contents(queue) for stem, queue in queues.items()}
    assert found == {
        "empty": "none foo other",
        "any": "",
        "x": "none foo other",
        "any x": "",
        "all with x": "foo",
        "any with x": "foo other",
    }


def test_headers_are_equal_by_type_and_value_and_none_asks_for_presence(arm: Arm) -> None:
    values: dict[str, Any] = {
        "int": 1,
        "text": "1",
        "true": True,
        "float": 1.0,
        "none": None,
        "big": 2**40,
        "list": [1, "a"],
        "table": {"a": 1},
        "word": "true",
    }
    lane = arm.client().lane()
    exchange, queues = _heads(arm, lane, {stem: {"h": value} for stem, value in values.items()})
    for body, value in values.items():
        lane.publish(exchange, "", body, application_headers={"h": value})
    found = {stem: lane.contents(queue) for stem, queue in queues.items()}
    assert found == {
        **{stem: stem for stem in values},
        "int": "int float",
        "float": "int float",
        "none": " ".join(values),
    }


def test_a_queue_bound_twice_by_headers_gets_a_message_once(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange, queues = _heads(arm, lane, {"q": {"a": 1}})
    lane.bind(queues["q"], exchange, "", {"b": 1})
    lane.publish(exchange, "", "1", application_headers={"a": 1, "b": 1})
    lane.unbind(queues["q"], exchange, "ignored", {"a": 1})
    lane.publish(exchange, "", "2", application_headers={"a": 1})
    lane.publish(exchange, "", "3", application_headers={"a": 1, "b": 1})
    assert lane.contents(queues["q"]) == "1 3"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bogus", 'Invalid x-match field value <<"bogus">>; expected all, any, all-with-x, or any-with-x'),
        (5, "Invalid x-match field type signedint (value 5); expected longstr"),
        (True, "Invalid x-match field type bool (value true); expected longstr"),
    ],
)
def test_an_unknown_match_is_refused_by_a_headers_exchange_only(arm: Arm, value: object, text: str) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.bind(queue, "amq.direct", "k", {"x-match": value})
    lane.unbind(queue, "amq.headers", "k", {"x-match": value})
    with pytest.raises(Closed) as refused:
        lane.bind(queue, "amq.headers", "k", {"x-match": value})
    closed = refused.value
    assert (closed.code, closed.text, closed.method) == (406, f"PRECONDITION_FAILED - {text}", (50, 20))


# --- exchanges that are bound to exchanges -----------------------------------------------------------


def _chain(arm: Arm, lane: Lane, *kinds: str) -> list[str]:
    names = [arm.name(f"x{number}") for number in range(len(kinds))]
    for name, kind in zip(names, kinds, strict=True):
        lane.exchange(name, kind)
    return names


def test_a_message_follows_the_bindings_between_exchanges_under_its_own_key(arm: Arm) -> None:
    lane = arm.client().lane()
    first, second, third = _chain(arm, lane, "topic", "fanout", "direct")
    near, far, late = (lane.queue(arm.name(stem)) for stem in ("near", "far", "late"))
    lane.bind_exchange(second, first, "a.#")
    lane.bind_exchange(third, second, "unused")
    lane.bind(near, first, "a.*")
    lane.bind(far, third, "a.b")
    lane.bind(late, second, "")
    for key in ("a.b", "a.c", "b"):
        lane.publish(first, key, key)
    assert (lane.contents(near), lane.contents(far), lane.contents(late)) == ("a.b a.c", "a.b", "a.b a.c")
    lane.unbind_exchange(second, first, "a.#")
    lane.publish(first, "a.b", "again")
    assert (lane.contents(near), lane.contents(far)) == ("again", "")


def test_a_circle_of_exchanges_delivers_once(arm: Arm) -> None:
    lane = arm.client().lane()
    one, two = _chain(arm, lane, "fanout", "fanout")
    queue = lane.queue(arm.name("q"))
    lane.bind_exchange(two, one, "")
    lane.bind_exchange(one, two, "")
    lane.bind_exchange(one, one, "")
    lane.bind(queue, one, "")
    lane.bind(queue, two, "")
    lane.publish(one, "", "1")
    lane.publish(two, "", "2")
    assert lane.contents(queue) == "1 2"


def test_a_message_can_go_through_an_internal_exchange(arm: Arm) -> None:
    lane = arm.client().lane()
    (outer,) = _chain(arm, lane, "fanout")
    inner = arm.name("inner")
    lane.exchange(inner, "fanout", internal=True)
    lane.bind_exchange(inner, outer, "")
    queue = lane.queue(arm.name("q"))
    lane.bind(queue, inner, "")
    lane.publish(outer, "", "through")
    assert lane.contents(queue) == "through"


def test_a_mandatory_message_that_dies_in_an_exchange_comes_back(arm: Arm) -> None:
    lane = arm.client().lane()
    one, two = _chain(arm, lane, "fanout", "direct")
    lane.bind_exchange(two, one, "")
    lane.publish(one, "k", "back", mandatory=True)
    arm.settle()
    assert lane.returned == [Returned(312, "NO_ROUTE", one, "k")]


def test_an_auto_delete_exchange_counts_what_it_leads_to(arm: Arm) -> None:
    lane = arm.client().lane()
    target, other = _chain(arm, lane, "fanout", "fanout")
    source = arm.name("source")
    lane.exchange(source, "fanout", auto_delete=True)
    lane.bind_exchange(source, target, "")
    lane.unbind_exchange(source, target, "")
    assert arm.has_exchange(source)  # what leads to it does not count
    lane.bind_exchange(target, source, "")
    lane.bind_exchange(other, source, "")
    lane.unbind_exchange(other, source, "")
    assert arm.has_exchange(source)
    lane.delete_exchange(target)
    assert not arm.has_exchange(source)


def test_an_exchange_is_in_use_by_what_it_leads_to(arm: Arm) -> None:
    lane = arm.client().lane()
    source, target = _chain(arm, lane, "fanout", "fanout")
    lane.bind_exchange(target, source, "")
    lane.delete_exchange(target, if_unused=True)
    assert not arm.has_exchange(target)
    lane.exchange(target, "fanout")
    lane.bind_exchange(target, source, "")
    with pytest.raises(Closed) as refused:
        lane.delete_exchange(source, if_unused=True)
    assert refused.value.text == f"PRECONDITION_FAILED - exchange '{source}' in vhost '{arm.vhost}' in use"


# --- alternate exchanges -------------------------------------------------------------------------


def _with_alternate(arm: Arm, lane: Lane, alternate: str, kind: str = "direct") -> str:
    exchange = arm.name("x")
    lane.exchange(exchange, kind, arguments={"alternate-exchange": alternate})
    return exchange


def test_what_no_queue_takes_goes_to_the_alternate_exchange(arm: Arm) -> None:
    lane = arm.client().lane()
    lane.exchange(alternate := arm.name("ae"), "fanout")
    exchange = _with_alternate(arm, lane, alternate)
    taken, rest = lane.queue(arm.name("taken")), lane.queue(arm.name("rest"))
    lane.bind(taken, exchange, "k")
    lane.bind(rest, alternate, "")
    lane.publish(exchange, "k", "known")
    lane.publish(exchange, "other", "unknown", mandatory=True)
    letter = lane.letter(rest)
    assert (letter.body, letter.exchange, letter.key) == ("unknown", exchange, "other")
    assert (lane.contents(taken), lane.contents(rest), lane.returned) == ("known", "", [])


def test_an_alternate_exchange_may_be_missing_and_come_later(arm: Arm) -> None:
    lane = arm.client().lane()
    alternate = arm.name("ae")
    exchange = _with_alternate(arm, lane, alternate)
    queue = lane.queue(arm.name("q"))
    lane.publish(exchange, "k", "lost", mandatory=True)
    arm.settle()
    lane.exchange(alternate, "fanout")
    lane.bind(queue, alternate, "")
    lane.publish(exchange, "k", "found", mandatory=True)
    assert lane.contents(queue) == "found"
    assert [returned.key for returned in lane.returned] == ["k"]


def test_a_bound_exchange_that_leads_nowhere_does_not_make_its_source_use_the_alternate(arm: Arm) -> None:
    lane = arm.client().lane()
    lane.exchange(alternate := arm.name("ae"), "fanout")
    exchange = _with_alternate(arm, lane, alternate, "fanout")
    lane.exchange(dead_end := arm.name("end"), "direct")
    lane.bind_exchange(dead_end, exchange, "")
    queue = lane.queue(arm.name("q"))
    lane.bind(queue, alternate, "")
    lane.publish(exchange, "k", "gone")
    assert lane.contents(queue) == ""


def test_alternate_exchanges_in_a_circle_end(arm: Arm) -> None:
    lane = arm.client().lane()
    one, two = arm.name("one"), arm.name("two")
    lane.exchange(one, "direct", arguments={"alternate-exchange": two})
    lane.exchange(two, "direct", arguments={"alternate-exchange": one})
    lane.publish(one, "k", "back", mandatory=True)
    arm.settle()
    assert [returned.exchange for returned in lane.returned] == [one]


# --- sender-selected distribution ----------------------------------------------------------------


def test_cc_and_bcc_are_more_keys_and_only_cc_is_seen(arm: Arm) -> None:
    lane = arm.client().lane()
    queues = [lane.queue(arm.name(stem)) for stem in "abc"]
    one, two, three = queues
    lane.publish("", one, "x", application_headers={"CC": [two, 5, one], "BCC": [three, two], "a": 1})
    letters = [lane.letter(queue) for queue in queues]
    assert [letter.key for letter in letters] == [one, one, one]
    assert letters[0].headers == {"CC": [two, 5, one], "a": 1}
    assert [lane.contents(queue) for queue in queues] == ["", "", ""]


def test_a_copy_that_is_no_list_closes_the_channel(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "x", application_headers={"CC": "one"})
    closed = lane.ends_with()
    text = 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}'
    assert (closed.scope, closed.code, closed.text, closed.method) == ("channel", 406, text, (60, 40))
