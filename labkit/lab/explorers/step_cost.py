"""The cost explorer: choose a model and a way to fine-tune it, and see what a step takes and what the whole costs.

Every answer is simulated (see :func:`labkit.simulate`) from a few layers, and remembered.
"""

from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from labkit.errors import ConfigError
from labkit.lab.claims import approx
from labkit.lab.diagrams.memory import COLOUR, OUTSIDE, REST, SHOWN
from labkit.lab.explorers.frame import chooser, drawn, explorer_box, show_explorer
from labkit.lab.plots import COLOURS
from labkit.simulation.cards import CARDS, card_named
from labkit.simulation.estimates import Estimate, estimate
from labkit.simulation.ledger import PHASES, StepCost
from labkit.simulation.options import METHODS
from labkit.simulation.shapes import PRESETS
from labkit.simulation.simulating import simulate
from labkit.simulation.tally import KINDS

TARGETS = {
    "q, v": ("q_proj", "v_proj"),
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "MLP": ("gate_proj", "up_proj", "down_proj"),
    "all linear": "all-linear",
}
RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SEQUENCES = (128, 256, 512, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8, 16, 32)
LABELLED = 0.25  # of the tokens: the prompt is usually the longer part
CARD = card_named("A100, 80")  # whose hours are counted


@dataclass(frozen=True)
class Choice:
    """A fine-tune to be costed.

    Args:
        model: a preset of :data:`labkit.simulation.PRESETS`.
        method: "full", "lora" or "qlora".
        r: rank of the adapters.
        targets: a key of :data:`TARGETS`.
        sequence: tokens per row, a quarter of them counted by the loss.
        batch_size: rows per step.
        checkpointing: keep only each layer's input for the way back.

    Raises:
        ConfigError: a model, method or set of targets that is not known.
    """

    model: str = "llama-3-8b"
    method: str = "lora"
    r: int = 16
    targets: str = "all linear"
    sequence: int = 1024
    batch_size: int = 1
    checkpointing: bool = True

    def __post_init__(self):
        for name, known in {"model": PRESETS, "method": METHODS, "targets": TARGETS}.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")

    def cost(self) -> StepCost:
        """What one step takes: weights in bfloat16 (or NF4), adapters in float32, AdamW, on a GPU."""
        return simulate(
            self.model,
            self.method,
            r=self.r,
            target_modules=TARGETS[self.targets],
            sequence=self.sequence,
            batch_size=self.batch_size,
            labelled=LABELLED,
            checkpointing=self.checkpointing,
        )

    def __str__(self) -> str:
        adapters = "" if self.method == "full" else f" with r = {self.r} on {self.targets}"
        again = ", with checkpointing" if self.checkpointing else ""
        return f"{self.model}, {self.method}{adapters}, {self.batch_size} × {self.sequence:,} tokens{again}"


@dataclass(frozen=True)
class Run:
    """The training run you pay for.

    Attributes:
        examples: rows, each seen once.
        utilization: the share of the card's peak that is reached, 0 to 1: a guess.
        price: of one :data:`CARD` for an hour, in dollars.
    """

    examples: int = 5000
    utilization: float = 0.3
    price: float = 2.0

    def estimate(self, cost: StepCost, batch_size: int) -> Estimate:
        """Hours and money on a single card, whether or not the step fits on it."""
        return estimate(cost, CARD, self.examples, batch_size, utilization=self.utilization, price_per_hour=self.price)


def caption(choice: Choice, run: Run) -> str:
    """``≈20.3 GB; trains ≈0.52 %; file ≈168 MB; ≈34.1 TFLOP per step; ≈0.14 hours of A100, ≈0.28 dollars``."""
    cost = choice.cost()
    found = run.estimate(cost, choice.batch_size)
    return (
        f"{approx(cost.peak, 'GB')}; trains {approx(cost.trained / cost.parameters, '%')}; "
        f"file {approx(cost.saved_bytes, 'MB')}; {approx(cost.total_flops / 1e12)} TFLOP per step; "
        f"{approx(found.seconds / 3600)} hours of A100, {approx(found.money)} dollars"
    )


def cost_picture(choice: Choice, run: Run) -> bytes:
    """A PNG, 700 pixels wide: the share of the parameters that is trained, and each phase's memory against cards."""
    cost = choice.cost()

    def draw(figure: Figure) -> None:
        left, right = (figure.add_axes(place) for place in ((0.01, 0.14, 0.225, 0.63), (0.33, 0.16, 0.39, 0.68)))
        _draw_share(left, cost)
        draw_phases(right, cost)
        _draw_cards(right, cost)
        place = {"loc": "upper left", "bbox_to_anchor": (0.77, 0.87), "handlelength": 1.1, "handletextpad": 0.5}
        figure.legend(*right.get_legend_handles_labels(), fontsize=9, **place)
        figure.text(0.012, 0.955, str(choice), fontsize=11, va="center")
        found = run.estimate(cost, choice.batch_size)
        time = f"{run.examples:,} examples on A100 at {run.utilization:.0%}: {approx(found.seconds / 3600)} hours"
        money = f"{approx(found.money)} dollars at {run.price:g} per hour"
        figure.text(0.012, 0.02, f"{time}, {money}", fontsize=9, va="bottom")

    return drawn(draw, height=3.6)


