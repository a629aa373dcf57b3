"""A program that Accelerate starts, as ``accelerate launch`` in a terminal would, on CPUs."""

import json
import os
import subprocess
import sys
from typing import Any

# What the command asks for, or warns of, where nothing is said
_SAID = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")


def launch(*arguments) -> Any:
    """``accelerate launch …``, and the last line that the program prints, as JSON.

    Raises:
        RuntimeError: it failed; the message has the end of what it said.
    """
    said = [] if "--config_file" in arguments else _SAID
    command = [sys.executable, "-m", "accelerate.commands.launch", *said, *map(str, arguments)]
    here = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=here, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"accelerate launch ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
