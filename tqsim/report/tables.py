"""A summary as tables for a terminal of 80 columns: :func:`summary_tables`.

Words are on the left, numbers on the right.  The tables are :class:`rich.table.Table` objects; printing
them is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from tqsim.durations import column
from tqsim.report.figures import brief, count, share
from tqsim.report.summaries import Spread, Summary, TaskSummary

_SPREADS: Final = ("wait", "run", "end to end")


def summary_tables(summary: Summary) -> list[Table]:
    """Return the tables of a summary: tasks, times, workers, queues and faults, without those that are empty.

    Queues that took no message are left out, and tasks of which nothing has ended from the times.
    """
    tables = [_tasks(summary), _times(summary), _workers(summary), _queues(summary), _faults(summary)]
    return [table for table in tables if table.row_count]


def _table(title: str, words: tuple[str, ...], numbers: tuple[str, ...], *, fold: bool = True) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, heading in enumerate(words):
        # Only a name, which comes first, may be too long: it is folded, or cut where it is repeated.
        # It must count as wrappable, or rich takes the room from the numbers.
        table.add_column(heading, overflow="fold" if fold else "ellipsis", no_wrap=number > 0)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _tasks(summary: Summary) -> Table:
    headings = ("sent", "runs", "succeeded", "failed", "retried", "lost", "waiting")
    discarded = any(task.discarded for task in summary.tasks)
    table = _table("Tasks", ("task",), (*headings, "discarded") if discarded else headings)
    for task in summary.tasks:
        figures = [task.published, task.runs, task.succeeded, task.failed, task.retried]
        figures += [task.lost, task.waiting, task.discarded] if discarded else [task.lost, task.waiting]
        table.add_row(_name(task), *(count(figure) for figure in figures))
    return table


def _times(summary: Summary) -> Table:
    table = _table("Times (nearest rank)", ("task", "of"), ("count", "p50", "p95", "p99", "max"), fold=False)
    for task in summary.tasks:
        name = _name(task)
        for label, spread in zip(_SPREADS, (task.wait, task.run, task.end_to_end), strict=True):
            if spread is not None:
                table.add_row(name, label, *_cells(spread))
                name = Text("")
    return table


def _workers(summary: Summary) -> Table:
    table = _table("Workers", ("worker",), ("slots", "runs", "busy", "utilisation"))
    for worker in summary.workers:
        figures = (count(worker.slots), count(worker.runs), brief(worker.busy_us), share(worker.utilisation))
        table.add_row(Text(worker.name), *figures)
    return table


def _queues(summary: Summary) -> Table:
    table = _table("Queues", ("queue",), ("messages", "peak depth", "mean depth"))
    for queue in summary.queues:
        if queue.queued:
            figures = (count(queue.queued), count(queue.depth_max), f"{queue.depth_mean:,.2f}")
            table.add_row(Text(queue.name), *figures)
    return table


def _faults(summary: Summary) -> Table:
    table = _table("Faults", ("fault",), ("struck", "repaired"))
    struck = _times_of([fault.struck_us for fault in summary.faults])
    repaired = _times_of([fault.repaired_us for fault in summary.faults])
    for fault, *times in zip(summary.faults, struck, repaired, strict=True):
        table.add_row(Text(fault.name), *times)
    return table


def _times_of(instants_us: Sequence[int | None]) -> list[str]:
    texts = iter(column([at_us for at_us in instants_us if at_us is not None]))
    return [brief(None) if at_us is None else next(texts) for at_us in instants_us]


def _cells(spread: Spread) -> tuple[str, ...]:
    durations = (spread.p50_us, spread.p95_us, spread.p99_us, spread.max_us)
    return (count(spread.count), *(brief(duration) for duration in durations))


def _name(task: TaskSummary) -> Text:
    return Text(task.name or "(no name)")
