"""The run for a rented card, on a CPU: it measures what it says, tells right from wrong, and loses nothing."""

import json
import weakref
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from statistics import median
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import short_lived
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

import labkit
from benchmarks.on_a_gpu import __main__ as command
from benchmarks.on_a_gpu import card, checks, large, memory, models, steps
from benchmarks.on_a_gpu.__main__ import CARD, Part, finished, main
from labkit.simulation import StepCost
from studies.processes import rows_of_a_process

ON_CPU = {"device": "cpu", "tiny": True}


def at_once(run, setting, seconds) -> list[dict]:
    """A part in this process, which has imported all it needs."""
    rows = []
    run(setting, rows.append)
    return rows


# ---- the whole of it


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("results")
    parts = [name for name in command.PARTS if name != "tests"]  # pytest in pytest: see below
    assert main(["--device", "cpu", "--tiny", "--to", str(folder), "--parts", *parts], at_once) == 0
    return json.loads((folder / "cpu.json").read_text())


@pytest.mark.slow
def test_one_file_says_where_and_when_and_nothing_was_wrong(tiny):
    assert tiny["card"] == "CPU" and tiny["date"] and tiny["tiny"] and tiny["wrong"] == []
    assert tiny["versions"]["torch"] == torch.__version__ and tiny["versions"]["bitsandbytes"]
    taken = [part["seconds"] for part in tiny["parts"].values()]
    assert all(seconds >= 0 for seconds in taken) and tiny["seconds"] == pytest.approx(sum(taken), abs=10)
    assert list(tiny["parts"]["notebook 08"]["left_out"].values()) == [1]


@pytest.mark.slow
def test_the_simulator_is_held_to_the_allocator_for_each_method(tiny):
    rows = tiny["parts"]["simulator"]["rows"]
    assert [(row["method"], row["checkpointing"]) for row in rows] == [
        *((method, False) for method in ("full", "lora", "qlora")),
        ("qlora", True),
    ]
    for row in rows:
        assert abs(row["simulated_bytes"]["asked"] - row["measured_bytes"]["asked"]) <= 4096
    assert all(more["measured_bytes"]["asked"] > less["measured_bytes"]["asked"] for more, less in pairwise(rows))
    weights = sum(p.numel() for p in models.random_model(models.TINY, "meta", "float32").parameters())
    # weights, their gradients, and two averages
    assert 16 * weights < rows[0]["measured_bytes"]["asked"] < 32 * weights


@pytest.mark.slow
def test_labkit_and_peft_take_the_same_steps(tiny):
    rows = tiny["parts"]["steps"]["rows"]
    assert [row["four_bits"] for row in rows] == [False, True]
    for row in rows:
        ours, theirs = row["losses"]["labkit"], row["losses"]["PEFT"]
        assert ours == pytest.approx(theirs, rel=1e-5) and ours[-1] < ours[0] - 0.05
        times = row["seconds_a_step"]
        assert len(times["labkit"]) == len(times["PEFT"]) == len(ours) - 1  # the first warms up
        assert row["tokens_a_second"] == {name: row["tokens_a_step"] / median(taken) for name, taken in times.items()}
    # the base was really in four bits
    assert rows[0]["losses"]["PEFT"] != pytest.approx(rows[1]["losses"]["PEFT"], rel=1e-3)


@pytest.mark.slow
def test_the_large_shape_is_trained_in_four_bits(tiny):
    (row,) = tiny["parts"]["large shapes"]["rows"]
    a_layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128
    assert row["linear_bytes"] == pytest.approx(3 * a_layer * 4.127 / 8, rel=0.005)
    # keys and values give out 32 numbers, not 64
    assert row["trained"] == 3 * 16 * (4 * (64 + 64) + 3 * (64 + 128) - 2 * 32)
    assert all(later < earlier for earlier, later in pairwise(row["losses"]))
    assert abs(row["simulated_bytes"]["asked"] - row["measured_bytes"]["asked"]) <= 4096


