"""Conversations with a Redis server, byte by byte: read from text, held with an arm, and recorded.

The main names are :class:`Body`, :func:`bodies` and :func:`converse`.  A body is a list of lines:

- ``a SET k v``: client ``a`` sends a command and reads its reply; ``~ a KEYS *``: in any order
- ``a> BRPOP q 1``: it only sends; ``a?``: it reads what comes next, or nothing within five seconds
- ``a!``: it closes its connection; ``wait 50``: milliseconds pass

What a real Redis 7.0.15 said is in ``redis_replies.json``, recorded by ``python -m
tests.conformance.redis_record``.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = ["PROTOCOLS", "REPLIES", "Body", "Connect", "bodies", "converse", "recorded"]

PROTOCOLS: Final = (2, 3)
REPLIES: Final = Path(__file__).with_name("redis_replies.json")
_FOLDER: Final = Path(__file__).with_name("redis_bodies")
_DATABASE: Final = "10"
_PATIENCE_S: Final = 5.0
_MAPS: Final = "%"
_LISTS: Final = "*~>"

#: Returns a connected socket.
Connect: TypeAlias = Callable[[], Any]


@dataclass(frozen=True)
class Body:
    """One conversation: its name, and its lines."""

    name: str
    lines: tuple[str, ...]


def bodies() -> list[Body]:
    """Return every body."""
    found = []
    for path in sorted(_FOLDER.glob("*.txt")):
        for part in path.read_text(encoding="utf-8").split("== ")[1:]:
            name, *lines = part.strip().splitlines()
            found.append(Body(f"{path.stem}/{name}", tuple(line for line in lines if line.strip())))
    return found


def recorded() -> dict[str, list[str]]:
    """Return what the real server said, by body and protocol: one answer for each line that reads one."""
    answers: dict[str, list[str]] = json.loads(REPLIES.read_text(encoding="utf-8"))
    return answers


def converse(body: Body, protocol: int, connect: Connect) -> list[str]:
    """Hold a conversation; return a line for each answer."""
    clients: dict[str, _Client] = {}
    answers = []

    def client(name: str) -> _Client:
        if name not in clients:
            clients[name] = _Client(connect(), protocol)
        return clients[name]

    try:
        for line in body.lines:
            words = line.split(maxsplit=1)
            is_unordered = words[0] == "~"
            if is_unordered:
                words = words[1].split(maxsplit=1)
            who = words[0]
            if who == "wait":
                time.sleep(int(words[1]) / 1000)  # virtual in one arm
            elif who.endswith(">"):
                client(who[:-1]).send(_words(words[1]))
            elif who.endswith("?"):
                answers.append(f"{line}: {client(who[:-1]).receive(is_unordered=False)}")
            elif who.endswith("!"):
                client(who[:-1]).close()
            else:
                client(who).send(_words(words[1]))
                answers.append(f"{line}: {client(who).receive(is_unordered=is_unordered)}")
    finally:
        for one in clients.values():
            one.close()
    return answers


def _words(command: str) -> list[bytes]:
    return [word.encode().decode("unicode_escape").encode("latin-1") for word in shlex.split(command)]


class _Client:
    """A connection, without a client library."""

    def __init__(self, sock: Any, protocol: int) -> None:
        self._sock = sock
        self._data = b""
        sock.settimeout(_PATIENCE_S)
        if protocol != 2:
            self.send([b"HELLO", str(protocol).encode()])
            self.receive(is_unordered=False)
        self.send([b"SELECT", _DATABASE.encode()])
        self.receive(is_unordered=False)

    def send(self, words: list[bytes]) -> None:
        """Send a command."""
        parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        self._sock.sendall(b"*%d\r\n%b" % (len(words), b"".join(parts)))

    def receive(self, *, is_unordered: bool) -> str:
        """Return the next answer as text, ``nothing`` when there is none."""
        try:
            value = self._read()
        except TimeoutError:
            return "nothing"
        except (ConnectionError, EOFError):
            return "closed"
        if is_unordered and isinstance(value, list):
            value = [sorted(item, key=repr) if isinstance(item, list) else item for item in value]
            head, *rest = value
            value = [head, *(rest if any(isinstance(item, list) for item in rest) else sorted(rest, key=repr))]
        return repr(value)

    def _read(self) -> Any:
        line = self._line()
        kind, text = line[0], line[1:]
        if kind in "$=":
            return line if text == "-1" else f"{kind}{self._take(int(text))}"
        if kind in _LISTS:
            return line if text == "-1" else [kind, *(self._read() for _ in range(int(text)))]
        if kind in _MAPS:
            return [kind, *([self._read(), self._read()] for _ in range(int(text)))]
        return line

    def _line(self) -> str:
        while b"\r\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return line.decode("latin-1")

    def _take(self, count: int) -> str:
        while len(self._data) < count + 2:
            self._more()
        taken, self._data = self._data[:count], self._data[count + 2 :]
        return taken.decode("latin-1")

    def _more(self) -> None:
        data = self._sock.recv(65_536)
        if not data:
            raise EOFError
        self._data += data

    def close(self) -> None:
        """End the connection."""
        self._sock.close()
