"""One story in a file: an application, the world around it, what goes wrong, and what must hold.

Start at :func:`load_file` and :func:`run`.  Bottom to top: ``kinds``, ``expectations`` and ``schema``
say what may be written; ``written``, ``lines`` and ``places`` know how it is written and where;
``decoding``, ``overrides`` and ``loading`` turn a file into scenarios; ``importing`` and ``references``
find what they name; ``running`` makes simulations of them, and ``judging``, ``figures`` and ``outcome``
say what came of it.
"""

from __future__ import annotations

from tqsim.scenario.figures import FIGURES, ServiceFigures, figure, service_figures
from tqsim.scenario.loading import Story, Variant, load, load_file
from tqsim.scenario.outcome import Judgement, Outcome, VariantOutcome
from tqsim.scenario.overrides import Override
from tqsim.scenario.running import Observer, run
from tqsim.scenario.schema import Scenario

__all__ = [
    "FIGURES",
    "Judgement",
    "Observer",
    "Outcome",
    "Override",
    "Scenario",
    "ServiceFigures",
    "Story",
    "Variant",
    "VariantOutcome",
    "figure",
    "load",
    "load_file",
    "run",
    "service_figures",
]
