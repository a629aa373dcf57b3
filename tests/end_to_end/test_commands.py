"""The command line as people use it: on files, refused, killed in the middle.

What goes wrong only between processes (a terminal, a pipe, a kill, an exit status) is started as one; the rest calls
what the command calls, since a process with torch in it takes seconds to begin.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file

from labkit.cli import main
from labkit.storage.writing import alone_at
from labkit.training.history_file import history

pytestmark = pytest.mark.usefixtures("one_thread")  # as the processes have it: the same bits
ROWS = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(20)]


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory) -> Path:
    """A folder that `--base` accepts."""
    folder = tmp_path_factory.mktemp("base") / "tiny-llama"
    make_tiny_llama(vocab_size=128).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def good_data(tmp_path) -> Path:
    path = tmp_path / "good.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


COMMAND = [sys.executable, "-m", "labkit.cli"]


def in_a_process(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)


@pytest.fixture
def labkit(capsys):
    def run(*arguments) -> SimpleNamespace:
        """One command in this process; an error that is no refusal fails the test by itself."""
        status = main(list(map(str, arguments)))
        printed, said = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=printed, stderr=said)

    return run


def train_arguments(base: Path, data: Path, out: Path, *more) -> list:
    return ["train", "--base", base, "--data", data, "--out", out, "--rank", 2, "--lr", 0.01, *more]


def weights(out: Path) -> bytes:
    return (out / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.slow
def test_train_then_evaluate(labkit, tiny_base, good_data, tmp_path):
    out = tmp_path / "run"
    done = in_a_process(
        *train_arguments(tiny_base, good_data, out, "--steps", 30, "--test", good_data, "--evaluate", 5)
    )
    assert done.returncode == 0, done.stderr
    about = json.loads((out / "adapter" / "labkit.json").read_text())
    assert about["task"] == "good" and about["recipe"]["training"]["steps"] == 30 and "exact" in about["scores"]
    assert sorted(path.name for path in out.iterdir()) == ["adapter"], "checkpoints are gone once the adapter is there"

    scored = labkit(
        "evaluate", "--base", tiny_base, "--adapter", out / "adapter", "--data", good_data, "--limit", 5, "--json"
    )
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["scores"] == about["scores"], "the saved adapter scores what the trained one did"

    again = labkit(*train_arguments(tiny_base, good_data, out, "--steps", 1))
    assert again.returncode == 2 and "holds an adapter already" in again.stderr


def test_what_saves_memory_can_be_asked_for_and_changes_no_loss(labkit, tiny_base, good_data, tmp_path):
    """A training that would not fit is refused with the names of these settings."""
    plain, saving = tmp_path / "plain", tmp_path / "saving"
    assert labkit(*train_arguments(tiny_base, good_data, plain, "--steps", 4)).returncode == 0
    options = ["--gradient-accumulation", 2, "--gradient-checkpointing", "--optimizer", "adamw"]
    done = labkit(*train_arguments(tiny_base, good_data, saving, "--steps", 4, *options))
    assert done.returncode == 0, done.stderr
    recipe = json.loads((saving / "adapter" / "labkit.json").read_text())["recipe"]["training"]
    assert (recipe["gradient_accumulation"], recipe["gradient_checkpointing"]) == (2, True)
    theirs, ours = (load_file(out / "adapter" / "adapter_model.safetensors") for out in (plain, saving))
    assert theirs.keys() == ours.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-4, rtol=0)


def test_rows_of_your_own_are_not_taken_for_a_task_of_the_course(labkit, tiny_base, good_data, tmp_path):
    data = good_data.rename(tmp_path / "tickets.jsonl")
    assert labkit(*train_arguments(tiny_base, data, tmp_path / "run", "--steps", 1)).returncode == 0
    done = labkit("evaluate", "--base", tiny_base, "--adapter", tmp_path / "run" / "adapter")
    assert done.returncode == 2 and "rows of your own (tickets.jsonl): say --data" in done.stderr


def test_checkpoints_of_an_earlier_run_are_not_lost(labkit, tiny_base, good_data, tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "checkpoint-000001"
    checkpoint.mkdir(parents=True)
    done = labkit(*train_arguments(tiny_base, good_data, tmp_path / "run", "--steps", 1))
    assert done.returncode == 2 and "--resume" in done.stderr and "--overwrite" in done.stderr
    assert checkpoint.exists()


def test_what_would_fail_after_the_training_is_refused_before_it(labkit, tiny_base, good_data, tmp_path):
    for more, said in (
        (["--evaluate", 3], "has no split 'test'"),
        (["--evaluate", -1], "at least 1"),
        (["--out", good_data / "x"], "can't write to"),
    ):
        done = labkit(*train_arguments(tiny_base, good_data, tmp_path / "run", "--steps", 1, *more))
        assert done.returncode == 2 and said in done.stderr and "Training" not in done.stdout


@pytest.mark.slow
def test_a_terminal_without_our_signs_and_a_reader_that_leaves(tmp_path):
    latin = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = in_a_process("progress", env=latin, encoding="cp1252")
    assert done.returncode == 0 and "Traceback" not in done.stderr and "?" in done.stdout
    line = f"{sys.executable} -m labkit.cli progress | head -n 1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=300)
    assert done.stderr == "" and done.stdout.count("\n") == 1


def test_a_card_that_is_too_small_is_priced_with_a_word(labkit):
    done = labkit("plan", "llama-2-7b", "--method", "full", "--seq", 16, "--card", "RTX 4090")
    assert done.returncode == 0 and "does not fit into that card" in done.stdout
    assert "does not fit" not in labkit("plan", "smollm2-135m", "--seq", 16, "--card", "RTX 4090").stdout


def broken(lines: list[str]) -> bytes:
    return "\n".join(lines).encode()


LINES = [json.dumps(row) for row in ROWS]
BROKEN = {
    "bad JSON on line 17": (
        broken([*LINES[:16], '{"prompt": "x", ', *LINES[17:]]),
        ":17: not valid JSON",
        "whole JSON",
    ),
    "a missing field": (
        broken([*LINES[:4], '{"prompt": "x"}']),
        ':5: the field "completion" is missing',
        "needs prompt",
    ),
    "an empty file": (b"", "broken.jsonl: the file has no rows", "Write one JSON object per line"),
    "not UTF-8": (broken(LINES[:2]) + b'\n{"prompt": "caf\xe9", "completion": "x"}', ":3: not UTF-8", "encoding UTF-8"),
    "a row longer than the context": (
        broken([*LINES[:7], json.dumps({"prompt": "a" * 100, "completion": "b"})]),
        ":8: the row has",
        "Shorten the row",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_data_is_refused_with_file_line_and_remedy(case, labkit, tiny_base, tmp_path):
    content, where, remedy = BROKEN[case]
    data, out = tmp_path / "broken.jsonl", tmp_path / "run"
    data.write_bytes(content)
    done = labkit(*train_arguments(tiny_base, data, out))
    assert done.returncode == 2
    assert where in done.stderr and remedy in done.stderr and "broken.jsonl" in done.stderr
    assert not out.exists(), "nothing is written"


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted_to_the_bit(labkit, tiny_base, good_data, tmp_path):
    """The best step included, and the history, whatever the seconds were. While it's alive no other may train there,
    and once it's dead, it's in nobody's way."""
    arguments = ["--steps", 80, "--checkpoint-every", 3, "--dropout", 0.1]
    arguments += ["--validation", good_data, "--validate-every", 7, "--patience", 50]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert labkit(*train_arguments(tiny_base, good_data, whole, *arguments)).returncode == 0

    command = list(map(str, train_arguments(tiny_base, good_data, killed, *arguments)))
    process = subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any((killed / "checkpoints").glob("checkpoint-*")):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGSTOP)
    assert process.poll() is None, "the run was over before it could be killed"
    other = labkit(*command, "--overwrite")
    assert other.returncode == 2 and "another run trains into" in other.stderr
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "adapter").exists()
    finished = labkit(*command, "--resume")
    assert finished.returncode == 0, finished.stderr
    assert weights(killed) == weights(whole)
    assert history(killed / "adapter").history == history(whole / "adapter").history
    assert len(history(killed / "adapter").validations) == 13


