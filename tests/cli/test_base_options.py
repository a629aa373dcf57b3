"""Which base a command loads: in four bits or dense, in which dtype and where; by its options, or as the adapter needs.

That four bits are the right ones is held to bitsandbytes in ``tests/quant``, and what each way into the library says of
the wrong kind of base is in ``tests/lora/test_held_otherwise.py``. Here every command is asked.
"""

import io
import json
import re

import pytest
import torch
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.cli import main
from labkit.cli.parser import _parser
from labkit.lora.base_form import form_of
from labkit.quant.linear4bit import NF4Linear

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [{"prompt": f"say {i}", "completion": word} for i, word in enumerate(("one", "two", "three", "four"))]
FORMS = {
    "dense": [],
    "nf4": ["--quantize=nf4"],
    "double": ["--quantize=nf4", "--double"],
    "bfloat16": ["--dtype=bfloat16"],
    "float16": ["--dtype=float16"],
    "double, bfloat16": ["--quantize=nf4", "--double", "--dtype=bfloat16"],
}
NF4 = "nf4 by labkit, blocks of 64"
SAYS = {
    "dense": {"dtype": "float32"},
    "nf4": {"dtype": "float32", "quantization": NF4},
    "double": {"dtype": "float32", "quantization": f"{NF4}, double"},
    "bfloat16": {"dtype": "bfloat16"},
    "float16": {"dtype": "float16"},
    "double, bfloat16": {"dtype": "bfloat16", "quantization": f"{NF4}, double"},
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A base, rows, and under ``runs`` an adapter trained on it in each form."""
    folder = tmp_path_factory.mktemp("here")
    make_tiny_llama(vocab_size=128, max_position_embeddings=256).save_pretrained(folder / "base")
    make_tiny_tokenizer().save_pretrained(folder / "base")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("labkit.training.refusals.refuse_what_cannot_fit", lambda *_, **__: None)
        for name, options in FORMS.items():
            train = ["train", "--base=base", "--data=rows.jsonl", "--steps=3", f"--out=runs/{name}"]
            assert main([*train, *options]) == 0
    return folder


@pytest.fixture
def run(here, monkeypatch, capsys):
    """Runs a command there: its exit status, what it printed, what it said on stderr, and the base that it loaded."""
    monkeypatch.chdir(here)
    loaded, load = [], labkit.load_base
    monkeypatch.setattr(labkit, "load_base", lambda *a, **k: loaded.append(load(*a, **k)) or loaded[-1], raising=False)

    def run(*arguments: str):
        loaded.clear(), capsys.readouterr()
        status = main(list(arguments))
        printed, said = capsys.readouterr()
        return status, printed, said, loaded[-1][0] if loaded else None

    return run


def adapter(form: str) -> str:
    return f"runs/{form}/adapter"


SCORE = ["evaluate", "--base=base", "--data=rows.jsonl", "--json"]


@pytest.mark.parametrize("form", FORMS)
def test_training_holds_the_base_as_asked_and_the_adapter_says_so(form, here):
    base = json.loads((here / adapter(form) / "labkit.json").read_text())["base"]
    assert {key: base[key] for key in base.keys() - {"name", "fingerprint"}} == SAYS[form]
    # B has moved: it was trained, through four bits as well
    state = labkit.lora.files.read_weights(here / adapter(form) / "adapter_model.safetensors")
    moved = [key for key, tensor in state.items() if "lora_B" in key and tensor.abs().max() > 0]
    assert len(moved) == 14


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_those_of_the_form_the_adapter_was_trained_on(form, run):
    """Without an option, and with the options it was trained with: the same base, and nothing to say."""
    found = []
    for options in ([], FORMS[form]):
        status, printed, said, model = run(*SCORE, f"--adapter={adapter(form)}", *options)
        assert (status, said) == (0, "")
        now = form_of(model)
        assert (now.quantization, now.dtype) == (SAYS[form].get("quantization"), SAYS[form]["dtype"])
        assert any(isinstance(module, NF4Linear) for module in model.modules()) == ("quantization" in SAYS[form])
        found.append(json.loads(printed))
    assert found[0] == found[1]


def test_a_folder_of_before_says_no_dtype_and_one_of_peft_says_nothing(here, run):
    for folder, keep in {"old": ("name", "fingerprint", "quantization"), "pefts": ()}.items():
        about = here / adapter("double") / "labkit.json"
        copy = here / folder
        copy.mkdir(exist_ok=True)
        for file in about.parent.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        written = json.loads(about.read_text())
        written["base"] = {key: written["base"][key] for key in keep}
        (copy / "labkit.json").write_text(json.dumps(written))
        if not keep:
            (copy / "labkit.json").unlink()
        status, _, said, model = run(*SCORE, f"--adapter={folder}")
        assert (status, said) == (0, "") and form_of(model).dtype == "float32"
        assert (form_of(model).quantization is None) == (not keep)


@pytest.mark.parametrize("form", ["double", "bfloat16"])
def test_an_adapter_goes_on_on_the_base_it_was_trained_on(form, run, tmp_path):
    train = ["train", "--base=base", "--data=rows.jsonl", "--steps=1", f"--out={tmp_path}"]
    status, _, said, model = run(*train, f"--continue-from={adapter(form)}")
    now = form_of(model)
    assert status == 0 and "was trained on the base" not in said  # what's there is the bar
    assert (now.quantization, now.dtype) == (SAYS[form].get("quantization"), SAYS[form]["dtype"])


OTHERWISE = (
    "labkit {command}: {adapter}: this adapter was trained on the base {then}, and here the base is {now}, so {cost}. "
    "Load the base {way} to get those that it learned\n"
)


def sentence(command: str, then: str, now: str, way: str) -> str:
    words = {"dense": "dense", "nf4": f"in four bits ({NF4})", "double": f"in four bits ({NF4}, double)"}
    cost = "more answers may be wrong" if then == "dense" else "answers may change a little"
    return OTHERWISE.format(
        command=command, adapter=adapter(then), then=words[then], now=words[now], cost=cost, way=way
    )


OTHER_KINDS = [
    ("double", ["--quantize=none"], "dense", "with --quantize nf4 and --double"),
    ("double", ["--quantize=nf4"], "nf4", "with --quantize nf4 and --double"),
    ("nf4", ["--quantize=nf4", "--double"], "double", "with --quantize nf4"),
    ("dense", ["--quantize=nf4"], "nf4", "without --quantize nf4"),
]


@pytest.mark.parametrize("then, options, now, way", OTHER_KINDS)
def test_every_command_that_takes_an_adapter_says_once_that_the_base_is_of_another_kind(
    then, options, now, way, run, monkeypatch, tmp_path
):
    path = adapter(then)
    doors = {
        "evaluate": [*SCORE, f"--adapter={path}", *options],
        "chat": ["chat", "--base=base", f"--adapter={path}", *options],
        "merge": ["merge", path, str(tmp_path / "merged"), "--base=base", *options],
    }
    for command, arguments in doors.items():
        monkeypatch.setattr("sys.stdin", io.StringIO(f"/use {path}\n/quit\n"))
        status, _, said, _ = run(*arguments)
        assert (status, said) == (0, sentence(command, then, now, way))
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "and is merged here into the base" in card


def test_every_command_with_an_adapter_is_walked_above():
    commands = _parser()._subparsers._group_actions[0].choices
    takes = {name for name, sub in commands.items() if any(a.dest == "adapter" for a in sub._actions)}
    takes -= {"export"}  # its base is a GGUF file, rounded otherwise, and it says so itself: tests/export
    takes -= {"history", "push"}  # these load no base
    assert takes == {"evaluate", "chat", "merge"}, "a door that nobody watches"


def test_a_chat_that_begins_with_the_base_says_it_when_the_adapter_comes(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"/use {adapter('double')}\nHi\n/use {adapter('dense')}\n/quit\n"))
    status, printed, said, _ = run("chat", "--base=base", "--max-new-tokens=2")
    assert (status, said) == (0, sentence("chat", "double", "dense", "with --quantize nf4 and --double"))
    assert "base listens" in printed


def test_a_chat_says_how_its_base_is_held_and_who_answers(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi\n/quit\n"))
    status, printed, said, model = run("chat", "--base=base", f"--adapter={adapter('double')}", "--max-new-tokens=2")
    assert (status, said) == (0, "") and model.labkit.quantization.endswith("double")
    assert printed.startswith(f"base, held in four bits ({NF4}, double), listens.") and "tokens/s" in printed
    assert f"{adapter('double')} answers now" in printed


def test_merging_what_was_trained_in_four_bits_into_a_dense_base_costs_and_the_way_round_costs_nothing(run, tmp_path):
    """The merged folder's logits against those of the base in four bits with its adapter beside it."""
    from transformers import AutoModelForCausalLM

    tokens = torch.tensor([[5, 9, 33, 70, 8]])
    model, _ = labkit.load_base("base", quantize="nf4", double=True)
    kept_apart = labkit.load_adapter(model, adapter("double"))(tokens).logits
    off = {}
    for out, options in {"dense": [], "right": ["--quantize=nf4", "--double"]}.items():
        status, _, said, _ = run("merge", adapter("double"), str(tmp_path / out), "--base=base", *options)
        assert status == 0 and bool(said) == (out == "dense")
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / out)
        off[out] = ((merged(tokens).logits - kept_apart).norm() / kept_apart.norm()).item()
    assert off["right"] < 1e-5 < 0.02 < off["dense"]


