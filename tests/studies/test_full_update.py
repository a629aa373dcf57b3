"""The recipe behind the shipped update, on a model small enough to fine-tune in a blink."""

import full_update as recipe
import numpy as np
import pytest
import torch
from conftest import make_tiny_llama
from safetensors.torch import load

from labkit import load_update
from labkit.errors import DataError
from labkit.model_state import note


@pytest.fixture
def tuned():
    """A model after some change to all its parameters, and these as they were."""
    model = make_tiny_llama().requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    draw = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter += 0.01 * torch.randn(parameter.shape, generator=draw)
    return model, before


def test_the_matrices_are_those_of_the_blocks_and_no_others(tuned):
    model, _ = tuned
    names = set(recipe.matrices(model))
    kinds = {name.split(".")[-1] for name in names}
    assert len(names) == 2 * 7 and kinds == set("q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split())
    assert recipe.matrices(model)["model.layers.1.mlp.up_proj"] is model.model.layers[1].mlp.up_proj.weight


def test_each_cut_leaves_out_the_singular_values_it_should(tuned):
    """The oracle: how far a cut model's weights are from the fine-tuned ones, foretold by numpy's singular values."""
    model, before = tuned
    after = {name: weight.clone() for name, weight in recipe.matrices(model).items()}
    values = [np.linalg.svd((after[n] - before[f"{n}.weight"]).numpy(), compute_uv=False) for n in after]

    def measure():
        weights = recipe.matrices(model)
        away = sum((after[name] - weight).square().sum().item() for name, weight in weights.items()) ** 0.5
        others = [p for name, p in model.named_parameters() if name.removesuffix(".weight") not in weights]
        base = [before[name] for name, _ in model.named_parameters() if name.removesuffix(".weight") not in weights]
        return {"away": away, "others are the base's": all(map(torch.equal, others, base))}

    cuts = {cut["kept"]: cut for cut in recipe.cut_study(model, before, measure)}
    assert cuts["everything"]["away"] == 0 and not cuts["everything"]["others are the base's"]
    assert all(cut["others are the base's"] for kept, cut in cuts.items() if kept != "everything")
    for rank in recipe.RANKS:
        left_out = np.sqrt(sum((S[rank:] ** 2).sum() for S in values))
        assert (
            cuts[f"first {rank}"]["away"] == pytest.approx(left_out, abs=1e-5) and cuts[f"first {rank}"]["rank"] == rank
        )
    assert cuts["the update of all matrices"]["away"] == pytest.approx(0, abs=1e-5)
    whole, first = (np.sqrt(sum((S[:r] ** 2).sum() for S in values)) for r in (None, 8))
    assert cuts["none: the base"]["away"] == pytest.approx(whole, rel=1e-5)
    assert cuts["all but the first 8"]["away"] == pytest.approx(first, rel=1e-5)
    assert cuts["first 8"]["away"] < cuts["8 at random"]["away"] < whole
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_the_spectrum_of_a_known_matrix():
    weight, update = torch.eye(20), torch.outer(torch.ones(20), torch.ones(20)) / 100
    row = recipe.spectrum(recipe.SHIPPED[0], weight, update)
    assert row["weight"]["energy_8"] == pytest.approx(8 / 20) and row["weight"]["rank_for_90"] == 18
    assert row["update"]["energy_8"] == pytest.approx(1) and row["update"]["stable_rank"] == pytest.approx(1)
    assert row["relative_size"] == pytest.approx(0.2 / 20**0.5)
    assert 0 < row["rounding"] < 2**-8, "1/100 is no bfloat16 number, and its nearest one is close"
    assert "rounding" not in recipe.spectrum("model.layers.0.self_attn.v_proj", weight, update)


def test_what_the_recipe_writes_the_loader_reads(tuned, tmp_path):
    model, _ = tuned
    note(model, fingerprint="0" * 64)
    updates = {name: torch.randn(6, 4) for name in recipe.SHIPPED}
    (tmp_path / "made.safetensors").write_bytes(recipe.shipped_file(model, updates))
    loaded = load_update(tmp_path / "made.safetensors")
    assert set(loaded) == set(recipe.SHIPPED) == set(load(recipe.shipped_file(model, updates)))
    for name, update in updates.items():
        torch.testing.assert_close(loaded[name], update, rtol=2**-8, atol=0)


def test_an_update_that_went_wrong_is_not_read_back(tuned, tmp_path):
    model, _ = tuned
    note(model, fingerprint="0" * 64)
    updates = {name: torch.full((6, 4), torch.inf) for name in recipe.SHIPPED}
    (tmp_path / "made.safetensors").write_bytes(recipe.shipped_file(model, updates))
    with pytest.raises(DataError, match="no matrix of finite numbers"):
        load_update(tmp_path / "made.safetensors")
