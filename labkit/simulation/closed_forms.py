"""The arithmetic behind the ledger, short enough for a blackboard. Each form says how far the simulator is from it."""

from collections.abc import Iterable

from transformers import PretrainedConfig

from labkit.errors import ConfigError
from labkit.simulation.shapes import ALIKE


def linear_shapes(config: PretrainedConfig) -> dict[str, tuple[int, int]]:
    """The linear layers of one decoder layer of the Llama family: name -> (out_features, in_features).

    With grouped queries the keys and values are narrower than the hidden state: kv = heads_kv · head size. Leaving
    that out is the commonest mistake in published counts.

    Raises:
        ConfigError: the model is of another family. So say all the forms that take a config.
    """
    if config.model_type not in ALIKE:
        raise ConfigError(
            f"these formulas hold for the Llama family ({', '.join(sorted(ALIKE))}), not for a "
            f"{config.model_type!r} model. Use labkit.simulate"
        )
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


def activations_per_layer(
    config: PretrainedConfig, tokens: int, method: str = "full", size: int = 2, r: int = 8, adapter_size: int = 4
) -> int:
    """Bytes that one decoder layer of the Llama family keeps for the way back, without checkpointing.

    In numbers per token, with h the hidden size, k the width of the keys, m that of the MLP, n the query heads:

        full, 16 bits        20 h + 4 k + 8 m + 4 n + 8 bytes
        LoRA on every linear layer
          16-bit base and adapters    16 h + 4 k + 8 m + 4 n + 8 + 14 r bytes
          16-bit base, float32 adapters  36 h + 4 k + 10 m + 4 n + 8 + 28 r bytes
          all in float32       24 h + 8 k + 16 m + 4 n + 8 + 28 r bytes

    Where the adapters are wider than the base, the input of each is kept once more in the wider dtype. With
    checkpointing a layer keeps its input only: `size` · h bytes per token.

    Exact for the model class of transformers 5 with fused attention and heads of h / n numbers; another version of
    it may keep other tensors, and the simulator will say so.

    Args:
        config: of a model of the Llama family.
        tokens: rows · tokens per row.
        method: "full" (16 bits only) or "lora", on all linear layers.
        size: bytes of a number of the base: 4 or 2.
        r: the rank.
        adapter_size: bytes of a number of A and B.
    """
    shapes = linear_shapes(config)
    hidden, mlp, keys = config.hidden_size, config.intermediate_size, shapes["k_proj"][0]
    factors = {
        ("full", 2, None): (20, 4, 8),
        ("lora", 2, 2): (16, 4, 8),
        ("lora", 2, 4): (36, 4, 10),
        ("lora", 4, 4): (24, 8, 16),
    }[method, size, adapter_size if method == "lora" else None]
    dense = sum(factor * width for factor, width in zip(factors, (hidden, keys, mlp)))
    adapters = len(shapes) * r * adapter_size if method == "lora" else 0
    return tokens * (dense + 4 * config.num_attention_heads + 8 + adapters)


def step_flops(
    config: PretrainedConfig, batch_size: int, sequence: int, method: str = "full", checkpointing: bool = False
) -> int:
    """Floating-point operations of a step of a model of the Llama family, with a label at every token.

        a weight      2 per token forward, 2 for the gradient of its input, 2 for its own if it is trained
        attention     7 products of 2 · sequence² · hidden: two forward, five on the way back

    Checkpointing adds the layers' forward pass once more. So LoRA saves a third of the weights' share, and no time can
    fall by more than that. The adapters' own operations are left out.

    The simulator finds the same within 1 % for full fine-tuning, up to 2 % more for LoRA at r = 8, and up to 7 % less
    with checkpointing, which stops where the last kept tensor is there again.
    """
    tokens = batch_size * sequence
    linear = config.num_hidden_layers * sum(rows * columns for rows, columns in linear_shapes(config).values())
    head = config.vocab_size * config.hidden_size
    product = config.num_hidden_layers * 2 * tokens * sequence * linear_shapes(config)["q_proj"][0]
    passes = 3 if method == "full" else 2
    layers = 2 * linear * tokens * (passes + checkpointing) + product * (7 + 2 * checkpointing)
    return layers + 2 * head * tokens * passes