def test_a_run_is_not_gone_on_with_on_another_kind_of_base(run, monkeypatch):
    train = ["train", "--base=base", "--data=rows.jsonl", "--steps=4", "--checkpoint-every=1", "--out=cut", "--resume"]
    monkeypatch.setattr("labkit.save_adapter", lambda *_: 1 / 0, raising=False)  # killed before it's saved
    with pytest.raises(ZeroDivisionError):
        run(*train, "--quantize=nf4")
    for options, changed in {"": "quantization", "--quantize=nf4 --dtype=bfloat16": "dtype"}.items():
        status, _, said, _ = run(*train, *options.split())
        assert status == 2 and f"made by another run (not the same: {changed})" in said


# ---- refusals


@pytest.mark.parametrize("command", ["train", "evaluate", "chat", "merge", "plan"])
def test_double_is_about_four_bits(command, run):
    needed = {"merge": [adapter("double"), "merged"], "plan": ["smollm2-135m"]}.get(command, [])
    for options in (["--double"], ["--double", "--quantize=none"]):
        status, printed, said, model = run(command, *needed, *options)
        assert (status, printed, model) == (2, "", None)
        assert said == f"labkit {command}: --double is about the scales of four bits: say --quantize nf4 as well\n"


REFUSED = {
    "--device=abacus": "--device='abacus': there's no such device. Use cpu, cuda",
    "--dtype=int8": "--dtype: invalid choice: 'int8' (choose from",
    "--quantize=int4": "--quantize: invalid choice: 'int4' (choose from",
}


