"""PEFT as the oracle: the same numbers give the same answers, gradients, ten steps and files."""

import peft
import pytest
import torch
from conftest import make_tiny_llama
from families import ATOL, TOKENS, assert_close, gradients, logits, moved, peft_twin, put_on, ten_steps, trained
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer

from labkit.family.bitfit import BitFit
from labkit.family.dora import DoRA
from labkit.family.ia3 import IA3
from labkit.family.lora import LoRA, RsLoRA
from labkit.family.lora_fa import LoRAFA
from labkit.family.lora_plus import LoRAPlus
from labkit.family.method import Trained
from labkit.family.pissa import PiSSA
from labkit.family.prefix_tuning import PrefixTuning
from labkit.family.prompt_tuning import PromptTuning
from labkit.family.vera import VeRA

pytestmark = pytest.mark.usefixtures("one_thread")

BIASED = {"attention_bias": True, "mlp_bias": True}
SOME = ["q_proj", "v_proj", "down_proj"]
LM = {"task_type": "CAUSAL_LM"}
CASES = {
    "LoRA": (LoRA(r=4, target_modules=SOME), peft.LoraConfig(r=4, lora_alpha=16, target_modules=SOME), {}),
    "rsLoRA": (
        RsLoRA(r=4, target_modules=SOME),
        peft.LoraConfig(r=4, lora_alpha=16, use_rslora=True, target_modules=SOME),
        {},
    ),
    "DoRA": (DoRA(r=4), peft.LoraConfig(r=4, lora_alpha=16, use_dora=True, target_modules="all-linear"), {}),
    "DoRA with biases": (
        DoRA(r=2, target_modules=SOME, use_rslora=True),
        peft.LoraConfig(r=2, lora_alpha=16, use_dora=True, use_rslora=True, target_modules=SOME),
        BIASED,
    ),
    "DoRA with dropout": (
        DoRA(r=4, target_modules=SOME, lora_dropout=0.3),
        peft.LoraConfig(r=4, lora_alpha=16, use_dora=True, lora_dropout=0.3, target_modules=SOME),
        BIASED,
    ),
    "PiSSA": (
        PiSSA(r=4, target_modules=SOME),
        peft.LoraConfig(r=4, lora_alpha=8, init_lora_weights="pissa", target_modules=SOME),
        {},
    ),
    "PiSSA with another scale": (
        PiSSA(r=4, lora_alpha=3, target_modules=SOME, use_rslora=True),
        peft.LoraConfig(r=4, lora_alpha=3, init_lora_weights="pissa", use_rslora=True, target_modules=SOME),
        {},
    ),
    "VeRA": (VeRA(r=16), peft.VeraConfig(r=16, target_modules="all-linear"), {}),
    "VeRA from another key": (
        VeRA(r=8, target_modules=SOME, projection_prng_key=7, d_initial=0.5, save_projection=False),
        peft.VeraConfig(r=8, target_modules=SOME, projection_prng_key=7, d_initial=0.5, save_projection=False),
        {},
    ),
    "IA3": (IA3(), peft.IA3Config(**LM), {}),
    "IA3 with biases": (
        IA3(target_modules=["q_proj", "up_proj", "o_proj"], feedforward_modules=["o_proj"]),
        peft.IA3Config(target_modules=["q_proj", "up_proj", "o_proj"], feedforward_modules=["o_proj"]),
        BIASED,
    ),
    "BitFit": (BitFit(), peft.BeftConfig(target_modules="all-linear"), {}),
    "prefix tuning": (PrefixTuning(3), peft.PrefixTuningConfig(num_virtual_tokens=3, **LM), {}),
    "prefix tuning with an MLP": (
        PrefixTuning(3, encoder_hidden_size=5),
        peft.PrefixTuningConfig(num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=5, **LM),
        {},
    ),
    "prompt tuning": (PromptTuning(3, start="normal"), peft.PromptTuningConfig(num_virtual_tokens=3, **LM), {}),
}
each_case = pytest.mark.parametrize("method, config, shape", CASES.values(), ids=CASES.keys())
IN_FILES = {name: case for name, case in CASES.items() if not isinstance(case[0], PiSSA)}
each_in_files = pytest.mark.parametrize("method, config, shape", IN_FILES.values(), ids=IN_FILES.keys())


