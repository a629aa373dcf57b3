"""What there is to know of the card, and what differs between a GPU and the CPU that stands in for it."""

import gc
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from labkit.simulation.memory_check import free_bytes
from studies.results import provenance

ROOT = Path(__file__).parents[2]


class LeftOut(Exception):
    """There's a reason not to measure this; the message is one sentence."""


def about(setting: dict, send: Callable[[dict], None]) -> None:
    """Card, memory, driver, day and versions."""
    known = provenance("transformers", "peft", "bitsandbytes")
    if setting["device"] == "cpu":
        return send({"card": "CPU", **known})
    if not torch.cuda.is_available():
        return send({"left_out": "this needs a CUDA GPU, and PyTorch finds none here (--device cpu tries the code)"})
    card = torch.cuda.get_device_properties(0)
    torch.zeros(1, device="cuda")
    free, whole = torch.cuda.mem_get_info()
    found = {
        "card": card.name,
        "memory_bytes": whole,
        "taken_outside_the_allocator_bytes": whole - free - torch.cuda.memory_reserved(),  # the CUDA context
        "compute_capability": f"{card.major}.{card.minor}",
        "driver": _driver(),
        "cuda": torch.version.cuda,
    }
    send(found | known)


def _driver() -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.split("\n")[0].strip() or None


def attempt(settings: Iterable[dict], measure: Callable[..., dict], device: str, send: Callable[[dict], None]) -> None:
    """Send each setting with what `measure(**setting)` finds; one that fails doesn't lose the others."""
    for setting in settings:
        began = time.perf_counter()
        try:
            found = measure(**setting)
        except LeftOut as reason:
            found = {"left_out": str(reason)}
        except torch.OutOfMemoryError:
            found = {"left_out": "the card's memory ran out"}
        except Exception as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            found = {"wrong": f"{type(error).__name__} at {_place(error)}: {first}"}
        send(setting | found | {"seconds": round(time.perf_counter() - began, 2)})
        if device == "cuda":
            gc.collect()  # a model and its hooks are a circle
            torch.cuda.empty_cache()


def _place(error: Exception) -> str:
    """Where in this repository the error came out of, without the machine's own folders."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(ROOT)]
    own = [frame for frame in frames if ".venv" not in frame.filename]
    return f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}"


def refuse_too_large(needed: int, device: str) -> None:
    """LeftOut where the device hasn't got that many bytes."""
    free = free_bytes(torch.device(device))
    if needed > free:
        raise LeftOut(f"it takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def dtype_on(device: str) -> str:
    """In which the base computes: on a GPU as the course does there, on a CPU so that nothing is rounded."""
    return "bfloat16" if device == "cuda" else "float32"


def wait_for(device: str) -> None:
    """Until all that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
