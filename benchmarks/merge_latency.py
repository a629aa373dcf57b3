"""What an adapter costs in time while it is kept apart, and that nothing is left of it once it is merged.

    python benchmarks/merge_latency.py            # three minutes on two cores

The base, and the base with an adapter on all linear layers: in labkit and in PEFT, kept apart and merged. Two kinds of
work, taken in turn: one token after another for a single row, as in a chat, and one forward pass over many tokens, as
when a prompt is read. float32, threads as they come.
"""

from functools import partial
from statistics import median

import torch
from side_by_side import in_turn, peft_with, random_adapter, ratio, store
from torch import nn
from transformers import DynamicCache

import labkit
from labkit import LoraConfig
from labkit.lora.inject import lora_layers

CONFIG = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
WRITTEN, ROWS, READ, ROUNDS = 16, 8, 64, 15  # tokens written; rows read, and tokens of each
APART, MERGED, PEFT_APART, PEFT_MERGED = "labkit, kept apart", "labkit, merged", "PEFT, kept apart", "PEFT, merged"


def candidates() -> dict[str, nn.Module]:
    """The same adapter four times, and the base alone."""

    def base() -> nn.Module:
        return labkit.load_base(device="cpu")[0]

    def adapted() -> nn.Module:
        model = labkit.inject_lora(base(), CONFIG)
        for name, layer in lora_layers(model):
            for part, key in ((layer.lora_A, "A"), (layer.lora_B, "B")):
                part.weight.data.copy_(state[f"base_model.model.{name}.lora_{key}.weight"])
        return model

    def in_peft() -> nn.Module:
        return peft_with(base(), CONFIG, {"default": state})

    state = random_adapter(base(), CONFIG, seed=0)
    return {
        "base": base(),
        APART: adapted(),
        MERGED: labkit.merge_and_unload(adapted()),
        PEFT_APART: in_peft(),
        PEFT_MERGED: in_peft().merge_and_unload(),
    }


@torch.no_grad()
def writes(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """WRITTEN tokens one after the other, from the first, `ids` of shape (1, 1); the last logits."""
    cache = DynamicCache(config=model.config)
    for _ in range(WRITTEN):
        logits = model(ids, past_key_values=cache).logits
        ids = logits.argmax(-1)
    return logits


@torch.no_grad()
def reads(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """The last logits of one forward pass over `ids`, shape (rows, tokens)."""
    return model(ids, logits_to_keep=1).logits


def main() -> None:
    models = candidates()
    torch.manual_seed(0)
    vocabulary = models["base"].config.vocab_size
    kinds = {
        "writing": (writes, torch.randint(vocabulary, (1, 1)), WRITTEN),
        "reading": (reads, torch.randint(vocabulary, (ROWS, READ)), 1),
    }
    linear = sum(layer.in_features * layer.out_features for _, layer in lora_layers(models[APART]))
    trained = labkit.trainable_parameters(models[APART])[0]
    content = {
        "lora": CONFIG.to_peft(models["base"].labkit.base_name),
        "tokens": {"written": WRITTEN, "rows read": ROWS, "read in each": READ},
        "rounds": ROUNDS,
        "share of extra multiplications": trained / linear,
        "milliseconds a pass": {},
        "times the base": {},
        "largest difference of logits": {},
    }
    for kind, (work, ids, passes) in kinds.items():
        times = in_turn({name: partial(work, model, ids) for name, model in models.items()}, ROUNDS)
        content["milliseconds a pass"][kind] = {name: 1e3 * median(taken) / passes for name, taken in times.items()}
        content["times the base"][kind] = {name: ratio(times, name, "base") for name in models if name != "base"}
        apart = work(models[APART], ids)
        others = {name: work(models[name], ids) for name in (MERGED, PEFT_APART, PEFT_MERGED)}
        content["largest difference of logits"][kind] = {
            name: (logits - apart).abs().max().item() for name, logits in others.items()
        }
    store("merge_latency", content)


if __name__ == "__main__":
    main()
