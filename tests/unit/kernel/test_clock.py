from __future__ import annotations

import copy
import datetime
import os
import pickle
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import freezegun
import msgpack
import pytest
import yaml

from tests.unit.kernel.kernels import kernel, refusal
from tqsim.errors import UsageError
from tqsim.kernel.clock import parse_start


def readings() -> dict[str, Any]:
    """Every way to ask for the present moment."""
    return {
        "time": time.time(),
        "time_ns": time.time_ns(),
        "clock_gettime": time.clock_gettime(time.CLOCK_REALTIME),
        "now": datetime.datetime.now(),
        "today": datetime.datetime.today(),
        "utcnow": datetime.datetime.utcnow(),
        "aware": datetime.datetime.now(datetime.UTC),
        "astimezone": datetime.datetime.now(datetime.UTC).astimezone().replace(tzinfo=None),
        "date": datetime.date.today(),
        "localtime": datetime.datetime(*time.localtime()[:6]),
        "localtime of time": datetime.datetime(*time.localtime(time.time())[:6]),
        "gmtime": datetime.datetime(*time.gmtime()[:6]),
        "mktime": time.mktime(time.localtime()),
        "strftime": time.strftime("%Y-%m-%d %H:%M:%S"),
        "ctime": time.ctime(),
        "fromtimestamp": datetime.datetime.fromtimestamp(time.time()),
        "timestamp": datetime.datetime.now().timestamp(),
    }


@pytest.mark.parametrize(
    ("zone", "start", "local"),
    [
        ("UTC", "2030-01-15T12:00:00Z", datetime.datetime(2030, 1, 15, 12)),
        ("Europe/Paris", "2030-01-15T12:00:00Z", datetime.datetime(2030, 1, 15, 13)),
        ("Europe/Paris", "2030-07-15T12:00:00Z", datetime.datetime(2030, 7, 15, 14)),
        ("Europe/Paris", "2030-07-15T23:30:00Z", datetime.datetime(2030, 7, 16, 1, 30)),
        ("Asia/Kolkata", "2030-01-15T12:00:00Z", datetime.datetime(2030, 1, 15, 17, 30)),
    ],
)
def test_all_clocks_agree_in_every_time_zone(zone: str, start: str, local: datetime.datetime) -> None:
    moment = parse_start(start)
    utc = moment.replace(tzinfo=None)
    with kernel(start=start, time_zone=zone):
        seen = readings()

    assert seen == {
        **dict.fromkeys(("time", "clock_gettime", "timestamp", "mktime"), moment.timestamp()),
        "time_ns": int(moment.timestamp()) * 10**9,
        **dict.fromkeys(("now", "today", "astimezone", "localtime", "localtime of time", "fromtimestamp"), local),
        **dict.fromkeys(("utcnow", "gmtime"), utc),
        "aware": moment,
        "date": local.date(),
        "strftime": str(local),
        "ctime": local.ctime(),
    }


def test_local_time_jumps_when_summer_time_begins_and_repeats_when_it_ends() -> None:
    # In 2030 Europe changes on 31 March and on 27 October, at 01:00 UTC.
    def hours(start: str) -> list[str]:
        with kernel(start=start, time_zone="Europe/Paris") as simulation:
            seen = []
            for _ in range(3):
                seen.append(f"{datetime.datetime.now():%H:%M} {time.strftime('%H:%M %Z')}")
                simulation.run_until(simulation.loop.now_us + 30 * 60 * 10**6)
        return seen

    assert hours("2030-03-31T00:30:00Z") == ["01:30 01:30 CET", "03:00 03:00 CEST", "03:30 03:30 CEST"]
    assert hours("2030-10-27T00:30:00Z") == ["02:30 02:30 CEST", "02:00 02:00 CET", "02:30 02:30 CET"]


