"""Writers that are killed at any moment leave the old or the new, whole, and nothing else after the next write."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import sampled

TESTS = Path(__file__).parents[1]
KILLS = {"folder": 20, "adapter": 20, "checkpoint": 20, "merged": 10, "file": 10, "learner's record": 10}
KILLS |= {"a study's line": 10}  # a hundred in all


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("name", sampled(KILLS, pytest.mark.slow))
def test_killed_writers(name, tmp_path):
    paths = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "storage")))
    done = subprocess.run(
        [sys.executable, TESTS / "storage" / "kill_writers.py", name, tmp_path, str(KILLS[name]), "0"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert sum(json.loads(done.stdout.splitlines()[-1]).values()) == KILLS[name]
    print(name, done.stdout.splitlines()[-1])
