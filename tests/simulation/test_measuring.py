"""Simulated, measured and allocated: three accounts of one step."""

import copy

import pytest
import torch
from conftest import TINY_SHAPE, make_tiny_llama
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig

from labkit import ConfigError, LoraConfig, encode, inject_lora, measure, quantize_model, simulate
from labkit.simulation.allocator import allocator_peak
from labkit.simulation.simulating import empty_batch
from labkit.step.batch import collate
from labkit.step.gradient_checkpointing import checkpoint_layers

CLOSE = 4096  # bytes

pytestmark = pytest.mark.usefixtures("one_thread")


def prepared(model, method, checkpointing, r=8, targets="all-linear"):
    if method == "qlora":
        quantize_model(model, double=True)
    if method != "full":
        inject_lora(model, LoraConfig(r=r, target_modules=targets))
    return (checkpoint_layers(model) if checkpointing else model).train()


METHODS = pytest.mark.parametrize("method", ["full", "lora", "qlora"])
CHECKPOINTING = pytest.mark.parametrize("checkpointing", [False, True])


@METHODS
@CHECKPOINTING
@pytest.mark.parametrize(
    ("rows", "tokens", "labelled"),
    [
        pytest.param(1, 8, 3, marks=pytest.mark.slow),
        pytest.param(3, 200, 0.25, marks=pytest.mark.slow),
        pytest.param(2, 64, 1.0, marks=pytest.mark.long),
        pytest.param(1, 800, 10, marks=pytest.mark.long),
    ],
)
def test_a_tiny_step_equals_torchs_own_allocator(method, checkpointing, rows, tokens, labelled):
    shape = TINY_SHAPE | {"max_position_embeddings": 1024, "hidden_size": 64, "vocab_size": 384}
    step = {"batch_size": rows, "sequence": tokens, "labelled": labelled}
    model = prepared(make_tiny_llama(**shape), method, checkpointing)
    simulated = simulate(
        LlamaConfig(**shape), method, **step, dtype="float32", checkpointing=checkpointing, device="cpu"
    )
    measured = measure(model, **step)
    assert measured.phases == simulated.phases and measured.flops == simulated.flops
    assert abs(simulated.peak - allocator_peak(model, empty_batch(rows, tokens, labelled))) <= CLOSE


@pytest.mark.parametrize(
    ("method", "rows", "tokens", "checkpointing"),
    [
        pytest.param("full", 1, 16, False, marks=pytest.mark.slow),
        pytest.param("qlora", 2, 16, True, marks=pytest.mark.slow),
        pytest.param("full", 2, 64, False, marks=pytest.mark.long),
        pytest.param("lora", 1, 256, True, marks=pytest.mark.long),
        pytest.param("lora", 2, 64, False, marks=pytest.mark.long),
        pytest.param("lora", 4, 128, False, marks=pytest.mark.long),
        pytest.param("qlora", 2, 64, False, marks=pytest.mark.long),
        pytest.param("qlora", 2, 64, True, marks=pytest.mark.long),
    ],
)
def test_a_step_of_the_real_base_equals_torchs_own_allocator(base, method, rows, tokens, checkpointing):
    step = {"batch_size": rows, "sequence": tokens}
    model = prepared(copy.deepcopy(base[0]), method, checkpointing)
    simulated = simulate("smollm2-135m", method, **step, dtype="float32", checkpointing=checkpointing, device="cpu")
    assert abs(simulated.peak - allocator_peak(model, empty_batch(rows, tokens, 1.0))) <= CLOSE
    assert measure(model, **step).phases == simulated.phases


@st.composite
def steps(draw):
    heads, grouped, head_size = draw(st.sampled_from([2, 4, 6])), draw(st.sampled_from([1, 2])), 8
    shape = TINY_SHAPE | {
        "vocab_size": draw(st.integers(20, 400)),
        "hidden_size": heads * head_size,
        "intermediate_size": draw(st.integers(8, 200)),
        "num_hidden_layers": draw(st.integers(1, 6)),
        "num_attention_heads": heads,
        "num_key_value_heads": heads // grouped,
        "tie_word_embeddings": draw(st.booleans()),
    }
    tokens = draw(st.integers(4, 64))
    options = {
        "batch_size": draw(st.integers(1, 5)),
        "sequence": tokens,
        "labelled": draw(st.integers(1, tokens - 1)),
        "optimizer": draw(st.sampled_from(["adamw", "sgd"])),
    }
    targets = draw(st.sampled_from(["all-linear", ["q_proj"], ["down_proj", "k_proj"]]))
    method = draw(st.sampled_from(["full", "lora"]))
    return shape, method, options, {"r": draw(st.integers(1, 9)), "targets": targets}, draw(st.booleans())


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 4, derandomize=True)
@given(steps())
def test_any_small_step_equals_torchs_own_allocator(case):
    shape, method, options, lora, checkpointing = case
    model = prepared(make_tiny_llama(**shape), method, checkpointing, **lora)
    simulated = simulate(
        LlamaConfig(**shape),
        method,
        **options,
        r=lora["r"],
        target_modules=lora["targets"],
        dtype="float32",
        checkpointing=checkpointing,
        device="cpu",
    )
    batch = empty_batch(options["batch_size"], options["sequence"], options["labelled"])
    assert abs(simulated.peak - allocator_peak(model, batch, options["optimizer"])) <= CLOSE


def test_measuring_leaves_the_model_as_it_was():
    model = prepared(make_tiny_llama(), "lora", checkpointing=False).eval()
    torch.nn.init.normal_(model.model.layers[0].self_attn.q_proj.lora_B.weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measure(model, batch_size=2, sequence=16)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert not model.training and all(p.grad is None for p in model.parameters())


def test_a_batch_of_ones_own_is_measured(tiny_tokenizer):
    examples = [
        encode(tiny_tokenizer, {"prompt": "Say a number.", "completion": answer}, "Hi") for answer in ("87", "a dozen")
    ]
    batch = collate(examples, tiny_tokenizer.pad_token_id)
    model = prepared(make_tiny_llama(max_position_embeddings=256), "lora", checkpointing=False)
    assert measure(model, batch).tokens == batch.input_ids.numel()
    assert abs(measure(model, batch).peak - allocator_peak(model, batch)) <= CLOSE


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"sequence": 1}, {"labelled": 2.0}, {"optimizer": "lion"}])
def test_what_cannot_be_measured_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))} must be"):
        measure(prepared(make_tiny_llama(), "lora", checkpointing=False), **wrong)


def test_a_frozen_model_is_refused():
    with pytest.raises(ConfigError, match="every parameter is frozen"):
        measure(make_tiny_llama().requires_grad_(False))
