"""Whether a server would answer as labkit does: what vLLM and LoRAX read of an adapter folder, and what they don't.

Both take the numbers of A and B from the file, and one factor for all layers, α/r or α/√r, from `r`, `lora_alpha` and
`use_rslora` in the config. They know no rank_pattern and no alpha_pattern, so a layer with an r or α of its own is
scaled wrongly, and nothing is said.

LoRAX loads one kind of layer after the other. It stacks a kind's A's into one tensor, so where one layer has none, the
others of its kind are left out. For its kernels it pads r with zeros. On n GPUs, an r of up to 8n becomes 8n, and a
larger one the next multiple of 16. Zeros change nothing, but it then notes the padded rank as the r that α is divided
by, for every kind that comes later (LoraWeights.load).

Sources: vLLM 0.30, vllm/lora/peft_helper.py and vllm/config/lora.py; LoRAX, main branch, in server/lorax_server:
adapters/lora.py (LoraWeights.load), utils/punica.py (pad_rank; earlier in utils/sgmv.py), models/model.py and
models/flash_llama.py. All read in November 2026.
"""

import math
from collections import defaultdict
from pathlib import Path

from labkit.errors import AdapterError, ConfigError
from labkit.lora.config import LoraConfig, scaling
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, read_config
from labkit.storage.untrusted import plain, read_weights, try_patterns

MAX_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's --max-lora-rank may be
_LONGEST_NAME = 1_000
# in which order LoRAX loads the kinds of layers of a Llama; others come last
_ORDER = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")


def serving_problems(path: Path | str, gpus: int = 1) -> dict[str, list[str]]:
    """What keeps vLLM or LoRAX from answering as labkit does with the adapter in `path`.

    Args:
        path: a folder written by :func:`labkit.save_adapter` or by PEFT.
        gpus: over how many GPUs the server splits the base.

    Returns:
        For each server, its problems in words; an empty list when there is none.

    Raises:
        AdapterError: a file is damaged or missing, or the config goes beyond plain LoRA.
    """
    config, ranks, meant = _read(path)
    vllm, lorax = [], []
    if max(ranks.values()) > MAX_LORA_RANKS[-1]:
        vllm.append(f"rank {max(ranks.values())} is more than {MAX_LORA_RANKS[-1]}, the most that vLLM takes")
    served = served_scalings(path, gpus)
    why = ["rank_pattern and alpha_pattern are not read"] if config.rank_pattern or config.alpha_pattern else []
    vllm += _scaled_otherwise(served["vLLM"], meant, why)
    if any(padded_rank(r, gpus) != r for r in ranks.values()):
        shown = ", ".join(f"{r} to {padded_rank(r, gpus)}" for r in sorted(set(ranks.values())))
        why.append(f"r is padded from {shown}, and the kinds of layers loaded after the first are divided by that")
    lorax += _scaled_otherwise(served["LoRAX"], meant, why)
    beyond = [name for name in ranks if "layers." not in name]
    if beyond:
        problem = f"{beyond[0]} is none of the model's blocks; an adapted output head is not served everywhere"
        vllm.append(problem)
        lorax.append(problem)
    if config.layers_to_transform not in (None, []):
        lorax.append("layers_to_transform leaves layers out, and then LoRAX leaves out all others of their kind")
    kinds = _kinds(ranks)
    every = max(map(len, kinds.values()))
    for kind, names in kinds.items():
        if len(names) < every and names[0] not in beyond:
            lorax.append(f"{kind} is adapted in {len(names)} layers of {every}, and would be left out in all")
        elif len({padded_rank(ranks[name], gpus) for name in names}) > 1:
            lorax.append(f"{kind} has different ranks in different layers")
    shown = {"vLLM": vllm, "LoRAX": lorax}
    return {server: [plain(problem, 400) for problem in problems] for server, problems in shown.items()}


