"""What has happened, as the shop sees it: an append-only list of entries.

In production this is a table of the shop's database, which all processes share; here it is in memory.
"""

from __future__ import annotations


class Ledger:
    """Entries of a kind, such as ``"charged"``, about a subject, such as an order."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []


LEDGER = Ledger()


def record(kind: str, subject: str) -> None:
    """Write down that something has happened to an order or a report."""
    LEDGER.entries.append((kind, subject))


def count(kind: str) -> int:
    """Return how many entries of a kind there are."""
    return sum(entry_kind == kind for entry_kind, _ in LEDGER.entries)


def clear() -> None:
    """Begin a new ledger."""
    LEDGER.entries.clear()
