"""Whatever is asked of the command ``labkit`` wrongly ends in exit status 2 and one line, in the command line's words.

Everything runs in this process, as `main` does it: an error that is no refusal fails its test by itself.
"""

import dataclasses
import errno
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors.torch import load_file, save_file

import labkit
from labkit.cli import main, messages, parser, values
from labkit.lora.files import ABOUT_FILE, CONFIG_FILE, WEIGHTS_FILE
from labkit.storage import untrusted

SETTINGS = {field.name for each in (labkit.LoraConfig, labkit.TrainConfig) for field in dataclasses.fields(each)}
PYTHONS = {name for name in SETTINGS if "_" in name} | {"max_new_tokens", "force=True", "resume=True", "load_base"}
HIDDEN = "\x1b[2J\x1b]0;gone\x07\u202e\u200b\r\n# "  # clears a screen, renames a window, turns a line around


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """A folder with a base, an adapter for it, rows, and things that are none of these."""
    folder = tmp_path_factory.mktemp("here")
    make_tiny_llama(vocab_size=128).save_pretrained(folder / "base")
    make_tiny_tokenizer().save_pretrained(folder / "base")
    rows = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(4)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "folder").mkdir()
    (folder / "file").write_text("")
    model, _ = labkit.load_base(folder / "base", device="cpu")
    labkit.inject_lora(model, labkit.LoraConfig(target_modules=["q_proj"]))
    labkit.save_adapter(model, folder / "adapter", {"system": "Be brief."})
    return folder


@pytest.fixture
def refused(here, monkeypatch, capsys):
    """Runs a command that must be refused, in that folder, and gives the line it ends with."""
    monkeypatch.chdir(here)

    def run(*arguments: str) -> str:
        assert main(list(arguments)) == 2
        printed, said = capsys.readouterr()
        assert said.endswith("\n") and said.count("\n") == 1 and said[:-1].isprintable(), said
        assert said.startswith((f"labkit {arguments[0]}: ", "labkit: command: invalid choice")), said
        assert "Traceback" not in said
        if CONFIG_FILE not in said:  # whose fields have Python's names
            assert [name for name in PYTHONS if name in said] == [], said
        assert printed.replace("\n", "").isprintable() and not Path("runs").exists()
        return said

    return run


# ---- options, each of which the parser knows


COMMANDS = parser._parser()._subparsers._group_actions[0].choices
WITH_A_VALUE = [
    (command, action.option_strings[-1] if action.option_strings else action.dest, action)
    for command, sub in COMMANDS.items()
    for action in sub._actions
    if action.nargs != 0
]
# what the simulator reads itself: its messages are tested with it
PLANS_OWN = {"model", "--method", "--dtype", "--adapter-dtype", "--card", "--utilization"}
NO_NUMBER = ["", " ", "text", "nan", "-inf", "9" * 5000, "1\x1b[2J"]
NEEDED = {
    "merge": ["adapter", "merged"],
    "export": ["adapter", "out.gguf"],
    "push": ["adapter", "me/x"],
    "plan": ["smollm2-135m"],
}


@pytest.mark.parametrize("command, option, action", WITH_A_VALUE, ids=[f"{c} {o}" for c, o, _ in WITH_A_VALUE])
def test_a_bad_value_is_refused_with_the_options_name(command, option, action, refused):
    if command == "plan" and option in PLANS_OWN:
        return
    bad = {
        "number": [*NO_NUMBER, "-1"],
        "text": ["", " \n", "caf\udce9"],  # what a name in Latin-1 looks like to Python
        "path": ["", " "],
        "choice": ["", "nf5"],
    }
    if action.choices:
        kind = "choice"
    else:
        kind = {values.text: "text", values.path: "path"}.get(action.type, "number")
        assert action.type not in (None, int, float, Path), "an option says what it takes"
    for value in bad[kind]:
        if action.option_strings:
            said = refused(command, *NEEDED.get(command, []), f"{option}={value}")
        elif command in ("merge", "export", "push"):
            given = [action.dest for action in COMMANDS[command]._actions if not action.option_strings]
            said = refused(command, *(value if option == name else name for name in given))
        else:
            said = refused(command, value)
        assert option in said


