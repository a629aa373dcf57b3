"""Runs that end badly. The module imports next to nothing, so that a process for it starts at once."""

import os
import signal
import time
from pathlib import Path


def run(setting: dict) -> dict:
    """0 is well; 1 is killed, the first time; 2 runs out of memory."""
    if setting["n"] == 1 and not Path(setting["marker"]).exists():
        Path(setting["marker"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if setting["n"] == 2:
        raise MemoryError("no room")
    return {"parent": os.getppid()}


def linger(setting: dict) -> dict:
    """Says which process it is, and then takes a minute."""
    Path(setting["marker"]).write_text(str(os.getpid()))
    time.sleep(60)
    return {}
