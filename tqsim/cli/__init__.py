"""The command line: ``tqsim run`` and ``tqsim list``.

Start at :func:`main`.  ``gallery`` finds scenarios by name, ``commands`` has the commands and their exit
codes, ``progress`` shows how far a run has got, ``screen`` and ``verdicts`` what came of it, and ``pipes``
is about a reader that goes away.
"""

from __future__ import annotations

from tqsim.cli.commands import main

__all__ = ["main"]
