"""The reader of the output goes away, as ``head`` does: a real pipe and a real process."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Final

import pytest

COMMAND: Final = [sys.executable, "-c", "from tqsim.cli import main; main(prog_name='tqsim')"]


@pytest.mark.parametrize("arguments", [["list"], ["run", "worker_killed"], ["--help"], ["run", "--help"]], ids=" ".join)
def test_a_closed_pipe_ends_the_command_quietly_and_is_no_verdict(arguments: list[str]) -> None:
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == -signal.SIGPIPE


def test_an_open_pipe_gets_everything() -> None:
    done = subprocess.run([*COMMAND, "list"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "Run one with: tqsim run NAME"
