"""labkit on a device that is not the CPU: in a process of its own, since the device comes for good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of torch has no devices written in Python",
)


def run(*command: str) -> None:
    no_plugins = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=HERE.parents[1], env=no_plugins, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_everything_works_on_a_device_that_is_not_the_cpu():
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "on_second_device.py"))


@pytest.mark.long
def test_whatever_says_where_a_tensor_is_to_be_is_missed_when_taken_away():
    run(str(HERE / "mutants.py"))
