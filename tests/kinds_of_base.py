"""Small random models of many architectures, made by name: what other people bring.

Each is transformers' own class with a config of a few thousand parameters. What sets an architecture apart is kept:
grouped queries, windows shorter than the rows of the tests, soft caps, slopes for positions, several experts, states
instead of attention.
"""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

_SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}
_LLAMA = _SHAPE | {"intermediate_size": 48, "num_key_value_heads": 2}
_HEADS_OF_8 = _LLAMA | {"head_dim": 8}
_WINDOW = {"sliding_window": 8}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
_STATE = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "eos_token_id": 2}

DENSE = {
    "llama": _LLAMA,
    "mistral": _HEADS_OF_8 | {"sliding_window": None},
    "qwen2": _LLAMA,
    "qwen3": _HEADS_OF_8,
    "gemma": _HEADS_OF_8,
    "phi": _LLAMA,
    "phi3": _LLAMA | {"resid_pdrop": 0.0},
    "gpt2": _SHAPE | {"n_inner": 48},
    "gpt_neox": _SHAPE | {"intermediate_size": 48},
    "gptj": _SHAPE | {"rotary_dim": 4},
    "opt": _SHAPE | {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
    "bloom": {key: value for key, value in _SHAPE.items() if key != "max_position_embeddings"},
    "falcon": _SHAPE | {"new_decoder_architecture": False, "multi_query": True},
    "mpt": {"vocab_size": 96, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64, "eos_token_id": 2},
    "stablelm": _LLAMA,
    "starcoder2": _LLAMA | {"embedding_dropout": 0.0, "residual_dropout": 0.0, "sliding_window": None},
    "olmo2": _LLAMA,
    "cohere": _LLAMA,
    "granite": _LLAMA | {"embedding_multiplier": 2.0, "logits_scaling": 3.0},
    "smollm3": _LLAMA,
    "glm4": _HEADS_OF_8,
    "nemotron": _LLAMA,
}
WINDOWED = {
    "mistral with a window": _HEADS_OF_8 | _WINDOW | {"model_type": "mistral"},
    "gemma2": _HEADS_OF_8 | _WINDOW | {"final_logit_softcapping": 2.0},
    "gemma3_text": _HEADS_OF_8 | _WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
    "gpt_neo": _SHAPE
    | {"intermediate_size": 48, "num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8},
}
MIXTURES = {
    "mixtral": _HEADS_OF_8 | {"num_local_experts": 4, "sliding_window": None},
    "qwen2_moe": _LLAMA | _EXPERTS | {"shared_expert_intermediate_size": 24},
    "qwen3_moe": _HEADS_OF_8 | _EXPERTS,
    "olmoe": _LLAMA | {"num_experts": 4, "num_experts_per_tok": 2},
    "phimoe": _HEADS_OF_8 | {"num_local_experts": 4, "sliding_window": None},
    "deepseek_v3": _SHAPE
    | _LATENT
    | {"intermediate_size": 48, "moe_intermediate_size": 24, "n_routed_experts": 4, "num_experts_per_tok": 2}
    | {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4},
    "gpt_oss": _HEADS_OF_8 | _WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "llama4_text": _HEADS_OF_8
    | {"intermediate_size_mlp": 48, "num_local_experts": 4, "num_experts_per_tok": 1, "attention_chunk_size": 8},
}
STATEFUL = {
    "mamba": _STATE,
    "mamba2": _STATE | {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 4},
    "jamba": _LLAMA
    | {
        "num_experts": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
    }
    | {"mamba_d_state": 8, "mamba_dt_rank": 4},
}
KINDS = DENSE | WINDOWED | MIXTURES | STATEFUL


def config_of(kind: str, **changes) -> PretrainedConfig:
    """The config of a small model of this kind, a key of :data:`KINDS`."""
    entries = KINDS[kind] | changes
    return AutoConfig.for_model(entries.pop("model_type", kind), **entries)


def make(kind: str, seed: int = 0, **changes) -> PreTrainedModel:
    """A small random model of this kind, in evaluation mode. `changes` go into its config."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config_of(kind, **changes), dtype=torch.float32).eval()
