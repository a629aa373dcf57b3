"""The command ``labkit``."""

from labkit.cli.parser import main

__all__ = ["main"]
