"""With PEFT where the two could part: on a 4-bit base, and in which layers a config means.

That both read what the other writes, over every field of PEFT's config, is in test_against_peft.
"""

import json

import peft
import pytest
import torch
from adapted import ATOL, randomise
from conftest import make_tiny_llama
from safetensors.torch import load_file
from torch import nn

import labkit.quant.bnb  # noqa: F401  its filter comes before the library
from labkit import inject_lora, quantize_model
from labkit.errors import AdapterError
from labkit.linear import dense_weight
from labkit.lora.bank import AdapterBank
from labkit.lora.config import LoraConfig
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, load_adapter, save_adapter
from labkit.lora.inject import lora_layers

bitsandbytes = pytest.importorskip("bitsandbytes")

FIELDS = {
    "target_modules": "all-linear",
    "use_rslora": True,
    "r": 4,
    "lora_alpha": 6,
    "rank_pattern": {"down_proj": 2},
    "alpha_pattern": {"q_proj": 3},
}
TOKENS = torch.tensor([[1, 5, 9, 33, 2, 7, 8, 60], [7, 8, 60, 4, 11, 3, 3, 1]])
ROOMY = {"hidden_size": 64, "intermediate_size": 128}  # what bitsandbytes takes on any CPU


def answers(model: nn.Module) -> torch.Tensor:
    # with gradients, since in a forward pass without them bitsandbytes repacks its weights on some CPUs, and rounds
    embedded = model.get_input_embeddings()(TOKENS).detach().requires_grad_()
    return model(inputs_embeds=embedded).logits.detach()


def pefts_four_bit_base() -> nn.Module:
    """The tiny Llama over bitsandbytes' own 4-bit layers, as transformers would leave it for PEFT."""
    model = make_tiny_llama(**ROOMY)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and module is not model.lm_head:
            packed = bitsandbytes.nn.Linear4bit(
                module.in_features, module.out_features, bias=False, quant_type="nf4", compute_dtype=torch.float32
            )
            packed.weight = bitsandbytes.nn.Params4bit(
                module.weight.data, requires_grad=False, compress_statistics=False, quant_type="nf4", module=packed
            )
            model.set_submodule(name, packed.to("cpu"))
    model.is_loaded_in_4bit = True
    return model


@pytest.fixture
def ours() -> nn.Module:
    model = inject_lora(quantize_model(make_tiny_llama(**ROOMY), "labkit"), LoraConfig(**FIELDS))
    randomise(model)
    return model


def test_the_keys_over_four_bits_are_those_over_a_dense_base(ours, tmp_path):
    dense = inject_lora(make_tiny_llama(**ROOMY), LoraConfig(**FIELDS))
    randomise(dense)
    four, full = save_adapter(ours, tmp_path / "four"), save_adapter(dense, tmp_path / "full")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (four / name).read_bytes() == (full / name).read_bytes()


def test_peft_reads_ours_over_its_own_four_bits_and_back_to_the_bit(ours, tmp_path):
    save_adapter(ours, tmp_path / "ours")
    theirs = peft.PeftModel.from_pretrained(pefts_four_bit_base(), tmp_path / "ours").eval()
    assert sum(type(m).__module__ == "peft.tuners.lora.bnb" for m in theirs.modules()) == 14
    torch.testing.assert_close(answers(theirs), answers(ours), atol=ATOL, rtol=0)
    theirs.save_pretrained(tmp_path / "theirs")
    again = load_adapter(quantize_model(make_tiny_llama(**ROOMY), "labkit"), tmp_path / "theirs")
    assert torch.equal(answers(again), answers(ours))
    before, after = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("ours", "theirs"))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_we_read_what_peft_trained_over_its_own_four_bits(tmp_path):
    theirs = peft.get_peft_model(pefts_four_bit_base(), peft.LoraConfig(**FIELDS)).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    right = answers(theirs)
    base = quantize_model(make_tiny_llama(**ROOMY), "labkit")
    bank = AdapterBank(quantize_model(make_tiny_llama(**ROOMY), "labkit"))
    bank.add("theirs", tmp_path)
    bank.activate("theirs")
    torch.testing.assert_close(answers(load_adapter(base, tmp_path)), right, atol=ATOL, rtol=0)
    torch.testing.assert_close(answers(bank.model), right, atol=ATOL, rtol=0)
    assert (right - answers(AdapterBank(quantize_model(make_tiny_llama(**ROOMY), "labkit")).model)).abs().max() > 0.01


def test_both_stand_on_the_same_four_bits():
    """Else the tests above would compare bases, and not adapters."""
    theirs, ours = pefts_four_bit_base(), quantize_model(make_tiny_llama(**ROOMY), "labkit")
    for name, module in theirs.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weight = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            assert torch.equal(weight, dense_weight(ours.get_submodule(name)))


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": r".*\.1\.self_attn\.(q|v)_proj"},
        {"target_modules": r"^(?!.*layers\.0\.).*_proj$"},
        {"target_modules": ["q_proj"], "exclude_modules": r".*layers\.1\..*"},
        {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
        {"target_modules": ["layers.0.mlp.up_proj", "v_proj"], "exclude_modules": ["layers.1.self_attn.v_proj"]},
    ],
    ids=["regular expression", "with a look ahead", "excluded by one", "by number", "by full names"],
)
def test_partial_targets_mean_the_same_layers_in_both(fields, tmp_path):
    theirs = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(**fields))
    chosen = {name for name, module in theirs.base_model.model.named_modules() if hasattr(module, "lora_A")}
    assert {name for name, _ in lora_layers(inject_lora(make_tiny_llama(), LoraConfig(**fields)))} == chosen
    theirs.save_pretrained(tmp_path)
    assert {name for name, _ in lora_layers(load_adapter(make_tiny_llama(), tmp_path))} == chosen
    assert 0 < len(chosen) < 14


def test_a_folder_of_another_method_is_refused_by_name(tmp_path):
    peft.get_peft_model(make_tiny_llama(), peft.IA3Config(task_type="CAUSAL_LM")).save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match=f"{CONFIG_FILE}: peft_type='IA3' is not LoRA"):
        load_adapter(make_tiny_llama(), tmp_path)


def test_dora_from_peft_is_refused_by_name(tmp_path):
    config = peft.LoraConfig(use_dora=True, target_modules=["q_proj"])
    peft.get_peft_model(make_tiny_llama(), config).save_pretrained(tmp_path)
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["use_dora"] is True
    with pytest.raises(AdapterError, match="use_dora=True goes beyond plain LoRA"):
        load_adapter(make_tiny_llama(), tmp_path)