TRAIN = ["train", "--base=base", "--data=rows.jsonl", "--out=run", "--steps=1"]
EVALUATE = ["evaluate", "--base=base", "--data=rows.jsonl"]
MERGE = ["merge", "adapter", "merged", "--base=base"]
ASKED_WRONGLY = {
    "train": "give either --task (one of the course's) or --data",
    "train --task=poetry": "there is no task 'poetry'; there are: tickets",
    "train --task=tickets --base=no-such-folder/no-model/at-all": "no base model 'no-such-folder/no-model/at-all'",
    "train --nonsense": "unrecognized arguments: --nonsense. labkit train --help",
    "evaluate rows.jsonl": "unrecognized arguments: rows.jsonl",
    "merge": "the following arguments are required: adapter, out",
    "fetch nobody": "no base model 'nobody' is known",
    "sing": "command: invalid choice: 'sing'",
    "chat --base=nowhere": "no base model 'nowhere' is known",
    "chat --base=folder": "folder/config.json: the file is missing",
    "chat --base=base --max-new-tokens=64": "--max-new-tokens: an answer has 1 to 63 new tokens",
    "demo --base=file": "no base model 'file' is known",
    "evaluate --data=folder": "folder: cannot be read",
    "evaluate --data=nowhere": "nowhere: cannot be read",
    "evaluate --base=base --data=rows.jsonl --shots=1": "say --shots-from and a file",
    "evaluate --base=base --data=rows.jsonl --shots-from=rows.jsonl": "say --shots and how many",
    "evaluate --base=base --data=rows.jsonl --shots=99 --shots-from=rows.jsonl": "--shots 99 is more than the",
    "evaluate --base=base --data=rows.jsonl --shots=1 --shots-from=nowhere": "nowhere: cannot be read",
    "preview": "give either --task (one of the course's) or --data",
    "preview --data=nowhere": "nowhere: cannot be read",
    "evaluate --adapter=nowhere": "nowhere/adapter_config.json: the file is missing",
    "evaluate --task=tickets --adapter=nowhere": "nowhere/adapter_config.json: the file is missing",
    "evaluate --task=tickets --adapter=file": "file/adapter_config.json: not readable",
    "merge nowhere merged": "nowhere/adapter_config.json: the file is missing",
    "merge adapter file": "file: this is a file, and labkit won't overwrite it",
    "merge adapter adapter": "adapter: this folder holds adapter_config.json",
    "export": "the following arguments are required: adapter, out",
    "export nowhere out.gguf": "nowhere/adapter_config.json: the file is missing",
    "export adapter out.gguf --base=nowhere": "no base model 'nowhere' is known",
    "export adapter file": "file: the file's name must end in .gguf",
    "export adapter folder": "folder is a folder. Name a file in it, such as folder/adapter.gguf",
    "export adapter out.gguf --with-base --from=x": "--from and --with-base both say which base",
    "export adapter out.gguf --base=base --with-base": "--with-base is for SmolLM2-135M-Instruct",
    "push": "the following arguments are required: adapter, repo",
    "push nowhere me/x": "nowhere/adapter_config.json: the file is missing",
    "push adapter x --dry-run": "say where to as user/name",
    "advise": "say --rows and how many there are, or --data and their file",
    "advise --rows=5 --task=poetry": "--task='poetry' isn't known; known are classify (",
    "advise --rows=5 --card=abacus": "no card is known as 'abacus'; known are cpu; ",
    "advise nobody --rows=5": "no model is known as 'nobody'",
    "advise --rows=5 --swappable --merged": "--swappable keeps the adapter apart, and --merged doesn't",
    "advise --rows=5 --seq=99999": "a sequence of 99,999 tokens is longer",
    "plan smollm2-135m --method=qlora --quantize=none": "Leave out --quantize none, or say lora",
    "plan smollm2-135m --device=cpu --card=H100": "--card is a GPU, and --device cpu is this machine",
    "plan smollm2-135m --double": "--double is about the scales of four bits: say --quantize nf4",
    "merge adapter merged --base=base --double": "--double is about the scales of four bits: say --quantize nf4",
}
WITH_ROWS = {
    "--optimizer=lion": "--optimizer must be one of adamw",
    "--share-prefix --gradient-checkpointing": "--share-prefix and --gradient-checkpointing do not go together",
    "--share-prefix --dropout=0.1": "--share-prefix",
    "--gradient-accumulation=3": "--batch-size 4 cannot be split into 3 equal parts",
    "--targets=q_proj,v_porj": "--targets: no layer of this base is called v_porj",
    "--targets=q_proj,": "--targets takes names with a comma between them, got 'q_proj,'",
    "--targets=embed_tokens": "--targets embed_tokens: model.embed_tokens is a Embedding, not a linear layer",
    "--out=file/run": "can't write to file/run",
    "--evaluate=1": "has no split 'test'",
    "--test=nowhere": "nowhere: cannot be read",
}


