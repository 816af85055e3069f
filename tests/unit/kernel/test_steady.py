"""A set with one order."""

from __future__ import annotations

import pickle

import pytest

from tqsim.kernel.steady import SteadySet


def test_members_come_in_the_order_of_their_texts() -> None:
    members = SteadySet([b"c", b"a", b"b"])
    assert list(members) == [b"a", b"b", b"c"]
    assert repr(members) == "{b'a', b'b', b'c'}"
    assert [members.pop(), members.pop(), members.pop()] == [b"a", b"b", b"c"]
    assert repr(members) == "set()"
    with pytest.raises(KeyError, match=r"^'pop from an empty set'$"):
        members.pop()


def test_it_equals_and_pickles_as_a_plain_set() -> None:
    members = SteadySet([1, 2])
    assert members == {1, 2}
    members -= {2}
    assert type(members) is SteadySet
    assert type(pickle.loads(pickle.dumps(members))) is set
