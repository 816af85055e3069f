"""A real ``celery worker`` in processes of its own: :class:`RealWorkerProcess`.

It knows nothing of what it runs: the application is a module that learns the rest from its environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["RealWorkerProcess"]

_ROOT: Final = Path(__file__).parents[2]
_START_S: Final = 60.0
_STOP_S: Final = 30.0
_STEP_S: Final = 0.05


class RealWorkerProcess:
    """A worker that can be killed and started again; ``folder`` keeps its logs and temporary files.

    ``options`` are those of ``celery worker``.  The worker is called ``name`` and the number of its start.
    ``prefix`` goes before the command, as ``ip netns exec NAME`` does.
    """

    def __init__(
        self,
        module: str,
        name: str,
        folder: Path,
        options: Sequence[str],
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self._command = [*prefix, sys.executable, "-m", "celery", "-A", module, "worker", "-l", "INFO", *options]
        self._name = name
        self._folder = folder
        # A killed worker leaves its temporary files behind: these go with the folder.
        temporary = folder / "tmp"
        temporary.mkdir(exist_ok=True)
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(_ROOT), "TMPDIR": str(temporary)}
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The main process."""
        assert self._process is not None, f"worker {self._name} was never started"
        return self._process

    @property
    def hostname(self) -> str:
        """The node name of the present start."""
        return f"{self._name}{self._starts}@{self._folder.name}"

    @property
    def log(self) -> Path:
        """What the present start logs."""
        return self._folder / f"{self._name}{self._starts}.log"

    def launch(self) -> None:
        """Start it; :meth:`await_ready` says when it consumes."""
        self._starts += 1
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(
                [*self._command, "-n", self.hostname], cwd=_ROOT, env=self._environment, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip

    def await_ready(self) -> None:
        """Wait until it consumes."""
        deadline = time.monotonic() + _START_S
        while " ready." not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(_STEP_S)

    def children(self) -> list[int]:
        """The process ids of its living pool children."""
        command = ["pgrep", "-P", str(self.process.pid), "--runstates", "DRS"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def kill_child(self) -> None:
        """End the first pool child with SIGKILL."""
        os.kill(self.children()[0], signal.SIGKILL)

    def kill(self) -> None:
        """End the main process and its children with SIGKILL, unless they have ended."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask for a warm shutdown and wait for the end."""
        self.process.terminate()
        self.process.wait(timeout=_STOP_S)
