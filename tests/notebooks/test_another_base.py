"""Notebook 08 on a base of one's own (``LABKIT_BASE``): it runs, says what isn't applicable, and needs no more than
one dense copy of the base and one in four bits."""

import re
from pathlib import Path

import nbformat
import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer, sampled

import labkit
from labkit.lab.refresh import run

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "08_qlora.ipynb"
# before the first cell, in the kernel: the dtype that a GPU would get, and the weights in memory while models run
BEFORE = """
import gc, weakref
from functools import partial
import torch, labkit
from torch._subclasses.fake_tensor import FakeTensor  # train simulates its first step
from transformers import PreTrainedModel
labkit.load_base = partial(labkit.load_base, dtype=torch.{dtype})
gc.freeze()  # what's imported isn't looked through for models
_most_bytes, _weighed = 0, weakref.WeakSet()

def weigh(module, _):
    global _most_bytes
    if type(module).__name__ != "LlamaForCausalLM" or module in _weighed and not module.training:
        return  # an answer has a forward pass for each token
    _weighed.add(module)
    models = [each for each in gc.get_objects() if issubclass(type(each), PreTrainedModel)]
    tensors = [t for m in models for t in (*m.parameters(), *m.buffers()) if not isinstance(t, FakeTensor)]
    held = {{t.data_ptr(): t.nbytes for t in tensors}}
    _most_bytes = max(_most_bytes, sum(held.values()))

watching = torch.nn.modules.module.register_module_forward_pre_hook(weigh)
"""
AFTER = """
watching.remove()
print("bytes of weights at most:", _most_bytes)
"""


def make_base(folder: Path) -> Path:
    shape = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 4}
    make_tiny_llama(**shape, max_position_embeddings=512).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


def bytes_of(folder: Path, dtype: torch.dtype, **held) -> int:
    model, _ = labkit.load_base(folder, dtype=dtype, device="cpu", **held)
    labkit.inject_lora(model, labkit.LoraConfig(r=8, target_modules="all-linear"))
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


# on a GPU another base is in bfloat16, on a CPU in float32
@pytest.mark.parametrize("dtype", sampled([torch.bfloat16, torch.float32], pytest.mark.slow), ids=str)
def test_notebook_08_runs_on_another_base_in_the_memory_it_needs(dtype, tmp_path, monkeypatch):
    pytest.importorskip("bitsandbytes")
    folder = make_base(tmp_path / "base")
    monkeypatch.setenv("LABKIT_BASE", str(folder))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    before = BEFORE.format(dtype=str(dtype).removeprefix("torch."))
    notebook.cells = [
        nbformat.v4.new_code_cell(before),
        *(cell for cell in notebook.cells if cell.cell_type == "code"),
        nbformat.v4.new_code_cell(AFTER),
    ]
    cells = run(notebook, NOTEBOOK.parent).cells  # raises where a cell does, or writes to stderr
    printed = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    assert "not applicable" in printed and "▣" not in printed, "a stored number stands for another base"
    assert all("SmolLM2" in line for line in printed.splitlines() if "from a stored study" in line)
    for layers in ("labkit's layers", "the layer of 08.1"):
        assert f"✔ largest gradient error after an evaluation, {layers}" in printed, "gradients are right on any base"
    most = int(re.search(r"bytes of weights at most: (\d+)", printed)[1])
    needed = bytes_of(folder, dtype) + bytes_of(folder, dtype, quantize="nf4", double=True)
    assert 0.9 * needed < most <= needed
