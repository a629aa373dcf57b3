"""What an evaluation does to bitsandbytes' own 4-bit layers on a CPU with AVX512-BF16. Stored for notebook 08.

    python -m studies.bitsandbytes_trap            # under a minute

Measured on the real base, with bitsandbytes as it comes and guarded (:mod:`labkit.quant.guarded`), before and after
one forward pass in eval mode without gradients: the gradient that reaches the embeddings, and how far PEFT's
`merge_and_unload` is from the weights it should give. On other CPUs it says so, and stores nothing.
"""

import platform
import warnings

import peft
import torch
from torch import nn

import labkit
from labkit.linear import dense_weight
from labkit.quant.guarded import bnb
from studies.runner import Study, StudyError, main

RECIPE = {"sentence": "My parcel arrived on Tuesday, but the blue lamp inside was broken.", "CPU with": "AVX512-BF16"}


def as_it_comes(model: nn.Module) -> nn.Module:
    """`model` with bitsandbytes' own layers, as transformers puts them in."""
    for name, guarded in list(model.named_modules()):
        if isinstance(guarded, bnb.nn.Linear4bit):
            layer = bnb.nn.Linear4bit(guarded.in_features, guarded.out_features, bias=False, quant_type="nf4")
            layer.weight = guarded.weight
            layer.weight.module = layer
            model.set_submodule(name, layer)
    return model


def embedding_gradient(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    model.train()(inputs_embeds=embedded, labels=ids).loss.backward()
    return embedded.grad


def merge_error(model: nn.Module, weights: dict[str, torch.Tensor]) -> float:
    """How far PEFT's merged weights are from W + ΔW, relative to ‖W + ΔW‖, over all layers."""
    model.is_loaded_in_4bit = True
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    torch.manual_seed(0)
    expected = {}
    for name, weight in weights.items():
        layer = model.get_submodule(name)
        nn.init.normal_(layer.lora_B["default"].weight, std=1e-3)
        expected[name] = weight + layer.get_delta_weight("default").detach()
    merged = adapted.merge_and_unload()
    off = total = 0.0
    for name, weight in expected.items():
        layer = merged.get_submodule(name).weight
        found = bnb.functional.dequantize_4bit(layer.data.reshape(-1, 1), layer.quant_state).float()
        off += (found.reshape(weight.shape) - weight).square().sum().item()
        total += weight.square().sum().item()
    return (off / total) ** 0.5


def run(setting: dict) -> dict:
    if not (platform.machine() in ("x86_64", "AMD64") and bnb.functional.has_avx512bf16()):
        raise StudyError(
            "This CPU has no AVX512-BF16, so bitsandbytes repacks nothing here, and there's nothing to record."
        )
    model, tokenizer = labkit.load_base(device="cpu", quantize="nf4", double=True, backend="bitsandbytes")
    weights = {name: dense_weight(m) for name, m in model.named_modules() if isinstance(m, bnb.nn.Linear4bit)}
    if setting["bitsandbytes"] == "as it comes":
        as_it_comes(model)
    ids = tokenizer(RECIPE["sentence"], return_tensors="pt").input_ids
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if setting["evaluated before"]:
            with torch.no_grad():
                model.eval()(ids)
        gradient = embedding_gradient(model, ids)
        merged = merge_error(model, weights)
    told = sorted({str(warning.message).strip().split("\n")[0] for warning in caught})
    return {"embedding_gradient_norm": gradient.norm().item(), "merge_error": merged, "warnings": told}


STUDY = Study(
    "bitsandbytes_trap",
    RECIPE,
    [
        {"bitsandbytes": layers, "evaluated before": evaluated}
        for layers in ("as it comes", "guarded")
        for evaluated in (False, True)
    ],
    run,
    packages=("peft", "bitsandbytes"),
)

if __name__ == "__main__":
    main(STUDY, __doc__)
