"""Which learning rates are tried: five at first, and more where the best lies at an end."""

import math
from collections.abc import Mapping

FIRST = 5
MOST_MORE = 2  # by how many rates a grid grows at most

Losses = Mapping[float, float | None]  # validation loss by learning rate; None where training broke off


def rate_at(place: int) -> float:
    """The learning rate `place` half decades from 1, as 1, 0.3, 0.1, 0.03, …: place 0, −1, −2, −3, …"""
    return float(f"{(1, 3)[place % 2]}e{place // 2}")


def grid(middle: int, losses: Losses, first: int = FIRST) -> list[float]:
    """The rates to try, in rising order, as far as `losses` say.

    Five at first. When all of them have a loss and the lowest is at an end, there's one more beyond it; and the same
    again with the six. A rate at which training broke off is worse than any other.

    Args:
        middle: of the first ones, as for :func:`rate_at`.
        losses: of those that have been tried.
        first: how many there are at first, an odd number.
    """
    places = list(range(middle - first // 2, middle + first // 2 + 1))
    for _ in range(MOST_MORE):
        rates = [rate_at(place) for place in places]
        if any(rate not in losses for rate in rates):
            break
        chosen = best({rate: losses[rate] for rate in rates})
        if chosen == rates[0]:
            places.insert(0, places[0] - 1)
        elif chosen == rates[-1]:
            places.append(places[-1] + 1)
        else:
            break
    return [rate_at(place) for place in places]


def best(losses: Losses) -> float:
    """The rate with the lowest loss; of equal ones, the smallest."""
    return min(sorted(losses), key=lambda rate: math.inf if losses[rate] is None else losses[rate])


def settled(middle: int, losses: Losses, first: int = FIRST) -> float | None:
    """The best rate, as soon as all of the grid is tried; None before."""
    rates = grid(middle, losses, first)
    if any(rate not in losses for rate in rates):
        return None
    return best({rate: losses[rate] for rate in rates})
