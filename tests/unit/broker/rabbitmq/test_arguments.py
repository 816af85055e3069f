"""Arguments of queues: what the server calls their types and values."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tqsim.broker.rabbitmq import Refusal
from tqsim.broker.rabbitmq.arguments import assert_equivalent, check_queue_arguments, integer


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "the value '5' of type 'signedint'"),
        (-(2**31), "the value '-2147483648' of type 'signedint'"),
        (2**31, "the value '2147483648' of type 'long'"),
        (True, "the value 'true' of type 'bool'"),
        (False, "the value 'false' of type 'bool'"),
        ("a", "the value 'a' of type 'longstr'"),
        (5.5, "the value '5.5' of type 'double'"),
        (Decimal("1.5"), "the value '1.5' of type 'decimal'"),
        (None, "the value 'undefined' of type 'void'"),
    ],
)
def test_a_value_is_shown_as_the_server_shows_it(value: object, shown: str) -> None:
    with pytest.raises(Refusal) as refused:
        assert_equivalent("queue 'q' in vhost '/'", {}, {"x": value}, ["x"])
    assert refused.value.text == (
        f"PRECONDITION_FAILED - inequivalent arg 'x' for queue 'q' in vhost '/': received {shown} but current is none"
    )


@pytest.mark.parametrize(
    ("old", "new", "same"), [(5, 5, True), (5, 6, False), (5, 5.0, False), (5, "5", False), (1, True, False)]
)
def test_values_are_equal_within_their_type_only(old: object, new: object, same: bool) -> None:
    if same:
        assert_equivalent("queue 'q'", {"x": old}, {"x": new}, ["x"])
        return
    with pytest.raises(Refusal, match="inequivalent arg 'x'"):
        assert_equivalent("queue 'q'", {"x": old}, {"x": new}, ["x"])


def test_a_missing_queue_type_is_classic() -> None:
    assert_equivalent("queue 'q'", {}, {"x-queue-type": "classic"}, ["x-queue-type"])
    assert_equivalent("queue 'q'", {"x-queue-type": "classic"}, {}, ["x-queue-type"])
    with pytest.raises(Refusal, match="received the value 'quorum' of type 'longstr' but current is none"):
        assert_equivalent("queue 'q'", {}, {"x-queue-type": "quorum"}, ["x-queue-type"])


def test_arguments_of_quorum_queues_are_for_quorum_queues() -> None:
    check_queue_arguments("q", "/", {"x-queue-type": "quorum", "x-delivery-limit": 3})
    with pytest.raises(Refusal, match="of queue type rabbit_classic_queue"):
        check_queue_arguments("q", "/", {"x-delivery-limit": 3})


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-priority": 0},
        {"x-max-priority": 255},
        {"x-message-ttl": 0},
        {"x-expires": 1},
        {"x-overflow": "reject-publish"},
        {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "k"},
        {"x-foo": object()},
    ],
)
def test_valid_and_unknown_arguments_pass(arguments: dict[str, object]) -> None:
    check_queue_arguments("q", "/", arguments)
    assert integer({"n": 5}, "n") == 5
    assert integer({}, "n") is None
