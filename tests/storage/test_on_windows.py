"""What labkit writes and reads, as Windows would have it (see windows.py)."""

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_tiny_llama, make_tiny_tokenizer
from kinds_of_write import KINDS
from safetensors.torch import load_file
from windows import windows  # noqa: F401  a fixture, for every test here

from labkit import LoraConfig, inject_lora, load_adapter, save_adapter
from labkit.base.fetching import _pip_arguments, fetch_base
from labkit.cli import doctor, main
from labkit.errors import BaseModelError
from labkit.lora.files import read_about
from labkit.storage import writing


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_write(name, tmp_path, monkeypatch):
    for variable in ("LABKIT_DATA", "LABKIT_CACHE"):
        monkeypatch.setenv(variable, "")
    kind = KINDS[name]()
    for version in (1, 2):
        kind.write(tmp_path, version)
        assert kind.read(tmp_path) == version
    assert {*os.listdir(tmp_path)} | {"progress.lock"} == {entry.format(2) for entry in kind.names} | {"progress.lock"}
    if name not in ("merged", "fetched"):  # of which transformers writes
        assert not [file for file in tmp_path.rglob("*.json*") if b"\r" in file.read_bytes()], (
            "the same bytes everywhere"
        )


def test_an_adapter_that_was_loaded_is_replaced(tmp_path):
    """PyTorch maps the files it reads, and Windows moves none that is mapped."""
    model = inject_lora(make_tiny_llama(), LoraConfig(r=2, target_modules="all-linear"))
    save_adapter(model, tmp_path / "adapter")
    other = load_adapter(make_tiny_llama(), tmp_path / "adapter")
    save_adapter(other, tmp_path / "adapter", {"task": "naïve 価格 ✔"})
    assert read_about(tmp_path / "adapter")["task"] == "naïve 価格 ✔"


def test_a_folder_in_use_is_said_and_stays(tmp_path):
    """A base keeps its weights mapped. Whatever is in use on Windows can't be replaced, and that's a sentence."""
    make_tiny_llama().save_pretrained(tmp_path / "base")
    mapped = load_file(tmp_path / "base" / "model.safetensors")
    with pytest.raises(PermissionError, match=r"can't be replaced .*loaded may do, end it first: '.*base'"):
        with writing.folder_written_aside(tmp_path / "base") as folder:
            (folder / "x").touch()
    assert sorted(os.listdir(tmp_path)) == ["base"] and mapped
    with pytest.raises(PermissionError):
        writing.remove_folder(tmp_path / "base")
    assert (tmp_path / "base" / "config.json").exists()


def test_a_moment_in_which_a_file_is_in_use_is_waited_for(tmp_path, monkeypatch):
    """A virus scanner looks at what is new, and another kernel at the learner's record."""
    (tmp_path / "file").write_text("old")
    reader = open(tmp_path / "file")
    monkeypatch.setattr(writing.time, "sleep", lambda seconds: reader.close())
    writing.write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_training_stopped_and_resumed(tmp_path, monkeypatch, capsys):
    """The averages of a resumed run are no part of the checkpoint's file, or Windows could not remove that."""
    make_tiny_llama(vocab_size=128).save_pretrained(tmp_path / "tiny")
    make_tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    rows = "".join(json.dumps({"prompt": f"say {i}", "completion": "ok"}) + "\n" for i in range(8))
    (tmp_path / "own.jsonl").write_text(rows, encoding="utf-8")
    out = tmp_path / "out"
    command = ["train", "--base", tmp_path / "tiny", "--data", tmp_path / "own.jsonl", "--out", out, "--steps", 4]
    command = [*map(str, command), "--checkpoint-every", "1"]

    def ctrl_c(report):
        if report.step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr("labkit.lab.widgets.training_bar", lambda: ctrl_c)
        assert main(command) == 130
    assert {*os.listdir(out / "checkpoints")} >= {"checkpoint-000002"}
    seen = []
    monkeypatch.setattr(
        "labkit.lab.widgets.training_bar", lambda: lambda report: seen.extend(os.listdir(out / "checkpoints"))
    )
    assert main([*command, "--resume"]) == 0, capsys.readouterr().err
    assert "checkpoint-000002" not in seen, "an older checkpoint is removed"
    assert os.listdir(out) == ["adapter"]