@pytest.mark.parametrize("line", ASKED_WRONGLY)
def test_a_wrong_command_is_refused(line, refused):
    assert ASKED_WRONGLY[line] in refused(*line.split())


@pytest.mark.parametrize("options", WITH_ROWS)
def test_a_training_that_cannot_be_is_refused(options, refused):
    assert WITH_ROWS[options] in refused(*TRAIN, *options.split())


SETTINGS_OF_TRAIN = COMMANDS["train"].get_default("settings")


@pytest.mark.parametrize(
    "pythons, ours",
    [
        ("runs/batch_size/x: batch_size 4, batch_size=8.", "runs/batch_size/x: --batch-size 4, --batch-size=8."),
        ("r must be 1, got r=2 (my_r, r)", "--rank must be 1, got --rank=2 (my_r, r)"),
        ("steps must be 1, the seed must be of 5 steps", "--steps must be 1, the seed must be of 5 steps"),
        ("Set lora_dropout to 0. target_modules=['x']", "Set --dropout to 0. --targets=['x']"),
        (
            "gradient_checkpointing=True (slower), gradient_accumulation=4. force=True tries anyway",
            "--gradient-checkpointing (slower), --gradient-accumulation=4. --force tries anyway",
        ),
        ("go on from it with resume=True", "go on from it with --resume"),
        ("need learning_rate ≥ 0 and max_grad_norm > 0", "need --lr ≥ 0 and max_grad_norm > 0"),
    ],
)
def test_a_setting_is_called_by_its_option_and_a_path_by_its_name(pythons, ours):
    assert messages.in_options(pythons, SETTINGS_OF_TRAIN) == ours


@pytest.mark.parametrize("category", [UserWarning, type("Own", (UserWarning,), {"__module__": "labkit.errors"})])
def test_a_warning_is_one_line_and_names_no_place(category, here, monkeypatch, capsys):
    file = labkit.__file__ if category is UserWarning else "elsewhere.py"

    def warned(*_, **__):
        warnings.warn_explicit("batch_size is\nodd\x1b[2J", category, file, 1)
        raise OSError(errno.ENOSPC, "No space left on device", "run")

    monkeypatch.chdir(here)
    monkeypatch.setattr("labkit.tasks.task_from_files", warned)
    assert main(TRAIN) == 2
    assert capsys.readouterr().err == (
        "labkit train: --batch-size is odd\\x1b[2J\n"
        "labkit train: run can't be used (No space left on device). Make room on that disk\n"
    )


