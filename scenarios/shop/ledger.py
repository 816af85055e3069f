"""What has happened, as the shop sees it: an append-only list of entries."""

from __future__ import annotations

ENTRIES: list[tuple[str, str]] = []


def record(kind: str, subject: str) -> None:
    """Write down that something has happened to an order or a report."""
    ENTRIES.append((kind, subject))


def count(kind: str) -> int:
    """Return how many entries of a kind there are."""
    return sum(entry_kind == kind for entry_kind, _ in ENTRIES)


def clear() -> None:
    """Begin a new ledger."""
    ENTRIES.clear()
