"""From a model of three and of four layers to the same model of eighty.

Layers that are alike add the same bytes each, so at any one moment of the step, named by its place ("when layer 1's
gradients are made", "when the last but one's are"), what is alive is a line in the number of layers. The highest moment
is not: which one it is changes with the depth. So each moment is extrapolated, and the maximum is taken afterwards.

Between the second layer and the last but one the moments lie on a line, too, so its ends are enough.

One storage grows with the depth itself: the list of all gradients' norms, 4 bytes each. A GPU's blocks of 512 bytes are
no line in its length, so in the CUDA profile the moment of clipping is a few blocks off. It is the highest of its phase
only where the optimizer has no temporaries (SGD, 8-bit AdamW), and never of the whole step.
"""

from labkit.simulation.tally import Section

SHALLOW, DEEP = 3, 4


def extrapolate(shallow: list[Section], deep: list[Section], depth: int) -> list[Section]:
    """The sections of a model of `depth` layers, the inner layers' left out, their FLOPs included elsewhere.

    Args:
        shallow: the sections of the same model with :data:`SHALLOW` layers.
        deep: with :data:`DEEP` layers.
        depth: how many layers the model has.
    """
    low, high = _by_place(shallow, SHALLOW), _by_place(deep, DEEP)
    assert low.keys() == high.keys(), "a step of more layers passes the same places"
    sections = [
        Section(
            place,
            {kind: line(low[place].peak[kind], high[place].peak[kind], depth) for kind in low[place].peak},
        )
        for place in low
    ]
    for phase in dict.fromkeys(section.name[0] for section in sections):
        first = next(section for section in sections if section.name[0] == phase)
        first.flops = line(_flops(shallow, phase), _flops(deep, phase), depth)
    return sections


def line(low: int, high: int, depth: int) -> int:
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