def test_a_file_whose_name_is_no_text_is_read(here, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(here)
    name = "caf\udce9.jsonl"
    try:
        shutil.copy("rows.jsonl", tmp_path / name)
    except OSError:
        pytest.skip("this file system takes no such name")
    assert main([*TRAIN, f"--data={tmp_path / name}", f"--out={tmp_path / 'run'}"]) == 0
    assert "caf?" in (tmp_path / "run" / "adapter" / ABOUT_FILE).read_text()


def test_memory_that_does_not_suffice(here, monkeypatch, refused):
    def far_too_much(*_, **__):
        torch.empty(2**60)

    monkeypatch.setattr("labkit.evaluate", far_too_much, raising=False)
    assert "there isn't enough memory" in refused(*EVALUATE)


# ---- adapters of strangers


@pytest.fixture
def stranger(here, tmp_path):
    """Makes a copy of the adapter, with other fields in its config and in ``labkit.json``."""

    def make(fields: dict, about: dict | None = None) -> str:
        folder = shutil.copytree(here / "adapter", tmp_path / "stranger")
        written = json.loads((folder / CONFIG_FILE).read_text())
        (folder / CONFIG_FILE).write_text(json.dumps(written | fields))
        if about is None:
            (folder / ABOUT_FILE).unlink()
        else:
            (folder / ABOUT_FILE).write_text(json.dumps(about))
        return str(folder)

    return make


STRANGE_CONFIGS = {
    "600 plain keys": ({"rank_pattern": {f"layer{i}": 2 for i in range(600)} | {"q_proj": 3}}, "expected (3, 32)"),
    "MBs of plain keys": ({"rank_pattern": {f"layer{i}": 2 for i in range(110_000)}}, "has 110,000 entries"),
    "MBs of names": ({"target_modules": [f"layer{i}" for i in range(110_000)]}, "has 110,000 entries"),
    "alternatives that never end": ({"rank_pattern": {"(.|[^!])(.|[^!])" * 18 + "!": 4}}, "finds no end here"),
    "an expression that never ends": ({"target_modules": "(.*)*!"}, "finds no end here"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "changed the base's weights before training"),
    "DoRA": ({"use_dora": True}, "use_dora=True goes beyond plain LoRA"),
    "another method": ({"peft_type": HIDDEN}, "is not LoRA"),
    "a name that hides": ({"target_modules": [HIDDEN]}, "matches no layer"),
    "a field that hides": ({HIDDEN: 1}, "goes beyond plain LoRA"),
}


@pytest.mark.parametrize("case", STRANGE_CONFIGS)
def test_a_strangers_config(case, stranger, refused, monkeypatch):
    monkeypatch.setattr(untrusted, "PATTERN_SECONDS", 1.0)
    fields, why = STRANGE_CONFIGS[case]
    assert why in refused(*EVALUATE, "--adapter", stranger(fields))


STRANGE_WORDS = {
    "a task that hides": ({"task": HIDDEN}, "there is no task "),
    "rows that hide": ({"data": HIDDEN}, "say --data and a file"),
    "rows that are no text": ({"data": [1]}, "'data' must be text"),
    "a base that hides": ({"base": {"name": HIDDEN, "fingerprint": HIDDEN}}, "trained on another base"),
    "a base that is none": ({"base": [HIDDEN]}, "'base' must be a JSON object"),
    "a form of four bits that is no text": ({"base": {"quantization": 4}}, "'quantization' must be text"),
    "a dtype that is no text": ({"base": {"dtype": ["float32"]}}, "'dtype' must be text"),
    "a checksum that hides": ({"sha256": {CONFIG_FILE: HIDDEN}}, "damaged, or changed since"),
    "half a character": ({"system": "\ud800"}, "'system' must be text"),
}


@pytest.mark.parametrize("case", STRANGE_WORDS)
def test_what_a_strangers_folder_says_is_shown_as_text(case, stranger, refused):
    about, why = STRANGE_WORDS[case]
    folder = stranger({}, about)
    asked = ["--base=base"] if {"task", "data"} & about.keys() else EVALUATE[1:]
    assert why in refused("evaluate", *asked, "--adapter", folder)


def test_weights_that_are_no_numbers(stranger, refused):
    folder = stranger({})
    state = load_file(Path(folder) / WEIGHTS_FILE)
    next(iter(state.values()))[0] = float("nan")
    save_file(state, Path(folder) / WEIGHTS_FILE)
    assert "holds NaN or infinite values" in refused(*MERGE[:1], folder, *MERGE[2:])


@pytest.mark.parametrize("name", [".DS_Store", "._adapter_config.json", "Thumbs.db", "Desktop.ini"])
def test_what_a_desktop_leaves_in_a_folder_occupies_nothing(name, here, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(here)
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / name).write_text("")
    assert main(["merge", "adapter", str(tmp_path / "merged"), "--base=base"]) == 0
    assert (tmp_path / "merged" / "config.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--share-prefix is on: what all rows of a step begin with is computed once, and padding not at all\n"),
        (["--dropout", "0.1"], "--share-prefix is off: this model draws random numbers in training"),
        (["--no-share-prefix"], None),
    ],
)
def test_training_says_once_whether_it_shares_prefixes(here, tmp_path, capsys, options, said):
    asked = ["--data", here / "rows.jsonl", "--base", here / "base", "--out", tmp_path, "--steps", 2, *options]
    assert main(["train", *map(str, asked)]) == 0
    out = capsys.readouterr().out
    assert out.count("share-prefix") == bool(said) and (said or "") in out
