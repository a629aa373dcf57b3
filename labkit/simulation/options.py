"""What can be chosen about a step, and what is refused."""

from dataclasses import dataclass

import torch

from labkit.errors import ConfigError
from labkit.simulation.idle_optimizers import OPTIMIZERS

METHODS = ("full", "lora", "qlora")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

MOST = 10**9  # of anything that is counted: what torch multiplies with it still is a number of 64 bits


@dataclass(frozen=True)
class StepOptions:
    """The choices of :func:`labkit.simulate`, which documents them.

    A share of `labelled` tokens becomes their number: 1 and 1.0, which Python holds for equal, are a single token and
    all of them, and what is stored for one must never be taken for the other.

    Raises:
        ConfigError: a choice there is not, or a number that makes no sense.
    """

    method: str = "lora"
    r: int = 8
    target_modules: tuple[str, ...] | str = "all-linear"
    batch_size: int = 1
    sequence: int = 512
    labelled: float | int = 1.0
    dtype: str = "bfloat16"
    adapter_dtype: str = "float32"
    optimizer: str = "adamw"
    checkpointing: bool = False
    double: bool = True
    device: str = "cuda"

    def __post_init__(self):
        for name, known in {
            "method": METHODS,
            "dtype": tuple(DTYPES),
            "adapter_dtype": tuple(DTYPES),
            "optimizer": tuple(OPTIMIZERS),
            "device": ("cuda", "cpu"),
        }.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name, least in {"r": 1, "batch_size": 1, "sequence": 2}.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")
            if value > MOST:
                raise ConfigError(f"{name} must be a whole number of at most {MOST:,}, got {value:,}")
        object.__setattr__(self, "labelled", counted_tokens(self.labelled, self.sequence))


def counted_tokens(labelled: float | int, sequence: int) -> int:
    """How many tokens of a row the loss counts: a share of the row (a float), or their number (an int).

    The first token of a row is predicted from nothing, so at most ``sequence − 1`` count.

    Raises:
        ConfigError: a share outside (0, 1], or a number that does not fit the row.
    """
    if type(labelled) is float and 0 < labelled <= 1:
        return min(max(1, round(labelled * sequence)), sequence - 1)
    if type(labelled) is int and 1 <= labelled < sequence:
        return labelled
    raise ConfigError(
        f"labelled must be a share of the tokens, 0 < share ≤ 1.0, or from 1 to {sequence - 1} tokens, got {labelled!r}"
    )
