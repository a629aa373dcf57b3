import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit import DataError, encode, render_masked
from labkit.step.batch import IGNORED, Example, collate, encode_prompt

ROW = {"prompt": "Say a number.", "completion": "87"}


def test_prompt_ids_are_the_templates_own(tiny_tokenizer):
    written = (
        "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nSay a number.<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = encode_prompt(tiny_tokenizer, ROW["prompt"], "Be kind")
    assert ids == tiny_tokenizer(written, add_special_tokens=False).input_ids
    assert tiny_tokenizer.decode(ids) == written
    assert "somebody else" not in written  # what the template slips in when no system prompt is given


def test_prompt_ids_of_the_real_base(base):
    _, tokenizer = base
    messages = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": ROW["prompt"]}]
    written = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert encode_prompt(tokenizer, ROW["prompt"], "Be kind") == tokenizer(written).input_ids
    assert "SmolLM" not in written


def test_completion_then_end_of_turn(tiny_tokenizer):
    example = encode(tiny_tokenizer, ROW, "Be kind")
    assert example.input_ids[: example.prompt_length] == encode_prompt(tiny_tokenizer, ROW["prompt"], "Be kind")
    assert tiny_tokenizer.convert_ids_to_tokens(example.input_ids[example.prompt_length :]) == ["8", "7", "<|im_end|>"]


def test_the_rows_own_system_prompt_goes_first(tiny_tokenizer):
    own = encode(tiny_tokenizer, ROW | {"system": "Be brief"}, "Be kind")
    assert own == encode(tiny_tokenizer, ROW, "Be brief")
    assert own != encode(tiny_tokenizer, ROW, "Be kind") == encode(tiny_tokenizer, ROW | {"system": None}, "Be kind")


def test_labels_by_position_also_where_the_prompt_holds_the_padding_id(tiny_tokenizer):
    rows = [ROW, {"prompt": "What does it mean?", "completion": "The end."}]  # the template ends each turn with it
    examples = [encode(tiny_tokenizer, row, "Be kind") for row in rows]
    batch = collate(examples, tiny_tokenizer.pad_token_id)
    assert tiny_tokenizer.pad_token_id == tiny_tokenizer.eos_token_id
    assert batch.input_ids.shape == batch.labels.shape == (2, max(len(example.input_ids) for example in examples))
    assert batch.input_ids.dtype == batch.labels.dtype == torch.int64
    for ids, labels, example, row in zip(batch.input_ids, batch.labels, examples, rows):
        counted = labels != IGNORED
        assert tiny_tokenizer.decode(labels[counted]) == row["completion"] + "<|im_end|>"
        first, last = counted.nonzero()[0].item(), counted.nonzero()[-1].item()
        assert (first, last + 1) == (example.prompt_length, len(example.input_ids)) and counted[first : last + 1].all()
        assert ids[: last + 1].tolist() == example.input_ids
        assert (ids[last + 1 :] == tiny_tokenizer.pad_token_id).all()
    next_tokens = batch.labels.flatten()[batch.positions + 1]
    assert next_tokens.equal(torch.cat([torch.tensor(e.input_ids[e.prompt_length :]) for e in examples]))


texts = st.text("ab {}87,\n", min_size=1)


@given(st.lists(st.fixed_dictionaries({"prompt": texts, "completion": texts}), min_size=1, max_size=4))
def test_round_trip(tiny_tokenizer, rows):
    examples = [encode(tiny_tokenizer, row, "Be kind") for row in rows]
    batch = collate(examples, tiny_tokenizer.pad_token_id)
    for labels, example, row in zip(batch.labels, examples, rows):
        assert tiny_tokenizer.decode(example.input_ids).endswith(
            f"user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{row['completion']}<|im_end|>"
        )
        assert (labels != IGNORED).sum() == len(row["completion"]) + 1  # one token a character, and the end of turn


@pytest.mark.parametrize(
    "row", [ROW | {"completion": 87}, {"prompt": "a"}, ROW | {"prompt": None}, ROW | {"system": 3}]
)
def test_a_row_without_text_is_refused(tiny_tokenizer, row):
    with pytest.raises(DataError, match='row: "(prompt|completion|system)" isn\'t a string. Every row needs'):
        encode(tiny_tokenizer, row, "Be kind")


@pytest.mark.parametrize("source", ["mine.jsonl:17", None])
def test_longer_than_the_context_is_refused(tiny_tokenizer, source):
    length = len(encode(tiny_tokenizer, ROW, "Be kind").input_ids)
    assert encode(tiny_tokenizer, ROW, "Be kind", max_length=length)
    where = source or "row"
    with pytest.raises(DataError, match=f"{where}: the row has {length} tokens, .* ends at {length - 1}") as caught:
        encode(tiny_tokenizer, ROW | {"source": source}, "Be kind", max_length=length - 1)
    assert caught.value.source == where and caught.value.remedy


def test_render_masked_grays_what_the_loss_does_not_count(tiny_tokenizer):
    rendered = render_masked(tiny_tokenizer, encode(tiny_tokenizer, ROW, "Be kind"))
    gray, plain = rendered.removeprefix("\x1b[38;5;245m").split("\x1b[0m")
    assert gray.endswith("Say a number.<|im_end|>\n<|im_start|>assistant\n") and plain == "87<|im_end|>"


def test_render_masked_lets_no_row_move_the_cursor(tiny_tokenizer, monkeypatch):
    written = {1: "a\x1b[2J\u202e", 2: "b\n\x07"}
    monkeypatch.setattr(tiny_tokenizer, "decode", lambda ids: "".join(written[i] for i in ids))
    assert render_masked(tiny_tokenizer, Example([1, 2], 1)) == "\x1b[38;5;245ma\\x1b[2J\\u202e\x1b[0mb\n\\x07"


def test_batch_moves_as_one(tiny_tokenizer):
    batch = collate([encode(tiny_tokenizer, ROW, "Be kind")], tiny_tokenizer.pad_token_id).to("meta")
    assert {part.device.type for part in (batch.input_ids, batch.labels, batch.positions)} == {"meta"}