def draw_phases(ax: Axes, cost: StepCost) -> None:
    """A bar for each phase of the step, in GB, its kinds of memory one above the other."""
    heights = dict.fromkeys(PHASES, 0.0)
    for kind, label in [*SHOWN.items(), ("the rest", OUTSIDE)]:
        own = {phase: _of_kind(cost, phase, kind) / 1e9 for phase in PHASES}
        colour = COLOUR.get(kind, REST)
        ax.bar(PHASES, own.values(), bottom=heights.values(), color=colour, width=0.7, label=label)
        heights = {phase: heights[phase] + own[phase] for phase in PHASES}
    ax.set_xticks(range(len(PHASES)), [*PHASES[:-1], "update"])
    ax.grid(False, axis="x")
    ax.set(ylabel="memory (GB)")


def _of_kind(cost: StepCost, phase: str, kind: str) -> int:
    if kind != "the rest":
        return cost.phases[phase][kind]
    return cost.total(phase) - sum(cost.phases[phase][kind] for kind in KINDS[:6])


def _draw_share(ax: Axes, cost: StepCost) -> None:
    """A hundred squares for all parameters, those that are trained in colour."""
    trained = 100 * cost.trained / cost.parameters
    for square in range(100):
        corner = square % 10, square // 10
        ax.add_patch(Rectangle(corner, 0.88, 0.88, color="#e4e4e4", linewidth=0))
        ax.add_patch(Rectangle(corner, 0.88 * min(1, max(0, trained - square)), 0.88, color=COLOURS[1], linewidth=0))
    ax.set(xlim=(0, 10), ylim=(0, 10), xticks=[], yticks=[], aspect="equal")
    ax.set_title(f"trained: {approx(trained / 100, '%')}\nof {cost.parameters / 1e9:,.3g} billion", fontsize=10)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _draw_cards(ax: Axes, cost: StepCost) -> None:
    """A line for each size of card, as far as there is room, up to the first that is large enough."""
    fitting = cost.smallest_card()
    top = 1.06 * max(cost.peak, fitting.usable_bytes if fitting else 0) / 1e9
    ax.set(ylim=(0, top))
    lowest = top
    for card in reversed(CARDS):
        height = card.usable_bytes / 1e9
        if height <= top and (lowest - height > 0.07 * top or lowest == top):
            lowest = height
            ax.axhline(height, color="gray", linewidth=0.9, linestyle=(0, (4, 2)))
            sold = card.name.split(", ")[1]
            ax.annotate(sold, (1.01, height), xycoords=("axes fraction", "data"), fontsize=8, va="center")
    where = f"fits {fitting.name}" if fitting else "fits no single card"
    ax.set_title(f"peak {approx(cost.peak, 'GB')}: {where}", fontsize=10)


def cost_explorer(
    model: str = "llama-3-8b",
    method: str = "lora",
    *,
    examples: int = 5000,
    utilization: float = 0.3,
    price: float = 2.0,
) -> None:
    """Choose a model, a method, rank, layers, sequence, batch and checkpointing, and see memory, time and money.

    Memory and FLOPs are simulated (:func:`labkit.simulate`, for a GPU; a quarter of the tokens count in the loss).
    Time and money follow from them and from what you say here, on an A100 with 80 GB. It opens with checkpointing.
    Where there's no kernel, the picture of the first choice is shown.

    Args:
        model: which of :data:`labkit.simulation.PRESETS` is shown first.
        method: "full", "lora" or "qlora", at first.
        examples: rows of training data, each as long as the sequence, seen once.
        utilization: the share of the card's peak that is reached, 0 to 1: a guess.
        price: of an hour of the card, in dollars.

    Raises:
        ConfigError: an unknown model or method, or a number that makes no sense.
    """
    choice, run = Choice(model, method), Run(examples, utilization, price)
    show_explorer(
        "the cost explorer",
        str(choice),
        lambda: _explorer_box(choice, run),
        f"{choice}: {caption(choice, run)}",
        lambda: cost_picture(choice, run),
    )


def _explorer_box(start: Choice, run: Run):
    """The controls, the line below them, and the picture."""
    from ipywidgets import BoundedFloatText, Layout

    model = chooser("model", PRESETS, start.model)
    method = chooser("method", METHODS, start.method)
    rank = chooser("rank", RANKS, start.r, slider=True)
    targets = chooser("layers", TARGETS, start.targets)
    sequence = chooser("sequence", SEQUENCES, start.sequence, slider=True)
    batch = chooser("batch", BATCHES, start.batch_size, slider=True)
    checkpointing = chooser("checkpoints", ("off", "on"), "on" if start.checkpointing else "off")
    wide = {"style": {"description_width": "80px"}, "layout": Layout(width="180px")}
    price = BoundedFloatText(run.price, min=0, max=1e6, description="$ per hour", **wide)
    for slider in (rank, sequence, batch):
        slider.continuous_update = False  # an answer may take most of a second: one for each move, not on the way

    def fit_in() -> None:
        rank.disabled = targets.disabled = method.value == "full"
        context = PRESETS[model.value].shape["max_position_embeddings"]
        sequence.value = max(length for length in SEQUENCES if length <= min(sequence.value, context))

    def answer() -> tuple[str, bytes]:
        chosen = Choice(
            model.value,
            method.value,
            rank.value,
            targets.value,
            sequence.value,
            batch.value,
            checkpointing.value == "on",
        )
        paid = replace(run, price=price.value)
        return caption(chosen, paid), cost_picture(chosen, paid)

    controls = [model, method, rank, targets, sequence, batch, checkpointing, price]
    return explorer_box(controls, answer, fit_in)
