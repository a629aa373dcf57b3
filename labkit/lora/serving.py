"""Whether a server would answer as labkit does: what vLLM and LoRAX read of an adapter folder, and what they do not.

Both take the numbers of A and B from the file, and one factor for all layers, α/r or α/√r, from `r`, `lora_alpha` and
`use_rslora` in the config. They know no rank_pattern and no alpha_pattern, so a layer with an r or α of its own is
scaled wrongly, and nothing is said. LoRAX moreover keeps the A's of all layers of a kind in one tensor: of one rank,
and of every layer; where one is missing, the adapter's others of that kind are left out.

Sources: vLLM 0.30, vllm/lora/peft_helper.py and vllm/config/lora.py; LoRAX, server/lorax_server/adapters/lora.py, both
read in November 2026.
"""

import math
from collections import defaultdict
from pathlib import Path

from labkit.errors import AdapterError, ConfigError
from labkit.lora.config import scaling
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, read_config
from labkit.storage.untrusted import plain, read_weights, try_patterns

MAX_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's --max-lora-rank may be
_LONGEST_NAME = 1_000


def serving_problems(path: Path | str) -> dict[str, list[str]]:
    """What keeps vLLM or LoRAX from answering as labkit does with the adapter in `path`.

    Args:
        path: a folder written by :func:`labkit.save_adapter` or by PEFT.

    Returns:
        For each server, its problems in words; an empty list when there is none.

    Raises:
        AdapterError: a file is damaged or missing, or the config goes beyond plain LoRA.
    """
    config, ranks = read_config(path), ranks_of(path)
    try_patterns(config.regular_expressions(), list(ranks), Path(path) / CONFIG_FILE)
    read_by_all = scaling(config.lora_alpha, config.r, config.use_rslora)
    try:
        alphas = {name: config.alpha_of(name) for name in ranks}
    except ConfigError as error:
        raise AdapterError(f"{Path(path) / CONFIG_FILE}: {plain(error, 400)}") from None
    scaled = {name: scaling(alphas[name], r, config.use_rslora) for name, r in ranks.items()}
    others = [name for name, factor in scaled.items() if not math.isclose(factor, read_by_all)]
    common = []
    if others:
        common.append(
            f"{len(others)} of {len(ranks)} layers would be scaled by {read_by_all:g} like all others; {others[0]} "
            f"was trained with {scaled[others[0]]:g} (rank_pattern and alpha_pattern are not read)"
        )
    beyond = [name for name in ranks if "layers." not in name]
    if beyond:
        common.append(f"{beyond[0]} is none of the model's blocks; an adapted output head is not served everywhere")
    vllm, lorax = list(common), list(common)
    if max(ranks.values()) > MAX_LORA_RANKS[-1]:
        vllm.append(f"rank {max(ranks.values())} is more than {MAX_LORA_RANKS[-1]}, the most that vLLM takes")
    kinds = defaultdict(dict)
    for name, r in ranks.items():
        if name not in beyond:
            _, _, inside = name.partition("layers.")
            number, _, kind = inside.partition(".")
            kinds[kind][number] = r
    if config.layers_to_transform not in (None, []):
        lorax.append("layers_to_transform leaves layers out, and then LoRAX leaves out all others of their kind")
    every = set().union(*kinds.values())
    for kind, of_layer in kinds.items():
        if of_layer.keys() != every:
            lorax.append(f"{kind} is adapted in {len(of_layer)} layers of {len(every)}, and would be left out in all")
        elif len(set(of_layer.values())) > 1:
            lorax.append(f"{kind} has different ranks in different layers")
    shown = {"vLLM": vllm, "LoRAX": lorax}
    return {server: [plain(problem, 400) for problem in problems] for server, problems in shown.items()}


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
