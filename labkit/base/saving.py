"""A base and its adapter as one ordinary model on disk, which transformers loads without labkit."""

import copy
import json
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from labkit.base.chat_format import ends_of_answer, frame_of, messages_of
from labkit.base.quiet import quiet_transformers
from labkit.base.rereading import refuse_unlike
from labkit.errors import ConfigError, printable
from labkit.lora.base_form import form_needed, form_of
from labkit.lora.merging import merge_into_dense
from labkit.model_facts import facts_of
from labkit.storage.untrusted import markdown, plain
from labkit.storage.writing import folder_written_aside, refuse_occupied

_CARD = """\
# {base}, with an adapter merged in

An ordinary model: W + ΔW in every adapted layer, written in {dtype} by labkit. It needs no adapter, and takes none that
was trained on {base}.
{held}{asked}
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
messages = {messages}
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=64)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```
"""
_HELD = """
The base was held in four bits. What the adapter is merged into is that base, dequantized, and not the one it was made
from: if it was trained so, these are the weights that it was trained on.
"""
_HELD_OTHERWISE = """
The adapter was trained on that base {then}, and is merged here into the base {now}: answers may differ a little from
those that it learned to give.
"""
_ASKED = """
It was trained for the task "{task}", with the system prompt below. Without it, expect other answers.
"""


def save_merged(
    model: PreTrainedModel, tokenizer, path: Path | str, dtype: torch.dtype | None = None, about: dict | None = None
) -> Path:
    """Write `model` with its adapter merged in to the folder `path`, whole or not at all. `model` is not changed.

    The folder holds weights, config, generation config, tokenizer with chat template, and a model card. A base in four
    bits is written dequantized (see :func:`labkit.merge_into_dense`). What was written is read again in plain
    transformers, and its config, weights and a few logits are compared with what was meant, before it's at `path`.

    While the folder is written, the merged weights are in memory besides the model's own. To read them again, a CPU
    maps them from the file; a GPU takes a second copy of them for a moment.

    Args:
        model: a base model from :func:`labkit.load_base` with LoRA layers on it.
        tokenizer: the base's.
        path: a folder that is not there yet, or is empty.
        dtype: of the weights; None means that each layer keeps its own. Each is rounded once.
        about: what the adapter's ``labkit.json`` says; ``task`` and ``system`` go into the model card.

    Returns:
        The folder.

    Raises:
        ConfigError: there is something at `path` already; there is nothing to merge; an adapter sits on a tied weight
            (see :func:`labkit.merge`); an AdapterBank serves the model; a weight is too large for `dtype`.
        BaseModelError: transformers reads another model from what was written. Nothing is left at `path` then.
    """
    path = Path(path).resolve()
    refuse_occupied(path, ConfigError)
    held_in_four_bits = facts_of(model).quantization is not None
    merged = merge_into_dense(_twin(model), dtype).eval()
    _end_with_the_turn(merged, tokenizer)
    with folder_written_aside(path) as folder, quiet_transformers():
        merged.save_pretrained(folder)
        refuse_unlike(folder, merged, path)
        tokenizer.save_pretrained(folder)
        card = _card(model, tokenizer, merged.dtype, held_in_four_bits, about or {})
        (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    return path


def _twin(model: nn.Module) -> nn.Module:
    """A copy to take apart, that shares the dense weights with `model`: merging replaces them, and writes into none.
    Packed weights are copied, since a layer may take its own back in place when it is unmerged."""
    return copy.deepcopy(model, {id(p): p for p in model.parameters() if p.is_floating_point()})


def _end_with_the_turn(model: PreTrainedModel, tokenizer) -> None:
    """Have generation stop where :func:`labkit.generate` does: training teaches the template's own end of a turn, and
    not every base's config has it."""
    config, ends = model.generation_config, ends_of_answer(model, tokenizer)
    own = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    if not set(ends) <= set(own):
        config.eos_token_id = ends
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id


def _card(model: nn.Module, tokenizer, dtype: torch.dtype, held_in_four_bits: bool, about: dict) -> str:
    """The model card. What the adapter's folder says may be a stranger's: it's no markup here, and no code."""
    then, now = form_needed(about), form_of(model)
    held = _HELD if held_in_four_bits else ""
    if then and not then.packed_like(now):
        held += _HELD_OTHERWISE.format(then=markdown(then), now=markdown(now))
    messages = messages_of(frame_of(tokenizer).system_role, "...", about.get("system") or "...")
    return _CARD.format(
        base=plain(facts_of(model).base_name or "the base"),
        dtype=str(dtype).removeprefix("torch."),
        held=held,
        asked=_ASKED.format(task=markdown(about.get("task"))) if about.get("system") else "",
        # the escapes are those of Python as well
        messages=printable(json.dumps(messages, ensure_ascii=False)),
    )
