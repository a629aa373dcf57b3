"""LoRA on four bits: the same layer, the same gradients, on both backends, before and after an evaluation."""

import pytest
import torch
from conftest import make_tiny_tokenizer
from quantized import BACKENDS, TOKENS, bits, bnb, dense_twin, on_trap_cpu, roomy_llama
from torch import nn
from training_run import ROWS, TASK

from labkit import (
    LoraConfig,
    TrainConfig,
    TrainingError,
    inject_lora,
    load_adapter,
    lora_layers,
    merge,
    merge_and_unload,
    quantize_model,
    quantize_nf4,
    save_adapter,
    train,
    unmerge,
)
from labkit.linear import dense_weight
from labkit.quant.nf4 import dequantize_nf4
from labkit.step.probing import refuse_unless_causal

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")
# bitsandbytes repacks only the roomy shapes, and raises at the tiny ones
SHAPES = {"roomy": {}, "tiny": {"hidden_size": 32, "intermediate_size": 48}}


def adapt(model: nn.Module, dtype=torch.float32) -> nn.Module:
    torch.manual_seed(1)
    inject_lora(model, CONFIG, dtype)
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight, std=0.1)
    return model


def pair(backend: str, double: bool = False, shape: str = "roomy", **settings) -> tuple[nn.Module, nn.Module]:
    """A 4-bit model and a dense one that holds the same numbers, with the same adapter."""
    changes = SHAPES[shape] | {"max_position_embeddings": 256}
    model = quantize_model(roomy_llama(**changes), backend, double=double)
    twin = dense_twin(model)
    return adapt(model, **settings), adapt(twin, **settings)


def evaluate(model: nn.Module) -> torch.Tensor:
    was_training = model.training
    with torch.no_grad():
        logits = model.eval()(TOKENS).logits
    model.train(was_training)
    return logits


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Of everything trained, and of what goes into the first block."""
    model.zero_grad()
    embedded = model.get_input_embeddings()(TOKENS).detach().requires_grad_()
    model.train()(inputs_embeds=embedded, labels=TOKENS).loss.backward()
    return {"input": embedded.grad} | {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def packed(model: nn.Module) -> dict[str, bytes]:
    return {name: bits(m.stored_weight()) for name, m in model.named_modules() if hasattr(m, "stored_weight")}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_the_dense_models_before_and_after_an_evaluation(backend, double, shape):
    model, twin = pair(backend, double, shape)
    before = packed(model)
    expected = gradients(twin)
    assert len(expected) == 1 + 2 * 14 and all(grad.abs().max() > 0 for grad in expected.values())
    for _ in range(2):
        ours = gradients(model)
        assert ours.keys() == expected.keys()
        for name, grad in expected.items():
            torch.testing.assert_close(ours[name], grad, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(evaluate(model), evaluate(twin), atol=1e-5, rtol=1e-5)
    assert packed(model) == before and len(before) == 14


@on_trap_cpu
@pytest.mark.filterwarnings("ignore:bitsandbytes..gemv_4bit")
def test_unguarded_an_evaluation_ruins_the_gradients():
    """The same model with bitsandbytes' own layers: what reaches the embeddings is another gradient."""
    model = roomy_llama().train()
    for name, dense in list(model.named_modules()):
        if isinstance(dense, nn.Linear) and name != "lm_head":
            layer = bnb.nn.Linear4bit(dense.in_features, dense.out_features, bias=False, quant_type="nf4")
            layer.load_state_dict(dense.state_dict())
            model.set_submodule(name, layer.to("cpu"))
    before = gradients(model)["input"]
    evaluate(model)
    after = gradients(model)["input"]
    assert (after - before).norm() / before.norm() > 0.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("double", [False, True])
def test_evaluate_train_merge(backend, double):
    model, twin = pair(backend, double)
    results = {}
    for each in (model, twin):
        evaluate(each)
        results[each] = train(each, make_tiny_tokenizer(), TASK, TrainConfig(steps=6, batch_size=4), rows=ROWS)
        evaluate(each)
    assert results[model].losses == pytest.approx(results[twin].losses, rel=1e-4)
    torch.testing.assert_close(evaluate(model), evaluate(twin), atol=1e-3, rtol=0)
    before, unmerged = packed(model), evaluate(model)
    targets = {name: dense_weight(layer.base_layer) + layer.delta_weight() for name, layer in lora_layers(model)}
    merge(model)
    for name, layer in lora_layers(model):
        merged = dense_weight(layer.base_layer)
        # a merged weight is quantized anew, which costs what quantizing costs
        assert (merged - targets[name]).norm() / targets[name].norm() < 0.12
        if backend == "labkit" and not double:
            assert torch.equal(merged, dequantize_nf4(quantize_nf4(targets[name])))
    assert packed(model) != before
    unmerge(model)
    assert packed(model) == before and torch.equal(evaluate(model), unmerged)


