"""The two servers that programs of kombu clients run on.

The main names are :class:`SimulatedArm` and :class:`RealArm`, and :func:`run_simulated` and :func:`run_both`,
which run one program from an empty server to an empty server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

from celery import Celery
from kombu import Connection

import tqsim
from tests.conformance.rabbitmq_program_desk import Arm, Desk, Seen, run
from tests.conformance.rabbitmq_programs import SHORT_MS, Program
from tests.conformance.rabbitmq_site import Site

__all__ = ["RealArm", "SimulatedArm", "TooSlow", "run_both", "run_simulated"]

_BARRIER: Final = "tqsim-barrier"
_QUIET_ROUNDS: Final = 2
_PAUSE_S: Final = 0.002
_ROUNDS_MAX: Final = 2_000
# What lives for a short time must not end before a program's next wait.
_MARGIN_S: Final = 0.05
_FACTOR_MAX: Final = 16


class TooSlow(Exception):
    """The machine was so slow that short lives may have ended before they should."""


class SimulatedArm(Arm):
    """The server of a simulation, which is always at rest but for what is due at this instant."""

    def __init__(self, simulation: tqsim.Simulation, vhost: str) -> None:
        self._simulation = simulation
        self._vhost = vhost

    @property
    def url(self) -> str:
        """Where kombu connects to."""
        return f"amqp://guest:guest@localhost/{self._vhost}"

    def settle(self, desk: Desk) -> None:
        """Let everything that is under way arrive, and read it."""
        time.sleep(_PAUSE_S)
        for connection in desk.connections():
            while connection.connected and not _is_quiet(desk, connection):
                pass

    def start_clock(self) -> None:
        """Steps take no time here."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def restart(self) -> None:
        """Stop the server in good order and start it again."""
        self._simulation.restart_broker()


def _is_quiet(desk: Desk, connection: Any) -> bool:
    """Read one event, or say that there is none."""

    def read() -> bool:
        try:
            connection.drain_events(timeout=0)
        except TimeoutError:
            return True
        return False

    return bool(desk.guard(read))


class RealArm(Arm):
    """A real server, at rest when nothing has changed for some rounds of questions.

    In a round each channel of the program is asked for an answer (``channel.flow``), so that what the client
    sent has been handled and what the server sent before has been read, and then each queue.  A quorum queue
    acts once its log is written, and all of them write to one log (``ra_log_wal.erl``): a confirmed publish
    to another quorum queue comes after that.
    """

    def __init__(
        self,
        site: Site,
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
        restart: Callable[[], None] | None = None,
    ) -> None:
        self.vhost = site.vhost
        self._site = site
        #: What to hold while a program runs.
        self.turn = turn
        self._restart = restart
        self._barrier: Any = None
        self._since: float | None = None
        self._short_s: float | None = None

    @property
    def url(self) -> str:
        """Where kombu connects to."""
        return self._site.url

    def settle(self, desk: Desk) -> None:
        """Let everything that is under way arrive, and read it."""
        quiet, before = 0, None
        for _ in range(_ROUNDS_MAX):
            self._ask_channels(desk)
            if desk.program.has_quorum_queues:
                self._pass_log()
            now = (desk.counts(), self._ask_channels(desk))
            quiet = quiet + 1 if now == before else 0
            if quiet == _QUIET_ROUNDS:
                self._watch_the_clock()
                return
            before = now
            time.sleep(_PAUSE_S)
        raise AssertionError("the server does not come to rest")

    @staticmethod
    def _ask_channels(desk: Desk) -> int:
        """Ask each channel for an answer, and return how much has come in all."""
        for client in desk.clients():
            if client.channel.connection is not None:
                desk.guard(partial(client.channel.flow, True))
        return desk.events

    def _pass_log(self) -> None:
        if self._barrier is None:
            self._barrier = Connection(self.url, transport_options={"confirm_publish": True}).channel()
            arguments = {"x-queue-type": "quorum", "x-max-length": 1}
            self._barrier.queue_declare(_BARRIER, durable=True, auto_delete=False, arguments=arguments)
        self._barrier.basic_publish(self._barrier.prepare_message(b""), "", _BARRIER)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._watch_the_clock()
        time.sleep(seconds)
        self._since = None

    def start_clock(self) -> None:
        """Count the time that steps take from here to the next wait, unless it is counted already."""
        if self._since is None:
            self._since = time.monotonic()

    def _watch_the_clock(self) -> None:
        since = self._since
        if self._short_s is not None and since is not None and time.monotonic() - since > self._short_s - _MARGIN_S:
            raise TooSlow

    def restart(self) -> None:
        """Stop the server in good order and start it again."""
        assert self._restart is not None, "this server is not ours to restart"
        self.close()
        self._restart()

    def expect(self, program: Program) -> None:
        """Stop the clock, which only matters to a program that waits."""
        self._short_s = None if program.factor is None else program.factor * SHORT_MS / 1_000
        self._since = None

    def close(self) -> None:
        """End the connection of its own."""
        if self._barrier is not None:
            self._barrier.connection.collect()
            self._barrier = None


def run_simulated(program: Program, vhost: str) -> list[Seen]:
    """Run a program on a simulated server of its own."""
    app = Celery("conformance", broker="amqp://", set_as_current=False)
    with tqsim.Simulation(app) as simulation:
        return run(SimulatedArm(simulation, vhost), program)


def run_real(program: Program, arm: RealArm) -> list[Seen]:
    """Run a program on a real server; raise :class:`TooSlow` if its short lives were too short for the machine."""
    arm.expect(program)
    return run(arm, program)


def run_both(program: Program, arm: RealArm) -> tuple[Program, list[Seen], list[Seen]]:
    """Run a program on both servers, a slower one where the machine is too slow; return which it was."""
    while True:
        try:
            with arm.turn():
                real = run_real(program, arm)
        except TooSlow:
            if (program.factor or 1) > _FACTOR_MAX:
                raise
            program = program.slower()
        else:
            return program, run_simulated(program, arm.vhost), real