def test_of_a_model_in_four_bits_one_layer_at_a_time_is_dense(monkeypatch):
    made, alive = weakref.WeakSet(), []
    before, quantize = nn.Linear.__init__, labkit.quantize_model
    monkeypatch.setattr(nn.Linear, "__init__", lambda self, *a, **named: (before(self, *a, **named), made.add(self))[0])
    monkeypatch.setattr(
        labkit, "quantize_model", lambda *a, **named: (alive.append(len(made)), quantize(*a, **named))[1]
    )
    model = models.random_model_in_four_bits(models.TINY, "cpu", "float32")
    assert len(alive) == 3 and max(alive) <= 7 + 1 + 1  # those of a layer, the head, and a head of eight words
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == [0, 1, 2]
    assert model.config.num_hidden_layers == 3 and models.TINY.num_hidden_layers == 3
    first, second = (layer.mlp.up_proj.dense_weight() for layer in list(model.model.layers)[:2])
    assert first.shape == second.shape and not first.equal(second)
    assert model(torch.tensor([[1, 5, 9]])).logits.isfinite().all()


# ---- pytest and the notebook, in processes of their own


@pytest.mark.slow
def test_each_outcome_of_pytest_is_a_row(tmp_path):
    file = tmp_path / "test_three.py"
    file.write_text(
        "import pytest\n"
        "def test_right(): pass\n"
        "def test_wrong(): assert 1 + 1 == 3\n"
        "@pytest.mark.skipif(True, reason='no such card')\n"
        "def test_elsewhere(): pass\n"
    )
    found = checks.counted(list(rows_of_a_process(short_lived.tests_of, {"file": str(file)}, 60)))
    assert found["passed"] == 1 and found["left_out"] == {"no such card": 1}
    (failed,) = found["failed"].items()
    assert failed[0].endswith("test_three.py::test_wrong") and "assert (1 + 1) == 3" in failed[1]


@pytest.mark.slow
def test_each_cell_of_a_notebook_is_compared_with_what_is_stored(tmp_path):
    cells = []
    for source, stored in {"import os; print(os.environ['LABKIT_DEVICE'])": "cpu\n", "print(1 + 1)": "3\n"}.items():
        cell = nbformat.v4.new_code_cell(source, execution_count=1)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored)]
        cells.append(cell)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "two.ipynb")
    setting = {**ON_CPU, "notebook": str(tmp_path / "two.ipynb")}
    found = checks.counted(list(rows_of_a_process(checks.notebook, setting, 120)))
    (failed,) = found["failed"].items()
    assert found["passed"] == 1 and failed[0].endswith("Cell 1") and "3\n" in failed[1] and "2\n" in failed[1]


# ---- what ends badly


def test_what_a_part_had_measured_before_it_died_is_kept():
    _, rows = finished(Part(short_lived.dies, 60), ON_CPU, 60, rows_of_a_process)
    assert rows[:2] == [{"measured": 1}, {"measured": 2}] and "exit code 3" in rows[2]["wrong"]


def test_a_part_whose_time_is_up_is_left_out_in_a_sentence():
    _, rows = finished(Part(short_lived.goes_on_for_ever, 60), ON_CPU, 0.01, rows_of_a_process)
    assert rows == [{"left_out": "the rest: its time was up, 0 s"}]


def test_what_a_part_has_started_ends_with_it():
    rows = rows_of_a_process(short_lived.goes_on_for_ever, ON_CPU, 60)
    started = psutil.Process(next(rows)["pid"])
    rows.close()
    with suppress(psutil.NoSuchProcess):
        assert started.wait(10) is not None or not started.is_running() or started.status() == psutil.STATUS_ZOMBIE


def test_one_measurement_that_fails_loses_no_other():
    def measure(number):
        if number == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if number == 2:
            raise ValueError("no such thing\nand more")
        if number == 3:
            raise card.LeftOut("it takes 9.0 GB, and 1.0 GB are free")
        return {"found": number}

    rows = []
    card.attempt([{"number": number} for number in range(5)], measure, "cpu", rows.append)
    assert [row["number"] for row in rows] == [0, 1, 2, 3, 4] and rows[0]["found"] == 0 and rows[4]["found"] == 4
    assert rows[1]["left_out"] == "the card's memory ran out" and rows[3]["left_out"].startswith("it takes 9.0 GB")
    assert rows[2]["wrong"].startswith("ValueError at tests/benchmarks/test_on_a_gpu.py:")
    assert rows[2]["wrong"].endswith(": no such thing")


