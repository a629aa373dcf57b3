"""From a model of four layers, and the same with three, to one of eighty.

Layers that are alike add the same bytes each, so at any one moment of the step, named by its place ("when layer 1's
gradients are made", "when the last but one's are"), what is alive is a line in the number of layers. The highest moment
is not: which one it is changes with the depth. So each moment is extrapolated, and the maximum is taken afterwards.

Between the second layer and the last but one the moments lie on a line, too, so its ends are enough.

One storage grows with the depth itself: the list of all gradients' norms, 4 bytes each. A GPU's blocks of 512 bytes are
no line in its length, so in the CUDA profile the moment of clipping is a few blocks off. It is the highest of its phase
only where the optimizer has no temporaries (SGD, 8-bit AdamW), and never of the whole step.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.base.describing import set_layers
from labkit.simulation.tally import Section
from labkit.simulation.tracing import decoder_layers

SHALLOW, DEEP = 3, 4


@dataclass(frozen=True)
class Trace:
    """A traced step.

    Attributes:
        sections: in their order; of an extrapolated step without the inner layers', whose FLOPs are in the others'.
        trained, parameters: how many numbers are trained, and how many there are.
        elsewhere: how many are in no linear layer, by name (:func:`labkit.quant.convert.weights_elsewhere`).
    """

    sections: list[Section]
    trained: int
    parameters: int
    elsewhere: dict[str, int]


def trace_to_depth(model: nn.Module, depth: int, trace: Callable[[nn.Module], Trace]) -> Trace:
    """What `trace` finds for `model` once it has `depth` layers like its own.

    Args:
        model: of `depth` layers; or of :data:`DEEP`, all alike, and then it loses the last of them.
        depth: how many layers are meant.
        trace: traces one step of the model it is given.
    """
    deep = trace(model)
    if len(decoder_layers(model)) == depth:
        return deep
    _drop_last_layer(model)
    shallow = trace(model)
    return Trace(
        _extrapolated(shallow.sections, deep.sections, depth),
        _line(shallow.trained, deep.trained, depth),
        _line(shallow.parameters, deep.parameters, depth),
        {name: _line(shallow.elsewhere[name], deep.elsewhere[name], depth) for name in deep.elsewhere},
    )


def repeat_layer(model: nn.Module, depth: int) -> nn.Module:
    """`model`, of one layer without numbers, with copies of it: quicker than to build, quantize and adapt each."""
    layers = decoder_layers(model)
    layers.extend(empty_copy(layers[0], {}) for _ in range(depth - 1))
    set_layers(model.config, depth)
    return model


def empty_copy(module: nn.Module, memo: dict) -> nn.Module:
    """A copy whose tensors are new, on a CPU, in the same shapes, dtypes and orders; `memo` as in deepcopy."""
    for tensor in (*module.parameters(), *module.buffers()):
        if id(tensor) not in memo:
            memo[id(tensor)] = empty(tensor)
    return copy.deepcopy(module, memo)


def empty(tensor: Tensor) -> Tensor:
    """The same shape, dtype and order in memory, on a CPU; a parameter if it is one."""
    made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def _extrapolated(shallow: list[Section], deep: list[Section], depth: int) -> list[Section]:
    low, high = _by_place(shallow, SHALLOW), _by_place(deep, DEEP)
    assert low.keys() == high.keys(), "a step of more layers passes the same places"
    sections = [
        Section(
            place,
            {kind: _line(low[place].peak[kind], high[place].peak[kind], depth) for kind in low[place].peak},
        )
        for place in low
    ]
    for phase in dict.fromkeys(section.name[0] for section in sections):
        first = next(section for section in sections if section.name[0] == phase)
        first.flops = _line(_flops(shallow, phase), _flops(deep, phase), depth)
    return sections


def _line(low: int, high: int, depth: int) -> int:
    """The value at `depth` layers of a line through `low` at :data:`SHALLOW` and `high` at :data:`DEEP`."""
    return low + (high - low) * (depth - SHALLOW) // (DEEP - SHALLOW)


def _flops(sections: list[Section], phase: str) -> int:
    return sum(section.flops for section in sections if section.name[0] == phase)


def _by_place(sections: list[Section], depth: int) -> dict[tuple[str, str | int], Section]:
    """Layers by their distance from the nearer end: 0, 1, …, −2, −1; in a shallow model one layer has two names."""
    places = {}
    for section in sections:
        phase, part = section.name
        for place in [part] if isinstance(part, str) else [n for n in (part, part - depth) if -2 <= n <= 1]:
            places[phase, place] = section
    return places


def _drop_last_layer(model: nn.Module) -> None:
    layers = decoder_layers(model)
    del layers[-1]
    set_layers(model.config, len(layers))
