import errno
import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from labkit.errors import AdapterError, ConfigError
from labkit.storage import paths, writing

resource = pytest.importorskip("resource") if os.name != "nt" else None


@pytest.mark.parametrize(
    ("variable", "folder"), [("LABKIT_CACHE", paths.cache_dir), ("LABKIT_DATA", paths.user_data_dir)]
)
def test_environment_moves_a_folder(monkeypatch, tmp_path, variable, folder):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert folder() == tmp_path / "elsewhere"
    monkeypatch.setenv(variable, "")
    assert folder().is_absolute() and "labkit" in folder().parts[-1].lower()


def test_course_data_lies_beside_the_package():
    assert paths.course_data_dir().parent.joinpath("labkit", "errors.py").exists()


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


def killed_between_renames(path):
    """Leave what a writer leaves that dies after the first of its two renames."""
    shutil.copytree(path, path.with_name(f".{path.name}.0badcafe.tmp"))
    path.with_name(f".{path.name}.lock").touch()
    path.rename(path.with_name(f".{path.name}.0badcafe.old"))
    return path


@pytest.fixture
def cut_off(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "file").write_text("old")
    return killed_between_renames(tmp_path / "target")


@pytest.mark.parametrize("link", [False, True])
def test_the_next_read_brings_the_old_folder_back(cut_off, link):
    path = cut_off
    if link:
        path = cut_off.parent / "link"
        path.symlink_to(cut_off)
    assert (writing.restored(path) / "file").read_text() == "old"
    assert {*os.listdir(cut_off.parent)} - {"link"} == {"target"}
    assert (writing.restored(str(path)) / "file").read_text() == "old"


def test_the_next_write_does_as_well_also_where_it_fails(cut_off):
    with pytest.raises(ValueError, match="half way"):
        with writing.folder_written_aside(cut_off):
            raise ValueError("half way")
    assert (cut_off / "file").read_text() == "old" and os.listdir(cut_off.parent) == ["target"]
    with pytest.raises(ConfigError, match="holds file"):
        writing.refuse_occupied(killed_between_renames(cut_off), ConfigError)


def test_what_is_not_a_writers_is_left_alone(cut_off):
    others = {".target.x.tmp", ".target.more.0badcafe.old", "target.0badcafe.tmp", ".target.0badcafe.tmp.txt"}
    for name in others:
        (cut_off.parent / name).touch()
    with writing.folder_written_aside(cut_off):
        pass
    assert {*os.listdir(cut_off.parent)} == others | {"target"}
    assert not (writing.restored(cut_off.parent / "target.more.0badcafe")).exists()
    for nowhere in ("no/such/place", "a\0b", "x" * 5000):
        assert not os.path.exists(writing.restored(nowhere))


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with writing.folder_written_aside(tmp_path / "link") as folder:
        (folder / "file").touch()
    assert (tmp_path / "link").is_symlink() and os.listdir(tmp_path / "elsewhere") == ["file"]


def test_a_folder_is_removed_whole(tmp_path, monkeypatch):
    (tmp_path / "target" / "more").mkdir(parents=True)
    writing.remove_folder(tmp_path / "target")
    writing.remove_folder(tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_one_writer_at_a_time(tmp_path):
    """The second waits for the first, takes nothing away from it, and says so if that takes too long."""
    path, began, ended = tmp_path / "target", threading.Event(), threading.Event()

    def write(name, wait=False):
        with writing.folder_written_aside(path) as folder:
            (folder / name).touch()
            began.set()
            assert not wait or ended.wait(10)

    with ThreadPoolExecutor(2) as others:
        first = others.submit(write, "first", wait=True)
        assert began.wait(10)
        second = others.submit(write, "second")
        with pytest.raises(TimeoutError, match="target: another program is writing here. Wait until it's done"):
            with writing.alone_at(path, patience=0.1):
                pass
        assert not second.done() and not path.exists()
        ended.set()
        first.result()
        second.result()
    assert os.listdir(tmp_path) == ["target"] and os.listdir(path) == ["second"]


def test_a_file_system_without_locks(cut_off, monkeypatch):
    """It works as ever, and a leftover may be of a writer that is alive."""
    monkeypatch.setattr(writing.FileLock, "acquire", lambda self, timeout: (_ for _ in ()).throw(NotImplementedError))
    (cut_off.parent / ".target.lock").unlink()  # of the killed writer
    with writing.folder_written_aside(cut_off) as folder:
        (folder / "file").write_text("new")
    assert (cut_off / "file").read_text() == "new"
    assert {*os.listdir(cut_off.parent)} >= {".target.0badcafe.tmp", ".target.0badcafe.old", "target"}
    assert ".target.lock" not in os.listdir(cut_off.parent)


def test_without_locks_nobody_who_looks_takes_a_live_writers_folder(cut_off, monkeypatch):
    monkeypatch.setattr(writing.FileLock, "acquire", lambda self, timeout: (_ for _ in ()).throw(NotImplementedError))
    assert not cut_off.exists()
    before = {*os.listdir(cut_off.parent)}
    writing.restored(cut_off)
    assert {*os.listdir(cut_off.parent)} == before


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit for the size of files here")
def test_the_systems_errors_of_safetensors_are_the_systems(tmp_path):
    """It has a kind of error of its own, with the number in its text."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            with writing.folder_written_aside(tmp_path / "target") as folder:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
                save_file({"a": torch.zeros(10_000)}, folder / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.errno == errno.EFBIG and os.listdir(tmp_path) == []
    with pytest.raises(SafetensorError, match="anything else"):
        with writing.folder_written_aside(tmp_path / "target"):
            raise SafetensorError("anything else")


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
    with pytest.raises(ConfigError, match="full: this folder holds b, and labkit won.t overwrite it"):
        writing.refuse_occupied(full, ConfigError, besides=("a",))
    with pytest.raises(AdapterError, match="file: this is a file"):
        writing.refuse_occupied(file, AdapterError, besides=("file",))