def test_backslashes_in_pip_args_are_parts_of_paths():
    given = r"--no-index --find-links C:\wheels --find-links='D:\my wheels' --index-url=https://x/#y"
    words = ["--no-index", "--find-links", r"C:\wheels", r"--find-links=D:\my wheels", "--index-url=https://x/#y"]
    assert _pip_arguments(given, windows=True) == words
    here = r"--find-links=/my\ wheels --proxy 'a b' --x=\"c\" # d"
    assert _pip_arguments(here, windows=False) == shlex.split(here)
    with pytest.raises(BaseModelError, match="PIP_ARGS can't be read .*No closing quotation"):
        _pip_arguments("--find-links 'wheels")


def test_a_drive_that_is_missing(monkeypatch, tmp_path, capsys):
    """Nothing above it exists, so whoever looks upward for something that does never ends."""
    (tmp_path / "own.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    exists, mkdir = os.path.exists, os.mkdir
    monkeypatch.setenv("LABKIT_CACHE", "/Z:/cache")
    monkeypatch.setattr(Path, "exists", lambda self: str(self).startswith(str(tmp_path)))
    monkeypatch.setattr(os.path, "exists", lambda path: str(path).startswith(str(tmp_path)) and exists(path))

    def no_drive(place, *mode):
        if not str(place).startswith(str(tmp_path)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
        return mkdir(place, *mode)

    monkeypatch.setattr(os, "mkdir", no_drive)
    (found,) = doctor.check_disk()
    assert (found.status, found.remedy) == ("fail", "set LABKIT_CACHE to a folder on another disk")
    assert main(["train", "--data", str(tmp_path / "own.jsonl"), "--out", "/Z:/out"]) == 2
    assert "/Z:/out (No such file" in capsys.readouterr().err
    with pytest.raises(BaseModelError, match="cannot write to /Z:/cache.*LABKIT_CACHE"):
        fetch_base(progress=False)


@pytest.mark.long
def test_what_is_tested_elsewhere():
    """The tests of all that writes, once more; those of groups and of signals are about Unix."""
    tests = Path(__file__).parents[1]
    files = ["storage/test_writing.py", "lora/test_files.py", "training/test_loop.py", "base/test_base.py"]
    files += ["base/test_saving.py", "lab/test_learner_record.py", "studies/test_runner.py"]
    unix = "who_may_read or systems_errors or kill or orphan"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "windows",
        "-m",
        "not slow and not long",
        "-k",
        f"not ({unix})",
    ]
    paths = {"PYTHONPATH": os.pathsep.join(map(str, (tests.parent, tests, tests / "storage")))}
    done = subprocess.run(
        [*command, *files], cwd=tests, env={**os.environ, **paths}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout


def test_what_the_fixture_refuses(tmp_path):
    """As Windows does; each of these is what labkit did, or could do."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "File").write_text("a\nb")
    assert (tmp_path / "File").read_bytes() == b"a\r\nb"
    for refused in (
        lambda: os.open(tmp_path / "folder", os.O_RDONLY),
        lambda: os.fsync(open(tmp_path / "File", "rb").fileno()),
        lambda: os.replace(tmp_path / "File", tmp_path / "folder"),
        lambda: os.rename(tmp_path / "folder", tmp_path / "File"),
        lambda: (tmp_path / "con.txt").touch(),
        lambda: (tmp_path / "a:b").mkdir(),
    ):
        with pytest.raises(OSError):
            refused()
    with pytest.raises(AssertionError, match="the same"):
        (tmp_path / "FILE").touch()
    with open(tmp_path / "File") as reader, pytest.raises(PermissionError):
        (tmp_path / "File").unlink()
    assert reader.closed and not hasattr(os, "fork")
