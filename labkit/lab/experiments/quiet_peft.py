"""PEFT without the lines it writes into a notebook: ``from labkit.lab.experiments.quiet_peft import peft``.

PEFT imports bitsandbytes, which reports a missing speed-up for 4-bit layers on a CPU; and it asks transformers for a
property by its old name, which transformers warns of.
"""

import logging
import warnings

logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".is_gradient_checkpointing. is deprecated")

import peft  # noqa: E402, F401