@pytest.mark.parametrize("backend", BACKENDS)
def test_merged_in_another_dtype_it_still_comes_back(backend):
    """The packed bytes that were set aside are no float tensor, so a cast in between leaves them alone."""
    model, _ = pair(backend)
    before = packed(model)
    unmerge(merge(model).bfloat16().float())
    assert packed(model) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_unloaded_it_is_a_four_bit_model(backend):
    model, _ = pair(backend)
    expected = evaluate(merge(model))
    merge_and_unload(model)
    assert not list(lora_layers(model)) and torch.equal(evaluate(model), expected)
    inject_lora(model, CONFIG)


@pytest.mark.parametrize("backend", BACKENDS)
def test_adapters_in_sixteen_bits(backend):
    model, _ = pair(backend, dtype=torch.bfloat16)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.bfloat16}
    result = train(model, make_tiny_tokenizer(), TASK, TrainConfig(steps=12, batch_size=4), rows=ROWS)
    assert result.losses[-1] < result.losses[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
def test_training_moves_the_adapter_only_and_resumes_to_the_same_bits(backend, optimizer, tmp_path):
    config = TrainConfig(steps=8, batch_size=4, learning_rate=1e-2, checkpoint_every=5, optimizer=optimizer)

    def run(folder, **options):
        model, _ = pair(backend)
        result = train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, output_dir=folder, **options)
        return result, model, {name: bits(p) for name, p in model.named_parameters() if p.requires_grad}

    def stop(report):
        if report.step == 6:
            raise InterruptedError

    whole, model, trained = run(tmp_path / "whole")
    assert whole.losses[-1] < whole.losses[0]
    fresh, _ = pair(backend)
    assert packed(model) == packed(fresh)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert all(bits(model.get_parameter(name)) == bits(fresh.get_parameter(name)) for name in frozen)

    with pytest.raises(InterruptedError):
        run(tmp_path / "cut", on_step=stop)
    resumed, _, again = run(tmp_path / "cut", resume=True)
    assert resumed.history == whole.history and again == trained


def test_a_checkpoint_on_another_quantization_is_refused(tmp_path):
    config = TrainConfig(steps=2, batch_size=4, checkpoint_every=1)
    model, twin = pair("labkit")
    train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, output_dir=tmp_path)
    with pytest.raises(TrainingError, match="not the same: quantization"):
        train(twin, make_tiny_tokenizer(), TASK, config, rows=ROWS, output_dir=tmp_path, resume=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_checkpointing_gives_the_same_gradients(backend):
    """Seen from inside the loop, before they are clipped and used; and the blocks are really run twice."""
    found = {}
    for checkpointing in (False, True):
        model, _ = pair(backend)
        runs = []
        model.model.layers[0].self_attn.register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        refuse_unless_causal(model)  # as `train` does before its first step
        before = len(runs)
        grads = found[checkpointing] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda grad, name=name, grads=grads: grads.__setitem__(name, grad.clone()))
        # forced, because the simulator that train asks runs the model as well, and so does share_prefix="auto"
        config = TrainConfig(steps=1, batch_size=4, gradient_checkpointing=checkpointing, share_prefix=False)
        train(model, make_tiny_tokenizer(), TASK, config, rows=ROWS, force=True)
        assert len(runs) == 2 * before + 1 + checkpointing
        assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    assert found[True].keys() == found[False].keys() and len(found[True]) == 28
    for name, grad in found[False].items():
        torch.testing.assert_close(found[True][name], grad, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_adapter_goes_from_four_bits_to_dense(backend, tmp_path):
    model, twin = pair(backend)
    save_adapter(model, tmp_path / "adapter")
    fresh = dense_twin(quantize_model(roomy_llama(max_position_embeddings=256), backend))
    load_adapter(fresh, tmp_path / "adapter")
    torch.testing.assert_close(evaluate(fresh), evaluate(twin), atol=1e-5, rtol=0)
    again = quantize_model(roomy_llama(max_position_embeddings=256), backend)
    load_adapter(again, tmp_path / "adapter")
    assert torch.equal(evaluate(again), evaluate(model))
