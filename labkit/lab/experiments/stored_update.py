"""What full fine-tuning added to a weight, stored with the course: W_after − W_before, and the study it comes from."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from labkit.errors import DataError
from labkit.storage.paths import course_data_dir

_REMEDY = "Restore the file, or make it again with: python -m studies.full_update"


def load_update(path: Path | str | None = None) -> dict[str, Tensor]:
    """The updates that full fine-tuning gave to some weights of the base.

    Args:
        path: a safetensors file of matrices; the course's own (``data/updates/tickets_full.safetensors``,
            described in the README beside it) when not given.

    Returns:
        For each layer's name, ``"model.layers.14.self_attn.q_proj"``, its update in float32, of the shape of
        the layer's weight: (out_features, in_features).

    Raises:
        DataError: the file is missing or damaged, is empty, or holds something that is no update.
    """
    path = course_data_dir() / "updates" / "tickets_full.safetensors" if path is None else Path(path)
    if not path.is_file():
        raise DataError("there is no such file", _REMEDY, str(path))
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"it is damaged ({error})", _REMEDY, str(path)) from error
    if not stored:
        raise DataError("there is nothing in it", _REMEDY, str(path))
    for name, update in stored.items():
        if update.ndim != 2 or not update.is_floating_point() or not update.isfinite().all():
            raise DataError(f"{name} is no matrix of finite numbers", _REMEDY, str(path))
    return {name: update.to(torch.float32) for name, update in sorted(stored.items())}


def tickets_right(study: dict) -> dict[str, float]:
    """The share of test tickets that the model got right with each cut of its updates.

    Args:
        study: ``data/results/full_update.json`` as read.

    Returns:
        ``{"none: the base": 0.0, "first 8": …, "all but the first 8": …, "everything": 1.0, …}``
    """
    return {cut["kept"]: cut["exact"]["mean"] for cut in study["cuts"]}
