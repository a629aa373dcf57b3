"""Files for llama.cpp: a base, for a notebook that may fetch nothing, and an adapter with its rows in any order."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, TokenType, get_tensor_name_map, quants
from torch import Tensor

from labkit.errors import ConfigError
from labkit.export import gguf


def base_as_gguf(model, tokenizer, path: Path | str) -> Path:
    """Write a Llama with the course base's tokenizer as a GGUF file.

    Linear layers are rounded to Q4_1 and the embedding to Q8_0, as in the file that the course's base was made from:
    each weight becomes what it was there, bit for bit.

    Args:
        model: the base, without an adapter on it.
        tokenizer: its tokenizer.
        path: where to.

    Returns:
        The file.

    Raises:
        ConfigError: it isn't a Llama.
    """
    config = model.config
    if config.model_type != "llama":
        raise ConfigError(f"{config.model_type!r} isn't a Llama: convert it with llama.cpp's convert_hf_to_gguf.py")
    writer = GGUFWriter(path, "llama")
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads["q_proj"])
    writer.add_head_count_kv(heads["k_proj"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer)
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        layer, _, part = name.rpartition(".")
        if layer == "lm_head" and config.tie_word_embeddings:
            continue
        kind = GGMLQuantizationType.F32 if weight.ndim == 1 else GGMLQuantizationType.Q4_1
        if layer.endswith("embed_tokens"):
            kind = GGMLQuantizationType.Q8_0
        if count := heads.get(layer.rpartition(".")[2]):
            weight = gguf.neighbors(weight, count)
        rounded = quants.quantize(weight.float().contiguous().numpy(), kind)
        writer.add_tensor(f"{names.get_name(layer)}.{part}", rounded, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def _add_tokenizer(writer: GGUFWriter, tokenizer) -> None:
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(parts["model"]["vocab"], key=parts["model"]["vocab"].get)
    special = {token["content"] for token in parts["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in special else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in parts["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(False)


def export_with(rows: Callable[[Tensor, int], Tensor], adapter: Path | str, path: Path | str) -> Path:
    """``labkit.export_gguf``, but with B's rows in the order that ``rows(B, heads)`` gives the layers of q and k."""
    with mock.patch.object(gguf, "neighbors", rows):
        return gguf.export_gguf(adapter, path, overwrite=True)
