"""The arithmetic behind the ledger, short enough for a blackboard. Each form says how far the simulator is from it."""

from collections.abc import Iterable

from transformers import PretrainedConfig


def linear_shapes(config: PretrainedConfig) -> dict[str, tuple[int, int]]:
    """The linear layers of one decoder layer of the Llama family: name -> (out_features, in_features).

    With grouped queries the keys and values are narrower than the hidden state: kv = heads_kv · head size. Leaving
    that out is the commonest mistake in published counts.
    """
    hidden, mlp = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    query, grouped = head * config.num_attention_heads, head * config.num_key_value_heads
    return {
        "q_proj": (query, hidden),
        "k_proj": (grouped, hidden),
        "v_proj": (grouped, hidden),
        "o_proj": (hidden, query),
        "gate_proj": (mlp, hidden),
        "up_proj": (mlp, hidden),
        "down_proj": (hidden, mlp),
    }


def lora_parameters(config: PretrainedConfig, r: int, target_modules: Iterable[str] | None = None) -> int:
    """How many numbers LoRA trains: layers · Σ r · (in + out). Exact.

    Args:
        config: of a model of the Llama family.
        r: the rank.
        target_modules: names out of :func:`linear_shapes`; None for all of them.
    """
    shapes = linear_shapes(config)
    targets = shapes if target_modules is None else target_modules
    return config.num_hidden_layers * sum(r * sum(shapes[name]) for name in targets)


def model_parameters(config: PretrainedConfig) -> int:
    """How many numbers a Llama has: embeddings, head if it is not tied, linear layers, norms. Exact without biases."""
    linear = sum(rows * columns for rows, columns in linear_shapes(config).values())
    embeddings = config.vocab_size * config.hidden_size * (1 if config.tie_word_embeddings else 2)
    return embeddings + config.num_hidden_layers * (linear + 2 * config.hidden_size) + config.hidden_size


def bytes_per_parameter(method: str, size: int = 2, share: float = 0.0, adapter_size: int = 4) -> float:
    """Bytes for each of the model's numbers, before activations and temporaries.

        full    size · (1 weight + 1 gradient + 2 of Adam's moments)
        lora    size + share · 4 · adapter_size
        qlora   4.127 / 8 + share · 4 · adapter_size

    Exact for full and LoRA but for Adam's step counters (4 bytes a tensor) and the rotary frequencies. For QLoRA it is
    the linear layers' figure: embeddings, head and norms keep their `size`, which for a 70B model adds 11 % to the
    bytes, for a 135M one far more; 4.127 is NF4 with blocks of 64 and double quantization (arXiv 2305.14314).

    Args:
        method: "full", "lora" or "qlora".
        size: bytes of a number of the base: 4 in float32, 2 in 16 bits.
        share: trained numbers over all of the model's.
        adapter_size: bytes of a number of A and B.
    """
    adapters = share * 4 * adapter_size
    return {"full": 4 * size, "lora": size + adapters, "qlora": 4.127 / 8 + adapters}[method]


def step_flops(parameters: int, tokens: int, method: str = "full", checkpointing: bool = False) -> int:
    """Floating-point operations of a step: each weight is multiplied and added once a token.

        forward  2 · parameters · tokens
        backward  the same for the gradient of the inputs, and once more for that of the weights if they are trained

    So LoRA saves a third, and checkpointing costs one more forward. Counted are the numbers in matrix products: leave
    out an embedding that is only looked up. Attention's own products and the adapters' are left out: the simulator
    finds 3 % more for Llama-3-8B at 2,048 tokens in full, and more the longer the sequence is.
    """
    passes = {"full": 3, "lora": 2, "qlora": 2}[method] + checkpointing
    return 2 * parameters * tokens * passes
