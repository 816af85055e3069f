"""The nightly report: a chord over the shop's branches, then a group of mails."""

from __future__ import annotations

from celery import chord, group

from tqsim_scenarios.shop import ledger, mail
from tqsim_scenarios.shop.app import app

BRANCHES = ("berlin", "hamburg", "koeln", "leipzig", "muenchen", "stuttgart")
READERS = ("sales", "finance", "board")


@app.task(name="shop.report_night")
def report_night() -> None:
    """Begin the report; beat sends this every night."""
    chord(report_branch.s(branch) for branch in BRANCHES)(report_total.s())


@app.task(name="shop.report_branch")
def report_branch(branch: str) -> int:
    """Count what a branch has sold."""
    ledger.record("counted", branch)
    return len(branch) * 1_000


@app.task(name="shop.report_total")
def report_total(sales: list[int]) -> int:
    """Add up the branches, and send the report to everybody who reads it."""
    total = sum(sales)
    group(send_report.s(reader, total) for reader in READERS).delay()
    return total


@app.task(name="shop.send_report")
def send_report(reader: str, total: int) -> None:
    """Send the report to one reader."""
    mail.send(reader, f"Yesterday: {total}")
    ledger.record("reported", reader)
