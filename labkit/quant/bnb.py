"""bitsandbytes, if it is there, and without its line in the log."""

import logging
from functools import cache
from types import ModuleType

# On a CPU with AVX512-BF16 it reports, on stderr and so in a notebook's output, that the optional package `kernels` is
# missing. That package speeds up only the repacked forward pass, which labkit never takes (see backends.py).
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: "gemm_4bit_forward" not in str(record.msg),
)


@cache
def find_bitsandbytes() -> ModuleType | None:
    """The module, or None where it is not installed or its library does not run here."""
    try:
        import bitsandbytes
    except (ImportError, OSError, RuntimeError):
        return None
    return bitsandbytes
