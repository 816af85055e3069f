"""Beat: ticks at their exact moments, over restarts, by interval and by crontab."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from celery.schedules import crontab, schedule, solar

import tqsim
from tests.simulation.worker_stories import make_app

HOUR = 3600.0


def _app(entries: dict[str, Any], **settings: Any) -> Any:
    app = make_app(**settings)

    @app.task(name="tick", ignore_result=True)
    def tick(*args: Any) -> None:
        """Nothing."""

    app.conf.beat_schedule = {name: {"task": "tick", "schedule": value} for name, value in entries.items()}
    return app


def _ticks(sim: tqsim.Simulation) -> list[float]:
    return [life.published for life in sim.history.tasks("tick")]


def test_an_interval_ticks_at_its_multiples_from_the_start_on() -> None:
    """celery/beat.py, Scheduler.tick; celery/schedules.py, schedule.is_due."""
    app = _app({"t": 30.0})
    with tqsim.Simulation(app) as sim:
        sim.run(for_=7)
        sim.beat()
        sim.run(for_=150)
        assert _ticks(sim) == [37.0, 67.0, 97.0, 127.0, 157.0]


def test_an_interval_of_a_fraction_of_a_second_does_not_drift_away() -> None:
    """celery/schedules.py, schedule.is_due: remaining time counts from the last run."""
    app = _app({"t": datetime.timedelta(milliseconds=250)})
    with tqsim.Simulation(app) as sim:
        sim.beat()
        sim.run(for_=10)
        assert _ticks(sim) == [n / 4 for n in range(1, 41)]


def test_a_day_of_minutely_beat_ticks_at_every_full_minute() -> None:
    """celery/schedules.py, crontab.is_due; celery/beat.py, Scheduler.adjust: 10 ms early, then it spins."""
    app = _app({"t": crontab()})
    with tqsim.Simulation(app, start="2030-06-01T00:00:00Z") as sim:
        sim.beat()
        sim.run(for_="1d")
        ticks = _ticks(sim)
        assert len(ticks) == 1440
        assert [tick % 60 for tick in ticks if not tick % 60 < 0.001] == []
        assert ticks[:2] == pytest.approx([60.0, 120.0], abs=0.001)


def test_a_crontab_follows_the_applications_time_zone() -> None:
    """celery/schedules.py, crontab.remaining_delta; app.conf.timezone."""
    app = _app({"t": crontab(hour="9", minute="30")}, timezone="Europe/Paris")
    with tqsim.Simulation(app, start="2030-03-29T12:00:00Z") as sim:
        sim.beat()
        sim.run(for_="3d")
        start = datetime.datetime(2030, 3, 29, 12, tzinfo=datetime.UTC)
        moments = [start + datetime.timedelta(seconds=round(tick)) for tick in _ticks(sim)]
        # Summer time begins on the 31st: 9:30 in Paris is 8:30 before and 7:30 from then on.
        assert [moment.strftime("%d %H:%M") for moment in moments] == ["30 08:30", "31 07:30", "01 07:30"]


def test_a_relative_interval_is_rounded_to_its_unit() -> None:
    """celery/schedules.py, schedule(relative=True): maybe_make_aware, remaining, delta_resolution."""
    app = _app({"t": schedule(run_every=HOUR, relative=True)})
    with tqsim.Simulation(app, start="2030-01-01T00:20:00Z") as sim:
        sim.beat()
        sim.run(for_="3h")
        assert [round(tick) for tick in _ticks(sim)] == [2400, 6000, 9600]


def test_several_entries_of_different_kinds_keep_their_own_times() -> None:
    """celery/beat.py, Scheduler.populate_heap: events by time and priority."""
    app = _app({"a": 7.0, "b": crontab(minute="*/2"), "c": 10.0})
    with tqsim.Simulation(app, start="2030-01-01T00:00:00Z") as sim:
        sim.beat()
        sim.run(for_=301)
        sent = sim.history.moments_named("beat.sent")
        told = {name: [moment.at for moment in sent if moment.fields["entry"] == name] for name in "abc"}
        assert told["a"] == [7.0 * n for n in range(1, 44)]
        assert told["b"] == pytest.approx([120.0, 240.0], abs=0.001)
        assert told["c"] == [10.0 * n for n in range(1, 31)]


def test_a_restarted_beat_catches_up_what_was_due_once() -> None:
    """celery/beat.py, PersistentScheduler: last_run_at survives; an overdue entry is sent at once."""
    app = _app({"t": 60.0})
    with tqsim.Simulation(app) as sim:
        beat = sim.beat()
        sim.run(for_=130)
        beat.stop()
        sim.run(for_=300)
        assert not beat.is_alive
        beat.restart()
        sim.run(for_=200)
        ticks = _ticks(sim)
        assert ticks[:2] == [60.0, 120.0]
        assert ticks[2] == pytest.approx(430.0, abs=0.1)
        assert ticks[3:] == pytest.approx([490.0, 550.0, 610.0], abs=0.1)


def test_a_killed_beat_restarts_from_its_last_sync() -> None:
    """celery/beat.py, Scheduler.should_sync: every three minutes, so a kill forgets what came after."""
    app = _app({"t": 60.0})
    with tqsim.Simulation(app) as sim:
        beat = sim.beat()
        sim.run(for_=50)
        beat.kill()
        sim.run(for_=300)
        beat.restart()
        sim.run(for_=100)
        assert len(_ticks(sim)) >= 1
        with pytest.raises(tqsim.UsageError) as caught:
            beat.restart()
        assert str(caught.value) == "Beat 'beat' is running already; kill() or stop() it first."
        beat.kill()
        with pytest.raises(tqsim.UsageError) as caught:
            beat.kill()
        assert str(caught.value) == "Beat 'beat' cannot kill: it has ended already. Start it with restart()."


def test_two_beats_send_everything_twice() -> None:
    """Celery's documentation: only one beat may run, or tasks are duplicated."""
    app = _app({"t": 60.0})
    with tqsim.Simulation(app) as sim:
        sim.beat("b1")
        sim.run(for_=10)
        sim.beat("b2")
        sim.run(for_=171)
        assert _ticks(sim) == [60.0, 70.0, 120.0, 130.0, 180.0]