def served_scalings(path: Path | str, gpus: int = 1) -> dict[str, dict[str, float]]:
    """What each server multiplies each layer's B A by, where labkit and PEFT multiply by the layer's own α/r.

    Args:
        path, gpus: as in :func:`serving_problems`.

    Returns:
        For "vLLM" and "LoRAX", the factor of each layer; 0 for one that LoRAX leaves out.

    Raises:
        AdapterError: as in :func:`serving_problems`.
    """
    config, ranks, _ = _read(path)
    kinds = _kinds(ranks)
    every = max(map(len, kinds.values()))
    r, lorax = config.r, {}
    for names in kinds.values():
        if len(names) < every and "layers." in names[0]:
            lorax |= dict.fromkeys(names, 0.0)
            continue
        lorax |= dict.fromkeys(names, scaling(config.lora_alpha, r, config.use_rslora))
        r = padded_rank(ranks[names[0]], gpus)
    vllm = dict.fromkeys(ranks, scaling(config.lora_alpha, config.r, config.use_rslora))
    return {"vLLM": vllm, "LoRAX": {name: lorax[name] for name in ranks}}


def padded_rank(r: int, gpus: int = 1) -> int:
    """The rank that LoRAX's kernels get for an A of rank `r`: 8 for each GPU, or a larger multiple of 16."""
    return 8 * gpus if r <= 8 * gpus else math.ceil(r / 16) * 16


def _read(path: Path | str) -> tuple[LoraConfig, dict[str, int], dict[str, float]]:
    """The config, each layer's rank in the file, and what its update was trained to be multiplied by."""
    config, ranks = read_config(path), ranks_of(path)
    try_patterns(config.regular_expressions(), list(ranks), Path(path) / CONFIG_FILE)
    try:
        alphas = {name: config.alpha_of(name) for name in ranks}
    except ConfigError as error:
        raise AdapterError(f"{Path(path) / CONFIG_FILE}: {plain(error, 400)}") from None
    return config, ranks, {name: scaling(alphas[name], r, config.use_rslora) for name, r in ranks.items()}


def _kinds(ranks: dict[str, int]) -> dict[str, list[str]]:
    """The layers of each kind, such as ``self_attn.q_proj``, in the order in which LoRAX loads them."""
    kinds = defaultdict(list)
    for name in ranks:
        _, _, inside = name.partition("layers.")
        kinds[inside.partition(".")[2] or name].append(name)
    places = {name: place for place, name in enumerate(_ORDER)}
    return dict(sorted(kinds.items(), key=lambda each: places.get(each[0].rpartition(".")[2], len(places))))


def _scaled_otherwise(served: dict[str, float], meant: dict[str, float], why: list[str]) -> list[str]:
    """The problem in words, if a layer that is served isn't scaled as it was trained."""
    others = [name for name, factor in meant.items() if served[name] and not math.isclose(served[name], factor)]
    if not others:
        return []
    name = others[0]
    return [
        f"{len(others)} of {len(meant)} layers would be scaled differently than in training: {name} by "
        f"{served[name]:g} and not by {meant[name]:g} ({'; '.join(why)})"
    ]


def max_lora_rank(path: Path | str) -> int:
    """What to give vLLM as ``--max-lora-rank`` for the adapter in `path`: the smallest value it takes that is enough.

    Raises:
        AdapterError: a file is damaged or missing; the rank is more than vLLM takes.
    """
    needed = max(read_config(path).r, *ranks_of(path).values())
    for offered in MAX_LORA_RANKS:
        if needed <= offered:
            return offered
    raise AdapterError(f"{path}: rank {needed} is more than {MAX_LORA_RANKS[-1]}, the most that vLLM takes")


def ranks_of(path: Path | str) -> dict[str, int]:
    """The rank of each layer in the folder `path`, as the file's A has it: this is what servers go by."""
    file = Path(path) / WEIGHTS_FILE
    tensors = {name: tensor for name, tensor in read_weights(file).items() if name.endswith(".lora_A.weight")}
    if not tensors:
        raise AdapterError(f"{file}: there is no lora_A in it")
    for name, tensor in tensors.items():
        if len(name) > _LONGEST_NAME:
            raise AdapterError(f"{file}: {plain(name)} is no layer's name")
        if tensor.ndim != 2 or not len(tensor):
            raise AdapterError(f"{file}: {plain(name)} has shape {tuple(tensor.shape)}, which is no A")
    return {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"): tensor.shape[0]
        for name, tensor in tensors.items()
    }
