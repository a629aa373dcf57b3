"""Parts of a run that end badly, for processes of their own: nothing here takes long to import."""

import os
import subprocess
import sys
import time


def dies(setting: dict, send) -> None:
    send({"measured": 1})
    send({"measured": 2})
    os._exit(3)


def goes_on_for_ever(setting: dict, send) -> None:
    send({"pid": subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid})
    time.sleep(600)


def tests_of(setting: dict, send) -> None:
    from benchmarks.on_a_gpu.checks import run_pytest

    run_pytest([setting["file"]], send)
