"""Generated programs of whole Celery applications end alike on simulated workers and on real ones.

``--celery-programs N`` says how many of them run for each broker, ``--celery-seed`` which; the simulation alone runs
more of them in the ordinary suite and is held to what Celery promises.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from tests.conformance import celery_programs
from tests.conformance.celery_program_arms import ProgramArm, SimulatedWorkers
from tests.conformance.celery_program_promises import broken_promises
from tests.conformance.celery_program_records import Record, Run, differences
from tests.conformance.celery_program_strategies import nth, promised_order
from tests.conformance.celery_program_workers import RealOnRabbitMQ, RealOnRedis
from tests.conformance.celery_programs import (
    ALPHA,
    Await,
    Chain,
    Chord,
    Die,
    Fail,
    Ignore,
    Job,
    KillWorker,
    Limit,
    Program,
    Publish,
    Reject,
    Replace,
    Retry,
    Send,
    Sleep,
    written,
)
from tests.conformance.redis_server_arm import RealRedis

#: Celery announces another default for callbacks of errors on chords; this is how it behaves by default today.
pytestmark = pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header=False is pending deprecation")

_BROKERS: Final = ("rabbitmq", "redis")
_SIMULATED: Final = 30
_SEEDS_APART: Final = 10_000
#: Programs as they are pasted from the text of a failure.
_WRITTEN: Final = {
    "ways to end": Program(
        (
            Send(Job("a", Reject(requeue=True), "late")),
            Send(Job("b", Ignore())),
            Send(Job("c", Limit("hard"), link_error=Job("d"))),
            Send(Chain((Job("e", Retry(1, 1)), Job("f", Replace(Chain((Job("g"), Job("h"))))), Job("i")))),
            Send(Job("j", Publish(Job("k")))),
            Send(Job("l", Die(), "lost")),
            Send(Chord((Job("m", link_error="inline"), Job("n", Fail(), link_error="inline")), Job("o"))),
        )
    ),
    "a worker is killed": Program(
        (
            Send(Job("a", Sleep(2), "late", ALPHA)),
            Send(Job("b", queue=ALPHA)),
            Await("a"),
            KillWorker(),
            Send(Job("c", queue=ALPHA)),
        )
    ),
    "a replaced task and a lost child": Program(
        (Send(Chain((Job("a", Replace(Job("b", task="late"))), Job("c", Die(), "lost"), Job("d")))),)
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each program a test of its own."""
    if "generated" in metafunc.fixturenames:
        metafunc.parametrize("generated", range(metafunc.config.getoption("celery_programs")))


@pytest.fixture(scope="module", params=_BROKERS)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ProgramArm]]:
    """Real workers, which are started once for all programs on a broker."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "rabbitmq":
        site: Any = request.getfixturevalue("rabbitmq_site")
        if site.told("list_queues") is None:
            pytest.skip("rabbitmqctl does not answer, which knows what is unacknowledged")
        arm: ProgramArm = RealOnRabbitMQ(site, folder)
        yield request.param, arm
        arm.close()
        return
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as server:
        arm = RealOnRedis(server, folder)
        yield request.param, arm
        arm.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures of tasks are what is wanted here."""
    with caplog.at_level(logging.CRITICAL):
        yield


def _simulate(broker: str, program: Program, parent: Path) -> Record:
    arm = SimulatedWorkers(broker, Path(tempfile.mkdtemp(dir=parent)))
    try:
        return arm.run(program)
    finally:
        arm.close()


def _hypothesis(
    number: int, first_seed: int, *phases: Phase
) -> Callable[[Callable[[Program], None]], Callable[[], None]]:
    """Return a decorator for a function that is called with one program; the same numbers draw the same program."""

    def decorate(check: Callable[[Program], None]) -> Callable[[], None]:
        chosen = settings(
            max_examples=1, database=None, phases=phases, suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet, print_blob=False,
        )  # fmt: skip
        return seed(first_seed * _SEEDS_APART + number)(chosen(given(nth(number))(check)))

    return decorate


def _drawn(number: int, first_seed: int) -> Program:
    """Return one program.  It is checked outside of Hypothesis, which would run one that fails again."""
    drawn: list[Program] = []

    @_hypothesis(number, first_seed, Phase.generate)
    def draw(program: Program) -> None:
        drawn.append(program)

    draw()
    return drawn[0]


