"""The one folder of stored results, of studies and benchmarks alike, and where each of them comes from."""

import json
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil

from labkit.storage.paths import course_data_dir
from labkit.storage.writing import write_atomically

RESULTS = course_data_dir() / "results"


def provenance(*packages: str) -> dict:
    """The day, the machine, and the versions of torch, of `packages` and of labkit."""
    import torch  # takes seconds, and you don't need it to look at what is stored

    return {
        "date": date.today().isoformat(),
        "machine": f"{psutil.cpu_count()} cores, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {package: version(package) for package in ("torch", *packages, "labkit")},
    }


def write_result(name: str, content: dict, folder: Path = RESULTS) -> None:
    """Write a result as ``<name>.json``, in ASCII, so that it reads alike wherever no encoding is named."""
    write_atomically(folder / f"{name}.json", json.dumps(content, indent=1) + "\n")
