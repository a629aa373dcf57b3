"""What every layer shares that's laid around a linear one: it holds its base, merges into it, and comes out again."""

from collections.abc import Iterator

from torch import Tensor, nn

from labkit.casting import cast
from labkit.errors import ConfigError
from labkit.linear import dense_weight, replace_weight, restore_weight, stored_weight
from labkit.model_facts import facts_of


class AdaptedLinear(nn.Module):
    """A frozen linear layer, and beside it what learns. A kind of it says how: `forward`, and `delta_weight`.

    Args:
        base_layer: the layer to adapt: a plain ``nn.Linear``, or a layer that answers
            :class:`labkit.linear.BaseLinear`. It is held, not copied.

    Attributes:
        base_layer: the layer given.
        enabled: False makes the layer answer as its base does.
        apart: why it can't be merged, as a part of a sentence; empty where it can.
    """

    apart = ""

    def __init__(self, base_layer: nn.Module):
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self.enabled = True
        # set while merged: the base's own weight, kept so that unmerging gives it back bit for bit
        self.register_buffer("unmerged_weight", None, persistent=False)

    @property
    def merged(self) -> bool:
        """Whether the update is at present part of the base's weight."""
        return self.unmerged_weight is not None

    @property
    def adds(self) -> bool:
        """Whether the layer has something to add to its base's answer: it's enabled, and not merged."""
        return self.enabled and not self.merged

    @property
    def weight(self) -> Tensor:
        """What a model asks for that has a kernel take the weight instead of calling the layer."""
        raise ConfigError(
            f"this model takes the weight of a layer instead of calling it, which {type(self).__name__} can't answer: "
            "leave that layer out of target_modules, or use LoRA"
        )

    @property
    def bias(self) -> Tensor | None:
        return self.base_layer.bias

    def delta_weight(self) -> Tensor:
        """ΔW, shape (out_features, in_features), float32, without gradients. Not asked for where `apart` says why."""
        raise NotImplementedError

    def merged_weight(self) -> Tensor:
        """W + ΔW, shape (out_features, in_features), in W's dtype: summed in float32 and cast once.

        Raises:
            ConfigError: a sum is too large for that dtype.
        """
        weight = dense_weight(self.base_layer)
        return cast(weight.float() + self.delta_weight(), weight.dtype, "W + ΔW")

    def merge(self) -> None:
        """Make W + ΔW the base's weight; a 4-bit base quantizes it again. Nothing happens if it is so already."""
        if not self.merged:
            unmerged = stored_weight(self.base_layer)
            replace_weight(self.base_layer, self.merged_weight())
            self.unmerged_weight = unmerged

    def unmerge(self) -> None:
        """Give the base its own weight back, bit for bit. Nothing happens if it is not merged."""
        if self.merged:
            restore_weight(self.base_layer, self.unmerged_weight)
            self.unmerged_weight = None


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    """The layers of `model` that have something laid around them, of whatever kind, with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, AdaptedLinear))


def is_adapted(model: nn.Module) -> bool:
    """Whether `model` is more than a base: something is laid around its layers, or a method of the family is on it."""
    return facts_of(model).method is not None or any(True for _ in adapted_layers(model))
