"""What came of a story: plain data, from which the command line makes its tables.

The main name is :class:`Outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tqsim.history import History

__all__ = ["Judgement", "Outcome", "VariantOutcome"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One expectation judged: its ``name``, what is expected in words, and what was found.

    ``place`` is where the expectation stands and ``details`` the text of the failure, empty if it is met;
    ``judged`` is how much was looked at, and ``variant`` is empty for a comparison of variants.
    """

    name: str
    words: str
    place: str
    is_met: bool
    variant: str = ""
    judged: int = 0
    details: str = ""


@dataclass(frozen=True, slots=True)
class VariantOutcome:
    """One variant's run, in words where it went otherwise than told.

    ``troubles`` are loads that ended early; ``notices`` are workers that ended by themselves, and loads some of
    whose publishes failed, which a broker that is down does to them.
    """

    name: str
    history: History
    judgements: tuple[Judgement, ...]
    troubles: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs of a story, and the judgements that compare them."""

    variants: tuple[VariantOutcome, ...]
    comparisons: tuple[Judgement, ...] = ()

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Every judgement: of the variants in their order, then the comparisons."""
        found = [judgement for variant in self.variants for judgement in variant.judgements]
        return (*found, *self.comparisons)

    @property
    def is_met(self) -> bool:
        """Whether everything that was expected holds."""
        return all(judgement.is_met for judgement in self.judgements) and not self.troubles

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader of the figures should know."""
        return tuple(_of(variant, notice) for variant in self.variants for notice in variant.notices)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What kept the runs from being as they were told."""
        return tuple(_of(variant, trouble) for variant in self.variants for trouble in variant.troubles)


def _of(variant: VariantOutcome, words: str) -> str:
    return f"variant {variant.name!r}: {words}" if variant.name else words
