import pytest

from labkit import ConfigError, simulate
from labkit.simulation import CARDS, Card
from labkit.simulation.cards import card_named
from labkit.simulation.estimates import estimate


@pytest.fixture(scope="module")
def cost():
    return simulate("smollm2-135m", batch_size=4, sequence=64)


def test_time_and_money_by_hand(cost):
    card = Card("a round one", 10_000, teraflops=1.0)
    found = estimate(cost, card, examples=100, batch_size=4, epochs=2, utilization=0.5, price_per_hour=3.0)
    seconds = 50 * cost.total_flops / 0.5e12
    assert found.seconds == pytest.approx(seconds) and found.money == pytest.approx(seconds / 3600 * 3)
    assert found.tokens_per_second == pytest.approx(50 * 4 * 64 / seconds)
    assert all(line in str(found) for line in found.assumptions) and "utilization is a guess" in str(found)


def test_twice_the_cards_take_half_the_time_for_the_same_money(cost):
    one, two = (estimate(cost, card_named("A100, 40"), 1000, 4, price_per_hour=2, cards=n) for n in (1, 2))
    assert one.seconds == pytest.approx(2 * two.seconds) and one.money == pytest.approx(two.money)


def test_no_price_no_money(cost):
    assert estimate(cost, card_named("L4"), 10, 4).money is None


@pytest.mark.parametrize(
    ("card", "options", "message"),
    [
        ("RTX 3060", {}, "the peak of the RTX 3060, 12 GB isn't known"),
        ("L4", {"utilization": 0.0}, "utilization must be above 0 and at most 1"),
        ("L4", {"utilization": 1.1}, "utilization must be above 0 and at most 1"),
        ("L4", {"utilization": "x"}, "utilization must be above 0 and at most 1, got 'x'"),
        ("L4", {"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ("L4", {"epochs": 1.5}, "epochs must be a whole number of at least 1, got 1.5"),
        ("L4", {"cards": float("nan")}, "cards must be a whole number of at least 1, got nan"),
        ("L4", {"cards": "3"}, "cards must be a whole number of at least 1, got '3'"),
        ("L4", {"price_per_hour": "2"}, "price_per_hour must be a number of at least 0, got '2'"),
        ("L4", {"price_per_hour": float("inf")}, "price_per_hour must be a number of at least 0, got inf"),
    ],
)
def test_what_cannot_be_estimated_is_refused(cost, card, options, message):
    with pytest.raises(ConfigError, match=message):
        estimate(cost, card_named(card), 10, 4, **options)


def test_an_unknown_card_is_refused():
    with pytest.raises(ConfigError, match="no card is known as 'RTX 9999'; known are RTX 4060"):
        card_named("RTX 9999")
    for another in ("A10", "", "A100 24"):  # a name's beginning is not the name
        with pytest.raises(ConfigError, match="no card is known"):
            card_named(another)
    assert card_named("NVIDIA a100 80 GB") is card_named("A100, 80") is not card_named("A100")


def test_the_cards_stand_in_order_from_8_to_141():
    sizes = [card.usable_bytes for card in CARDS]
    assert sizes == sorted(sizes) and 8e9 < sizes[0] < 9e9 and 141e9 < sizes[-1] < 152e9
    for card in CARDS:  # what is sold as n GB is between n · 10⁹ bytes and a little over n · 2³⁰
        sold = int(card.name.split(",")[1].split()[0])
        assert 0.99 * sold * 1e9 < card.usable_bytes < 1.01 * sold * 2**30


def test_fitting_is_a_matter_of_bytes(cost):
    assert [fits for _, fits in cost.cards()] == [cost.peak <= card.usable_bytes for card in CARDS]
    assert cost.smallest_card() is CARDS[0]
    assert simulate("llama-3-70b", "full", sequence=64).smallest_card() is None
