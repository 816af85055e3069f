"""Virtual time, fibers, simulated processes and chance.

The entry is :class:`~tqsim.kernel.kernel.Kernel`.  Bottom to top: ``agenda`` (timers), ``chance``,
``fibers``, ``processes``, ``policy``, ``loop``; then one module for each part of Python that a
simulation replaces while it is open (``clock``, ``sleeping``, ``locks``, ``threads``, ``locals``,
``randomness``, ``system``, ``network``, ``sqlite``, ``garbage``), ``patches`` that puts the
replacements in and takes them out, and ``kernel``, which assembles.
"""

from __future__ import annotations

from tqsim.kernel.kernel import Kernel, KernelOptions
from tqsim.kernel.locks import WaitQueue
from tqsim.kernel.loop import TIMED_OUT, Loop
from tqsim.kernel.processes import Cell, Process

__all__ = ["TIMED_OUT", "Cell", "Kernel", "KernelOptions", "Loop", "Process", "WaitQueue"]
