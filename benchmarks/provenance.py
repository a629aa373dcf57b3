"""Where a stored result comes from: what every script here writes into its JSON first."""

import platform
from datetime import date
from importlib.metadata import version

import psutil
import torch


def provenance(*packages: str) -> dict:
    """The day, the machine, and the versions of torch, of `packages` and of labkit."""
    return {
        "date": date.today().isoformat(),
        "machine": f"{psutil.cpu_count()} cores, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {package: version(package) for package in ("torch", *packages, "labkit")},
    }
