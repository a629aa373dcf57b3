"""Everything that labkit writes, as writes and reads of a numbered version that is told from a part of one."""

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from gguf import GGUFReader

import labkit
from labkit.base import fetching
from labkit.errors import LabkitError
from labkit.lab import learner_record
from labkit.storage import writing
from labkit.training import checkpoints
from studies.results import write_result
from studies.runner import Study


@dataclass
class Kind:
    """One kind of write.

    Attributes:
        write: the version of that number to a folder; an error, or False, where it could not.
        read: the version that is there, None if there is none; an error where it's none that was written.
        names: what is in the folder after a write, and nothing else; with the version's number in it, perhaps.
        befores: whether it may take the place of an older version, and of none.
    """

    write: Callable[[Path, int], object]
    read: Callable[[Path], int | None]
    names: set[str]
    befores: tuple = (True, False)


def _write_file(folder, version):
    writing.write_atomically(folder / "file", f"{version} " * 1000)


def _read_file(folder):
    if (folder / "file").exists():
        (version,), said = {*(words := (folder / "file").read_text().split())}, len(words)
        assert said == 1000
        return int(version)


def _write_folder(folder, version):
    with writing.folder_written_aside(folder / "target") as aside:
        (aside / "more").mkdir()
        for name in ("one", "more/two"):
            (aside / name).write_text(str(version))


def _read_folder(folder):
    target = writing.restored(folder / "target")
    if target.exists():
        (version,) = {file.read_text() for file in (target / "one", target / "more" / "two")}
        return int(version)


def _adapted():
    return labkit.inject_lora(make_tiny_llama(), labkit.LoraConfig(r=2, target_modules=["q_proj"]))


def _adapter():
    model, base = _adapted(), make_tiny_llama()

    def write(folder, version):
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data.fill_(version)
        labkit.save_adapter(model, folder / "adapter", {"recipe": version})

    def read(folder):
        if (writing.restored(folder / "adapter")).exists():
            found = labkit.lora.files.read_adapter(base, folder / "adapter")
            assert {float(number) for A in found.state().values() for number in A.unique()} == {found.about["recipe"]}
            return found.about["recipe"]

    return write, read


def _checkpoint():
    weight = torch.nn.Parameter(torch.zeros(5))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()

    def write(folder, version):
        weight.data.fill_(version)
        checkpoints.save(folder, version, {"w": weight}, optimizer, {}, [{"version": version}])

    def read(folder):
        got = torch.nn.Parameter(torch.zeros(5))
        step, history, *_ = checkpoints.restore(folder, {"w": got}, torch.optim.AdamW([got]), {})
        assert step == 0 or history == [{"version": step}] and got.data.eq(step).all()
        return step or None

    return write, read


def _record():
    def write(folder, version):
        os.environ["LABKIT_DATA"] = str(folder)  # a fixture puts it back
        learner_record._said.clear()
        return learner_record.update_record(
            lambda record: record.quizzes.update(version={"": learner_record.QuizAnswer(str(version), True)})
        )

    def read(folder):
        assert not list(folder.glob("*damaged*"))
        found = learner_record.read_record().quizzes
        return int(found["version"][""].said) if found else None

    return write, read


def _result(folder):
    if (folder / "study.json").exists():
        return json.loads((folder / "study.json").read_text())["version"]


def _line():
    def study(folder):
        return Study("study", {}, [], lambda setting: {}, folder=folder)

    def write(folder, version):
        study(folder)._append({"version": version}, {}, 0.0)

    def read(folder):
        return max((line["setting"]["version"] for line in study(folder).finished().values()), default=None)

    return write, read


def _merged():
    model, tokenizer = _adapted(), make_tiny_tokenizer()

    def write(folder, version):
        writing.remove_folder(folder / "merged")  # a merged model takes nobody's place
        labkit.save_merged(model, tokenizer, folder / "merged", about={"system": "x", "task": str(version)})

    def read(folder):
        if (writing.restored(folder / "merged")).exists():
            labkit.load_base(folder / "merged")
            card = (folder / "merged" / "README.md").read_text()
            return int(re.search(r'the task "(\d+)"', card)[1])

    return write, read


def _exported():
    place = Path(tempfile.mkdtemp())
    make_tiny_llama().save_pretrained(place / "base")
    make_tiny_tokenizer().save_pretrained(place / "base")
    base, _ = labkit.load_base(place / "base")
    labkit.inject_lora(base, labkit.LoraConfig(r=2, target_modules=["q_proj"]))

    def write(folder, version):
        for name, parameter in base.named_parameters():
            if "lora_" in name:
                parameter.data.fill_(version)
        labkit.save_adapter(base, place / "adapter", {"system": str(version)})
        labkit.export_gguf(place / "adapter", folder / "out.gguf", place / "base", overwrite=True)

    def read(folder):
        if (folder / "Modelfile").exists():
            assert (folder / "Modelfile").read_text().endswith('PARAMETER stop "<|im_end|>"\n')
        if (folder / "out.gguf").exists():
            (version,) = {
                int(number) for tensor in GGUFReader(folder / "out.gguf").tensors for number in tensor.data.flat
            }
            return version

    return write, read


def _fetched():
    """A fetch of what's damaged or missing, with neither pip nor GGUF: they write into folders of their own."""
    model = make_tiny_llama()

    def write(folder, version):
        os.environ["LABKIT_CACHE"] = str(folder / "cache")
        kept = fetching._download, fetching.convert_gguf, fetching._check_room
        fetching._download = lambda base, scratch, say, bar: (scratch / "model.gguf").write_text("x")
        fetching.convert_gguf = lambda gguf, target, name, context: model.save_pretrained(target)
        fetching._check_room = lambda base: None
        try:
            place = fetching.wheel_base(fetching.DEFAULT_BASE).folder
            if version == 1 or place.exists():  # what's fetched again is damaged
                place.mkdir(parents=True, exist_ok=True)
                (place / "labkit_base.json").write_text("{}")
            if version > 1:
                fetching.fetch_base(progress=False)
        finally:
            fetching._download, fetching.convert_gguf, fetching._check_room = kept

    def read(folder):
        os.environ["LABKIT_CACHE"] = str(folder / "cache")
        if not writing.restored(fetching.wheel_base(fetching.DEFAULT_BASE).folder).exists():
            return None
        try:
            return 2 if fetching.verify_base() else None
        except LabkitError:
            return 1

    return write, read


KINDS = {
    "file": lambda: Kind(_write_file, _read_file, {"file"}),
    "folder": lambda: Kind(_write_folder, _read_folder, {"target"}),
    "adapter": lambda: Kind(*_adapter(), {"adapter"}),
    "checkpoint": lambda: Kind(*_checkpoint(), {"checkpoint-{:06d}"}),
    "learner's record": lambda: Kind(*_record(), {"progress.json", "progress.lock"}),
    "result": lambda: Kind(lambda folder, v: write_result("study", {"version": v}, folder), _result, {"study.json"}),
    "a study's line": lambda: Kind(*_line(), {"lines"}),
    "merged": lambda: Kind(*_merged(), {"merged"}, (False,)),
    "exported": lambda: Kind(*_exported(), {"out.gguf", "Modelfile"}),
    "fetched": lambda: Kind(*_fetched(), {"cache"}),
}