def test_a_broken_promise_is_said_stored_and_in_the_exit_code(monkeypatch, tmp_path, capsys):
    def broken(setting, send):
        send({"shape": "tiny", "method": "lora", "wrong": "the simulator is off by +9.0%"})

    def held(setting, send):
        send({"shape": "tiny"})
        send({"shape": "huge", "left_out": "it takes 9.0 GB, and 1.0 GB are free"})

    monkeypatch.setattr(command, "PARTS", {"first": Part(broken, 1), "second": Part(held, 1)})
    arguments = ["--device", "cpu", "--to", str(tmp_path)]
    assert main(arguments, at_once) == 1
    content = json.loads((tmp_path / "cpu.json").read_text())
    assert content["wrong"] == ["first: the simulator is off by +9.0%"] and len(content["parts"]["second"]["rows"]) == 2
    said = capsys.readouterr().out
    assert "tiny lora: the simulator is off by +9.0%" in said and "left out, 1×: it takes 9.0 GB" in said
    assert main([*arguments, "--parts", "second"], at_once) == 0


def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "write_atomically", lambda *_: pytest.fail("nothing is to be written"))
    assert main([], at_once) == 1
    assert "this needs a CUDA GPU, and PyTorch finds none here" in capsys.readouterr().err


@pytest.mark.parametrize("off, is_wrong", [(1.04, False), (0.96, False), (1.06, True), (0.94, True)])
def test_five_percent_either_way_is_the_limit_for_the_simulator(off, is_wrong):
    kinds = {"weights": 10**9, "rounding": 10**6}
    simulated = StepCost({"forward": {"weights": 5}, "step": kinds}, {"CUDA context": 10**12}, {}, 0, 0, 0, 0)
    before = {"allocated": 67 * 10**6, "asked": 67 * 10**6}
    measured = {"allocated": round(sum(kinds.values()) / off) + 67 * 10**6, "asked": round(10**9 / off) + 67 * 10**6}
    found = memory.side_by_side(simulated, measured, before)
    assert ("wrong" in found) == is_wrong and found["off_by"]["asked"] == pytest.approx(off - 1)


def test_losses_that_part_are_wrong():
    times = {"labkit": [1.0, 1.0], "PEFT": [2.0, 3.0]}
    found = steps.judged(times, {"labkit": [3.0, 2.0], "PEFT": [3.0, 2.1]}, 100, 0.02)
    assert (
        found["wrong"].startswith("the losses are 3.33% of the first one apart")
        and found["times_faster_than_PEFT"] == 2.5
    )
    assert found["tokens_a_second"] == {"labkit": 100, "PEFT": 40}
    assert "wrong" not in steps.judged(times, {"labkit": [3.0, 2.0], "PEFT": [3.0, 2.03]}, 100, 0.02)


# ---- the lines that only a card runs


class AsIfThereWereACard(TorchFunctionMode):
    """Whatever is asked for on "cuda" is made on the CPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        args, kwargs = tree_map(self.here, (args, kwargs or {}))
        return function(*args, **kwargs)

    @staticmethod
    def here(value):
        return "cpu" if isinstance(value, (str, torch.device)) and str(value) == "cuda" else value


@pytest.fixture
def pretended_card(monkeypatch):
    counted = {"allocated_bytes.all.current": 1, "requested_bytes.all.current": 1}
    peaks = {"allocated_bytes.all.peak": 10**8, "requested_bytes.all.peak": 10**8}
    for name, answer in {
        "is_available": True,
        "synchronize": None,
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "memory_stats": counted | peaks,
        "memory_reserved": 0,
        "memory_allocated": 0,
        "mem_get_info": (8 * 10**9, 9 * 10**9),
        "get_device_properties": SimpleNamespace(name="Pretended 9, 9 GB", major=9, minor=0),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    with AsIfThereWereACard():
        yield


@pytest.mark.slow
def test_no_line_for_a_card_stops(pretended_card):
    """Right numbers need a real one; this only finds what would have stopped there."""
    (about,) = at_once(CARD.run, {"device": "cuda", "tiny": True}, 60)
    assert about["card"] == "Pretended 9, 9 GB" and about["taken_outside_the_allocator_bytes"] == 10**9
    measured = memory.compare("tiny", "lora", False, "cuda", sequence=16)["measured_bytes"]
    assert measured == {"allocated": 10**8 - 1, "asked": 10**8 - 1}  # less what kernels held before
    assert "wrong" not in steps.compare("tiny", True, "cuda", replace(steps.CONFIG, steps=3, batch_size=2))
    losses = large.train_shape("tiny", "cuda", sequence=16, steps=3)["losses"]
    assert losses[-1] < losses[0]
    with pytest.raises(card.LeftOut, match=r"it takes 1\d\d\.\d GB, and \d+\.\d GB are free"):
        memory.compare("llama-3-70b", "lora", True, "cuda", sequence=16)
