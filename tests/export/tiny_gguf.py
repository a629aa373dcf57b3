"""A tiny random model as transformers has it and as llama.cpp has it: a folder and a GGUF file with the same weights.

llama.cpp itself says whether the file is right: without an adapter, it has to give the logits of transformers.
"""

from pathlib import Path

import torch
from conftest import TINY_SHAPE, make_tiny_tokenizer
from gguf import MODEL_ARCH_NAMES, GGUFWriter, TokenType, get_tensor_name_map
from transformers import AutoConfig, AutoModelForCausalLM

from labkit.export.gguf import ARCHITECTURES


# llama.cpp's own rule for Llama's q and k, written apart from labkit's: row 2i + j of a head is row i + j · d/2
def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    d = len(weight) // heads
    order = [h * d + i + j * (d // 2) for h in range(heads) for i in range(d // 2) for j in range(2)]
    return weight[order]


def _granite(writer, config):
    writer.add_attention_scale(config.attention_multiplier)
    writer.add_embedding_scale(config.embedding_multiplier)
    writer.add_residual_scale(config.residual_multiplier)
    writer.add_logit_scale(config.logits_scaling)


def _gemma2(writer, config):
    writer.add_sliding_window(config.sliding_window)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)


def _window(writer, config):
    writer.add_sliding_window(config.sliding_window)


# what some architectures have to say besides
_MORE = {"granite": _granite, "gemma2": _gemma2, "gemma3_text": _window}


def make(kind: str, folder: Path, **changes):
    """A random model of that type, saved to ``folder / "base"``, and as a file to ``folder / "base.gguf"``."""
    torch.manual_seed(0)
    shape = TINY_SHAPE | {"max_position_embeddings": 128, "rope_theta": 10000.0} | changes
    config = AutoConfig.for_model(kind, **shape)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # so that each weight counts, and biases and norms as well
            if parameter.ndim == 1:
                parameter.copy_(torch.randn_like(parameter) * 0.3 + ("norm" in name))
            elif "proj" in name:
                parameter.mul_(20)
    model.save_pretrained(folder / "base")
    make_tiny_tokenizer().save_pretrained(folder / "base")
    _write(model, folder / "base.gguf")
    return model


def _write(model, path: Path) -> None:
    config, architecture = model.config, ARCHITECTURES[model.config.model_type]
    names = get_tensor_name_map(architecture, config.num_hidden_layers)
    writer = GGUFWriter(path, MODEL_ARCH_NAMES[architecture])
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_types([TokenType.NORMAL] * config.vocab_size)
    writer.add_token_merges(["t 0"])
    writer.add_add_bos_token(False)
    _MORE.get(config.model_type, lambda *_: None)(writer, config)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        layer, _, part = name.rpartition(".")
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(layer.split(".")[-1])
        if heads and MODEL_ARCH_NAMES[architecture] in ("llama", "smollm3", "granite"):
            weight = interleaved(weight, heads)
        if config.model_type.startswith("gemma") and weight.ndim == 1:
            weight = weight + 1  # transformers adds it when it norms
        writer.add_tensor(f"{names.get_name(layer)}.{part}", weight.float().contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
