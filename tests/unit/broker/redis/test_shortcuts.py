"""The shorter ways lead to the same place: packing and reading held to redis-py's own."""

from __future__ import annotations

from typing import Any

import pytest
from redis._parsers import _RESP3Parser
from redis._parsers.encoders import Encoder
from redis.connection import PythonRespSerializer

from tqsim.broker.redis.shortcuts import pack, read_reply

CUTOFF = 6_000
REPLIES = [
    b"+OK\r\n",
    b":12\r\n",
    b"(123456789012345678901234567890\r\n",
    b"_\r\n",
    b"$5\r\nhe\r\no\r\n",
    b"$0\r\n\r\n",
    b"#t\r\n",
    b"#f\r\n",
    b",1.5\r\n",
    b"*3\r\n$1\r\na\r\n:1\r\n*1\r\n_\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b"%2\r\n+a\r\n:1\r\n$1\r\nb\r\n*0\r\n",
    b"-WRONGTYPE Operation against a key\r\n",
    b"*2\r\n-ERR no\r\n+QUEUED\r\n",
]


@pytest.mark.parametrize(
    "args",
    [
        ("SET", "k", "v"),
        ("SET", b"k", "ä" * 10),
        ("ZADD", "z", 1.5, "m"),
        ("BRPOP", "a", "b\x06\x169", 1),
        ("EXPIRE", "k", -7),
        ("PING",),
        ("SET", "k", "x" * (CUTOFF + 1)),
        ("CONFIG GET", "save"),
        ("SET", "k", memoryview(b"view")),
        ("SET", "k", True),
    ],
)
def test_command_is_packed_as_redis_py_packs_it(args: tuple[Any, ...]) -> None:
    ours = pack(args, CUTOFF)
    if ours is None:  # left to redis-py
        assert len(args[-1] if isinstance(args[-1], str) else "") > CUTOFF or args[0] == "CONFIG GET" or args[2:]
        return
    real = PythonRespSerializer(CUTOFF, Encoder("utf-8", "strict", decode_responses=False).encode).pack(*args)
    assert b"".join(real) == ours


@pytest.mark.parametrize("is_decoded", [False, True])
@pytest.mark.parametrize("reply", REPLIES)
def test_reply_is_read_as_redis_py_reads_it(reply: bytes, is_decoded: bool) -> None:
    encoder = Encoder("utf-8", "strict", decode_responses=is_decoded)
    real = _Reader(reply, encoder)
    ours, end = read_reply(b"--" + reply + b"--", 2, encoder.decode if is_decoded else None, real.parser.parse_error)
    assert end == 2 + len(reply)
    assert _plain(ours) == _plain(real.read())


class _Reader:
    """redis-py's parser over bytes."""

    def __init__(self, data: bytes, encoder: Any) -> None:
        self.data = data
        self.socket_timeout = None
        self.encoder = encoder
        self._sock = self
        self.parser = _RESP3Parser(65_536)
        self.parser.on_connect(self)

    def recv(self, size: int) -> bytes:
        """As of a socket."""
        return self.data

    def read(self) -> Any:
        """The reply."""
        return self.parser.read_response()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return (type(value), str(value)) if isinstance(value, Exception) else (type(value), value)
