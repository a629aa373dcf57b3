"""The account of one training step, and the tables made from it."""

from dataclasses import asdict, dataclass, field

from labkit.simulation.cards import CARDS, Card
from labkit.simulation.tally import KINDS, Section

PHASES = ("loaded", "forward", "backward", "step")


@dataclass(frozen=True)
class StepCost:
    """What one training step costs.

    "loaded" is before training, and has no optimizer state yet; the other phases are those of any step but the
    first, which is the one that makes that state.

    Attributes:
        phases: phase -> kind -> bytes, each at the moment of that phase when most bytes were alive. The kinds are
            the weights (of the base), the adapters, the gradients, the optimizer's state, the activations (what the
            forward pass keeps for the backward pass, and the batch), and temporaries: what is made and freed within
            a phase. On a GPU there are also "rounding" (blocks of 512 bytes) and "workspace" (inside kernels).
        extra: name -> bytes that are held all through training besides.
        flops: phase -> floating-point operations; a multiplication and an addition are two.
        trained, parameters: how many numbers are trained, and how many there are.
        saved_bytes: of the file that training leaves: the adapter in float32, or the whole model in its own dtype.
        tokens: that went through the model.
        assumptions: what the figures rest on, in words.
    """

    phases: dict[str, dict[str, int]]
    extra: dict[str, int]
    flops: dict[str, int]
    trained: int
    parameters: int
    saved_bytes: int
    tokens: int
    assumptions: list[str] = field(default_factory=list)

    def total(self, phase: str) -> int:
        """Bytes alive at the highest moment of a phase, extras included."""
        return sum(self.phases[phase].values()) + sum(self.extra.values())

    @property
    def peak_phase(self) -> str:
        """The phase in which most bytes are alive."""
        return max(PHASES, key=self.total)

    @property
    def peak(self) -> int:
        """The most bytes ever alive."""
        return self.total(self.peak_phase)

    @property
    def total_flops(self) -> int:
        return sum(self.flops.values())

    def cards(self) -> list[tuple[Card, bool]]:
        """Each card of the table, and whether the step fits on it."""
        return [(card, self.peak <= card.usable_bytes) for card in CARDS]

    def smallest_card(self) -> Card | None:
        """The smallest card of the table that the step fits on."""
        return next((card for card, fits in self.cards() if fits), None)

    def as_dict(self) -> dict:
        """Everything, for JSON."""
        return asdict(self) | {
            "peak": self.peak,
            "peak_phase": self.peak_phase,
            "cards": [asdict(card) | {"usable_bytes": card.usable_bytes, "fits": fits} for card, fits in self.cards()],
        }

    def __str__(self) -> str:
        kinds = [kind for kind in KINDS if any(self.phases[phase].get(kind) for phase in PHASES)]
        lines = [f"{'GB':<32}" + "".join(f"{phase:>10}" for phase in PHASES)]
        for kind in kinds:
            lines.append(f"{kind:<32}" + "".join(f"{self.phases[phase].get(kind, 0) / 1e9:10.3f}" for phase in PHASES))
        for name, size in self.extra.items():
            lines.append(f"{name:<32}" + f"{size / 1e9:10.3f}" * len(PHASES))
        lines.append(f"{'all':<32}" + "".join(f"{self.total(phase) / 1e9:10.3f}" for phase in PHASES))
        lines += [
            f"Peak {self.peak / 1e9:.3f} GB, in the phase {self.peak_phase}.",
            f"Trains {self.trained:,} of {self.parameters:,} parameters; leaves a file of "
            f"{self.saved_bytes / 1e6:,.1f} MB.",
            f"{self.total_flops / 1e12:,.2f} TFLOP for {self.tokens:,} tokens.",
        ]
        return "\n".join(lines + [f"- {line}" for line in self.assumptions])


def by_phase(sections: list[Section]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """The ledger of each phase at its highest section, and its FLOPs."""
    phases, flops = {}, dict.fromkeys(PHASES, 0)
    for section in sections:
        phase = section.name[0]
        flops[phase] += section.flops
        if phase not in phases or sum(section.peak.values()) > sum(phases[phase].values()):
            phases[phase] = dict(section.peak)
    return phases, flops