def test_resume_with_other_settings_is_refused(labkit, tiny_base, good_data, tmp_path, monkeypatch):
    def ctrl_c(report):
        if report.step == 2:
            raise KeyboardInterrupt

    arguments = train_arguments(tiny_base, good_data, tmp_path / "run", "--checkpoint-every", 1)
    with monkeypatch.context() as during:
        during.setattr("labkit.lab.widgets.training_bar", lambda: ctrl_c)
        stopped = labkit(*arguments, "--steps", 5000)
    assert stopped.returncode == 130 and any((tmp_path / "run" / "checkpoints").glob("checkpoint-*"))
    done = labkit(*arguments, "--steps", 4000, "--resume")
    assert done.returncode == 2 and "made by another run (not the same: steps)" in done.stderr


def test_one_run_at_a_time_trains_into_a_folder(labkit, tiny_base, good_data, tmp_path, monkeypatch):
    """Of several processes of one run only the first is asked, since they share the folder."""
    out = tmp_path / "new" / "run"
    arguments = train_arguments(tiny_base, good_data, out, "--steps", 1)
    out.mkdir(parents=True)
    with alone_at(out / "run"):
        done = labkit(*arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr == (
            f"labkit train: another run trains into {out}. Wait for its end, or choose another --out\n"
        )
        with monkeypatch.context() as second:
            second.setenv("RANK", "1")
            assert labkit(*arguments).returncode == 0
    assert labkit(*arguments).returncode == 0 and os.listdir(out) == ["adapter"]


def test_a_full_disk_is_a_sentence(labkit, tiny_base, good_data, tmp_path, monkeypatch):
    """safetensors has a kind of error of its own for it."""

    def full(tensors, path, **_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("labkit.lora.files.save_file", full)
    done = labkit(*train_arguments(tiny_base, good_data, tmp_path / "run", "--steps", 1, "--checkpoint-every", 1))
    said = (
        f"labkit train: {tmp_path / 'run' / 'adapter'} can't be used (No space left on device). Make room on that disk"
    )
    assert done.returncode == 2 and done.stderr.splitlines()[1:] == [said]
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["checkpoint-000001"], "nothing that was learned is lost"
