"""What a base takes: its linear layers, dense or in four bits, and everything else."""

from torch import nn

from labkit.linear import linear_layers


def bytes_of(model: nn.Module) -> dict[str, int]:
    """Bytes of the linear layers, and of everything else; a matrix that's shared counts once.

    Args:
        model: a language model; its output head isn't quantized, so it belongs to everything else.
    """
    layers = [model.get_submodule(name) for name in linear_layers(model)]
    inside = {id(p) for layer in layers for p in layer.parameters()}
    linear = sum(m.quantized.nbytes if hasattr(m, "quantized") else m.weight.nbytes for m in layers)
    return {
        "linear layers": linear,
        "everything else": sum(p.nbytes for p in model.parameters() if id(p) not in inside),
    }
