"""No infinity is summed up, kept or written: every way that forms W + ΔW or casts says so, and changes nothing."""

import pytest
import torch
from adapted import adapted, untouched
from conftest import make_tiny_llama
from torch import nn

from labkit import (
    AdapterBank,
    LoraConfig,
    lora_layers,
    merge,
    merge_into_dense,
    quantize_model,
    save_adapter,
    save_merged,
)
from labkit.errors import AdapterError, ConfigError
from labkit.linear import dense_weight

WHERE = "model.layers.1.mlp.up_proj"


def blown_up(size: float, kind: str = "dense", dtype: torch.dtype = torch.float32) -> nn.Module:
    """A tiny Llama, the last but one of whose updates has numbers of about this size."""
    model = adapted(LoraConfig(r=4, target_modules="all-linear"))
    if kind == "labkit":
        for _, layer in lora_layers(model):
            layer.base_layer = quantize_model(nn.Sequential(layer.base_layer))[0]
    model = model.to(dtype)
    for _, layer in lora_layers(model):
        layer.lora_A.float(), layer.lora_B.float()
    layer = dict(lora_layers(model))[WHERE]
    with torch.no_grad():
        layer.lora_B.weight.mul_(size / layer.delta_weight().abs().max())
    return model


def summed_in_float16(model, _):
    merge_into_dense(model, torch.float16)


def saved_in_float16(model, tmp_path):
    save_merged(model, None, tmp_path / "merged", torch.float16)


WAYS = {
    "merge": (lambda model, _: merge(model), 1e39, torch.float32),
    "merge in float16": (lambda model, _: merge(model), 1e5, torch.float16),
    "merge_into_dense": (summed_in_float16, 1e5, torch.float32),
    "merge_into_dense, merged before": (
        lambda model, _: (merge(model), summed_in_float16(model, _)),
        1e5,
        torch.float32,
    ),
    "save_merged": (saved_in_float16, 1e5, torch.float32),
}


@pytest.mark.filterwarnings("ignore::labkit.LabkitWarning")
@pytest.mark.parametrize("kind", ["dense", "labkit"])
@pytest.mark.parametrize("way", WAYS)
def test_a_sum_that_is_too_large_is_refused_and_nothing_is_changed(way, kind, tmp_path):
    do, size, dtype = WAYS[way]
    model = blown_up(size if size < 1e38 else 1e37, kind, dtype)
    if size > 1e38:  # α beyond what float32 holds, with A and B within it
        dict(lora_layers(model))[WHERE].scaling *= 1e4
    if "before" in way:
        merge(model)
    with (
        untouched(model),
        pytest.raises(ConfigError, match=r"W \+ ΔW.* is too large for float(16|32), where"),
    ):
        do(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_dense_weight_that_is_too_large_is_refused_as_well():
    model = adapted(LoraConfig(r=4, target_modules=["q_proj"]))
    with torch.no_grad():
        model.model.norm.weight[0] = 1e5
    with untouched(model), pytest.raises(ConfigError, match="model.norm.weight is too large for float16"):
        merge_into_dense(model, torch.float16)
    merge_into_dense(model, torch.bfloat16)


def test_what_only_the_adapter_holds_may_be_as_large_as_it_likes():
    """A = 10⁶ and B = 10⁻⁶ make an update that float16 holds."""
    model = adapted(LoraConfig(r=4, target_modules=["q_proj"]))
    with torch.no_grad():
        for _, layer in lora_layers(model):
            layer.lora_A.weight.mul_(1e7), layer.lora_B.weight.mul_(1e-7)
    assert dense_weight(merge_into_dense(model, torch.float16).model.layers[0].self_attn.q_proj).isfinite().all()


def test_a_blend_with_weights_beyond_all_bounds_is_refused():
    bank, source = AdapterBank(make_tiny_llama(), dtype=torch.float16), adapted()
    bank.add("a", source), bank.add("b", source)
    bank.activate("a")
    with pytest.raises(ConfigError, match="weights of 1e\\+06, 1 make the update of .* infinite"):
        bank.blend({"a": 1e6, "b": 1})
    assert bank.active == "a"
    with pytest.raises(ConfigError, match="infinite"), bank.rows([{"a": 1e6}]):
        pass


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_adapter_that_went_wrong_is_not_saved(number, tmp_path):
    model = adapted()
    with torch.no_grad():
        dict(lora_layers(model))[WHERE].lora_A.weight[0, 0] = number
    with pytest.raises(AdapterError, match=f"the adapter of {WHERE} holds NaN or infinite values"):
        save_adapter(model, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []
