import os
import subprocess
import sys

import pytest

from labkit.errors import AdapterError, ConfigError
from labkit.storage import places, writing


@pytest.mark.parametrize(
    ("variable", "folder"), [("LABKIT_CACHE", places.cache_dir), ("LABKIT_DATA", places.user_data_dir)]
)
def test_environment_moves_a_folder(monkeypatch, tmp_path, variable, folder):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert folder() == tmp_path / "elsewhere"
    monkeypatch.setenv(variable, "")
    assert folder().is_absolute() and "labkit" in folder().parts[-1].lower()


def test_course_data_lies_beside_the_package():
    assert places.course_data_dir().parent.joinpath("labkit", "errors.py").exists()


@pytest.mark.parametrize("content", ["", "naïve ✔\nsecond line\n", b"\x00\xff\r\n", "x" * 1_000_000])
def test_write_atomically_round_trip(tmp_path, content):
    path = tmp_path / "new folder" / "file"
    writing.write_atomically(path, "older")
    writing.write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(path.parent) == ["file"]


def test_write_atomically_refused_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        writing.write_atomically(tmp_path / "taken", "text")
    assert os.listdir(tmp_path) == ["taken"]


def test_folder_replaces_the_older_one_whole(tmp_path):
    for names in (["a", "b"], ["b", "c"]):
        with writing.folder_written_aside(tmp_path / "target") as aside:
            assert not list(aside.iterdir()) and aside != tmp_path / "target"
            for name in names:
                (aside / name).write_text(name)
        assert sorted(os.listdir(tmp_path / "target")) == names
    assert os.listdir(tmp_path) == ["target"]


def test_folder_after_an_error_is_as_before(tmp_path):
    with writing.folder_written_aside(tmp_path / "target") as aside:
        (aside / "file").write_text("good")
    with pytest.raises(ValueError, match="half way"):
        with writing.folder_written_aside(tmp_path / "target") as aside:
            (aside / "file").write_text("bad")
            raise ValueError("half way")
    assert (tmp_path / "target" / "file").read_text() == "good"
    assert os.listdir(tmp_path) == ["target"]


def test_a_killed_writer_leaves_no_half_folder(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from labkit.storage.writing import folder_written_aside\n"
        "with folder_written_aside(sys.argv[1]) as aside:\n"
        "    (aside / 'file').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "target")])
    assert killed.returncode == -9
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no groups and no others here")
def test_who_may_read_a_folder_may_read_its_files(tmp_path):
    with writing.folder_written_aside(tmp_path / "a") as folder:
        (folder / "plain.json").touch(mode=0o666)
        (folder / "private.safetensors").touch(mode=0o600)  # as safetensors does
        folder.chmod(0o750)
    assert {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "a").iterdir()} == {
        "private.safetensors": 0o640,
        "plain.json": 0o640,
    }


def test_a_folder_may_hold_folders(tmp_path):
    with writing.folder_written_aside(tmp_path / "a") as folder:
        (folder / "more").mkdir()
        (folder / "more" / "file").write_text("x")
    assert (tmp_path / "a" / "more" / "file").read_text() == "x"


def test_what_is_there_is_not_overwritten(tmp_path):
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    file.touch()
    for free in (tmp_path / "new", full):
        writing.refuse_occupied(free, ConfigError)
    for name in ("a", "b"):
        (full / name).touch()
    writing.refuse_occupied(full, ConfigError, besides=("a", "b", "c"))
    with pytest.raises(ConfigError, match="full: this folder holds b, and it will not be overwritten"):
        writing.refuse_occupied(full, ConfigError, besides=("a",))
    with pytest.raises(AdapterError, match="file: this is a file"):
        writing.refuse_occupied(file, AdapterError, besides=("file",))
