"""What the bank's tests share: adapters of different ranks, scalings and targets, and the loop they are held to."""

import torch
from adapted import ATOL, adapted
from conftest import make_tiny_llama
from torch import Tensor, nn

from labkit.linear import dense_weight, replace_weight
from labkit.lora.bank import AdapterBank
from labkit.lora.config import LoraConfig
from labkit.lora.inject import lora_layers

# different ranks, scalings and targets; "deep" reaches one layer only
CONFIGS = {
    "wide": LoraConfig(target_modules="all-linear", r=4, lora_alpha=6),
    "thin": LoraConfig(target_modules=["q_proj", "v_proj"], r=1, lora_alpha=2, lora_dropout=0.5),
    "mlp": LoraConfig(target_modules=["up_proj", "down_proj"], r=5, use_rslora=True, rank_pattern={"up_proj": 2}),
    "deep": LoraConfig(target_modules=["o_proj", "q_proj"], layers_to_transform=[1], alpha_pattern={"o_proj": 3}),
}
ALONE = {name: adapted(config, seed) for seed, (name, config) in enumerate(CONFIGS.items())} | {None: make_tiny_llama()}
MIX = {"wide": 0.5, "mlp": -1.5}


def make_bank(model: nn.Module | None = None, **options) -> AdapterBank:
    bank = AdapterBank(model or make_tiny_llama(), **options)
    for name in CONFIGS:
        bank.add(name, ALONE[name])
    return bank


BANK = make_bank()  # where a test leaves it as it was


def loop(choices: list[str | None], tokens: Tensor) -> Tensor:
    """Each row on its own."""
    with torch.no_grad():
        return torch.cat([ALONE[choice](tokens[i : i + 1]).logits for i, choice in enumerate(choices)])


def assert_close(ours: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(ours, wanted, atol=ATOL, rtol=0)


def some_tokens(rows: int, length: int = 6, seed: int = 0) -> Tensor:
    return torch.randint(3, 96, (rows, length), generator=torch.Generator().manual_seed(seed))


def summed(weights: dict[str, float]) -> nn.Module:
    """A plain model with Σ w ΔW in its weights."""
    model = make_tiny_llama()
    for name, weight in weights.items():
        for layer, lora in lora_layers(ALONE[name]):
            base = model.get_submodule(layer)
            replace_weight(base, dense_weight(base) + weight * lora.delta_weight())
    return model
