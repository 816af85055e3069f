from __future__ import annotations

import sys

import pytest

from tqsim.kernel.patches import Patches
from tqsim.kernel.system import ProcessExit
from tqsim.worker.exits import mark_exits, status


@pytest.mark.parametrize(("argument", "expected"), [(None, 0), (0, 0), (3, 3), (-1, -1), ("a reason", 1)], ids=str)
def test_a_call_of_sys_exit_says_with_which_code_the_process_ends(argument: object, expected: int) -> None:
    patches = Patches()
    mark_exits(patches)
    try:
        with pytest.raises(SystemExit) as caught:
            sys.exit(argument)  # type: ignore[arg-type]
    finally:
        patches.undo()
    assert (caught.value.code, status(caught.value, 9)) == (argument, expected)


@pytest.mark.parametrize("error", [SystemExit(3), SystemExit(), KeyboardInterrupt(), ValueError("no")], ids=repr)
def test_whatever_else_is_raised_names_no_code(error: BaseException) -> None:
    assert status(error, 9) == 9


def test_a_signal_says_with_which_code_the_process_ends() -> None:
    assert status(ProcessExit(-241), 9) & 0xFF == 15
