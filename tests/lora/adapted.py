"""What the LoRA tests share: adapters that do something, the same in PEFT, and a way to see that nothing changed."""

from contextlib import contextmanager

import peft
import torch
from conftest import make_tiny_llama
from torch import Tensor, nn

from labkit.lora.config import LoraConfig
from labkit.lora.inject import inject_lora, lora_layers
from labkit.model_state import state_of

ATOL = 1e-5  # how far labkit and PEFT may be apart in float32
TOKENS = torch.tensor([[1, 5, 9, 33, 2], [7, 8, 60, 4, 11]])


def adapted(config: LoraConfig | None = None, seed: int = 0, **changes) -> nn.Module:
    """A tiny Llama with an adapter whose B is not zero."""
    model = inject_lora(make_tiny_llama(**changes), config or LoraConfig(target_modules="all-linear"))
    randomise(model, seed)
    return model


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Draw every weight that LoRA trains, ours or PEFT's."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2, generator=generator)


def peft_twin(model: nn.Module, **fields) -> peft.PeftModel:
    """PEFT's model of the same base with the same weights in A and B as `model`."""
    twin = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(**fields)).eval()
    theirs = peft_weights(twin)
    ours = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    assert ours.keys() == theirs.keys()
    with torch.no_grad():
        for name, weight in theirs.items():
            weight.copy_(ours[name])
    return twin


def peft_weights(twin: peft.PeftModel) -> dict[str, nn.Parameter]:
    """A and B in PEFT's model, under our names."""
    return {
        name.removeprefix("base_model.model.").replace(".default.", "."): weight
        for name, weight in twin.named_parameters()
        if "lora_" in name
    }


def logits(model: nn.Module) -> Tensor:
    """What `model` answers; the same dropout each time when it is in train mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        return model(TOKENS).logits


def bits(state: dict[str, Tensor]) -> dict[str, bytes]:
    """A state to compare bit for bit: == on tensors takes 0.0 for −0.0, and no NaN for itself."""
    return {name: t.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for name, t in state.items()}


def portrait(model: nn.Module) -> dict:
    """Everything about `model` that a refusal must leave alone."""
    return {
        "state": bits(model.state_dict()),
        "trainable": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "modules": {name: id(module) for name, module in model.named_modules()},
        "mode": {name: module.training for name, module in model.named_modules()},
        "hooks": {name: len(m._forward_hooks) + len(m._forward_pre_hooks) for name, m in model.named_modules()},
        "lora": {name: (layer.enabled, layer.merged) for name, layer in lora_layers(model)},
        "config": state_of(model).adapter,
    }


@contextmanager
def untouched(model: nn.Module):
    """The ``with`` block must leave `model` as it was."""
    before = portrait(model)
    yield
    after = portrait(model)
    assert [part for part in before if before[part] != after[part]] == []
