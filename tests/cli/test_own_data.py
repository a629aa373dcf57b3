"""Rows of one's own, and a base of one's own, at the command line."""

import io
import json
import sys

import pytest
from chat_templates import tokenizer_with
from conftest import make_tiny_llama, make_tiny_tokenizer

import labkit
from labkit.cli import main
from labkit.tasks import task_from_files

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = [{"prompt": f"Number {i}?", "completion": word} for i, word in enumerate(["one", "two", "three", "four"])]
SPEAKERS = ("user", "assistant")
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny-llama"
    make_tiny_llama(vocab_size=128, max_position_embeddings=256).save_pretrained(folder)
    make_tiny_tokenizer().save_pretrained(folder)
    return folder


def base_with(folder, template: str, **tokenizer):
    made = tokenizer_with(template, **tokenizer)
    make_tiny_llama(vocab_size=340, max_position_embeddings=512).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def run(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(map(str, arguments)))
    return status, *capsys.readouterr()


def pipe(monkeypatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_rows_from_standard_input_train_an_adapter_and_cut_off_answers_are_told(base, capsys, monkeypatch, tmp_path):
    out, test = tmp_path / "run", tmp_path / "test.jsonl"
    test.write_text(LINES)
    pipe(monkeypatch, LINES)
    arguments = ["--base", base, "--out", out, "--rank", 2, "--steps", 1, "--test", test, "--evaluate", 3]
    status, printed, said = run(capsys, "train", "--data", "-", *arguments)
    assert status == 0 and said.count("\n") == 1 and "training: step 1 of 1" in said
    assert "3 of 3 answers were cut off at 14 tokens" in printed, "three, a quarter more, and 8"
    about = json.loads((out / "adapter" / "labkit.json").read_text())
    assert (about["data"], about["task"]) == ("<stdin>", "stdin")
    pipe(monkeypatch, LINES)
    status, printed, _ = run(capsys, "evaluate", "--base", base, "--data", "/dev/stdin", "--json")
    found = json.loads(printed)
    assert status == 0 and (found["rows"], found["cut_off"], found["max_new_tokens"]) == (4, 4, 14)
    assert "4 of 4 answers were cut off at 14" in run(capsys, "evaluate", "--base", base, "--data", test)[1]


def test_a_few_shot_prompt_shows_rows_from_the_top_of_a_file(base, capsys, tmp_path):
    """The oracle is the same conversation as a row."""
    shown, test, written = (tmp_path / f"{name}.jsonl" for name in ("train", "test", "written"))
    shown.write_text(LINES)
    test.write_text(LINES.splitlines()[3])
    before = [{"role": role, "content": row[name]} for row in ROWS[:2] for role, name in zip(SPEAKERS, row)]
    asked = [{"role": role, "content": ROWS[3][name]} for role, name in zip(SPEAKERS, ROWS[3])]
    written.write_text(json.dumps({"messages": before + asked}))
    found = [
        run(capsys, "evaluate", "--base", base, "--json", "--data", data, *more)[1]
        for data, more in ((test, ["--shots", 2, "--shots-from", shown]), (written, []), (test, []))
    ]
    few, by_hand, none = map(json.loads, found)
    assert (few["shots"], by_hand["shots"]) == (2, 0)
    assert few["scores"] == by_hand["scores"] and few["max_new_tokens"] == by_hand["max_new_tokens"]


def test_wrong_answers_are_shown_and_all_are_in_the_json(base, capsys, tmp_path):
    test = tmp_path / "test.jsonl"
    test.write_text(LINES)
    asked = ["evaluate", "--base", base, "--data", test, "--max-new-tokens", 3]
    found = json.loads(run(capsys, *asked, "--json")[1])
    model, tokenizer = labkit.load_base(base, device="cpu")
    answers = labkit.generate(model, tokenizer, [row["prompt"] for row in ROWS], "Answer the user.", 3)
    assert [each["answer"] for each in found["answers"]] == answers and found["max_new_tokens"] == 3
    assert [each["expected"] for each in found["answers"]] == [row["completion"] for row in ROWS]
    assert found["answers"][2]["source"] == f"{test}:3" and found["answers"][2]["scores"] == {"exact": 0.0}
    printed = run(capsys, *asked, "--wrong", 3)[1]
    assert f"\n{test}:1\n  expected  one\n  answered  " in printed and printed.endswith("\n... and 1 more\n")
    assert "expected" not in run(capsys, *asked)[1]


def test_a_preview_shows_what_the_loss_counts(base, capsys, monkeypatch, tmp_path):
    talk = tmp_path / "talk.jsonl"
    messages = [{"role": role, "content": content} for role, content in zip(SPEAKERS * 2, "abcd")]
    talk.write_text(json.dumps({"messages": messages}) + "\n" + LINES)
    status, printed, _ = run(capsys, "preview", "--base", base, "--data", talk, "--system", "Be kind")
    head, text = printed.split("\n\n", 1)
    assert status == 0 and head.startswith(f"{talk}:1: ") and head.endswith("shown between ⟦ and ⟧:")
    assert text.count("⟦") == 2 and "⟦b<|im_end|>⟧" in text and "Be kind<|im_end|>" in text and "⟦d<|im_end|>⟧" in text
    tokenizer = make_tiny_tokenizer()
    example = labkit.encode(tokenizer, labkit.read_rows(talk)[0], "Be kind")
    assert f"{len(example.input_ids)} tokens for {base}. The loss counts {example.counted} of them" in head
    last = run(capsys, "preview", "--base", base, "--data", talk, "--turns", "last", "--rows", 3)[1]
    assert last.count("<|im_end|>⟧") == 3 and "⟦b" not in last and f"{talk}:3: " in last
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        shown = run(capsys, "preview", "--base", base, "--data", talk, "--system", "Be kind")[1]
        assert (labkit.render_masked(tokenizer, example) in shown) == (not no_color)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LINES + '{"prompt": "a"}\n', '<stdin>:5: the field "completion" is missing. Every row needs'),
        (
            LINES + '{"prompt": "a", "completion": "b", "sytem": "c"}',
            '<stdin>:5: unknown field "sytem". A system prompt',
        ),
        ("", "<stdin>: the file has no rows. Write one JSON object"),
    ],
)
def test_a_bad_line_of_standard_input_is_one_sentence(base, capsys, monkeypatch, text, problem):
    pipe(monkeypatch, text)
    status, printed, said = run(capsys, "evaluate", "--base", base, "--data", "-")
    assert status == 2 and said.startswith(f"labkit evaluate: {problem}") and said.count("\n") == 1 and printed == ""


