"""Whole models into four bits, layer by layer."""

import json
import subprocess
import sys
import weakref

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from quantized import BACKENDS, TOKENS, bits, dense_twin, quantized_llama
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from labkit import LoraConfig, NF4Linear, inject_lora, load_base, quantize_model, quantize_nf4, trainable_parameters
from labkit.errors import ConfigError
from labkit.quant import convert
from labkit.quant.guarded import GuardedLinear4bit

KIND = {"labkit": NF4Linear, "bitsandbytes": GuardedLinear4bit}


def linear_names(model) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name != "lm_head"]


def state(model) -> dict[str, bytes]:
    return {name: bits(tensor) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("double", [False, True])
def test_linear_layers_are_replaced_and_nothing_else(backend, double):
    model, fresh = make_tiny_llama(), make_tiny_llama()
    others = {name: p for name, p in model.named_parameters() if "proj" not in name}
    names = linear_names(model)
    assert len(names) == 14
    assert quantize_model(model, backend, double=double) is model
    for name in names:
        layer = model.get_submodule(name)
        expected = quantize_nf4(fresh.get_submodule(name).weight, double=double)
        assert type(layer) is KIND[backend] and not layer.training
        assert bits(layer.quantized.packed) == bits(expected.packed)
    assert all(model.get_parameter(name) is p for name, p in others.items())
    assert type(model.lm_head) is nn.Linear and model.lm_head.weight is model.get_input_embeddings().weight
    assert model.labkit.quantization == f"nf4 by {backend}, blocks of 64{', double' if double else ''}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_answers_as_one_with_the_dequantized_weights(backend):
    model = quantized_llama(backend)
    with torch.no_grad():
        torch.testing.assert_close(model(TOKENS).logits, dense_twin(model)(TOKENS).logits, atol=1e-5, rtol=0)


def test_an_untied_head_stays_too():
    model = quantize_model(make_tiny_llama(tie_word_embeddings=False))
    assert type(model.lm_head) is nn.Linear


def test_a_model_without_a_head_of_transformers():
    model = quantize_model(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)).train(), block_size=16)
    assert [type(module) for module in model] == [NF4Linear, nn.ReLU, NF4Linear]
    assert model[0].block_size == 16 and model[0].training


def test_one_dense_weight_after_the_other_is_let_go(monkeypatch):
    model = make_tiny_llama()
    alive = [weakref.ref(model.get_submodule(name).weight) for name in linear_names(model)]
    counts = []

    class Counting(NF4Linear):
        def __init__(self, *args, **settings):
            counts.append(sum(ref() is not None for ref in alive))
            super().__init__(*args, **settings)

    monkeypatch.setattr(convert, "NF4Linear", Counting)
    quantize_model(model)
    assert counts == list(range(len(alive), 0, -1)) and not any(ref() is not None for ref in alive)


@pytest.mark.parametrize("backend", BACKENDS)
def test_packed_weights_count_as_the_numbers_they_stand_for(backend):
    dense, model = make_tiny_llama(), quantized_llama(backend)
    config = LoraConfig(r=2, target_modules="all-linear")
    assert trainable_parameters(model)[1] == trainable_parameters(dense)[1]
    assert trainable_parameters(inject_lora(model, config)) == trainable_parameters(inject_lora(dense, config))


def test_a_model_that_is_all_shape():
    with FakeTensorMode():
        model = quantize_model(make_tiny_llama(), double=True)
        loss = model(torch.zeros(2, 8, dtype=torch.long)).logits.sum()
        loss.backward()
    assert all(isinstance(tensor, FakeTensor) for tensor in (*model.parameters(), *model.buffers()))
    assert model.get_input_embeddings().weight.grad.shape == (96, 32)


# ---- refusals, which change nothing


