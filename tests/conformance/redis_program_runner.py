"""Runs a program of kombu clients on an arm, and writes down what its clients see: :func:`run_kombu_program`.

The record has a line for each step (its answer, or the class and text of its error), for each message that a
consumer saw, for the lengths of the lists after each step, and at the end for each key of the database.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import kombu

from tests.conformance import redis_programs as steps
from tests.conformance.redis_keys import Names, key_space
from tests.conformance.redis_program_arms import Arm, plain_client
from tests.conformance.redis_program_client import BETWEEN_S, ProgramClient, pause
from tests.conformance.redis_programs import EXCHANGES, QUEUES, KombuProgram, KombuStep

__all__ = ["REFUSED", "run_kombu_program"]

#: What kombu's transport refuses, by name.
REFUSED: Final[MappingProxyType[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "bind an exchange": lambda channel: channel.exchange_bind("d", "t"),
        "unbind an exchange": lambda channel: channel.exchange_unbind("d", "t"),
        "flow": lambda channel: channel.flow(False),
        "declare d as topic": lambda channel: channel.exchange_declare("d", "topic"),
        "redeclare d": lambda channel: channel.exchange_declare("d", "direct", durable=True, arguments={"x": 1}),
        "find exchange x": lambda channel: channel.exchange_declare("x", passive=True),
        "bind to exchange x": lambda channel: channel.queue_bind("a", "x", "k"),
        "an unknown type": lambda channel: channel.exchange_declare("new", "headers") or channel.typeof("new"),
        "ack what is not there": lambda channel: channel.basic_ack("no such tag"),
        "reject what is not there": lambda channel: channel.basic_reject("no such tag", requeue=True),
        "cancel what is not there": lambda channel: channel.basic_cancel("no such consumer"),
    }
)  # fmt: skip


def run_kombu_program(program: KombuProgram, arm: Arm) -> list[str]:
    """Run it; return the record."""
    run = _Run(program, arm)
    try:
        for step in program.steps:
            run.take(step)
        return run.finished()
    finally:
        run.end()


class _Run:
    def __init__(self, program: KombuProgram, arm: Arm) -> None:
        self._program = program
        self._arm = arm
        self._names = Names()
        self._record: list[str] = []
        self._published = 0
        self._app = plain_client(arm.port)
        self._clients = [
            ProgramClient(f"client{number}", options, program, arm, self._record)
            for number, options in enumerate(program.clients)
        ]

    def take(self, step: KombuStep) -> None:
        """Take one step, and note what came of it."""
        begin = len(self._record)
        pause(BETWEEN_S)
        try:
            answer = getattr(self, f"_{type(step).__name__.lower()}")(step)
            self._record.append(f"{step}: {answer!r}")
        except Exception as error:  # noqa: BLE001 - whatever a client raises is compared
            self._record.append(f"{step}: {type(error).__module__}.{type(error).__qualname__}: {error}")
        if not self._arm.is_stopped:
            self._arm.settle()
        self._record.append(f"  lists: {self._lengths()}")
        # Ids are named in the order in which they are seen, so before the next step.
        self._record[begin:] = [self._names.settled(line) for line in self._record[begin:]]

    def _lengths(self) -> Any:
        if self._arm.is_stopped:
            return "the server is stopped"
        pipe = self._arm.admin.pipeline(transaction=False)
        for queue in QUEUES:
            for priority in self._program.priority_steps:
                pipe.llen(self._program.prefix + (f"{queue}\x06\x16{priority}" if priority else queue))
        lengths = [found if isinstance(found, int) else str(found) for found in pipe.execute(raise_on_error=False)]
        width = len(self._program.priority_steps)
        return {queue: lengths[index * width : (index + 1) * width] for index, queue in enumerate(QUEUES)}

    def finished(self) -> list[str]:
        """Return the record, with the key space."""
        if self._arm.is_stopped:
            self._arm.start()
        return [*self._record, *key_space(self._arm.admin, self._names)]

    def end(self) -> None:
        """Leave without restoring anything."""
        for client in self._clients:
            client.kill()
        self._app.close()

    def _of(self, step: Any) -> ProgramClient:
        number: int = step.client
        return self._clients[number % len(self._clients)]

    def _with_channel(self, step: Any, action: Callable[[Any], Any]) -> Any:
        channel = self._of(step).channel()
        return None if channel is None else action(channel)

    # -- steps --------------------------------------------------------------------------------

    def _declare(self, step: steps.Declare) -> Any:
        def declare(channel: Any) -> Any:
            exchange = kombu.Exchange(step.exchange, EXCHANGES[step.exchange])
            queue = kombu.Queue(
                step.queue, exchange, step.key, expires=step.expires_s, auto_delete=step.auto_delete
            )  # fmt: skip
            return queue(channel).declare()

        return self._with_channel(step, declare)

    def _publish(self, step: steps.Publish) -> Any:
        def publish(channel: Any) -> Any:
            self._published += 1
            headers = None if step.header is None else {"h": step.header}
            producer = kombu.Producer(channel, auto_declare=False)
            return producer.publish(
                f"m{self._published}", step.key, priority=step.priority, headers=headers, exchange=step.exchange
            )  # fmt: skip

        return self._with_channel(step, publish)

    def _consume(self, step: steps.Consume) -> Any:
        return self._with_channel(step, lambda channel: self._of(step).consume(channel, step.queue, step.no_ack))

    def _cancel(self, step: steps.Cancel) -> Any:
        return self._of(step).cancel(step.consumer)

    def _prefetch(self, step: steps.Prefetch) -> Any:
        return self._with_channel(step, lambda channel: channel.basic_qos(0, step.count, False))

    def _drain(self, step: steps.Drain) -> Any:
        return self._of(step).drain()

    def _get(self, step: steps.Get) -> Any:
        return self._with_channel(step, lambda channel: self._of(step).get(channel, step.queue, step.no_ack))

    def _ack(self, step: steps.Ack) -> Any:
        message = self._of(step).message(step.message)
        return None if message is None else message.ack()

    def _reject(self, step: steps.Reject) -> Any:
        message = self._of(step).message(step.message)
        return None if message is None else message.reject(requeue=step.requeue)

    def _recover(self, step: steps.Recover) -> Any:
        return self._with_channel(step, lambda channel: channel.basic_recover(requeue=step.requeue))

    def _purge(self, step: steps.Purge) -> Any:
        return self._with_channel(step, lambda channel: channel.queue_purge(step.queue))

    def _delete(self, step: steps.Delete) -> Any:
        return self._with_channel(step, lambda channel: channel.queue_delete(step.queue, if_empty=step.if_empty))

    def _unbind(self, step: steps.Unbind) -> Any:
        return self._with_channel(step, lambda channel: channel.queue_unbind(step.queue, step.exchange, step.key))

    def _dropexchange(self, step: steps.DropExchange) -> Any:
        return self._with_channel(step, lambda channel: channel.exchange_delete(step.exchange))

    def _size(self, step: steps.Size) -> Any:
        return self._with_channel(step, lambda channel: channel.queue_declare(step.queue, passive=True))

    def _age(self, step: steps.Age) -> Any:
        if not self._arm.is_stopped:
            index = self._program.prefix + "unacked_index"
            for tag, _ in self._arm.admin.zrange(index, 0, -1, withscores=True):
                self._arm.admin.zincrby(index, -step.seconds, tag)

    def _sweep(self, step: steps.Sweep) -> Any:
        return self._with_channel(step, lambda channel: channel.qos.restore_visible(interval=1))

    def _wait(self, step: steps.Wait) -> None:
        pause(step.seconds)

    def _closechannel(self, step: steps.CloseChannel) -> Any:
        return self._of(step).close_channel()

    def _closeconnection(self, step: steps.CloseConnection) -> Any:
        return self._of(step).close_connection()

    def _kill(self, step: steps.Kill) -> Any:
        return self._of(step).kill()

    def _reset(self, step: steps.Reset) -> Any:
        return None if self._arm.is_stopped else self._of(step).reset()

    def _stop(self, step: steps.Stop) -> None:
        if not self._arm.is_stopped:
            self._arm.stop()

    def _start(self, step: steps.Start) -> None:
        if self._arm.is_stopped:
            self._arm.start()

    def _refused(self, step: steps.Refused) -> Any:
        return self._with_channel(step, REFUSED[step.what])

    def _raw(self, step: steps.Raw) -> Any:
        return self._app.execute_command(*[word.replace("@", self._program.prefix) for word in step.words])
