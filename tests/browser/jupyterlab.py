"""JupyterLab, started by ``make lab`` on a copy of the course."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

REPOSITORY = Path(__file__).parents[2]
_START_SECONDS = 120  # setting up is done; a slow machine may still take its time to import JupyterLab


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that is running.

    Args:
        address: as ``make lab`` prints it for the learner, token included.
        course: the copy of the course that it shows.
        as_copied: each notebook's bytes in the repository when the copy was made, by file name.
        learner: the learner's data folder, empty at first.
        pid: of ``make``, whose child JupyterLab is.
        seconds: from ``make lab`` to the printed address.
    """

    address: str
    course: Path
    as_copied: dict[str, bytes]
    learner: Path
    pid: int
    seconds: float

    @property
    def port(self) -> int:
        return urlsplit(self.address).port

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.address).query)["token"][0]

    def url(self, path: str) -> str:
        """The address of `path` on this server, without the token."""
        return urlsplit(self.address)._replace(path=path, query="").geturl()


@contextmanager
def make_lab(folder: Path) -> Iterator[Lab]:
    """Run ``make lab`` on a copy of the notebooks and what they read, with settings and progress of its own."""
    course, learner = folder / "course", folder / "learner"
    for part in ("notebooks", "data"):  # what notebooks read
        shutil.copytree(REPOSITORY / part, course / part, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    as_copied = {notebook.name: notebook.read_bytes() for notebook in (course / "notebooks").glob("*.ipynb")}
    environment = os.environ | {
        "LABKIT_DATA": str(learner),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    environment.pop("OMP_NUM_THREADS", None)  # one, for the unit tests' tiny matrices; a learner has all cores
    log, began = folder / "jupyterlab.log", time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["make", "lab", "BROWSER=no", f"PORT={_free_port()}", f"FOLDER={course}"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that make and JupyterLab can be stopped together
        )
    try:
        address = _printed_address(process, log)
        yield Lab(address, course, as_copied, learner, process.pid, time.monotonic() - began)
    finally:
        everybody = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        psutil.wait_procs(everybody, timeout=60)  # make is gone at once; JupyterLab still ends its kernels


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _printed_address(process: subprocess.Popen, log: Path) -> str:
    """The address with its token, once JupyterLab has printed it."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"http://localhost:\d+/lab\S*\?token=\w+", log.read_text(errors="replace")):
            return found[0]
        time.sleep(0.1)
    raise RuntimeError(f"`make lab` printed no address with a token. It said:\n{log.read_text(errors='replace')}")
