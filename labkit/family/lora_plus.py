"""LoRA+: B learns faster than A."""

import math
from dataclasses import dataclass

from labkit.errors import ConfigError
from labkit.family.lora import LoRA


@dataclass(frozen=True)
class LoRAPlus(LoRA):
    """LoRA with two learning rates:

        η_B = λ · η_A

    A has in_features columns and B only r, so in a wide model one rate can't suit both: where it suits A, B hardly
    learns. Everything else is LoRA's, the trained numbers included. The rate that training is given is A's.

    Args:
        loraplus_lr_ratio: λ, at least 1; 16 is the paper's rule of thumb, and PEFT has no default.

    Raises:
        ConfigError: λ below 1, or not a number.

    Source: Hayou, Ghosh, Yu, LoRA+: Efficient Low Rank Adaptation of Large Models, 2024, arXiv 2402.12354.
    """

    loraplus_lr_ratio: float = 16.0

    def __post_init__(self):
        super().__post_init__()
        ratio = self.loraplus_lr_ratio
        if type(ratio) not in (int, float) or not 1 <= ratio < math.inf:
            raise ConfigError(f"loraplus_lr_ratio must be a number of at least 1, got {ratio!r}")

    def rate_factor(self, name: str) -> float:
        return self.loraplus_lr_ratio if ".lora_B." in name else 1.0
