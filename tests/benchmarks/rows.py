"""A line of the benchmark's table: :class:`Row`, and :class:`Size`, how much work is measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row", "Size", "at_most"]


@dataclass(frozen=True)
class Row:
    """One measured thing.  ``is_met`` is ``None`` where there is no target.

    ``note`` stands beside it; ``remark`` below the table, once for all rows that have the same.
    """

    name: str
    measured: str
    target: str = ""
    is_met: bool | None = None
    note: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Size:
    """How much work: everything, or a small part of it for a first look (``--quick``)."""

    is_quick: bool = False

    def of(self, full: int, quick: int) -> int:
        """Return the count that applies."""
        return quick if self.is_quick else full


def at_most(name: str, value: float, limit: float, unit: str, note: str = "", digits: int = 2) -> Row:
    """Return the row of a value that must not exceed ``limit``."""
    return Row(name, f"{value:,.{digits}f} {unit}", f"<= {limit:g} {unit}", value <= limit, note)