@each_case
def test_forward_and_every_gradient(method, config, shape):
    ours = put_on(method, **shape)
    theirs = peft_twin(ours, config, **shape)
    torch.testing.assert_close(logits(ours), logits(theirs), atol=ATOL, rtol=0)
    assert (logits(ours) - logits(make_tiny_llama(**shape))).abs().max() > 100 * ATOL
    found = gradients(ours)
    assert all(gradient.abs().max() > 1e-6 for gradient in found.values())
    assert_close(found, gradients(theirs))


@each_case
def test_ten_steps_of_adamw(method, config, shape):
    ours = put_on(method, **shape)
    theirs = peft_twin(ours, config, **shape)
    start = {name: p.detach().clone() for name, p in trained(ours).items()}
    optimizer = torch.optim.AdamW([p for p in theirs.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
    torch.manual_seed(2)  # so that dropout, where there's any, drops the same
    after = ten_steps(ours, torch.optim.AdamW(trained(ours).values(), lr=1e-3, weight_decay=0.0))
    assert all((after[name] - start[name]).abs().max() > 1e-3 for name in after)
    torch.manual_seed(2)
    assert_close(after, ten_steps(theirs, optimizer))


@each_case
def test_it_begins_as_pefts_does(method, config, shape):
    base, ours = make_tiny_llama(**shape), make_tiny_llama(**shape)
    torch.manual_seed(1)
    theirs = trained(peft.get_peft_model(base, config))
    torch.manual_seed(1)
    method.apply(ours)
    for name, parameter in trained(ours).items():
        torch.testing.assert_close(parameter, theirs[name], atol=ATOL, rtol=0)


@each_in_files
def test_peft_reads_ours_and_we_read_it_back_to_the_bit(method, config, shape, tmp_path):
    ours = put_on(method, **shape)
    method.save(ours, tmp_path / "ours")
    theirs = peft.PeftModel.from_pretrained(make_tiny_llama(**shape), tmp_path / "ours").eval()
    torch.testing.assert_close(logits(theirs), logits(ours), atol=ATOL, rtol=0)
    theirs.save_pretrained(tmp_path / "theirs")
    again = make_tiny_llama(**shape)
    loaded = type(method).load(again, tmp_path / "theirs")
    torch.testing.assert_close(logits(again), logits(ours), atol=ATOL, rtol=0)
    loaded.save(tmp_path / "again")
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("ours", "again")]
    assert weights[0] == weights[1]


@each_in_files
def test_we_read_pefts(method, config, shape, tmp_path):
    theirs = peft.get_peft_model(make_tiny_llama(**shape), config).eval()
    moved(trained(theirs).values())
    theirs.save_pretrained(tmp_path)
    ours = make_tiny_llama(**shape)
    loaded = type(method).load(ours, tmp_path)
    torch.testing.assert_close(logits(ours), logits(theirs), atol=ATOL, rtol=0)
    assert loaded.parameters and loaded.count == loaded.method.count(make_tiny_llama(**shape))


@pytest.mark.parametrize("use_rslora", [False, True])
def test_pissa_is_saved_as_the_lora_that_peft_makes_of_it(use_rslora, tmp_path):
    method = PiSSA(r=3, target_modules=SOME, use_rslora=use_rslora)
    config = peft.LoraConfig(
        r=3, lora_alpha=8, init_lora_weights="pissa", target_modules=SOME, use_rslora=use_rslora, **LM
    )
    start = peft.get_peft_model(make_tiny_llama(), config)
    start.save_pretrained(tmp_path / "start")
    ours = put_on(method)
    theirs = peft_twin(ours, config)
    theirs.save_pretrained(tmp_path / "theirs", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    method.save(ours, tmp_path / "ours")
    expected = logits(ours)
    for folder in ("ours", "theirs"):
        for model in (
            peft.PeftModel.from_pretrained(make_tiny_llama(), tmp_path / folder).eval(),
            PiSSA.load(make_tiny_llama(), tmp_path / folder).model,
        ):
            torch.testing.assert_close(logits(model), expected, atol=ATOL, rtol=0)


def test_the_biases_of_a_base_are_those_that_peft_trains():
    ours = put_on(BitFit(), **BIASED)
    theirs = peft.get_peft_model(
        make_tiny_llama(**BIASED), peft.LoraConfig(r=1, bias="all", target_modules="all-linear")
    )
    for name, parameter in theirs.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(False)  # B is zero, so that biases are all there is
    names = {name.replace(".base_layer", ""): p for name, p in trained(theirs).items()}
    assert names.keys() == trained(ours).keys()
    with torch.no_grad():
        for name, parameter in names.items():
            parameter.copy_(trained(ours)[name])
    torch.testing.assert_close(logits(ours), logits(theirs.eval()), atol=ATOL, rtol=0)
    after = ten_steps(ours, torch.optim.AdamW(trained(ours).values(), lr=1e-3))
    found = ten_steps(theirs, torch.optim.AdamW(names.values(), lr=1e-3))
    assert_close(after, {name.replace(".base_layer", ""): value for name, value in found.items()})


def test_lora_plus_has_pefts_optimizer():
    method = LoRAPlus(r=4, target_modules=SOME, loraplus_lr_ratio=8)
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=SOME)
    ours = put_on(method)
    theirs = peft_twin(ours, config)
    optimizer = create_loraplus_optimizer(theirs, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=8, weight_decay=0.0)
    mine = Trained(ours, method).optimizer(1e-3)
    assert {group["lr"] for group in mine.param_groups} == {1e-3, 8e-3}
    assert_close(ten_steps(ours, mine), ten_steps(theirs, optimizer))


@pytest.mark.parametrize("use_rslora", [False, True])
def test_lora_fa_has_pefts_optimizer(use_rslora, monkeypatch):
    """PEFT forms the corrected gradient in bfloat16, and adds its ε, 1e-6, before the correction of Adam's bias."""
    monkeypatch.setattr("peft.optimizers.lorafa.is_bf16_available", lambda: False)

    class Scaled(LoRAFA):
        pass

    Scaled.use_rslora = use_rslora
    method = Scaled(r=4, target_modules=SOME)
    ours = put_on(method)
    theirs = peft.get_peft_model(
        make_tiny_llama(), peft.LoraConfig(r=4, lora_alpha=16, target_modules=SOME, use_rslora=use_rslora)
    ).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora_" in name:
                parameter.copy_(ours.get_parameter(name.removeprefix("base_model.model.").replace(".default", "")))
    optimizer = create_lorafa_optimizer(theirs, r=4, lora_alpha=16, lr=1e-3)
    for group in optimizer.param_groups:
        group["eps"] = 1e-12
    before = {name: p.detach().clone() for name, p in trained(ours).items()}
    after = ten_steps(ours, Trained(ours, method).optimizer(1e-3, eps=1e-12))
    assert all("lora_B" in name and (after[name] - before[name]).abs().max() > 1e-3 for name in after)
    assert_close(after, ten_steps(theirs, optimizer))


@pytest.mark.parametrize("method", [PrefixTuning(3), PromptTuning(3)], ids=["prefix", "prompt"])
def test_answers_are_those_of_peft(method):
    ours = put_on(method)
    theirs = peft_twin(ours, CASES["prefix tuning" if isinstance(method, PrefixTuning) else "prompt tuning"][1])
    named = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 2}
    mine = ours.generate(TOKENS, attention_mask=torch.ones_like(TOKENS), **named)
    assert torch.equal(mine, theirs.generate(input_ids=TOKENS, attention_mask=torch.ones_like(TOKENS), **named))
    base = make_tiny_llama().generate(TOKENS, attention_mask=torch.ones_like(TOKENS), **named)
    assert mine.shape == base.shape and not torch.equal(mine, base)
