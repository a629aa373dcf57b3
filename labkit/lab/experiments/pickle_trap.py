"""What a file of weights can do when it's opened, harmlessly: a pickle that leaves an empty file behind.

A pickle is a small program, and unpickling runs it. It may name any function and have it called; weights need that for
one function that makes tensors. A safetensors file has a list of names, shapes and places, and bytes: nothing in it is
ever called. Here the program calls :meth:`pathlib.Path.touch` on a path that you choose, and nothing else.
"""

import pickletools
import shutil
import zipfile
from pathlib import Path

import torch

from labkit.errors import ConfigError
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE
from labkit.storage.untrusted import read_weights

PICKLED_FILE = "adapter_model.bin"  # PEFT's name for it
_OF_WEIGHTS = {"torch", "torch._utils", "collections"}  # modules that a file of nothing but tensors names


class _Trap:
    """Unpickling this calls a function, and what that returns stands in its place."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def trapped(adapter: Path | str, folder: Path | str, marker: Path | str) -> Path:
    """A copy of an adapter's folder whose weights are a pickle, with a trap among them.

    The weights are right, so you open the file, get an adapter that works, and notice nothing.

    Args:
        adapter: a folder with PEFT's two files. It's only read.
        folder: where the copy goes; it's made.
        marker: the empty file that opening the pickle creates, in a folder that's there.

    Returns:
        The pickle.

    Raises:
        AdapterError: the weights can't be read.
        ConfigError: `marker` is there already, or has no folder: nothing could be seen.
    """
    adapter, folder, marker = Path(adapter), Path(folder), Path(marker).absolute()
    if marker.exists() or not marker.parent.is_dir():
        raise ConfigError(f"{marker}: must be a new name in a folder that's there")
    weights = read_weights(adapter / WEIGHTS_FILE)
    folder.mkdir(parents=True)
    shutil.copyfile(adapter / CONFIG_FILE, folder / CONFIG_FILE)
    torch.save(weights | {"trap": _Trap(marker)}, folder / PICKLED_FILE)
    return folder / PICKLED_FILE


def named_in(file: Path | str) -> list[str]:
    """The functions and classes that a pickle of :func:`torch.save` names, in order, read without running it.

    Raises:
        ConfigError: it isn't a file of :func:`torch.save`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            [program] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            steps = list(pickletools.genops(archive.read(program)))
    except (OSError, ValueError, zipfile.BadZipFile):
        raise ConfigError(f"{file}: not a file that torch.save has written") from None
    # two words after GLOBAL, the module and the name in it
    return list(dict.fromkeys(".".join(word.split(" ")) for code, word, _ in steps if code.name == "GLOBAL"))


def strangers_in(file: Path | str) -> list[str]:
    """Those of :func:`named_in` that weights don't need: why anybody should refuse the file."""
    return [name for name in named_in(file) if name.rpartition(".")[0] not in _OF_WEIGHTS]
