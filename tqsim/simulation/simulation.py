"""A simulation: one universe with a clock, a seed, a broker, processes and a history.

The main name is :class:`Simulation`, the public entry of tqsim.  It puts the parts together and
knows none of their insides.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from tqsim.broker.brokers import client_place, redis_servers, running_broker
from tqsim.broker.profile import RabbitMQ, Redis, profile_for
from tqsim.broker.views import QueueView
from tqsim.checks import run_checks
from tqsim.durations import Duration
from tqsim.errors import ClosedError, UsageError
from tqsim.history import History, RunInfo
from tqsim.kernel import Kernel
from tqsim.kernel.fibers import Fiber
from tqsim.load import Arrivals, Distribution, Service
from tqsim.load.distributions import sampler
from tqsim.simulation.applications import Applications
from tqsim.simulation.causes import Causes
from tqsim.simulation.eager import Eager
from tqsim.simulation.faultlines import FaultLines
from tqsim.simulation.globals import ModuleGlobals
from tqsim.simulation.handles import BeatHandle, ClientHandle, WorkerHandle
from tqsim.simulation.idleness import Idleness
from tqsim.simulation.names import Names
from tqsim.simulation.recording import Recorder
from tqsim.simulation.running import Running
from tqsim.simulation.sending import send_load
from tqsim.simulation.settings import DEFAULT_START, Settings, installed_versions
from tqsim.worker.beat import BeatProgram
from tqsim.worker.listeners import listen
from tqsim.worker.program import WorkerProgram

__all__ = ["Simulation"]

_STILL_EVENTS_MAX: Final = 5_000_000
_LIMIT: Final = "30d"


class Simulation:
    """Runs a Celery application in virtual time; use it in a ``with`` statement.

    ``app`` is the application, unmodified.  Everything that happens depends on ``seed`` only.
    ``broker`` is ``tqsim.RabbitMQ()`` or ``tqsim.Redis()``; without it the application's URL decides.
    ``policy`` orders what is ready at one instant: ``"fifo"``, ``"random"`` or ``"pct(depth)"``;
    under the last two a fiber may also be held back, by at most ``preemption``.  ``start`` is the
    first instant and ``timezone`` that of every process, and of dates without one.  ``history=False``
    keeps no record.
    ``isolate_globals=True`` gives every process its own copy of the application's module globals.
    ``allow_network`` lists ``"host:port"`` that real connections may go to.  A run ends with
    :class:`~tqsim.NoProgress` after ``still_events_max`` events without time moving, or when a
    piece of code does not give way for ``stall`` of real time.  ``reproduction`` is the line that
    ends the report of a failure.

    Raises :class:`~tqsim.UsageError` for a wrong argument or a second open simulation, and
    :class:`~tqsim.UnsupportedError` for a broker or result backend that is not simulated.
    """

    def __init__(
        self,
        app: Any,
        *,
        seed: int = 0,
        broker: RabbitMQ | Redis | None = None,
        policy: str = "fifo",
        start: str | datetime.datetime = DEFAULT_START,
        timezone: str = "UTC",
        preemption: Duration = "10ms",
        history: bool = True,
        allow_network: Sequence[str] = (),
        still_events_max: int = _STILL_EVENTS_MAX,
        stall: Duration = "60s",
        isolate_globals: bool = False,
        reproduction: str = "",
    ) -> None:
        self._settings = Settings(
            seed=seed, policy=policy, start=start, timezone=timezone, preemption=preemption, history=history,
            allow_network=allow_network, still_events_max=still_events_max, stall=stall,
            isolate_globals=isolate_globals, reproduction=reproduction,
        )  # fmt: skip
        self._app = app
        self._applications = Applications(app)
        options = self._settings.kernel_options()
        if broker is not None and not isinstance(broker, RabbitMQ | Redis):
            raise UsageError(f"broker={broker!r} is not a broker profile; expected tqsim.RabbitMQ() or tqsim.Redis().")
        profile = broker or profile_for(app)
        self._kernel = Kernel(options)
        self._kernel.loop.on_fiber_error = self._on_fiber_error
        self.history = History(
            RunInfo(
                seed=seed, policy=policy, start=options.start.isoformat(), versions=installed_versions(),
                reproduction=reproduction,
            ),
            enabled=history,
        )  # fmt: skip
        self._kernel.loop.reproduction = self.history.info.line
        self._recorder = Recorder(self._kernel, self.history) if history else None
        self._note = None if self._recorder is None else self._recorder.note
        self._causes = Causes(self._kernel.speaks_test, self._running_tasks)
        self._redis = redis_servers(self._kernel, profile)
        self._broker = running_broker(self._kernel, profile, self._redis, self._applications.known, self._observers())
        self._workers: dict[str, WorkerProgram] = {}
        self._beats: dict[str, BeatProgram] = {}
        self._clients: dict[str, ClientHandle] = {}
        self._names = Names(self._kernel.main.name, self._workers, self._beats, self._clients)
        self._services: dict[str, Service] = {}
        self._costs: dict[str, Distribution] = {}
        self._isolate_globals = isolate_globals
        self._globals = ModuleGlobals([app])
        self._state = "new"
        idleness = Idleness(self._broker, self._workers, self._clients)
        self._running = Running(self._kernel, idleness)
        links = list(dict.fromkeys([self._broker.links, self._redis.links]))
        self.faults = FaultLines(
            self._kernel, self._broker, self._workers, self._services, links, self._names.all, self._note,
            self._require_open,
        )  # fmt: skip

    # -- opening and closing ------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._state != "new":
            raise UsageError("A simulation can be opened once; make a new Simulation(...) for another run.")
        self._kernel.extra_replacements = self._applications.replacements(self._kernel)
        self._kernel.open(self._applications.functions())
        try:
            self._broker.install()
            self._redis.install()
            self._applications.install(self._kernel)
            if self._isolate_globals:
                self._globals.isolate(self._kernel)
            else:
                self._globals.watch(self._kernel)
            if self._note is not None:
                listen(self._kernel, self._note)
        except BaseException:
            self._kernel.close()
            raise
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = "closed"
        self.history.seal(at_us=self._kernel.loop.now_us)
        try:
            self._kernel.close()
        except Exception:
            if error is None:  # never mask the test's own exception
                raise
        if error is None:  # a failed assertion in a client must not pass in silence
            for client in self._clients.values():
                client.raise_unasked()

    def _require_open(self) -> None:
        if self._state == "closed":
            raise ClosedError("The simulation has ended; nothing can happen in it any more.")
        if self._state == "new":
            raise UsageError("The simulation is not open; use it as: with tqsim.Simulation(app) as sim: ...")

    # -- processes ----------------------------------------------------------------------------

    def worker(self, name: str = "celery", *, app: Any = None, **options: Any) -> WorkerHandle:
        """Start a Celery worker; ``options`` are those of ``celery worker``.

        For example ``concurrency=4``, ``queues=["celery"]``, ``pool="solo"``,
        ``prefetch_multiplier=1``, ``max_tasks_per_child=100``, ``task_events=True``.  ``gossip``,
        ``mingle`` and ``heartbeat`` are off unless given as true.  ``app`` is another application
        that shares the broker.  The worker connects when the simulation next runs.
        """
        self._require_open()
        self._names.require_new(name)
        worker_app = self._application(app)
        self._applications.require_tasks(worker_app)
        cost_us = self._cost_us
        program = WorkerProgram(self._kernel, worker_app, name, options, self._note, cost_us)
        program.start()
        self._workers[name] = program
        return WorkerHandle(program, self._require_open)

    def beat(self, name: str = "beat", *, app: Any = None, **options: Any) -> BeatHandle:
        """Start Celery's beat; ``options`` are ``max_interval`` and ``scheduler``."""
        self._require_open()
        self._names.require_new(name)
        program = BeatProgram(self._kernel, self._application(app), name, options, self._note)
        program.start()
        self._beats[name] = program
        return BeatHandle(program, self._require_open)

    def client(self, function: Callable[[], Any], name: str | None = None, *, background: bool = False) -> ClientHandle:
        """Run ``function()`` as a process of its own, which may publish and wait for results.

        What it raises is raised again when somebody asks for the handle's ``result()``, or else at
        the end of the simulation.  A ``background`` client, such as one that receives events for
        ever, does not keep the simulation from being idle.
        """
        self._require_open()
        if not callable(function):
            raise UsageError(f"client({function!r}): expected a function without arguments.")
        name = name or f"client{len(self._clients) + 1}"
        self._names.require_new(name)
        process = self._kernel.new_process(name)
        if self._note is not None:
            self._note("process.started", name, None, kind="client", pid=process.pid)

        def run() -> Any:
            self._make_current()
            return function()

        handle = self._clients[name] = ClientHandle(self._kernel, process, run, self._note, is_background=background)
        return handle

    def _make_current(self) -> None:
        """Let the running fiber find the application as its current one, as any process that imports it does."""
        if self._app.set_as_current:
            self._app.set_current()

    def load(self, arrivals: Arrivals, signature: Any, name: str | None = None) -> ClientHandle:
        """Publish ``signature`` at every arrival, from a client process of its own.

        ``signature`` is a Celery signature, or a function that takes the number of the arrival
        (from 0) and returns one.  The handle's ``result()`` is how many were published; one that
        could not be, because the broker was down, is a moment ``task.unpublished``.
        """
        self._require_open()
        if not isinstance(arrivals, Arrivals):
            raise UsageError(f"load({arrivals!r}): expected arrivals such as tqsim.load.poisson(5, for_='10m').")
        name = name or f"load{len(self._clients) + 1}"
        send = partial(send_load, self._kernel, arrivals, signature, self._note, self._make_current)
        return self.client(send, name)

    def service(self, name: str, **options: Any) -> Service:
        """Simulate a dependency of the task code; see :class:`tqsim.load.Service` for the options.

        ``replaces="package.module:function"`` puts it in the place of a function of the
        application while the simulation is open.
        """
        self._require_open()
        if name in self._services:
            raise UsageError(f"service {name!r} exists already; give the second one another name.")
        replaces = options.pop("replaces", None)
        try:
            service = Service(self._kernel, name, note=self._note, **options)
        except TypeError as error:
            raise UsageError(
                f"service {name!r}: {error}; expected latency, capacity, error_rate, error, reply or replaces."
            ) from None
        if replaces is not None:
            self._applications.replace_function(self._kernel, replaces, service)
        self._services[name] = service
        return service

    def cost(self, task: Any, seconds: Duration | Distribution) -> None:
        """Let the given virtual time pass before the body of a task runs.

        ``task`` is a task or its name; ``seconds`` a duration or a distribution.  Code that never
        blocks takes no virtual time otherwise.
        """
        self._require_open()
        self._costs[self._applications.name_of(task)] = sampler(seconds, "seconds")

    def _cost_us(self, task_name: str) -> int:
        distribution = self._costs.get(task_name)
        if distribution is None:
            return 0
        return distribution(self._kernel.loop.require_current().draws.generator)

    def _application(self, app: Any) -> Any:
        if app is None:
            return self._app
        self._applications.add(self._kernel, app)
        return app

    def eager(self, *, limit: Duration = "1d") -> Eager:
        """A ``with`` block in which a publish by the test returns when all it caused is over.

        A worker must be running.  Raises :class:`~tqsim.NoProgress` when that takes more than
        ``limit`` of virtual time.
        """
        self._require_open()
        self._running.require_test_fiber("eager")
        self._broker.observe_with(self._observers(is_eager=True))
        return Eager(self._kernel, self._causes, self._broker.links, limit)

    def _observers(self, *, is_eager: bool = False) -> Callable[..., None] | None:
        """Who is told what the broker does: nobody, where nobody needs it."""
        record = None if self._recorder is None else self._recorder.observe
        if not is_eager:
            return record
        follow = self._causes.observe
        if record is None:
            return follow

        def both(name: str, **fields: Any) -> None:
            record(name, **fields)
            follow(name, **fields)

        return both

    def _running_tasks(self) -> list[str]:
        runtimes = [program.runtime for program in self._workers.values() if program.runtime is not None]
        return [task_id for runtime in runtimes for task_id in runtime.running]

    # -- running ------------------------------------------------------------------------------

    @property
    def now(self) -> datetime.datetime:
        """The present moment of the simulation, in UTC."""
        return self._kernel.clock.now()

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the start."""
        return self._kernel.now_s

    def run(
        self,
        *,
        for_: Duration | None = None,
        until: datetime.datetime | Callable[[], object] | None = None,
        limit: Duration = _LIMIT,
    ) -> None:
        """Let virtual time pass: ``for_`` a duration, or ``until`` a moment or a true predicate.

        A predicate is tried after every event; if it is not true within ``limit``, or nothing is
        left to happen, the verdict is :class:`~tqsim.NoProgress`.
        """
        __tracebackhide__ = True
        self._require_open()
        self._running.run(for_=for_, until=until, limit=limit)

    def run_until_idle(self, *, limit: Duration = _LIMIT, ignore_queues: Sequence[str] = ()) -> None:
        """Run until nothing is left to do: no message ready or unacknowledged, no task or client running.

        Beat, heartbeats and other background work do not count, nor do messages in ``ignore_queues``, such as one
        of dead letters that nobody consumes.  When that takes more than
        ``limit`` the verdict is :class:`~tqsim.NoProgress`, which names what it waited for.
        """
        __tracebackhide__ = True
        self._require_open()
        self._running.run_until_idle(limit=limit, ignore_queues=ignore_queues)

    # -- looking and judging ------------------------------------------------------------------

    def queue(self, name: str, *, vhost: str | None = None) -> QueueView:
        """A look into one queue of the broker: ``ready_count``, ``unacked_count``, ``messages()``.

        ``vhost`` is only needed where several vhosts have a queue of that name.
        """
        return self._broker.queue(name, vhost)

    @property
    def redis(self) -> Any:
        """A ``redis.Redis`` client of the simulated server: the broker's, or else that of the results."""
        self._require_open()
        return self._redis.client(client_place(self._app, self._broker))

    def restart_broker(self) -> None:
        """Restart the broker at once: connections break, only what is durable survives."""
        self._require_open()
        self._broker.restart()

    @property
    def changed_globals(self) -> list[str]:
        """Module globals of the application that task code changed; processes in production share none."""
        return list(self._globals.changed)

    def note(self, text: str) -> None:
        """Write a mark of the test's own into the history, at the present moment."""
        self._require_open()
        if self._note is not None:
            self._note("note.written", self._kernel.loop.loaded.name, None, text=str(text))

    def check(self, *checks: Any) -> None:
        """Judge the history so far; raises :class:`~tqsim.CheckFailed` that names tasks and moments."""
        __tracebackhide__ = True
        run_checks(self.history, checks)

    # -- errors ------------------------------------------------------------------------------

    def _on_fiber_error(self, fiber: Fiber) -> None:
        error = fiber.error
        if self._note is not None:
            self._note("process.crashed", fiber.process.name, None, error=repr(error))
        assert error is not None
        raise error
