"""Time and money, from floating-point operations. An estimate: it is only as good as the utilization it is given."""

import math
import numbers
from dataclasses import dataclass

from labkit.errors import ConfigError
from labkit.simulation.cards import CARDS, Card
from labkit.simulation.ledger import StepCost

_UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True)
class Estimate:
    """How long training takes, and what it costs.

        seconds = steps · FLOPs of a step / (cards · peak · utilization)

    Attributes:
        seconds: of computing; loading, saving and evaluating come on top.
        money: seconds times price, in the price's currency; None without a price.
        tokens_per_second: what the estimate amounts to, to hold against published figures.
        assumptions: what it rests on, in words.
    """

    seconds: float
    money: float | None
    tokens_per_second: float
    assumptions: list[str]

    def __str__(self) -> str:
        size, unit = next((size, unit) for size, unit in _UNITS if self.seconds >= size or size == 1)
        time = f"{self.seconds / size:,.1f} {unit}"
        money = "" if self.money is None else f" and {self.money:,.2f}" if self.money >= 0.01 else " and under 0.01"
        lines = [f"About {time}{money}, at {self.tokens_per_second:,.0f} tokens per second."]
        return "\n".join(lines + [f"- {line}" for line in self.assumptions])


def estimate(
    cost: StepCost,
    card: Card,
    examples: int,
    batch_size: int,
    *,
    epochs: int = 1,
    utilization: float = 0.3,
    price_per_hour: float | None = None,
    cards: int = 1,
) -> Estimate:
    """Estimate the time, and with a price the money, that a fine-tune takes.

    Args:
        cost: of one step, from :func:`labkit.simulate`.
        card: whose peak counts.
        examples: rows of training data, each as long as the simulated ones.
        batch_size: of the simulated step.
        epochs: how often each row is seen.
        utilization: the share of the peak that is reached, 0 to 1. Small batches, 4-bit weights and
            checkpointing lower it; 0.3 is a guess to be edited, 0.5 is a good run on large matrices.
        price_per_hour: of one card, in your currency: nothing is assumed.
        cards: how many work side by side, each on rows of its own.

    Raises:
        ConfigError: the card's peak is not known (make a Card with its teraflops), or a number makes no sense.
    """
    refuse_no_estimate(
        card, utilization, price_per_hour, examples=examples, batch_size=batch_size, epochs=epochs, cards=cards
    )
    steps = math.ceil(examples * epochs / batch_size)
    seconds = steps * cost.total_flops / (cards * card.teraflops * 1e12 * utilization)
    tokens_per_second = steps * cost.tokens / seconds
    rounds = f"{epochs} epoch{'s' * (epochs > 1)}"
    assumptions = [
        f"{steps:,} steps of {cost.total_flops / 1e12:,.1f} TFLOP ({examples:,} examples, {rounds})",
        f"{cards} × {card.name} at {utilization:.0%} of {card.teraflops:,.1f} TFLOPS; the utilization is a guess",
        "matrix products and attention count, with attention's whole square; nothing else does",
    ]
    if price_per_hour is not None:
        assumptions.append(f"{price_per_hour:,.2f} per card and hour")
    money = None if price_per_hour is None else seconds / 3600 * cards * price_per_hour
    return Estimate(seconds, money, tokens_per_second, assumptions)


def refuse_no_estimate(card: Card | None, utilization: float, price_per_hour: float | None, **counts: int) -> None:
    """Raise ConfigError for what :func:`estimate` can't work with. `card` may be None."""
    if card is not None and card.teraflops is None:
        known = "; ".join(card.name for card in CARDS if card.teraflops)
        raise ConfigError(
            f"the peak of the {card.name} isn't known, so its time can't be estimated. Choose from {known}"
        )
    for name, value in counts.items():
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")
    if not (isinstance(utilization, numbers.Real) and 0 < utilization <= 1):
        raise ConfigError(f"utilization must be above 0 and at most 1, got {utilization!r}")
    if price_per_hour is not None and not (isinstance(price_per_hour, numbers.Real) and 0 <= price_per_hour < math.inf):
        raise ConfigError(f"price_per_hour must be a number of at least 0, got {price_per_hour!r}")
