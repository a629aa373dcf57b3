"""What servers read of a folder: the oracle is their own arithmetic, done by hand."""

import json
import math

import pytest
import torch
from adapted import adapted, logits
from conftest import make_tiny_llama
from safetensors.torch import load_file, save_file

from labkit.errors import AdapterError
from labkit.lora.config import LoraConfig
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, load_adapter, save_adapter
from labkit.lora.inject import lora_layers
from labkit.lora.serving import (
    MAX_LORA_RANKS,
    max_lora_rank,
    padded_rank,
    ranks_of,
    served_scalings,
    serving_problems,
)
from labkit.storage import untrusted

GOOD = [
    {},
    {"target_modules": "all-linear", "r": 8, "lora_alpha": 7},
    {"use_rslora": True, "lora_alpha": 5},
    {"target_modules": ["v_proj"], "r": 3},  # padded, but nothing is loaded after it
    # other ranks, and alphas that make up for it; the padded one is loaded last
    {"target_modules": ["q_proj", "up_proj"], "r": 8, "rank_pattern": {"up_proj": 2}, "alpha_pattern": {"up_proj": 2}},
]


def as_vllm_reads_it(path) -> torch.nn.Module:
    """A and B from the file, and one factor for all, from three fields of the config."""
    fields = json.loads((path / CONFIG_FILE).read_text())
    model = load_adapter(make_tiny_llama(), path)
    for _, layer in lora_layers(model):
        layer.scaling = fields["lora_alpha"] / (math.sqrt(fields["r"]) if fields["use_rslora"] else fields["r"])
    return model


def as_lorax_reads_it(path, gpus=1) -> torch.nn.Module:
    """Its loop over the kinds: each is scaled by the r noted so far, then padded, and its rank noted for the next."""
    fields = json.loads((path / CONFIG_FILE).read_text())
    model, r = load_adapter(make_tiny_llama(), path), fields["r"]
    for kind in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
        layers = [layer for name, layer in lora_layers(model) if name.endswith(kind)]
        for layer in layers:
            layer.scaling = fields["lora_alpha"] / (math.sqrt(r) if fields["use_rslora"] else r)
        if layers:
            rank, least = layers[0].lora_A.out_features, 8 * gpus
            r = least if rank <= least else (rank + 15) // 16 * 16
    return model


@pytest.mark.parametrize("fields", GOOD)
def test_where_there_is_no_problem_a_server_answers_as_we_do(fields, tmp_path):
    model = adapted(LoraConfig(**fields))
    save_adapter(model, tmp_path)
    assert serving_problems(tmp_path) == {"vLLM": [], "LoRAX": []}
    assert torch.equal(logits(as_vllm_reads_it(tmp_path)), logits(model))
    assert torch.equal(logits(as_lorax_reads_it(tmp_path)), logits(model))


@pytest.mark.parametrize(
    "pattern", [{"rank_pattern": {"v_proj": 2}}, {"alpha_pattern": {"layers.1.self_attn.v_proj": 1}}]
)
def test_where_patterns_matter_a_server_would_answer_otherwise(pattern, tmp_path):
    model = adapted(LoraConfig(**pattern))
    save_adapter(model, tmp_path)
    assert (logits(as_vllm_reads_it(tmp_path)) - logits(model)).abs().max() > 1e-3
    for problems in serving_problems(tmp_path).values():
        assert "v_proj by 1 and not by" in problems[0] and "rank_pattern and alpha_pattern are not read" in problems[0]


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize("gpus", [1, 2, 4])
@pytest.mark.parametrize("r", [2, 3, 8, 9, 16])
def test_lorax_divides_by_a_padded_rank(r, gpus, use_rslora, tmp_path):
    fields = {"r": r, "lora_alpha": 2 * r, "target_modules": ["down_proj", "v_proj", "k_proj"]}
    save_adapter(model := adapted(LoraConfig(**fields, use_rslora=use_rslora)), tmp_path)
    found = served_scalings(tmp_path, gpus)["LoRAX"]
    expected = {name: layer.scaling for name, layer in lora_layers(as_lorax_reads_it(tmp_path, gpus))}
    assert found == pytest.approx(expected)
    first, later = found["model.layers.1.self_attn.k_proj"], found["model.layers.0.mlp.down_proj"]
    share = r / padded_rank(r, gpus)
    meant = next(layer.scaling for _, layer in lora_layers(model))
    assert first == pytest.approx(meant) and later == pytest.approx(meant * (math.sqrt(share) if use_rslora else share))
    problems = serving_problems(tmp_path, gpus)
    assert problems["vLLM"] == [] and bool(problems["LoRAX"]) == (share < 1)
    assert all(f"padded from {r} to {padded_rank(r, gpus)}" in problem for problem in problems["LoRAX"])