def test_a_repeated_hour_is_told_apart_as_by_the_real_clock() -> None:
    with kernel(start="2030-10-27T01:30:00Z", time_zone="Europe/Paris"):
        now = datetime.datetime.now()

        assert (now.fold, now.timestamp()) == (1, time.time())


def test_time_moves_for_every_clock_alike() -> None:
    with kernel() as simulation:
        clocks = (time.time, time.monotonic, time.perf_counter)
        before = [clock() for clock in clocks]
        before_ns = time.monotonic_ns()
        simulation.run_until(1_234_567)
        deltas = [clock() - earlier for clock, earlier in zip(clocks, before, strict=True)]

        assert deltas == pytest.approx([1.234567] * 3, abs=1e-6)
        assert time.monotonic_ns() - before_ns == 1_234_567_000


def test_values_are_plain_and_serialise() -> None:
    with kernel():
        now, aware, today = datetime.datetime.now(), datetime.datetime.now(datetime.UTC), datetime.date.today()
        made, replaced = datetime.datetime(2020, 1, 2), now.replace(year=2031)
        parsed, combined = datetime.datetime.fromisoformat("2020-01-02"), datetime.datetime.combine(today, made.time())
        later = now + datetime.timedelta(days=1)
        copied = copy.deepcopy([now, today])
        loaded = pickle.loads(pickle.dumps([now, aware, today, datetime.datetime]))
        texts = yaml.safe_dump([now, today]), msgpack.packb(aware, datetime=True)
        loaded_yaml = yaml.safe_load(texts[0])
        checks = [isinstance(now, datetime.datetime), isinstance(now, datetime.date), isinstance(today, datetime.date)]
        checks += [not isinstance(today, datetime.datetime), issubclass(datetime.datetime, datetime.date)]

    kinds = [type(value) for value in (now, aware, made, replaced, parsed, combined, later)]
    assert kinds == [datetime.datetime] * 7
    assert type(today) is datetime.date
    assert (loaded[:3], copied, loaded_yaml) == ([now, aware, today], [now, today], [now, today])
    assert texts == ("- 2030-01-01 00:00:00\n- 2030-01-01\n", msgpack.packb(aware, datetime=True))
    assert all(checks)


def test_pickles_of_plain_values_can_be_read_inside() -> None:
    outside = [datetime.datetime(2020, 1, 2, fold=1), datetime.date(2020, 1, 2)]
    content = pickle.dumps(outside)
    with kernel():
        loaded = pickle.loads(content)
        again = pickle.dumps(loaded)

    assert (loaded, pickle.loads(again)) == (outside, outside)
    assert pickle.loads(again)[0].fold == 1


def test_real_time_is_read_after_the_end_through_what_was_captured() -> None:
    with kernel():
        now, clock, today = datetime.datetime.now, time.time, datetime.date.today
    real = time.time()

    assert abs(clock() - real) < 60
    assert abs(now().timestamp() - real) < 60
    assert today() in (datetime.date.today(), datetime.date.today() - datetime.timedelta(days=1))


def test_the_environment_and_its_time_zone_are_put_back() -> None:
    before = os.environ.get("TZ"), time.tzname, time.timezone
    with kernel(time_zone="Asia/Kolkata"):
        inside = os.environ["TZ"], time.timezone

    assert inside == ("Asia/Kolkata", -19_800)
    assert (os.environ.get("TZ"), time.tzname, time.timezone) == before


def test_an_unknown_time_zone_is_refused() -> None:
    assert refusal(UsageError, lambda: kernel(time_zone="Mars/Base")) == (
        'timezone=\'Mars/Base\' is not a known time zone; expected a name such as "UTC" or "Europe/Paris".'
    )


@pytest.mark.parametrize("start", ["tomorrow", "", 7])
def test_a_start_that_is_no_date_is_refused(start: Any) -> None:
    assert refusal(UsageError, lambda: parse_start(start)) == (
        f'start={start!r} is not a date and time; expected ISO 8601 such as "2030-01-01T00:00:00Z".'
    )


def test_a_start_without_zone_is_utc_and_another_zone_is_converted() -> None:
    assert parse_start("2030-01-01T12:00:00") == datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
    assert parse_start("2030-01-01T12:00:00+02:00").isoformat() == "2030-01-01T10:00:00+00:00"
    assert parse_start(datetime.datetime(2030, 1, 1)).isoformat() == "2030-01-01T00:00:00+00:00"


def test_a_freeze_around_a_simulation_is_refused() -> None:
    with freezegun.freeze_time("2020-01-01"):
        message = refusal(UsageError, lambda: kernel().open())

    assert message == (
        "The clock is frozen already (freezegun). A simulation has its own clock: leave freeze_time() before "
        "opening it, and set the date with Simulation(start=...)."
    )
    assert time.time.__module__ == "time"


def test_a_freeze_inside_a_simulation_is_refused_and_the_clock_goes_on() -> None:
    with kernel() as simulation:
        freeze = freezegun.freeze_time("2020-01-01")
        message = refusal(UsageError, freeze.start)
        simulation.run_until(10**6)
        year = datetime.datetime.now().year

    assert message == (
        "freeze_time() was entered while a simulation is open. A simulation has its own clock: move it with "
        "sim.run(for_=...), or set the date with Simulation(start=...)."
    )
    assert year == 2030
    with freezegun.freeze_time("2020-01-01"):
        assert datetime.date.today() == datetime.date(2020, 1, 1)


@pytest.fixture
def time_machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As much of time-machine as is looked at; it need not be installed."""

    class travel:  # noqa: N801 - its name
        def start(self) -> str:
            module.coordinates_stack.append(self)
            return "travelling"

        def stop(self) -> None:
            module.coordinates_stack.pop()

    module: Any = ModuleType("time_machine")
    module.coordinates_stack, module.travel = [], travel
    monkeypatch.setitem(sys.modules, "time_machine", module)
    return module


def test_a_travel_around_a_simulation_is_refused(time_machine: Any) -> None:
    time_machine.coordinates_stack.append(SimpleNamespace())

    assert refusal(UsageError, lambda: kernel().open()) == (
        "The clock is travelling already (time-machine). A simulation has its own clock: leave "
        "time_machine.travel() before opening it, and set the date with Simulation(start=...)."
    )


def test_a_travel_inside_a_simulation_is_refused(time_machine: Any) -> None:
    with kernel():
        message = refusal(UsageError, time_machine.travel().start)

    assert message == (
        "time_machine.travel() was entered while a simulation is open. A simulation has its own clock: move it "
        "with sim.run(for_=...), or set the date with Simulation(start=...)."
    )
    assert time_machine.travel().start() == "travelling"


def test_waiting_by_reading_the_clock_ends() -> None:
    with kernel() as simulation:
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass

        assert 0.05 <= simulation.now_s < 0.06


def test_waiting_busily_lets_others_run_and_does_not_jump_over_them() -> None:
    log: list[float] = []
    with kernel() as simulation:

        def tick() -> None:
            for _ in range(5):
                time.sleep(0.0101)  # virtual
                log.append(round(simulation.now_s, 4))

        simulation.loop.spawn(tick, "tick", simulation.main)
        end = time.time() + 0.06
        while time.time() < end and len(log) < 5:
            pass

    assert log == [0.0101, 0.0202, 0.0303, 0.0404, 0.0505]


def test_ordinary_code_that_reads_the_clock_often_never_drifts() -> None:
    """100,000 countdown publishes of one fiber at one instant share one base: each also waits for the broker."""
    with kernel() as simulation:
        seen = set()
        for _ in range(100_000):
            seen.add(datetime.datetime.now(datetime.UTC))
            simulation.loop.require_current().reads = 0  # what a kernel operation of any kind does

        assert (len(seen), simulation.loop.now_us) == (1, 0)
