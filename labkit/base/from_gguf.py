"""From a GGUF file to a normal Hugging Face folder."""

import json
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from labkit.base.quiet import forget_origin, quiet_transformers


def convert_gguf(gguf: Path, target: Path, name: str, context: int) -> None:
    """Write the model and tokenizer in `gguf` to the folder `target`, weights in float32.

    float32, because the CPU computes in it: nothing needs a cast, and the weights can be used as they lie
    in the file.

    Args:
        gguf: a Llama-type model whose tokenizer is of the kind "smollm".
        target: an existing folder.
        name: the model's canonical name.
        context: its longest input, in tokens.
    """
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        # "smollm" splits digits one by one before byte-level BPE; transformers' conversion leaves that out,
        # and the model would read numbers in pieces it was never trained on
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.model_max_length = context
        forget_origin(tokenizer, name)
        # the weights are plain float32 now: without this the folder would claim to be quantized
        del model.config.quantization_config
        model.hf_quantizer = None
        del model.config._model_name_or_path
        eos = tokenizer.eos_token_id
        model.generation_config = GenerationConfig(
            bos_token_id=tokenizer.bos_token_id, eos_token_id=eos, pad_token_id=eos, do_sample=False
        )
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    config = target / "config.json"
    # transformers never saves a model's name; load_base finds it here, wherever the folder is copied
    content = {"_name_or_path": name, **json.loads(config.read_text(encoding="utf-8"))}
    config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")
    # transformers makes the weights private to their owner; a shared cache serves a classroom
    (target / "model.safetensors").chmod(config.stat().st_mode)