def test_lorax_wants_a_kind_of_layer_whole(tmp_path):
    save_adapter(
        adapted(LoraConfig(target_modules=["q_proj", "v_proj"], exclude_modules=["layers.1.self_attn.v_proj"])),
        tmp_path,
    )
    found = serving_problems(tmp_path)
    assert found["vLLM"] == []
    assert found["LoRAX"] == ["self_attn.v_proj is adapted in 1 layers of 2, and would be left out in all"]
    assert served_scalings(tmp_path)["LoRAX"]["model.layers.0.self_attn.v_proj"] == 0


def test_lorax_wants_one_rank_for_a_kind_of_layer(tmp_path):
    one = "layers.0.self_attn.v_proj"
    save_adapter(adapted(LoraConfig(rank_pattern={one: 16}, alpha_pattern={one: 16})), tmp_path)
    found = serving_problems(tmp_path)
    assert found == {"vLLM": [], "LoRAX": ["self_attn.v_proj has different ranks in different layers"]}


@pytest.mark.parametrize(("r", "needed"), [(1, 1), (2, 8), (8, 8), (9, 16), (300, 320)])
def test_the_rank_to_tell_vllm(r, needed, tmp_path):
    save_adapter(adapted(LoraConfig(r=r, target_modules=["q_proj"])), tmp_path)
    assert max_lora_rank(tmp_path) == needed
    assert set(ranks_of(tmp_path).values()) == {r}


def test_too_large_a_rank_is_refused(tmp_path):
    save_adapter(adapted(LoraConfig(r=MAX_LORA_RANKS[-1] + 1, target_modules=["q_proj"])), tmp_path)
    with pytest.raises(AdapterError, match="rank 513 is more than 512"):
        max_lora_rank(tmp_path)
    assert "rank 513" in serving_problems(tmp_path)["vLLM"][0]


def test_a_damaged_folder_is_refused(tmp_path):
    save_adapter(adapted(), tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"")
    with pytest.raises(AdapterError, match="not a whole safetensors file"):
        serving_problems(tmp_path)


def test_a_head_is_no_block_and_chosen_layers_are_too_few_for_lorax(tmp_path):
    save_adapter(adapted(LoraConfig(target_modules=["q_proj", "lm_head"])), tmp_path / "head")
    found = serving_problems(tmp_path / "head")
    assert found["vLLM"] == found["LoRAX"] and ["none of the model's blocks" in each for each in found["LoRAX"]] == [
        True
    ]
    save_adapter(adapted(LoraConfig(target_modules=["q_proj"], layers_to_transform=[0])), tmp_path / "chosen")
    assert "layers_to_transform" in serving_problems(tmp_path / "chosen")["LoRAX"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields, state: fields.update(alpha_pattern={"(.*)*x": 1}), "finds no end"),
        (lambda fields, state: fields.update(alpha_pattern={"q_proj": 1, ".*q_proj": 2}), "alpha_pattern"),
        (lambda fields, state: state.update({next(iter(state)): torch.tensor(1.0)}), "which is no A"),
    ],
)
def test_a_strangers_folder_ends_in_one_error(change, message, tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "PATTERN_SECONDS", 1.0)
    save_adapter(adapted(), tmp_path)
    fields, state = json.loads((tmp_path / CONFIG_FILE).read_text()), load_file(tmp_path / WEIGHTS_FILE)
    change(fields, state)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(fields))
    save_file(state, tmp_path / WEIGHTS_FILE)
    with pytest.raises(AdapterError, match=message):
        serving_problems(tmp_path)
