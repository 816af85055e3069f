"""The fixtures ``tqsim_simulation`` and ``tqsim_seed``."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run


def test_simulations_are_open_and_closed_in_every_way_of_use(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(
        test_it="""
        import pytest
        import tqsim
        from shop import add, app, draw

        kept = []

        def test_call_returns_an_open_simulation(tqsim_simulation):
            sim = tqsim_simulation(app)
            assert isinstance(sim, tqsim.Simulation)
            sim.worker("w1")
            assert add.delay(1, 2).get(timeout=10) == 3
            kept.append(sim)

        def test_it_was_closed_at_teardown():
            with pytest.raises(tqsim.ClosedError):
                kept.pop().run(for_=1)

        def test_with_closes_at_the_end_of_the_block(tqsim_simulation):
            with tqsim_simulation(app) as sim:
                sim.run(for_=1)
                assert sim.elapsed == 1
            with pytest.raises(tqsim.ClosedError):
                sim.run(for_=1)
            with tqsim_simulation(app) as sim:
                assert sim.elapsed == 0

        def test_the_next_closes_the_one_before(tqsim_simulation):
            first = tqsim_simulation(app)
            second = tqsim_simulation(app)
            with pytest.raises(tqsim.ClosedError):
                first.run(for_=1)
            second.run(for_=1)

        def test_equal_seeds_draw_equally(tqsim_simulation):
            def digest():
                with tqsim_simulation(app) as sim:
                    sim.worker("w1")
                    draw.delay().get(timeout=10)
                return sim.history.digest
            assert digest() == digest()

        def test_options_reach_the_simulation(tqsim_simulation, tqsim_seed):
            sim = tqsim_simulation(app, policy="random", seed=7, start="2031-01-01T00:00:00Z")
            assert (sim.history.info.policy, sim.history.info.seed, sim.now.year) == ("random", 7, 2031)
            assert tqsim_seed == 0

        @pytest.mark.tqsim(policy="random", timezone="Europe/Paris")
        class TestMarked:
            def test_options_of_the_class(self, tqsim_simulation):
                assert tqsim_simulation(app).history.info.policy == "random"

            @pytest.mark.tqsim(policy="fifo")
            def test_closer_marker_wins(self, tqsim_simulation):
                assert tqsim_simulation(app).history.info.policy == "fifo"

            def test_call_beats_marker(self, tqsim_simulation):
                assert tqsim_simulation(app, policy="fifo").history.info.policy == "fifo"

        @pytest.fixture
        def sim(tqsim_simulation):
            sim = tqsim_simulation(app)
            sim.worker("w1")
            yield sim
            sim.run_until_idle()
            sim.check(tqsim.checks.nothing_lost())

        def test_own_fixture_may_use_it_to_the_end(sim):
            add.delay(1, 2)
        """
    )
    run().assert_outcomes(passed=10)


def test_closing_does_not_hide_what_the_test_raised(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(
        test_it="""
        import pytest
        from shop import app

        def break_closing(sim):
            def close():
                real()
                raise RuntimeError("closing went wrong")
            real, sim._kernel.close = sim._kernel.close, close

        def test_fails(tqsim_simulation):
            break_closing(tqsim_simulation(app))
            raise ValueError("the test's own")

        def test_passes(tqsim_simulation):
            break_closing(tqsim_simulation(app))

        def test_is_not_disturbed(tqsim_simulation):
            tqsim_simulation(app).run(for_=1)
        """
    )
    result = run()
    result.assert_outcomes(failed=1, passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["FAILED *::test_fails - ValueError: the test's own", "ERROR *::test_passes - RuntimeError: closing went wrong"]
    )


def test_failed_opening_is_the_tests_failure_and_leaves_nothing_open(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(
        test_it="""
        from shop import app

        def test_wrong(tqsim_simulation):
            tqsim_simulation(app, policy="lifo")

        def test_unknown(tqsim_simulation):
            tqsim_simulation(app, colour="red")

        def test_right(tqsim_simulation):
            tqsim_simulation(app).run(for_=1)
        """
    )
    result = run()
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["FAILED *::test_wrong - *UsageError: *lifo*", "FAILED *::test_unknown - TypeError: *colour*"]
    )
