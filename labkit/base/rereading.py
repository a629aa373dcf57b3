"""Whether a model that was written is the one that was meant: read again as others will read it, and compared."""

import re
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from labkit.errors import BaseModelError, reason_of

_TOKENS = 8  # enough that every layer has something to attend to


def refuse_unlike(folder: Path, meant: PreTrainedModel, path: Path) -> None:
    """BaseModelError unless plain transformers, given `folder`, has the config, the weights and the answers of `meant`.

    On a CPU the weights of `folder` are mapped, and read once. The answers are compared on the device of `meant`, with
    a copy of the weights there; on a GPU that has no room for it, they aren't.

    Args:
        folder: where the model was written.
        meant: what was to be written.
        path: where it's going to be, for the message.
    """
    try:
        found = AutoModelForCausalLM.from_pretrained(
            folder,
            attn_implementation=meant.config._attn_implementation,  # which rounds otherwise, and is no part of a folder
            use_safetensors=True,
            trust_remote_code=False,
        )
        wrong = _difference(found, meant)
    except MemoryError:
        raise
    except Exception as error:  # whatever a folder that's wrong makes transformers raise
        if re.search("allocate|memory", str(error)):
            raise
        wrong = reason_of(error)
    if wrong:
        raise BaseModelError(
            f"{path}: transformers would read another model from this folder than the one you merged ({wrong}), so "
            "nothing was written. Use the base and its adapter unmerged"
        )


def _difference(found: PreTrainedModel, meant: PreTrainedModel) -> str | None:
    """What tells the two apart, in words."""
    if type(found) is not type(meant):
        return f"it's a {type(found).__name__}, not a {type(meant).__name__}"
    theirs, ours = _settings(found), _settings(meant)
    if changed := sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)):
        return f"its config differs in {changed[0]}"
    read, parameters = found.state_dict(), dict(meant.named_parameters(remove_duplicate=False))
    for name, tensor in meant.state_dict().items():
        other = read.pop(name, None)
        # float32, where transformers keeps a norm in it whatever the others are in
        if other is None or (name in parameters and other.dtype not in (tensor.dtype, torch.float32)):
            return f"{name} differs"
        if not torch.equal(other.to(tensor.dtype), tensor.to(other.device)):
            return f"{name} differs"
    if read:
        return f"there's an extra weight, {next(iter(read))}"
    try:
        answers, logits = _answers(found.to(meant.device)), _answers(meant)
    except torch.OutOfMemoryError:  # the weights are the same, and two models are too many for this GPU
        return None
    # the same numbers in the same operations; where they lie in memory may change the last bit of a sum
    if not torch.allclose(answers, logits, rtol=0, atol=16 * torch.finfo(meant.dtype).eps * logits.abs().max().item()):
        return "its answers differ"
    return None


def _settings(model: PreTrainedModel) -> dict:
    """The config, without what's no part of the model: names, versions, and the dtype, which its weights show."""

    def essential(value: object) -> object:
        if not isinstance(value, dict):
            return value
        unessential = ("architectures", "dtype", "transformers_version")
        return {k: essential(v) for k, v in value.items() if not (k in unessential or str(k).startswith("_"))}

    return essential(model.config.to_diff_dict())


def _answers(model: PreTrainedModel) -> Tensor:
    """The logits of `model` for a few tokens: float32 on the CPU, shape (1, tokens, vocabulary)."""
    vocabulary = model.get_input_embeddings().num_embeddings
    tokens = torch.arange(_TOKENS, device=model.device)[None] % vocabulary
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits.float().cpu()