def _check_alike(real: tuple[str, ProgramArm], program: Program, tmp_path: Path) -> None:
    broker, arm = real
    simulated = _simulate(broker, program, tmp_path)
    record = arm.run(program)
    found = differences(promised_order(program), simulated, record)
    found += [f"really: {line}" for line in broken_promises(program, record, keeps_unacked=broker == "redis")]
    if found:
        lines = "\n  ".join(found)
        pytest.fail(
            f"On {broker} this program ends otherwise than in the simulation:\n  {lines}\n\n{written(program)}\n\n"
            f"The real workers have their logs in {arm.place.folder}.\n"
            "To run it by itself, paste it into _WRITTEN; --celery-shrink makes it smaller, which takes minutes.",
            pytrace=False,
        )


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.timeout(600)
def test_program_ends_as_it_does_really(
    real: tuple[str, ProgramArm], generated: int, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """One generated program on both arms."""
    first_seed = pytestconfig.getoption("celery_seed")

    def check(program: Program) -> None:
        _check_alike(real, program, tmp_path)

    if pytestconfig.getoption("celery_shrink"):
        _hypothesis(generated, first_seed, Phase.generate, Phase.shrink)(check)()
    else:
        check(_drawn(generated, first_seed))


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", list(_WRITTEN))
def test_written_program_ends_as_it_does_really(real: tuple[str, ProgramArm], name: str, tmp_path: Path) -> None:
    """One program of the list above on both arms."""
    _check_alike(real, _WRITTEN[name], tmp_path)


@pytest.mark.parametrize("broker", _BROKERS)
@pytest.mark.parametrize("number", range(_SIMULATED))
def test_simulated_program_keeps_what_celery_promises(broker: str, number: int, tmp_path: Path) -> None:
    """The same strategies as above, with other seeds than a real arm is likely to see."""
    program = _drawn(number, 0)
    record = _simulate(broker, program, tmp_path)
    assert broken_promises(program, record, keeps_unacked=broker == "redis") == [], written(program)


# -- the tests' own tools ---------------------------------------------------------------------


def test_difference_between_the_arms_is_told(tmp_path: Path) -> None:
    """What differs is planted: the second program acknowledges its first task early, which is lost with the worker."""
    program = _WRITTEN["a worker is killed"]
    first = program.steps[0]
    assert isinstance(first, Send)
    assert isinstance(first.canvas, Job)
    other = Program((Send(replace(first.canvas, task="early")), *program.steps[1:]))
    records = [_simulate("rabbitmq", each, tmp_path) for each in (program, other)]
    assert differences(promised_order(program), records[0], records[0]) == []
    told = [line.partition(":")[0] for line in differences(promised_order(program), *records)]
    assert told == ["state of a", "result of a", "extended of a", "runs of a", "runs of b"]


def _planted() -> dict[str, Callable[[Record], Any]]:
    late, early = Run("a", 9.0, "seen"), Run("a", -0.5, "seen")
    return {
        "order of first runs: simulated ['a', 'b'], real ['b', 'a']": lambda record: record.runs.reverse(),
        "errors noted on the spot: simulated [], real ['noted']": lambda record: record.inline.append("noted"),
        "queues at the end (ready, unacknowledged): simulated {'alpha': (0, 0)}, real {'alpha': (1, 0)}": (
            lambda record: record.queues.update(alpha=(1, 0))
        ),
        "change of the prefetch count: simulated {'single': 0}, real {'single': 1}": (
            lambda record: record.prefetch.update(single=1)
        ),
        "a began late: 0.1 s in the simulation, 9.0 s really": lambda record: record.runs.__setitem__(0, late),
        "a began early: by 0.1 s in the simulation, by -0.5 s really": lambda record: record.runs.__setitem__(0, early),
    }


@pytest.mark.parametrize("line", list(_planted()))
def test_comparison_tells_what_differs(line: str) -> None:
    """Each thing that is compared, changed in one of two equal records."""

    def record() -> Record:
        runs = [Run("a", 0.1, "seen"), Run("b", None, "seen")]
        return Record(runs=runs, queues={"alpha": (0, 0)}, prefetch={"single": 0})

    changed = record()
    _planted()[line](changed)
    assert differences(["a", "b"], record(), record()) == []
    assert differences(["a", "b"], record(), changed) == [line]


def test_broken_promise_is_told(tmp_path: Path) -> None:
    """A record of one program is no record of another."""
    program = Program((Send(Job("a", queue=ALPHA)), Send(Job("b", Fail(), queue=ALPHA)), Send(Job("c", Retry(1)))))
    record = _simulate("rabbitmq", program, tmp_path)
    assert broken_promises(program, record, keeps_unacked=False) == []
    record.runs.reverse()
    record.queues[ALPHA] = (0, 1)
    other = Program((program.steps[0], Send(Job("b", queue=ALPHA)), Send(Job("c", Retry(2)))))
    assert broken_promises(other, record, keeps_unacked=False) == [
        "first runs in the order ['b', 'a'], sent in the order ['a', 'b']",
        "alpha keeps (0, 1)",
        "b ended in FAILURE, not in SUCCESS",
        "c ran 2 times, not 3",
    ]


def test_text_of_a_program_is_the_program() -> None:
    """What a failure prints can be pasted; equal seeds draw equal programs and others draw others."""
    drawn = [_drawn(number, first_seed) for first_seed in (1, 1, 2) for number in range(5)]
    assert [eval(written(program), vars(celery_programs)) for program in drawn] == drawn
    assert drawn[:5] == drawn[5:10]
    assert all(mine != theirs for mine, theirs in zip(drawn[:5], drawn[10:], strict=True))
