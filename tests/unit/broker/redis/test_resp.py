"""Replies as bytes, in both versions of the protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""

from __future__ import annotations

from typing import Any

import pytest
from fakeredis._helpers import SimpleError, SimpleString

from tqsim.broker.redis.resp import encode, encode_push


@pytest.mark.parametrize(
    ("value", "second", "third"),
    [
        (b"tea", b"$3\r\ntea\r\n", b"$3\r\ntea\r\n"),
        (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
        ("tea", b"$3\r\ntea\r\n", b"$3\r\ntea\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (7, b":7\r\n", b":7\r\n"),
        (-(1 << 63), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
        (1 << 63, b"$19\r\n9223372036854775808\r\n", b"(9223372036854775808\r\n"),
        (True, b":1\r\n", b"#t\r\n"),
        (False, b":0\r\n", b"#f\r\n"),
        (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
        (float("inf"), b"$3\r\ninf\r\n", b",inf\r\n"),
        (SimpleString(b"OK"), b"+OK\r\n", b"+OK\r\n"),
        (SimpleError("ERR no\r\nway"), b"-ERR no  way\r\n", b"-ERR no  way\r\n"),
        ([b"a", [1]], b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n"),
        ({b"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
    ],
)
def test_value_is_encoded_in_both_versions(value: Any, second: bytes, third: bytes) -> None:
    assert encode(value, 2) == second
    assert encode(value, 3) == third


def test_push_has_a_type_of_its_own_since_version_3() -> None:
    assert encode_push([b"message", b"news", b"x"], 2) == b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"
    assert encode_push([b"subscribe", b"news", 1], 3) == b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"


def test_value_that_no_reply_can_carry_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"^No Redis reply can carry a object: <object"):
        encode(object(), 3)
