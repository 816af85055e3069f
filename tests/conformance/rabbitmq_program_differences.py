"""How a program went on two servers, and the smallest program that goes differently.

The main names are :func:`difference`, a text, and :func:`smallest`, which leaves out steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from tests.conformance.rabbitmq_program_desk import Seen
from tests.conformance.rabbitmq_programs import Program

__all__ = ["difference", "smallest"]


def difference(program: Program, simulated: Sequence[Seen], real: Sequence[Seen]) -> str | None:
    """Return where the two went apart first, and the text of the program; None if they did not."""
    assert len(simulated) == len(real) == len(program.steps) + 1
    steps = [*map(repr, program.steps), "the end"]
    for step, ours, theirs in zip(steps, simulated, real, strict=True):
        if ours == theirs:
            continue
        lines = [f"The simulation and the real server differ at {step}:"]
        for name in (field.name for field in fields(Seen)):
            mine, other = getattr(ours, name), getattr(theirs, name)
            if mine != other:
                lines += [f"  {name}", f"    simulated: {mine}", f"    real:      {other}"]
        return "\n".join([*lines, "in", str(program)])
    return None


def smallest(program: Program, differs: Callable[[Program], bool]) -> Program:
    """Leave out steps, from the last to the first and again, as long as the program ``differs`` without them."""
    while True:
        before = program
        for index in reversed(range(len(program.steps))):
            without = replace(program, steps=program.steps[:index] + program.steps[index + 1 :])
            if differs(without):
                program = without
        if program == before:
            return program
