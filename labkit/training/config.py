"""How to train: the settings of a run, checked when they are made."""

from dataclasses import dataclass

from labkit.errors import ConfigError
from labkit.training.optimizers import OPTIMIZERS


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        steps: optimizer steps.
        batch_size: rows a step, over all processes together.
        learning_rate: the highest, reached after the warm-up.
        warmup_share: share of the steps in which the rate rises in a line; then it falls as a half cosine.
        weight_decay: AdamW's, 0 by default: A and B are small already.
        max_grad_norm: gradients are scaled down to this norm.
        gradient_accumulation: into how many parts a process splits its rows, to save memory.
        seed: of the order of the rows and of dropout.
        checkpoint_every: steps between checkpoints; None for none. Needs `output_dir` in :func:`train`.
        optimizer: "adamw", "adamw8bit" or "paged_adamw8bit" (see :func:`labkit.training.optimizers.make_optimizer`).
        gradient_checkpointing: keep only each block's input for the backward pass and compute the rest again
            there: less memory, a third more work, the same gradients.
        share_prefix: compute what all prompts of a step begin with only once, and padding not at all: less work, the
            same gradients. Not together with dropout or gradient checkpointing (see :mod:`labkit.step.shared_prefix`).

    Raises:
        ConfigError: a value that makes no sense.
    """

    steps: int = 30
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_share: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    gradient_accumulation: int = 1
    seed: int = 0
    checkpoint_every: int | None = None
    optimizer: str = "adamw"
    gradient_checkpointing: bool = False
    share_prefix: bool = False

    def __post_init__(self):
        for name in ("steps", "batch_size", "gradient_accumulation"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        # put so that NaN is refused, too
        if not (self.learning_rate >= 0 and self.weight_decay >= 0 and self.max_grad_norm > 0):
            raise ConfigError("need learning_rate ≥ 0, weight_decay ≥ 0 and max_grad_norm > 0")
        if not 0 <= self.warmup_share <= 1:
            raise ConfigError(f"warmup_share must be between 0 and 1, got {self.warmup_share}")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ConfigError(f"checkpoint_every must be at least 1, got {self.checkpoint_every}")
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if self.share_prefix and self.gradient_checkpointing:
            raise ConfigError("share_prefix and gradient_checkpointing do not go together: choose one of the two")
