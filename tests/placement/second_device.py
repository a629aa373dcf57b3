"""A device of its own where there is only a CPU: ``torch.device("second")``, whose tensors have values.

torch keeps a place for backends that it does not know. What a program asks of one, down to each single operator, comes
to one function here, which has the CPU run it on the very memory. So the results are those of the CPU, and what a
GPU refuses is refused: tensors of the two devices in one operator.

Importing this gives the process the device for good, and a process that has computed gradients before is too late.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only
from torch.utils.dlpack import from_dlpack, to_dlpack

aten = torch.ops.aten
_INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}

copied: list[torch.dtype] = []  # the dtype of every tensor that was copied from one device to the other


class _Generator(backend_registration._DummyBackendModule):
    """Random numbers are drawn by the CPU's generator, so there is no state besides."""

    seeded: list[int] = []  # what it was told to draw from, as the device that was current then

    def manual_seed(self, seed: int) -> None:
        self.seeded.append(seed)

    def get_rng_state(self, device) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state, device) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class _DLTensor(ctypes.Structure):
    """The beginning of DLPack's, as far as the kind of device: 1 is a CPU, 12 one that DLPack does not know."""

    _fields_ = [("data", ctypes.c_void_p), ("kind", ctypes.c_int32)]


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def _relabelled(tensor: Tensor, kind: int) -> Tensor:
    capsule = to_dlpack(tensor)
    _DLTensor.from_address(_pointer_of(capsule, b"dltensor")).kind = kind
    return from_dlpack(capsule)


def _on_cpu(tensor: Tensor) -> Tensor:
    return _relabelled(tensor, 1)


def _on_second(tensor: Tensor) -> Tensor:
    return _relabelled(tensor, 12)


def _is_second(value) -> bool:
    return isinstance(value, Tensor) and value.device.type == "second"


@cache
def _arguments_of(op) -> tuple[list[str], set[str]]:
    """The types of an operator's arguments, and the names of those that are only written to."""
    arguments = op._schema.arguments
    return [str(a.type) for a in arguments], {a.name for a in arguments if a.is_out}


def _refuse_mixed(op, args: tuple, named: dict) -> None:
    """RuntimeError where a tensor is on the CPU, unless it is one number or indices: a GPU takes these, too."""
    if op.overloadpacket in _INDEXED:  # (tensor, indices, …)
        args = (args[0], *args[2:])
    tensors = [t for t in tree_leaves((args, named)) if isinstance(t, Tensor)]
    if any(t.ndim and not _is_second(t) for t in tensors):
        found = ", ".join(f"{t.device.type} {tuple(t.shape)}" for t in tensors)
        raise RuntimeError(f"Expected all tensors to be on the same device, but {op} was given {found}")


def _run(op, *args, **named):
    """Run `op`, of which at least one tensor or the result is on the second device."""
    _refuse_mixed(op, args, named)
    types, written = _arguments_of(op)
    given = {}  # id of a tensor on the CPU -> itself, kept so that the id stays its own, and the one it stands for

    def stand_in(value):
        if _is_second(value):
            tensor = _on_cpu(value)
            given[id(tensor)] = tensor, value
            return tensor
        return torch.device("cpu") if isinstance(value, torch.device) else value

    def fresh(value: Tensor) -> Tensor:
        tensor = torch.empty(0, dtype=value.dtype)
        given[id(tensor)] = tensor, value
        return tensor

    def back(tensor: Tensor) -> Tensor:
        return given[id(tensor)][1] if id(tensor) in given else _on_second(tensor)

    results = {name: tree_map_only(Tensor, fresh, value) for name, value in named.items() if name in written}
    args, others = tree_map(stand_in, (args, {name: v for name, v in named.items() if name not in written}))
    # a Python number comes as such also where the operator has a tensor; then another of the same name takes it
    number = any(isinstance(value, (int, float)) and "Tensor" in kind for value, kind in zip(args, types))
    found = (op.overloadpacket if number else op)(*args, **others, **results)
    for tensor, wanted in [given[id(t)] for t in tree_leaves(results)]:
        if tensor.shape == wanted.shape:
            _on_cpu(wanted).copy_(tensor)
        else:  # it was handed over empty, to become as large as it has to
            wanted.data = _on_second(tensor)
    return tree_map_only(Tensor, back, found)


def _copy(to: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    if to.device != source.device:
        copied.append(source.dtype)
    plain_to, plain_source = (_on_cpu(t) if _is_second(t) else t for t in (to, source))
    plain_to.copy_(plain_source)
    return to


generator = _Generator()
backend_registration._setup_privateuseone_for_python_backend("second", generator)
torch.__future__.set_swap_module_params_on_conversion(True)  # a module that moves keeps its parameters, as on a GPU
_every = torch.library.Library("_", "IMPL")
_every.fallback(_run, "PrivateUse1")
_own = torch.library.Library("aten", "IMPL")
_own.impl("copy_", _copy, "PrivateUse1")