@pytest.mark.parametrize("command", [["train", "--data=rows.jsonl", "--out=no"], SCORE[:1] + SCORE[2:], ["chat"]])
@pytest.mark.parametrize("option", REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(command, option, run, here):
    status, printed, said, _ = run(*command, "--base=base", option)
    assert (status, printed, said.count("\n")) == (2, "", 1) and REFUSED[option] in said
    assert not (here / "no").exists()


@pytest.mark.skipif(torch.accelerator.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(run):
    status, _, said, _ = run(*SCORE, "--device=cuda")
    assert status == 2 and "--device='cuda': this machine has no GPU that PyTorch can use. Use cpu" in said


def test_a_weight_that_a_dtype_cannot_hold_is_refused(here, run, tmp_path):
    model = make_tiny_llama(vocab_size=128, max_position_embeddings=256)
    with torch.no_grad():
        model.model.norm.weight[3] = 1e5
    model.save_pretrained(tmp_path / "large")
    make_tiny_tokenizer().save_pretrained(tmp_path / "large")
    status, _, said, _ = run(*SCORE, f"--base={tmp_path / 'large'}", "--dtype=float16")
    assert status == 2 and re.search("model.norm.weight of .*large is too large for float16.* another dtype", said)


def test_a_plan_for_this_machine_has_the_bytes_of_a_cpus_step_and_asks_what_is_free(run, tmp_path):
    config = make_tiny_llama(hidden_size=256, intermediate_size=512).config
    config.save_pretrained(tmp_path)
    status, printed, said, _ = run("plan", str(tmp_path), "--seq=32", "--device=cpu", "--batch-size=2")
    cost = labkit.simulate(config, dtype="float32", device="cpu", sequence=32, batch_size=2)
    assert (status, said) == (0, "") and printed.startswith(f"{cost}\nThis machine has ")
    assert " GB free: it fits.\n" in printed and "H100" not in printed and "CUDA" not in printed


def test_a_plan_has_the_same_four_bits_as_training(run, tmp_path):
    make_tiny_llama(hidden_size=256, intermediate_size=512).config.save_pretrained(tmp_path)
    plan = ["plan", str(tmp_path), "--json", "--seq=32"]
    takes = {}
    for name, options in {
        "lora": [],
        "nf4": ["--quantize=nf4"],
        "double": ["--quantize=nf4", "--double"],
        "qlora": ["--method=qlora"],
    }.items():
        status, printed, said, _ = run(*plan, *options)
        assert (status, said) == (0, "")
        takes[name] = json.loads(printed)["phases"]["loaded"]["weights"]
    assert takes["qlora"] == takes["double"] < takes["nf4"] < takes["lora"]
    status, _, said, _ = run(*plan, "--method=full", "--quantize=nf4")
    assert status == 2 and "--quantize nf4 goes with LoRA" in said
