"""How to train: the settings of a run, checked when they are made."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from labkit.errors import ConfigError
from labkit.step.turns import refuse_turns
from labkit.training.optimizers import OPTIMIZERS

_MOST_STEPS = 1_000_000  # fewer than lie between the random numbers of two processes (see surroundings)
_STEPS = 30  # where nothing is said
_SEEDS = 2**63  # torch takes 64 bits, and the steps and processes of a run are added to its seed
_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        steps: optimizer steps, at most 1,000,000. With neither `steps` nor `epochs`, 30.
        batch_size: rows per step, over all processes together.
        learning_rate: the highest, reached after the warm-up.
        warmup_share: share of the steps in which the rate rises in a line; then it falls as a half cosine.
        weight_decay: AdamW's, 0 by default: A and B are small already.
        max_grad_norm: gradients are scaled down to this norm; ``math.inf`` leaves them as they are.
        gradient_accumulation: into how many parts a process splits its rows, to save memory.
        seed: of the order of the rows and of dropout, 0 to 2⁶³ − 1.
        checkpoint_every: steps between checkpoints; None for none. Needs `output_dir` in :func:`train`.
        optimizer: "adamw", "adamw8bit" or "paged_adamw8bit" (see :func:`labkit.training.optimizers.make_optimizer`).
        gradient_checkpointing: keep only each block's input for the backward pass and compute the rest again
            there: less memory, a third more work, the same gradients.
        share_prefix: compute what all prompts of a step begin with only once, and padding not at all: less work, the
            same gradients. ``"auto"`` does so wherever that's exact, which it isn't with dropout or gradient
            checkpointing (see :mod:`labkit.step.shared_prefix`); True is refused there.
        epochs: how often every row is seen, in the place of `steps`; the last step is filled up with rows that come
            round again.
        validate_every: steps between validations; None for ten of them over the run. The last step is always one.
        score_rows: of how many validation rows the answers are scored each time, too, with the task's score.
        patience: stop after this many validations in a row without a lower loss; None never stops early. This, and the
            two above, need `validation` in :func:`train`.
        turns: which of the assistant's answers in a conversation the loss counts: "all" of them, or only the "last".

    Numbers of NumPy, and tensors of one number, become Python's own.

    Raises:
        ConfigError: a value that makes no sense; the message names the setting and the value.
    """

    steps: int | None = None
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
    share_prefix: bool | str = "auto"
    epochs: int | None = None
    validate_every: int | None = None
    score_rows: int = 0
    patience: int | None = None
    turns: str = "all"

    def __post_init__(self):
        for field in fields(self):  # so that a recipe can be written down and compared
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))
        if self.steps is None and self.epochs is None:
            object.__setattr__(self, "steps", _STEPS)
        if self.steps is not None and self.epochs is not None:
            raise ConfigError(f"steps={_shown(self.steps)} and epochs={_shown(self.epochs)}: give one of the two")
        self._check_whole("score_rows", 0)
        for name in ("steps", "epochs"):
            if getattr(self, name) is not None:
                self._check_whole(name, 1, _MOST_STEPS)
        self._check_whole("batch_size", 1)
        self._check_whole("gradient_accumulation", 1)
        self._check_whole("seed", 0, _SEEDS - 1)
        for name in ("checkpoint_every", "validate_every", "patience"):
            if getattr(self, name) is not None:
                self._check_whole(name, 1)
        self._check_number("learning_rate", "a finite number of at least 0", lambda rate: 0 <= rate < math.inf)
        self._check_number("weight_decay", "a finite number of at least 0", lambda decay: 0 <= decay < math.inf)
        self._check_number("max_grad_norm", "a number above 0 (math.inf for no limit)", lambda norm: norm > 0)
        self._check_number("warmup_share", "a number from 0 to 1", lambda share: 0 <= share <= 1)
        if type(self.gradient_checkpointing) is not bool:
            raise ConfigError(f"gradient_checkpointing must be True or False, got {self.gradient_checkpointing!r}")
        if self.share_prefix != "auto" and type(self.share_prefix) is not bool:
            raise ConfigError(f'share_prefix must be True, False or "auto", got {self.share_prefix!r}')
        if not isinstance(self.optimizer, str) or self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        refuse_turns(self.turns)
        if self.share_prefix is True and self.gradient_checkpointing:
            raise ConfigError("share_prefix and gradient_checkpointing do not go together: choose one of the two")

    def for_rows(self, count: int) -> "TrainConfig":
        """These settings for `count` training rows: `epochs` becomes the number of steps that it takes.

        Raises:
            ConfigError: that's more steps than a run may have.
        """
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * count / self.batch_size)
        if steps > _MOST_STEPS:
            raise ConfigError(f"epochs={self.epochs} are {steps:,} steps here, and a run has at most {_MOST_STEPS:,}")
        return replace(self, steps=steps, epochs=None)

    def _check_whole(self, name: str, least: int, most: float = math.inf) -> None:
        value = getattr(self, name)
        if type(value) is not int or not least <= value <= most:
            bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most:,}"
            raise ConfigError(f"{name} must be a whole number {bounds}, got {_shown(value)}")

    def _check_number(self, name: str, words: str, holds: Callable[[float], bool]) -> None:
        value = getattr(self, name)
        if type(value) not in (int, float) or not holds(value) or (value != math.inf and value > _LARGEST):
            raise ConfigError(f"{name} must be {words}, got {_shown(value)}")
        object.__setattr__(self, name, float(value))


def _plain(value):
    """Python's own number where `value` is one of NumPy, or a tensor of one number; everything else as it is."""
    try:
        return value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError, RuntimeError):  # more than one number, or none
        return value


def _shown(value) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        return "one of thousands of digits"