def with_nan() -> nn.Module:
    model = make_tiny_llama()
    model.model.layers[1].mlp.down_proj.weight.data[3, 4] = float("nan")
    return model


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (with_nan, {}, "the weight of model.layers.1.mlp.down_proj has NaN or infinity"),
        (lambda: make_tiny_llama().double(), {}, "the weight of model.layers.0.self_attn.q_proj is float64"),
        (make_tiny_llama, {"backend": "torchao"}, 'backend must be "labkit" or "bitsandbytes", got \'torchao\''),
        (make_tiny_llama, {"block_size": 0}, "block_size must be at least 1"),
        (lambda: quantized_llama("labkit"), {}, "quantized already .*q_proj is a NF4Linear"),
        (lambda: quantized_llama("bitsandbytes"), {}, "quantized already .*q_proj is a GuardedLinear4bit"),
        (lambda: inject_lora(make_tiny_llama(), LoraConfig()), {}, "q_proj has LoRA on it: quantize the base first"),
        (lambda: nn.Sequential(nn.Embedding(4, 4)), {}, "nothing to quantize: the model has no linear layers"),
    ],
)
def test_what_cannot_be_quantized_is_refused_and_left_alone(model, settings, message):
    model = model()
    modules, before = [type(module) for module in model.modules()], state(model)
    with pytest.raises(ConfigError, match=message):
        quantize_model(model, **settings)
    assert [type(module) for module in model.modules()] == modules and state(model) == before


@pytest.mark.slow
def test_bitsandbytes_that_is_not_there():
    code = (
        "import sys; sys.modules['bitsandbytes'] = None\n"
        "import torch, labkit\n"
        "model = labkit.quantize_model(torch.nn.Sequential(torch.nn.Linear(64, 4)))\n"
        "print(model(torch.ones(64)).shape)\n"
        "try: labkit.quantize_model(torch.nn.Sequential(torch.nn.Linear(64, 4)), 'bitsandbytes')\n"
        "except labkit.ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    shape, refusal = done.stdout.splitlines()
    assert shape == "torch.Size([4])"
    assert refusal.startswith("bitsandbytes is not installed") and 'backend="labkit"' in refusal


# ---- load_base


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny-base")
    make_tiny_llama().save_pretrained(path)
    make_tiny_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_base_is_loaded_in_four_bits(folder, backend, double, dtype):
    """From the weights as they lie in the file, whatever the dtype asked for."""
    model, _ = load_base(folder, device="cpu", dtype=dtype, quantize="nf4", double=double, backend=backend)
    expected = quantized_llama(backend, double)
    for name, layer in expected.named_modules():
        if hasattr(layer, "quantized"):
            assert bits(model.get_submodule(name).stored_weight()) == bits(layer.stored_weight())
    assert model.get_input_embeddings().weight.dtype == model.dtype == dtype and not model.training
    dense, _ = load_base(folder, device="cpu", dtype=dtype)
    assert model.labkit.fingerprint == dense.labkit.fingerprint
    assert bits(model.model.rotary_emb.inv_freq) == bits(dense.model.rotary_emb.inv_freq)
    with torch.no_grad():
        assert model(TOKENS).logits.dtype == dtype


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantize": "int4"}, "quantize must be \"nf4\" or None, got 'int4'"),
        ({"double": True}, 'they need quantize="nf4"'),
        ({"backend": "bitsandbytes"}, 'they need quantize="nf4"'),
        ({"quantize": "nf4", "backend": "gptq"}, "backend must be"),
    ],
)
def test_settings_that_make_no_sense_are_refused(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        load_base(folder, device="cpu", **settings)


PEAK = """
import json, sys, threading
import torch
import labkit
from labkit.quant.bnb import find_bitsandbytes
find_bitsandbytes(), labkit.load_base

def private():
    with open("/proc/self/smaps_rollup") as rollup:
        return 1024 * sum(int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty"))

before, peak, done = private(), [0], threading.Event()
def watch():
    while not done.wait(0.02):
        peak[0] = max(peak[0], private())
watcher = threading.Thread(target=watch)
watcher.start()
model, _ = labkit.load_base(device="cpu", quantize="nf4", double=True)
done.set()
watcher.join()
linear = {n: t for n, t in model.named_buffers() if "proj" in n}
weights = sum(m.in_features * m.out_features for m in model.modules() if isinstance(m, labkit.NF4Linear))
print(json.dumps({"peak": peak[0] - before, "linear": sum(t.nbytes for t in linear.values()), "weights": weights}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory map")
def test_the_real_base_never_stands_in_memory_whole(base):
    """Memory of the process's own, over what torch and the libraries take; mapped pages of the file are shared."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, timeout=300, check=True)
    told = json.loads(done.stdout)
    assert told["weights"] == 106_168_320
    assert told["linear"] / (2 * told["weights"]) < 0.27
    # packed layers, the embedding (a base in four bits lets go of its file, so what it keeps of it is copied), and what
    # loading a base takes anyway (tokenizer, headers); the linear layers alone are 425 MB
    embedding = 49_152 * 576 * 4
    assert told["peak"] < told["linear"] + embedding + 100e6
