"""Runs a program of redis-py clients on an arm, and writes down every reply: :func:`run_command_program`."""

from __future__ import annotations

import time
from typing import Any, Final

from tests.conformance import redis_command_programs as steps
from tests.conformance.redis_command_programs import CommandProgram, CommandStep, Words
from tests.conformance.redis_keys import Names, key_space
from tests.conformance.redis_program_arms import Arm, plain_client

__all__ = ["SCRIPTS", "run_command_program"]

SCRIPTS: Final = (
    "return redis.call('GET', KEYS[1])",
    "return redis.call('INCR', KEYS[1])",
    "local v = redis.pcall('INCR', KEYS[1]) if type(v) == 'table' then return v end return v + 1",
    "return {KEYS[1], ARGV[1], 3, false, true, 1.9, 'x'}",
    "redis.call('SET', KEYS[1], ARGV[1]) return redis.status_reply('DONE')",
    "return redis.error_reply('MY own error')",
    "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LRANGE', KEYS[1], 0, -1)",
    "return {1, 2, nil, 4}",
    "return tonumber(ARGV[1])",
    "return redis.call('HSET', KEYS[1], 'f', ARGV[1])",
    "return redis.sha1hex(ARGV[1])",
    "return cjson.encode({ARGV[1], #KEYS})",
)
#: Replies in an order that is not promised ("unordered" or a set, a hash or keys on the commands' pages).
_UNORDERED: Final = frozenset(
    {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "HGETALL", "HKEYS", "HVALS", "KEYS", "PUBSUB", "CONFIG"}
)  # fmt: skip
_LOCK_S: Final = 100
_EXPIRY_MS: Final = 1
_BEYOND_EXPIRY_S: Final = 0.004
_BETWEEN_S: Final = 0.0002


def run_command_program(program: CommandProgram, arm: Arm) -> list[str]:
    """Run it; return the record: a line for each step, and at the end for each key."""
    run = _Run(program, arm)
    try:
        for step in program.steps:
            run.take(step)
        run.release()
        return [*run.record, *key_space(arm.admin, run.names)]
    finally:
        run.close()


class _Run:
    def __init__(self, program: CommandProgram, arm: Arm) -> None:
        self.names = Names()
        self.record: list[str] = []
        self._arm = arm
        self._clients = [_Client(arm, protocol) for protocol in program.clients]

    def take(self, step: CommandStep) -> None:
        """Take one step, and note what came of it."""
        client = self._clients[step.client % len(self._clients)]
        if client.pending is not None and not isinstance(step, steps.Receive):
            return
        time.sleep(_BETWEEN_S)  # virtual in one arm
        try:
            answer = _shown(getattr(self, f"_{type(step).__name__.lower()}")(client, step))
        except Exception as error:  # noqa: BLE001 - whatever a client raises is compared
            answer = _shown_error(error)
        self.record.append(self.names.settled(f"{step}: {answer}"))

    def release(self) -> None:
        """Receive what is still to come."""
        for number, client in enumerate(self._clients):
            if client.pending is not None:
                self.take(steps.Receive(number))

    def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            client.close()

    # -- steps --------------------------------------------------------------------------------

    def _call(self, client: _Client, step: steps.Call) -> Any:
        return _ordered(step.words, client.redis.execute_command(*step.words))

    def _pipeline(self, client: _Client, step: steps.Pipeline) -> Any:
        with client.redis.pipeline(transaction=step.transaction) as pipe:
            if step.watched:
                pipe.watch(*step.watched)
                if step.meanwhile is not None:
                    self._arm.admin.execute_command(*step.meanwhile)
                pipe.multi()
            for words in step.commands:
                pipe.execute_command(*words)
            replies = pipe.execute(raise_on_error=step.raises)
        return [_ordered(words, reply) for words, reply in zip(step.commands, replies, strict=True)]

    def _send(self, client: _Client, step: steps.Send) -> None:
        client.redis.connection.send_command(*step.words)
        client.pending = step.words
        self._arm.settle()

    def _receive(self, client: _Client, step: steps.Receive) -> Any:
        if client.pending is None:
            return None
        words, client.pending = client.pending, None
        self._arm.settle()
        connection = client.redis.connection
        if not connection.can_read(timeout=0):
            self._arm.admin.client_unblock(client.number, error=step.with_error)
            self._arm.settle()
        return client.redis.parse_response(connection, words[0])

    def _subscribe(self, client: _Client, step: steps.Subscribe) -> None:
        (client.pubsub.psubscribe if step.patterns else client.pubsub.subscribe)(*step.names)

    def _unsubscribe(self, client: _Client, step: steps.Unsubscribe) -> None:
        (client.pubsub.punsubscribe if step.patterns else client.pubsub.unsubscribe)(*step.names)

    def _listen(self, client: _Client, step: steps.Listen) -> list[Any]:
        self._arm.settle()
        heard = []
        while client.pubsub.connection is not None:
            message = client.pubsub.get_message(timeout=0)
            if message is None:
                break
            heard.append(message)
        return heard

    def _lock(self, client: _Client, step: steps.Lock) -> Any:
        lock = client.locks.get(step.name)
        if lock is None:
            lock = client.locks[step.name] = client.redis.lock(step.name, timeout=_LOCK_S, thread_local=False)
        if step.call == "acquire":
            return lock.acquire(blocking=False, token=f"token of {client.index(self._clients)}")
        return getattr(lock, step.call)(*((1,) if step.call == "extend" else ()))

    def _script(self, client: _Client, step: steps.Script) -> Any:
        script = client.redis.register_script(SCRIPTS[step.script % len(SCRIPTS)])
        return script(step.keys, step.arguments)

    def _scan(self, client: _Client, step: steps.Scan) -> Any:
        if step.kind == "scan":
            return sorted(set(client.redis.scan_iter(step.match)))
        return sorted(set(getattr(client.redis, f"{step.kind}_iter")(step.key, step.match)))

    def _expire(self, client: _Client, step: steps.Expire) -> Any:
        answer = client.redis.pexpire(step.key, _EXPIRY_MS)
        time.sleep(_BEYOND_EXPIRY_S)  # virtual in one arm
        return answer


class _Client:
    """A client with one connection, and another for what it subscribes to."""

    def __init__(self, arm: Arm, protocol: int) -> None:
        self.redis = plain_client(arm.port, protocol)
        self.number = self.redis.client_id()
        self.pubsub = self.redis.pubsub()
        self.pending: Words | None = None
        self.locks: dict[str, Any] = {}

    def index(self, clients: list[_Client]) -> int:
        """Its place among the clients."""
        return clients.index(self)

    def close(self) -> None:
        """Close both connections."""
        self.pubsub.close()
        self.redis.close()


def _ordered(words: Words, reply: Any) -> Any:
    if words[0].upper() in _UNORDERED:
        if isinstance(reply, dict):
            return dict(sorted(reply.items(), key=repr))
        if isinstance(reply, (list, set, tuple)):
            return sorted(reply, key=repr)
    return reply


def _shown(answer: Any) -> str:
    if isinstance(answer, list):
        return "[" + ", ".join(map(_shown, answer)) + "]"
    if isinstance(answer, Exception):
        return _shown_error(answer)
    return repr(answer)


def _shown_error(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}: {error}"