def test_beat_needs_no_worker_and_its_tasks_wait_for_one() -> None:
    """celery/beat.py, Scheduler.apply_async."""
    app = _app({"t": 60.0})
    with tqsim.Simulation(app) as sim:
        sim.beat()
        sim.run(for_=601)
        assert sim.queue("celery").ready_count == 10
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        assert sim.queue("celery").ready_count == 0
        assert {life.state for life in sim.history.tasks("tick")} == {"succeeded"}


def test_options_and_expiry_of_an_entry_are_used() -> None:
    """celery/beat.py, ScheduleEntry.options."""
    app = _app({})
    app.conf.beat_schedule = {
        "t": {"task": "tick", "schedule": 60.0, "args": (1, 2), "options": {"queue": "fast", "expires": 30}},
    }
    with tqsim.Simulation(app) as sim:
        sim.beat()
        sim.run(for_=61)
        assert sim.queue("fast").ready_count == 1
        sim.run(for_=30)
        assert sim.queue("fast").ready_count == 0
        assert [moment.at for moment in sim.history.moments_named("message.expired")] == [90.0]


def test_beat_survives_a_broker_that_is_down() -> None:
    """celery/beat.py, Scheduler.apply_entry logs a SchedulingError and goes on."""
    app = _app({"t": 10.0})
    with tqsim.Simulation(app) as sim:
        beat = sim.beat()
        sim.faults.add(tqsim.faults.broker_restart(at=15, down_for=20))
        sim.run(for_=101)
        assert beat.is_alive
        ticks = _ticks(sim)
        assert ticks[0] == 10.0
        assert len(ticks) >= 6
        assert not [tick for tick in ticks if 15 < tick < 35]


def test_solar_and_unknown_tasks_of_a_schedule_do_not_stop_it() -> None:
    """celery/schedules.py, solar; celery/beat.py sends by name what it does not know."""
    pytest.importorskip("ephem")
    app = _app({"t": solar("sunset", 48.85, 2.35)})
    with tqsim.Simulation(app) as sim:
        sim.beat()
        sim.run(for_="3d")
        assert len(_ticks(sim)) == 3


def test_a_task_registered_by_the_application_at_start_ticks_too() -> None:
    """celery/app/base.py, Celery.add_periodic_task, on_after_configure."""
    app = make_app()

    @app.task(name="tick")
    def tick() -> None:
        """Nothing."""

    app.add_periodic_task(20.0, tick.s(), name="t")
    with tqsim.Simulation(app) as sim:
        sim.beat()
        sim.run(for_=61)
        assert _ticks(sim) == [20.0, 40.0, 60.0]


def test_an_unknown_option_of_beat_is_named() -> None:
    """celery/bin/beat.py: the options."""
    app = _app({"t": 60.0})
    with tqsim.Simulation(app) as sim:
        with pytest.raises(tqsim.UsageError) as caught:
            sim.beat(interval=3)
        assert str(caught.value) == (
            "beat 'beat': interval=3 is not an option of a beat; accepted are: app, max_interval, scheduler."
        )
        sim.beat(max_interval=5)
        sim.run(for_=61)
        assert _ticks(sim) == [60.0]
