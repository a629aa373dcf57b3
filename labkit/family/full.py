"""Full fine-tuning: every weight learns. It's what the others are measured by."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from labkit.family.method import Method, Shapes, refuse_packed


@dataclass(frozen=True)
class Full(Method):
    """Train every weight of the model:

        W ← W − η · step

    It trains as many numbers as the model has, tied weights counted once, and keeps a gradient and two averages for
    each. There's nothing to merge, and no adapter to save: what was trained is the model.

    Raises:
        ConfigError: weights are packed, and can't take so small a step.
    """

    _no_file: ClassVar[str] = "what was trained is the model itself: save that"

    def shapes(self, model: nn.Module) -> Shapes:
        refuse_packed(model)
        return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}

    def _put_on(self, model: nn.Module) -> None:
        pass
