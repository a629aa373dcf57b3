"""Capacity and intrinsic dimension: the grids, what is made of the runs, and a run of each on a tiny model."""

import math

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.lab.diagrams.limits import bits_by_rank, tickets_by_dimension
from labkit.lab.experiments.capacity import Strings, cut
from labkit.tasks import exact_match
from studies import capacity, intrinsic_dimension
from studies.court import grids

# ---- capacity


def test_strings_come_near_to_the_bits_that_were_asked_for():
    for setting in capacity.GRID:
        numbers = capacity.NUMBERS * capacity.MATRICES[setting["piece"]] * setting["r"]
        bits = 8 * capacity.RECIPE["length"] * capacity.strings_for(numbers, setting["given"])
        assert bits / numbers == pytest.approx(setting["given"], rel=0.06)


def test_a_shuffled_model_has_the_same_numbers_in_other_places():
    model, other = make_tiny_llama(), make_tiny_llama()
    capacity.shuffle(other, 0)
    for (name, one), two in zip(model.named_parameters(), other.parameters()):
        assert torch.equal(one.flatten().sort().values, two.flatten().sort().values)
        assert "norm" in name or not torch.equal(one, two)  # norms are all ones


def test_a_run_says_what_was_kept():
    words = 20 + torch.arange(256)
    symbols = torch.randint(256, (2, 6), generator=torch.Generator().manual_seed(2))
    ids = torch.cat([torch.tensor([[3, 4], [5, 6]]), words[symbols]], dim=1)
    tail, stored = cut(make_tiny_llama(vocab_size=300), Strings(words, symbols, ids))
    tail.words *= 50  # behind the norm, a random head is too small to be sure of a word
    found = capacity.learn(tail, stored, {"r": 4, "passes": 120, "learning_rate": 0.1})
    assert found["numbers"] == 4 * (32 + 48) and found["bits"] == 96
    assert found["before"] < found["kept"] <= 96 and found["right"] > 0.5 and len(found["course"]) == 10


def of_capacity(**more) -> dict:
    about = {"base": "real", "piece": "mlp.down_proj", "r": 1, "given": 1, "passes": 500, "learning_rate": 0.1}
    return about | {"numbers": 2112, "bits": 2048.0, "kept": 500.0} | more


def test_the_best_rate_counts_whatever_the_order():
    worse, better = of_capacity(), of_capacity(learning_rate=0.03, kept=900.0)
    other = of_capacity(r=2, kept=-5.0)
    for runs in ([worse, better, other], [other, better, worse]):
        found = capacity.tidy(runs)["best"]
        assert len(found) == 2 and better in found and other in found


def test_the_figure_has_a_line_for_each_rank_and_no_other_runs():
    runs = [
        of_capacity(given=given, bits=2048.0 * given, r=r, numbers=2112 * r, piece=piece)
        for given in (1, 2)
        for r, piece in ((1, "mlp.down_proj"), (2, "mlp.down_proj"), (1, "mlp"))
    ]
    runs += [of_capacity(base="shuffled"), of_capacity(passes=2000)]
    (ax,) = bits_by_rank({"best": runs}).axes
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["down_proj, r = 1", "down_proj, r = 2", "whole MLP, r = 1"]
    assert list(ax.lines[2].get_xdata()) == pytest.approx([2048 / 4224, 4096 / 4224])


# ---- intrinsic dimension


@given(st.data())
def test_rates_grow_until_the_best_is_inside_but_not_without_end(data):
    middle, losses = data.draw(st.integers(-9, -3)), {}
    loss_of = st.one_of(st.none(), st.floats(0.01, 9))
    while untried := set(grids.grid(middle, losses, intrinsic_dimension.FIRST)) - set(losses):
        losses |= {moves: data.draw(loss_of) for moves in untried}
    moves = grids.grid(middle, losses, intrinsic_dimension.FIRST)
    assert moves == sorted(moves) and set(moves) == set(losses) and 3 <= len(moves) <= 5
    assert len(moves) == 5 or grids.best(losses) not in (moves[0], moves[-1])


def of_dimension(space: str, d: int | None, mean: float | None, moves: float = 1e-3, loss: float = 0.1) -> dict:
    exact = mean if mean is None else {"mean": mean, "low": mean, "high": mean}
    return {"space": space, "d": d, "moves": moves, "validation_loss": loss, "exact": exact}


def runs_of_dimension() -> list[dict]:
    scores = {"all weights": (0.9, None, 0.5), "LoRA": (1.0, 0.89, 0.9)}
    return [
        of_dimension(space, d, mean) for space, means in scores.items() for d, mean in zip((None, 1000, 10_000), means)
    ] + [of_dimension("LoRA", 1000, 1.0, moves=1e-2, loss=0.2), of_dimension("LoRA", 1000, None, moves=1.0, loss=None)]


def test_d90_is_the_smallest_that_reaches_its_goal_at_the_rate_with_the_best_loss():
    found = intrinsic_dimension.tidy(runs_of_dimension())
    assert found["d90"] == {"all weights": None, "LoRA": 10_000}
    assert len(found["best"]) == 6 and len(found["runs"]) == 8
    assert intrinsic_dimension.d90(found["best"], "LoRA", share=0.8) == 1000


def test_the_figure_marks_d90_where_there_is_one():
    (ax,) = tickets_by_dimension(intrinsic_dimension.tidy(runs_of_dimension())).axes
    assert [text.get_text() for text in ax.texts] == ["d90"] and ax.texts[0].xy[0] == 10_000


@pytest.fixture
def tiny(monkeypatch):
    small = {"steps": 4, "validation_rows": 2, "scored_below": -1.0, "update_of": "model.layers.1.self_attn.q_proj"}
    monkeypatch.setattr(intrinsic_dimension, "RECIPE", intrinsic_dimension.RECIPE | small)
    rows = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(16)]
    task = labkit.Task("counting", "Count.", exact_match, {})
    monkeypatch.setattr(labkit.Task, "rows", lambda self, split: rows)
    return lambda setting: intrinsic_dimension.measure(
        make_tiny_llama(max_position_embeddings=256), make_tiny_tokenizer(), task, setting
    )


@pytest.mark.parametrize("space", ["all weights", "LoRA"])
def test_a_run_trains_as_many_numbers_as_it_says(space, tiny):
    for d in (None, 5):
        found = tiny({"space": space, "d": d, "moves": 1e-3})
        assert found["numbers"] == 5 if d else found["numbers"] > 1000
        assert len(found["losses"]) == 4 and math.isfinite(found["validation_loss"]) and found["exact"] is None
        ranks = found["update"]["effective_rank"], found["update"]["rank_for_90"]
        assert max(ranks) <= 8.01 if space == "LoRA" else ranks[0] > 8.01


def test_the_first_loss_is_the_one_that_train_sees(tiny):
    """The oracle: before the first step, a subspace is the model, and its rows are those of `labkit.train`."""
    one, other = (tiny({"space": "all weights", "d": d, "moves": 1e-3})["losses"][0] for d in (None, 5))
    assert one == pytest.approx(other, abs=2e-4)


def test_a_run_that_breaks_off_says_so(tiny):
    found = tiny({"space": "all weights", "d": 5, "moves": 1e30})
    assert found["validation_loss"] is None and found["broken"].startswith("step ")