def test_what_is_said_besides_is_one_line_without_its_place_in_the_code(capsys, tmp_path):
    """Fields of other trainers, and a base without a system role."""
    folder, data = base_with(tmp_path / "gemma", "gemma"), tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row | {"id": i}) + "\n" for i, row in enumerate(ROWS)))
    status, printed, said = run(capsys, "evaluate", "--base", folder, "--data", data)
    assert status == 0 and "On 4 rows" in printed
    fields, role = said.splitlines()
    assert fields == f'labkit evaluate: {data}: rows need prompt, completion and system; left out: "id"'
    assert role.startswith("labkit evaluate: this base's chat template knows no system role, so the system prompt goes")


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize(
    ("tokenizer", "problem"),
    [
        (
            {"template": "no end", "eos_token": None},
            "neither the chat template nor the tokenizer has a token that ends",
        ),
        (
            {"template": "qwen", "chat_template": "{{ raise_exception('No.') }}"},
            "can't show a question and its answer: No",
        ),
    ],
    ids=["no end", "no template"],
)
def test_a_base_that_cannot_be_taught_is_refused_in_one_sentence(capsys, tmp_path, command, tokenizer, problem):
    folder, data = base_with(tmp_path / "base", **tokenizer), tmp_path / "rows.jsonl"
    data.write_text(LINES)
    more = ["--out", tmp_path / "run", "--steps", 1] if command == "train" else []
    status, _, said = run(capsys, command, "--base", folder, "--data", data, *more)
    if command == "evaluate" and "ends" in problem:
        assert status == 0, "it can be asked"
    else:
        assert status == 2 and problem in said and said.count("\n") == 1


TALK = [("user", "One?"), ("assistant", "one"), ("user", "Two?"), ("assistant", "two")]
TALKS = [
    {"messages": [{"role": "system", "content": "Count"}, *({"role": r, "content": f"{c} {i}"} for r, c in TALK)]}
    for i in range(4)
]


