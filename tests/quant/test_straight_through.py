"""Training that knows it will be merged: what it sees is what a merge into four bits leaves, to the bit."""

import copy
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama, make_tiny_tokenizer
from quantized import BACKENDS, TOKENS, bits, roomy_llama
from torch import nn
from training_run import ROWS, TASK

from labkit import (
    AdapterBank,
    ConfigError,
    LoraConfig,
    LoraLinear,
    NF4Linear,
    TrainConfig,
    TrainingError,
    disable_adapter,
    inject_lora,
    load_adapter,
    lora_layers,
    merge,
    merge_and_unload,
    merge_aware,
    quantize_model,
    save_adapter,
    train,
)
from labkit.linear import dense_weight
from labkit.quant.nf4 import dequantize_nf4, quantize_nf4

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:the base is in four bits, so merging rounds"),
]

CONFIG = LoraConfig(r=4, lora_alpha=32, target_modules="all-linear")
TRAIN = TrainConfig(steps=4, batch_size=4, learning_rate=2e-2)
BASES = ("dense", *BACKENDS)


def base(kind: str, double: bool = False, **changes) -> nn.Module:
    model = roomy_llama(max_position_embeddings=256, **changes)
    return model if kind == "dense" else quantize_model(model, kind, double=double)


def adapted(kind: str, double: bool = False, config: LoraConfig = CONFIG, **changes) -> nn.Module:
    torch.manual_seed(1)
    return inject_lora(base(kind, double, **changes), config)


def rounding(kind: str, double: bool) -> dict:
    """What merge_aware is told of it."""
    return {"double": double} if kind == "dense" else {}


def merged(model: nn.Module, kind: str, double: bool) -> nn.Module:
    merge_and_unload(model)
    return quantize_model(model, double=double) if kind == "dense" else model


def run(model: nn.Module, config: TrainConfig = TRAIN, **named):
    return train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, **named)


@torch.no_grad()
def logits(model: nn.Module) -> torch.Tensor:
    return model.eval()(TOKENS).logits


def packed(model: nn.Module) -> dict[str, bytes]:
    return {name: bits(m.stored_weight()) for name, m in model.named_modules() if hasattr(m, "stored_weight")}


# ---- the oracle: autograd, and a weight that isn't spared


def explicit(x, W, bias, A, B, scaling, double):
    """The straight-through estimator as it's usually written: the rounding as a constant that's added."""
    exact = W + scaling * B @ A
    rounded = exact + (dequantize_nf4(quantize_nf4(exact, double=double)) - exact).detach()
    return F.linear(x, rounded, bias)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", ["dense", "labkit"])
@pytest.mark.parametrize("shape", [(64,), (5, 64), (2, 3, 64)])
def test_gradients_are_autograds(kind, double, shape):
    torch.manual_seed(0)
    dense = nn.Linear(64, 48)
    layer = LoraLinear(dense if kind == "dense" else NF4Linear(dense, double=double), r=4, lora_alpha=8)
    nn.init.normal_(layer.lora_B.weight, std=0.2)
    W = dense_weight(layer.base_layer)
    x, towards = torch.randn(shape, requires_grad=True), torch.randn(*shape[:-1], 48)
    A, B = layer.lora_A.weight, layer.lora_B.weight
    expected_y = explicit(x, W, dense.bias, A, B, layer.scaling, double)
    expected = torch.autograd.grad((expected_y * towards).sum(), (x, A, B))
    with merge_aware(nn.ModuleDict({"layer": layer}), **rounding(kind, double)):
        y = layer(x)
        found = torch.autograd.grad((y * towards).sum(), (x, A, B))
        weight = layer.weight
        by_weight = torch.autograd.grad((F.linear(x, weight, dense.bias) * towards).sum(), (x, A, B))
    torch.testing.assert_close(y, expected_y, atol=1e-6, rtol=1e-6)
    for grads in (found, by_weight):
        for grad, other in zip(grads, expected):
            torch.testing.assert_close(grad, other, atol=1e-5, rtol=1e-5)
    assert all(grad.abs().max() > 0 for grad in found)


# ---- the promise


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])  # one of them writes past autograd's count of changes
def test_a_merge_leaves_what_training_saw(kind, double, optimizer):
    model = adapted(kind, double)
    before = logits(model)
    config = TrainConfig(steps=4, batch_size=4, learning_rate=2e-2, optimizer=optimizer)
    with merge_aware(model, **rounding(kind, double)):
        result = run(model, config)
        seen = logits(model)
    assert len(result.losses) == 4 and not torch.equal(seen, before)
    assert not torch.equal(logits(model), seen), "kept apart, its base isn't rounded again"
    model = merged(model, kind, double)
    assert torch.equal(logits(model), seen) and not list(lora_layers(model))


