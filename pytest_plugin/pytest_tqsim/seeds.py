"""Which seeds a test runs with.

The main name is :class:`SeedPlan`.  The command line beats the marker, and the marker beats the
ini key, so that a reproduction line with ``--tqsim-seed`` always gets its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_tqsim.marks import Marks
from pytest_tqsim.options import Options

__all__ = ["SeedPlan", "plan_seeds"]


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """The seeds of one test in the order in which they are tried.

    ``is_parametrised`` tells whether each seed is a test item of its own, as ``test_x[seed=3]``.
    """

    seeds: tuple[int, ...]
    is_parametrised: bool


def plan_seeds(options: Options, marks: Marks, failed: Sequence[int]) -> SeedPlan:
    """Return the seeds of a test; those in ``failed`` come first, also when they are out of range.

    An explicit ``--tqsim-seed`` means exactly these seeds, and then ``failed`` does not count.
    """
    base = options.ini_seed
    if marks.seed is not None:
        base = marks.seed
    if options.seed is not None:
        base = options.seed
    count = marks.seeds if options.seeds is None else options.seeds
    if count is None:
        return SeedPlan((base,), is_parametrised=False)
    seeds = range(base, base + count)
    first = () if options.seed is not None else tuple(failed)
    return SeedPlan((*first, *(seed for seed in seeds if seed not in first)), is_parametrised=True)