def test_conversations_train_an_adapter_that_is_scored_on_the_last_answer_and_remembers(base, capsys, tmp_path):
    data, out = tmp_path / "talks.jsonl", tmp_path / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in TALKS))
    arguments = ["--base", base, "--out", out, "--rank", 2, "--steps", 2, "--test", data, "--evaluate", 2]
    status, printed, said = run(capsys, "train", "--data", data, "--turns", "last", *arguments)
    assert status == 0 and "On 2 rows" in printed and "training: step 2 of 2" in said
    about = json.loads((out / "adapter" / "labkit.json").read_text())
    assert about["conversations"] is True and about["system"] == "Count"
    assert about["recipe"]["training"]["turns"] == "last"
    status, printed, _ = run(capsys, "evaluate", "--base", base, "--adapter", out / "adapter", "--data", data, "--json")
    assert status == 0 and json.loads(printed)["max_new_tokens"] == 14, "five, a quarter more, and 8"


def test_what_is_counted_makes_another_loss(base, tmp_path):
    data = tmp_path / "talks.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in TALKS))
    losses = {}
    for turns in ("all", "last"):
        model, tokenizer = labkit.load_base(str(base))
        labkit.inject_lora(model, labkit.LoraConfig(r=2))
        config = labkit.TrainConfig(steps=1, turns=turns)
        losses[turns] = labkit.train(model, tokenizer, task_from_files({"train": data}), config).losses
    assert losses["all"] != losses["last"]
    with pytest.raises(labkit.ConfigError, match="turns must be all or last, got 'first'"):
        labkit.TrainConfig(turns="first")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": TALKS[0]["messages"][:2]}, "talks.jsonl:2: the assistant says nothing. Add its answer"),
        (
            {"conversations": [{"from": "tool", "value": "3"}]},
            "talks.jsonl:2: message 1 is a tool call, or what a tool",
        ),
        ({"question": "a", "answer": "b"}, 'talks.jsonl:2: the field "prompt" is missing. Rename the fields'),
        ({"messages": [], "prompt": "a", "completion": "b"}, "Say which, with --format prompt or --format "),
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_conversation_that_is_none_is_one_sentence(base, capsys, tmp_path, command, row, problem):
    data = tmp_path / "talks.jsonl"
    data.write_text(json.dumps(TALKS[0]) + "\n" + json.dumps(row))
    more = ["--out", tmp_path / "run"] if command == "train" else []
    status, printed, said = run(capsys, command, "--base", base, "--data", data, *more)
    assert status == 2 and problem in said and said.count("\n") == 1 and printed == ""


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_conversation_that_the_template_refuses_is_named(capsys, tmp_path, command):
    folder, data = base_with(tmp_path / "base", "mistral"), tmp_path / "talks.jsonl"
    two_users = {"messages": [*TALKS[0]["messages"][:2], *TALKS[0]["messages"][1:]]}
    data.write_text(json.dumps(TALKS[0]) + "\n" + json.dumps(two_users))
    more = ["--out", tmp_path / "run"] if command == "train" else []
    status, _, said = run(capsys, command, "--base", folder, "--data", data, *more)
    *_, refused = said.strip().splitlines()
    assert status == 2 and "talks.jsonl:2: the base's chat template refuses this conversation: Conv" in refused


def test_rows_of_ones_own_are_planned_for(base, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_BASE", str(base))
    data = tmp_path / "talks.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in TALKS))
    _, printed, _ = run(capsys, "plan", "smollm2-135m", "--data", data, "--card", "H100", "--turns", "last")
    _, tokenizer = labkit.load_base(str(base))
    longest = labkit.encode(tokenizer, TALKS[0], "", turns="last")
    tokens = len(longest.input_ids)
    assert f"talks: 4 rows of up to {tokens} tokens, of which the loss counts {longest.counted}\n" in printed
    assert f"1 × {tokens} tokens per step, {longest.counted} of them counted" in printed and "(4 examples" in printed
    _, printed, _ = run(capsys, "plan", "smollm2-135m", "--data", data, "--seq", 64, "--labelled", 8)
    assert "1 × 64 tokens per step, 8 of them counted" in printed, "what is said beats what is measured"


def test_a_template_that_cannot_count_all_answers_names_the_option(capsys, tmp_path):
    folder, data = base_with(tmp_path / "base", "no end"), tmp_path / "talks.jsonl"
    data.write_text(json.dumps(TALKS[0]))
    arguments = ["train", "--base", folder, "--data", data, "--out", tmp_path / "run", "--steps", 1]
    status, _, said = run(capsys, *arguments)
    assert status == 2 and said.count("\n") == 1
    assert "talks.jsonl:1: the base's chat template ends an answer with no token" in said and "--turns last" in said
    assert run(capsys, *arguments, "--turns", "last")[0] == 0
