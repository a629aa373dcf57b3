"""One process, or several that train together through Accelerate: what they share, and what it must not change.

Each process has a whole model and a part of each step's rows. Only what is trained goes over the wire: once at the
start, and its gradients once per step. (torch's DistributedDataParallel would send the whole base, buffers in four bits
included, and stops where a parameter has no gradient, as an expert that no token was sent to.)
"""

import atexit
import os
from collections.abc import Iterable

import torch
from accelerate import Accelerator, DistributedType, PartialState
from accelerate.state import GradientState
from torch import Tensor, distributed, nn

from labkit.errors import ConfigError, reason_of

# What Accelerate can be told by the program, by `accelerate launch` and by its configuration file, and what labkit does
_RECIPE = {"mixed_precision": "no", "dynamo_backend": "no", "gradient_accumulation_steps": "1"}
_INSTEAD = {
    "mixed_precision": "labkit trains in the dtype of the weights, which load_base's dtype sets",
    "dynamo_backend": "labkit compiles nothing",
    "gradient_accumulation_steps": "labkit splits a batch by TrainConfig's gradient_accumulation",
}
_WHOLE = "labkit trains with a whole model on each process"
# Ways to share a model out that labkit's loop isn't made for; of FSDP, Accelerate's own wrapping is enough
_FOREIGN = ("DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG", "SAGEMAKER")


def make_accelerator() -> Accelerator:
    """Accelerate, set up by labkit alone.

    Raises:
        ConfigError: its variables, or an Accelerator of the same program, ask for something else than labkit does; or
            the processes that were started don't find each other.
    """
    for name in _FOREIGN:
        if _is_on(f"ACCELERATE_USE_{name}"):
            raise _another_recipe(f"use_{name.lower()}=true", f"Set ACCELERATE_USE_{name}=false")
    for name, ours in _RECIPE.items():
        launched = f"(with accelerate launch: --{name} {ours}, or in its configuration file)"
        asked = os.environ.get(f"ACCELERATE_{name.upper()}") or ours
        if asked.lower() != ours:
            raise _another_recipe(f"{name}={asked}", f"Set ACCELERATE_{name.upper()}={ours} {launched}")
    theirs = GradientState().plugin_kwargs  # shared with every Accelerator of the program
    try:
        accelerator = Accelerator(
            device_placement=False,
            # said outright where there's no other device: else processes on CPUs don't meet, and each trains alone
            cpu=True if not torch.accelerator.is_available() else None,
            mixed_precision=None,  # so that one made before, with another, is found below
            dynamo_backend=_RECIPE["dynamo_backend"],
        )
    except Exception as error:  # whatever an unknown value in a variable makes of it
        raise ConfigError(
            f"Accelerate can't be set up: {reason_of(error)}. To train in several processes, start them with "
            "accelerate launch; for a single one, unset RANK, WORLD_SIZE, LOCAL_RANK and every ACCELERATE_ variable"
        ) from None
    accelerator.gradient_state.plugin_kwargs = theirs
    state = accelerator.state
    resolved = {"mixed_precision": accelerator.mixed_precision, "dynamo_backend": state.dynamo_plugin.backend.value}
    for name, found in resolved.items():
        if found.lower() != _RECIPE[name]:
            raise _another_recipe(f"{name}={found}", f"Create your program's Accelerator without {name}")
    if accelerator.num_processes > 1:
        atexit.register(_leave_the_others)
    return accelerator


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether each process holds a part of every matrix only."""
    return accelerator.distributed_type == DistributedType.FSDP


def local_processes(accelerator: Accelerator) -> int:
    """How many of the processes share this machine's memory."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes)) if accelerator.num_processes > 1 else 1


def hand_out(parameters: Iterable[Tensor]) -> None:
    """Give all processes what the first one has."""
    for parameter in parameters:
        distributed.broadcast(parameter.data, 0)


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give all processes the sum of their gradients; none where none of them has one."""
    parameters = list(parameters)
    found = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
    distributed.all_reduce(found)
    for parameter, count in zip(parameters, found.tolist()):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on", "y", "t")


def _another_recipe(asked: str, remedy: str) -> ConfigError:
    name = asked.split("=")[0]
    return ConfigError(f"Accelerate is set to {asked}. {_INSTEAD.get(name, _WHOLE)}. {remedy}")


def _leave_the_others() -> None:
    """End the threads of torch's process group before Python ends itself.

    One of them may just be letting go of a tensor. While Python is whole, nobody notices; a moment later the process
    aborts, and with it a training that had gone well (seen once; pytorch's pull request 179291 describes it).
    """
    PartialState().destroy_process_group()
