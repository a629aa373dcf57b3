"""Other people's bases by the command line: they train, are scored and chat, or one sentence says what's in the way.

What is right on each kind is held to transformers and PEFT in ``tests/test_kinds_of_base.py``.
"""

import io
import json

import pytest
from conftest import make_tiny_tokenizer
from kinds_of_base import make
from transformers import BertConfig, BertLMHeadModel, T5Config, T5ForConditionalGeneration

from labkit.cli import main

ROWS = [{"prompt": f"Say {word}", "completion": word} for word in ("one", "two", "three", "four")]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder with rows in it: its exit status, and the lines it left on stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def run(*arguments: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        status = main(list(arguments))
        said = capsys.readouterr().err.splitlines()
        assert not any("Traceback" in line for line in said)
        return status, [line for line in said if not line.startswith("training:")]

    return run


def save(folder, model, tokenizer=None) -> None:
    model.save_pretrained(folder)
    (tokenizer or make_tiny_tokenizer()).save_pretrained(folder)


TRAIN = [
    "train",
    "--base=base",
    "--data=rows.jsonl",
    "--test=rows.jsonl",
    "--steps=2",
    "--batch-size=2",
    "--evaluate=2",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["mamba", "mamba2", "llama4_text", "opt", "bloom", "gemma2", "gpt_oss", "phimoe", "jamba"]
)
def test_it_trains_is_scored_and_chats(run, kind, tmp_path, monkeypatch):
    without_context = ("mamba", "mamba2", "bloom")
    save(tmp_path / "base", make(kind) if kind in without_context else make(kind, max_position_embeddings=128))
    assert run(*TRAIN, "--out=out")[0] == 0
    (tmp_path / "out" / "adapter" / ".DS_Store").write_bytes(b"\0")
    assert run("evaluate", "--base=base", "--adapter=out/adapter", "--data=rows.jsonl") == (0, [])
    assert run(*TRAIN, "--out=out", "--overwrite")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n/use out/adapter\nHello\n/quit\n"))
    assert run("chat", "--base=base") == (0, [])


def without_end():
    tokenizer = make_tiny_tokenizer()
    tokenizer.eos_token = tokenizer.pad_token = None
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", "")
    return tokenizer


def t5():
    return T5ForConditionalGeneration(T5Config(vocab_size=96, d_model=16, num_layers=1, d_kv=4, d_ff=16, num_heads=2))


def bert():
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertLMHeadModel(BertConfig(vocab_size=96, **shape))


@pytest.mark.parametrize(
    "model, tokenizer, said",
    [
        (t5, None, "a model of type 't5', which doesn't continue a text from left to right"),
        (bert, None, "a model of type 'bert', which doesn't continue a text from left to right"),
        (lambda: make("gpt2"), None, "are Conv1D layers here, GPT-2's linear layer with a transposed weight"),
        (
            lambda: make("llama"),
            without_end,
            "neither the chat template nor the tokenizer has a token that ends an answer",
        ),
        (lambda: make("llama", vocab_size=40), None, "the model's embedding has 40 rows"),
        (lambda: make("opt", max_position_embeddings=32), None, "but the model's context ends at 32"),
    ],
    ids=["T5", "BERT", "GPT-2", "no end", "tokens without a row", "beyond OPT's context"],
)
def test_it_is_refused_in_one_sentence(run, tmp_path, model, tokenizer, said):
    save(tmp_path / "base", model(), tokenizer and tokenizer())
    status, [sentence] = run(*TRAIN, "--out=out")
    assert status == 2 and said in sentence and not (tmp_path / "out").exists()