@pytest.mark.parametrize("kind", BASES)
def test_a_steps_loss_is_the_merged_models(kind):
    """The training forward itself, not only an evaluation. A fresh adapter adds nothing to the merged model."""
    still = TrainConfig(steps=2, batch_size=4, learning_rate=0)
    model = adapted(kind)
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.1)
    ordinary = run(copy.deepcopy(model), still).losses
    with merge_aware(model):
        seen = run(model, still).losses
    again = run(inject_lora(merged(model, kind, False), CONFIG), still).losses
    assert seen == again != ordinary


def test_it_learns_what_an_ordinary_adapter_loses():
    """Four answers are to change by less than a step of NF4 moves them: both learn that, and one survives the merge."""
    left = {}
    for aware in (False, True):
        torch.manual_seed(0)
        layer = LoraLinear(nn.Linear(64, 16, bias=False), r=4, lora_alpha=4)
        x, change = torch.randn(4, 64), 0.004 * torch.randn(16, 2) @ torch.randn(2, 64)
        wanted = x @ (dense_weight(layer.base_layer) + change).T
        model = nn.ModuleDict({"layer": layer})
        optimizer = torch.optim.Adam([layer.lora_A.weight, layer.lora_B.weight], lr=3e-3)
        fading = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
        with merge_aware(model) if aware else nullcontext():
            for _ in range(200):
                optimizer.zero_grad()
                F.mse_loss(layer(x), wanted).backward()
                optimizer.step()
                fading.step()
        before, after = NF4Linear(layer.base_layer), NF4Linear(merge_and_unload(model)["layer"])
        left[aware] = (F.mse_loss(after(x), wanted) / F.mse_loss(before(x), wanted)).item()
    assert left[True] < 0.35 and left[False] > 0.5, left


@pytest.mark.parametrize("kind", BASES[:2])
def test_checkpointed_layers_and_split_batches_give_the_same_step(kind):
    found = []
    for changes in ({}, {"gradient_checkpointing": True}, {"gradient_accumulation": 2}):
        model = adapted(kind)
        with merge_aware(model):
            run(model, TrainConfig(steps=1, batch_size=4, learning_rate=1e-3, share_prefix=False, **changes))
        found.append({name: p.detach() for name, p in model.named_parameters() if p.requires_grad})
    for other in found[1:]:
        for name, weight in found[0].items():
            torch.testing.assert_close(other[name], weight, atol=2e-4, rtol=0)


# ---- a run that's stopped, and the folder


@pytest.mark.parametrize("kind", BASES[:2])
def test_resumed_it_ends_in_the_same_bits(kind, tmp_path):
    config = TrainConfig(steps=6, batch_size=4, learning_rate=1e-2, checkpoint_every=3, validate_every=2)

    def trained(folder, **named):
        model = adapted(kind)
        with merge_aware(model):
            result = run(model, config, output_dir=folder, validation=ROWS[:3], **named)
        return result.history, {name: bits(p) for name, p in model.named_parameters() if p.requires_grad}

    def stop(report):
        if report.step == 4:
            raise InterruptedError

    whole = trained(tmp_path / "whole")
    with pytest.raises(InterruptedError):
        trained(tmp_path / "cut", on_step=stop)
    with pytest.raises(TrainingError, match="not the same: merge_aware"):
        run(adapted(kind), config, output_dir=tmp_path / "cut", validation=ROWS[:3], resume=True)
    assert trained(tmp_path / "cut", resume=True) == whole


@pytest.mark.parametrize("kind", BASES[:2])
def test_the_best_weights_are_rounded_again(kind):
    """Validation puts the best weights back after the last step: what's asked then isn't a rounding of older ones."""
    model = adapted(kind)
    config = TrainConfig(steps=8, batch_size=4, learning_rate=0.3, validate_every=1, share_prefix=False)
    other = [row | {"completion": "no"} for row in ROWS[:3]]  # the loss on it falls for a step and rises then
    with merge_aware(model):
        result = run(model, config, validation=other)
        assert result.validations[-1]["validation_loss"] > min(v["validation_loss"] for v in result.validations)
        seen = logits(model)
    assert torch.equal(logits(merged(model, kind, False)), seen)


