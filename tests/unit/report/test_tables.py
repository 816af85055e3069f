from __future__ import annotations

import pytest
from rich.console import RenderableType

from tests.unit.history.story import Story
from tests.unit.screens import lines, screen
from tqsim.checks import nothing_lost, run_checks
from tqsim.errors import CheckFailed
from tqsim.history import History
from tqsim.report import failure_block, summary, summary_tables


def printed(*parts: RenderableType) -> list[str]:
    """Return the lines on a terminal of 80 columns, without spaces at their ends and empty lines."""
    console = screen()
    for part in parts:
        console.print(part)
    return [line for line in lines(console) if line]


def story() -> Story:
    told = Story().worker("w1", concurrency=2)
    for number in range(1200):
        told.publish(f"a{number}")
    told.publish("b", task="shop.mail.send_a_letter_with_a_name_that_is_too_long_for_its_column")
    told.run("a0", 1.25, 3)
    told.run("a1", 1, 2.5, "failed")
    told.run("b", 3, 5)
    return told


def test_faults_have_a_table_with_aligned_times() -> None:
    told = Story()
    for name, struck, repaired in (("outage of payments at 1m for 90s", 60, 150.25), ("crash of the broker", 90, None)):
        told.tell(0, "fault.installed", "faults", fault=name)
        told.tell(struck, "fault.struck", "faults", fault=name, verb="broker.stop", target="broker")
        if repaired is not None:
            told.tell(repaired, "fault.struck", "faults", fault=name, verb="broker.start", target="broker")
    told.tell(0, "fault.installed", "faults", fault="memory alarm")
    assert printed(*summary_tables(summary(told.history()))) == [
        "Faults",
        " fault                             struck   repaired",
        " ───────────────────────────────────────────────────",
        " outage of payments at 1m for 90s      1m  2m 30.25s",
        " crash of the broker               1m 30s          -",
        " memory alarm                           -          -",
    ]


def test_tables_fit_80_columns_with_numbers_on_the_right() -> None:
    assert printed(*summary_tables(summary(story().history()))) == [
        "Tasks",
        " task                     sent  runs  succeeded  failed  retried  lost  waiting",
        " ──────────────────────────────────────────────────────────────────────────────",
        " shop.charge             1,200     2          1       1        0     0    1,198",
        " shop.mail.send_a_lette      1     1          1       0        0     0        0",
        " r_with_a_name_that_is_",
        " too_long_for_its_colum",
        " n",
        "Times (nearest rank)",
        " task                              of          count   p50    p95    p99    max",
        " ──────────────────────────────────────────────────────────────────────────────",
        " shop.charge                       wait            2    1s  1.25s  1.25s  1.25s",
        "                                   run             2  1.5s  1.75s  1.75s  1.75s",
        "                                   end to end      2  2.5s     3s     3s     3s",
        " shop.mail.send_a_letter_with_a_…  wait            1    3s     3s     3s     3s",
        "                                   run             1    2s     2s     2s     2s",
        "                                   end to end      1    5s     5s     5s     5s",
        "Workers",
        " worker  slots  runs   busy  utilisation",
        " ───────────────────────────────────────",
        " w1          2     3  5.25s        52.5%",
        "Queues",
        " queue   messages  peak depth  mean depth",
        " ────────────────────────────────────────",
        " celery     1,201       1,201    1,199.05",
    ]


def test_discarded_tasks_get_a_column_when_there_are_some() -> None:
    told = Story().publish("a")
    told.run("a", 1, 2, "revoked")

    found = printed(*summary_tables(summary(told.history())))

    assert found[1].split() == [
        "task",
        "sent",
        "runs",
        "succeeded",
        "failed",
        "retried",
        "lost",
        "waiting",
        "discarded",
    ]
    assert found[3].split() == ["shop.charge", "1", "1", "0", "0", "0", "0", "0", "1"]
    assert max(map(len, found)) <= 80


def test_names_are_not_read_as_markup() -> None:
    told = Story().publish("a", task="[red]shop", queue="[bold]mail")

    found = printed(*summary_tables(summary(told.history())))

    assert any(line.startswith(" [red]shop") for line in found)
    assert any(line.startswith(" [bold]mail") for line in found)


def test_empty_tables_are_left_out() -> None:
    assert summary_tables(summary(History())) == []


def test_a_failed_check_is_told_word_for_word_below_its_title() -> None:
    told = Story().publish("a", args="('order-1', 'a very long argument', 'and another one')")
    with pytest.raises(CheckFailed) as caught:
        run_checks(told.history(), [nothing_lost()])

    assert failure_block("nothing is lost", str(caught.value), 80).plain.splitlines() == [
        "nothing is lost",
        "  nothing_lost() failed: 1 violation.",
        "    shop.charge a: it still waits in queue 'celery'.",
        "                0s  task.published      client    queue=celery args=('order-1',",
        "                    'a very long argument', 'and another one')",
        "                0s  message.queued      broker    queue=celery",
        "  Reproduce: pytest --tqsim-seed=7",
    ]
