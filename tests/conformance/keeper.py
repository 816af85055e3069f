"""Keeps servers for test processes: ``python -m tests.conformance.keeper FOLDER COMMANDS``.

It goes to the background and runs the commands (JSON), each again when it ends, until nobody holds a lock on
``FOLDER/users``, however its holders ended; then it removes ``FOLDER/ports`` and kills its process group,
itself included.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

__all__ = ["main"]

_PAUSE_S: Final = 0.2


def main() -> None:
    """Run the commands and wait for the last user."""
    if os.fork():
        return  # and whoever started it need not wait for the rest
    folder = Path(sys.argv[1])
    for command in json.loads(sys.argv[2]):
        threading.Thread(target=_keep_running, args=(command,), daemon=True).start()
    with (folder / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        # Who comes now waits for the lock, does not find the ports, and starts servers of its own.
        (folder / "ports").unlink(missing_ok=True)
        os.killpg(0, signal.SIGKILL)


def _keep_running(command: list[str]) -> None:
    while True:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main()