@pytest.mark.parametrize("kind", BASES)
def test_saved_loaded_and_merged_it_is_what_training_saw(kind, tmp_path, double=True):
    model = adapted(kind, double)
    with merge_aware(model, **rounding(kind, double)):
        run(model)
        save_adapter(model, tmp_path / "adapter")
        seen = logits(model)
    fresh = merged(load_adapter(base(kind, double), tmp_path / "adapter"), kind, double)
    assert torch.equal(logits(fresh), seen) and packed(fresh) == packed(merged(model, kind, double))


# ---- afterwards


@pytest.mark.parametrize("kind", BASES)
def test_everything_is_as_it_was_whatever_happened_inside(kind):
    model = adapted(kind)
    before, answers, known = packed(model), logits(model), model.labkit
    names, keys = [name for name, _ in model.named_modules()], list(model.state_dict())
    with pytest.raises(InterruptedError), merge_aware(model) as given:
        assert given is model
        for _, layer in lora_layers(model):
            nn.init.normal_(layer.lora_B.weight)
        assert not torch.equal(logits(model), answers)
        raise InterruptedError
    for _, layer in lora_layers(model):
        assert type(layer) is LoraLinear
        nn.init.zeros_(layer.lora_B.weight)
    assert [name for name, _ in model.named_modules()] == names and list(model.state_dict()) == keys
    assert packed(model) == before and torch.equal(logits(model), answers) and model.labkit == known


@pytest.mark.parametrize("kind", BASES[:2])
def test_inside_it_can_be_silenced_and_merged(kind):
    model = adapted(kind)
    silent = logits(model)
    with merge_aware(model):
        run(model)
        seen = logits(model)
        with disable_adapter(model):
            assert torch.equal(logits(model), silent)
        merge(model)
        assert torch.equal(logits(model), seen) is (kind != "dense")
        merged_model = merge_and_unload(model)
    assert not list(lora_layers(merged_model))


@pytest.mark.memory_check
def test_the_simulator_takes_such_a_step_too(recwarn):
    with merge_aware(adapted("labkit")) as model:
        run(model)
    assert not [str(warning.message) for warning in recwarn if "could not" in str(warning.message)]


# ---- what it refuses


def refused(model: nn.Module, message: str, **named) -> None:
    before = [type(module) for module in model.modules()]
    with pytest.raises(ConfigError, match=message), merge_aware(model, **named):
        pass
    assert [type(module) for module in model.modules()] == before


def test_what_can_not_be_merged_later_is_refused():
    refused(base("labkit"), "there is nothing to merge later")
    served = base("labkit")
    AdapterBank(served)
    refused(served, "served by an AdapterBank")
    refused(merge(adapted("labkit")), "the adapter is merged, and would not be trained")
    refused(adapted("labkit", double=True), "rounds in its own way: leave out", double=True)
    dropping = LoraConfig(r=4, lora_dropout=0.1, target_modules="all-linear")
    refused(adapted("labkit", config=dropping), "has dropout, which a merged weight has no place for")
    refused(adapted("dense", config=LoraConfig(r=4)), "has no LoRA on it, and will be rounded")
    head = LoraConfig(r=4, target_modules=["lm_head"])
    refused(adapted("labkit", config=head), "shares its weight with")
    refused(adapted("labkit", config=head, tie_word_embeddings=False), "is the output head, which stays dense")
    mixed = base("labkit")
    mixed.model.layers[0].mlp.up_proj = nn.Linear(64, 128, bias=False)
    refused(inject_lora(mixed, CONFIG), "in four bits and some are dense")
    lost = adapted("dense")
    nn.init.constant_(lost.model.layers[1].mlp.down_proj.base_layer.weight, torch.inf)
    refused(lost, "NaN or infinity")


def test_one_block_is_enough():
    model = adapted("labkit")
    with merge_aware(model), pytest.raises(ConfigError, match="inside a merge_aware block already"):
        with merge_aware(model):
            pass
    assert {type(layer) for _, layer in lora_layers(model)} == {LoraLinear}


def test_part_of_the_layers_on_four_bits_is_enough():
    """The others are in four bits already."""
    model = adapted("labkit", config=LoraConfig(r=4, lora_alpha=32))
    with merge_aware(model):
        run(model)
        seen = logits(model)
    assert torch.equal(logits(merge_and_unload(model)), seen)


def test_sixteen_bits():
    model = inject_lora(quantize_model(make_tiny_llama(max_position_embeddings=256).bfloat16()), CONFIG)
    with merge_aware(model):
        run(model)
        seen = logits(model)
    assert torch.equal(logits(merge_and_unload(model)), seen)
