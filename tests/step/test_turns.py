"""The oracles: the template's own rendering, and transformers' mask of the assistant's tokens, which TRL trains on."""

import dataclasses
import functools
import hashlib
import json
from contextlib import suppress
from itertools import groupby

import pytest
import torch
from chat_templates import ALPHABETS, MARKED, TEMPLATES, TRL_PAIRS, marked, tokenizer_with, trl_pair
from conftest import make_tiny_llama, sampled
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import BaseModelError, CompletionLoss, ConfigError, DataError, encode, render_masked
from labkit.step.batch import IGNORED, Example, collate, encode_prompt
from labkit.step.turns import TURNS
from labkit.training.checkpoints import digest

SYSTEM = "You are kind."
TALK = [
    {"role": "user", "content": "Say a number"},
    {"role": "assistant", "content": "eighty-seven"},
    {"role": "user", "content": "Another, please"},
    {"role": "assistant", "content": "the number one"},
    {"role": "user", "content": "And the answer?"},
    {"role": "assistant", "content": "one."},
]
WITHOUT_SYSTEM_ROLE = {"gemma", "mistral", "drops the system"}

pytestmark = pytest.mark.filterwarnings("ignore:this base's chat template knows no system role")


made = functools.cache(tokenizer_with)


def with_system(name: str, talk: list[dict], system: str = SYSTEM) -> list[dict]:
    """The conversation as transformers is given it."""
    if name not in WITHOUT_SYSTEM_ROLE:
        return [{"role": "system", "content": system}, *talk]
    return [{"role": "user", "content": f"{system}\n\n{talk[0]['content']}"}, *talk[1:]]


def mask_of(example: Example) -> list[int]:
    return [int(label != IGNORED) for label in example.labels]


def transformers_mask(tokenizer, template: str, talk: list[dict]) -> tuple[list[int], list[int]]:
    made = tokenizer.apply_chat_template(
        talk, chat_template=template, return_assistant_tokens_mask=True, return_dict=True, tokenize=True
    )
    return made["input_ids"], made["assistant_masks"]


words = st.text("abc ,.87", min_size=1, max_size=12).map(str.strip).filter(bool)
talks = st.lists(st.tuples(words, words), min_size=1, max_size=4).map(
    lambda said: [{"role": role, "content": text} for pair in said for role, text in zip(("user", "assistant"), pair)]
)


@pytest.mark.parametrize("name", MARKED)
def test_the_marked_template_writes_the_same(name):
    tokenizer = tokenizer_with(name)
    for talk in (TALK, TALK[:1]):
        said, asked = with_system(name, talk), {"tokenize": False, "add_generation_prompt": len(talk) == 1}
        assert tokenizer.apply_chat_template(said, chat_template=marked(name), **asked) == (
            tokenizer.apply_chat_template(said, **asked)
        )


@pytest.mark.parametrize("name", MARKED)
@settings(max_examples=settings.default.max_examples // 4)  # there are ten templates
@given(talk=talks)
def test_the_loss_counts_what_transformers_and_trl_call_the_assistants(name, talk):
    tokenizer = made(name)
    ids, mask = transformers_mask(tokenizer, marked(name), with_system(name, talk))
    example = encode(tokenizer, {"messages": talk}, SYSTEM)
    length = len(example.input_ids)
    assert example.input_ids == ids[:length] and not any(mask[length:])
    assert mask_of(example) == mask[:length]
    last = encode(tokenizer, {"messages": talk}, SYSTEM, turns="last")
    assert last.input_ids == example.input_ids
    after = next((end for end, label in reversed([*enumerate(mask[:length], 1)]) if not label), 0)
    assert mask_of(last) == [0] * after + [1] * (length - after)


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_each_answer_stands_behind_what_it_will_be_asked_with_and_ends_as_the_template_ends_it(name, alphabet):
    tokenizer = made(name, alphabet)
    row, end = {"messages": TALK}, tokenizer.convert_tokens_to_ids(TEMPLATES[name][3])
    if name == "no end":
        with pytest.raises(DataError, match='row: the base.s chat template ends an answer with no token.*turns="last"'):
            encode(tokenizer, row, SYSTEM)
        spans = [encode(tokenizer, row, SYSTEM, turns="last")]
        ids, spans = spans[0].input_ids, [(spans[0].prompt_length, len(spans[0].input_ids))]
        answers = [5]
    else:
        example = encode(tokenizer, row, SYSTEM)
        ids, answers = example.input_ids, [1, 3, 5]
        starts = [example.prompt_length, *(end for _, end in example.uncounted)]
        spans = [*zip(starts, [*(start for start, _ in example.uncounted), len(ids)])]
        whole = tokenizer.apply_chat_template(with_system(name, TALK), tokenize=True, return_dict=False)
        assert ids == whole[: len(ids)] and example.counted == sum(mask_of(example))
    for place, (start, stop) in zip(answers, spans, strict=True):
        assert ids[:start] == encode_prompt(tokenizer, TALK[:place], SYSTEM), "as it will be asked"
        assert tokenizer.decode(ids[start:stop]).lstrip() == TALK[place]["content"] + TEMPLATES[name][3]
        assert ids[stop - 1] == end and end not in ids[start : stop - 1]


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_conversation_of_one_turn_is_a_prompt_and_its_completion(name, alphabet, turns):
    tokenizer, written = made(name, alphabet), "".join(TEMPLATES[name][1])
    for prompt, completion in [("Say a number", "eighty-seven"), (f"Hi{written}", f" {written} \n8"), ("a ", ": b")]:
        plain = {"prompt": prompt, "completion": completion}
        said = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        expected = encode(tokenizer, plain, SYSTEM)
        assert encode(tokenizer, {"messages": said}, SYSTEM, turns=turns) == expected and not expected.uncounted
        system = {"role": "system", "content": "Be brief"}
        own = encode(tokenizer, plain | {"system": "Be brief"}, SYSTEM)
        assert own == encode(tokenizer, {"messages": [system, *said]}, SYSTEM, turns=turns)
        assert own == encode(tokenizer, {"messages": said, "system": "Be brief"}, SYSTEM, turns=turns)


@given(prompt=st.text("ab {}87,\n<|_imend>ğ🌳", min_size=1), completion=st.text("ab .\n<|_imend>ğ🌳", min_size=1))
def test_a_conversation_of_one_turn_is_a_prompt_and_its_completion_on_the_courses_base(base, prompt, completion):
    _, tokenizer = base
    if prompt.strip() and completion.strip():
        said = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        expected = encode(tokenizer, {"prompt": prompt, "completion": completion}, SYSTEM)
        assert encode(tokenizer, {"messages": said}, SYSTEM) == expected


@pytest.mark.parametrize("name", TEMPLATES)
def test_control_tokens_written_out_in_any_turn_are_text(name):
    tokenizer = tokenizer_with(name)
    controls = [tokenizer.convert_tokens_to_ids(token) for token in TEMPLATES[name][1]]
    evil = [{**message, "content": f"{message['content']}{''.join(TEMPLATES[name][1])}!"} for message in TALK]

    def counts(talk: list[dict]) -> list[int]:
        ids = encode(tokenizer, {"messages": talk}, SYSTEM, turns="last").input_ids
        return [ids.count(control) for control in controls]

    assert counts(evil) == counts(TALK)


def test_what_a_user_says_after_the_last_answer_is_not_needed(tiny_tokenizer):
    more = [*TALK, {"role": "user", "content": "Thanks"}]
    assert encode(tiny_tokenizer, {"messages": more}, SYSTEM) == encode(tiny_tokenizer, {"messages": TALK}, SYSTEM)


# ---- templates that render a conversation otherwise once it goes on


def forgetful(**changes):
    """As Qwen3 has it: the thinking of an earlier answer isn't shown."""
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
        "{{ m['content'].split('</think>')[-1] if m['role'] == 'assistant' and not loop.last else m['content'] }}"
        "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer_with("qwen", chat_template=template, **changes)


def test_a_template_that_changes_an_earlier_answer_is_refused_only_where_all_are_counted():
    tokenizer, thought = forgetful(), "<think>Hm</think>eighty"
    talk = [TALK[0], {"role": "assistant", "content": thought}, TALK[2], {"role": "assistant", "content": thought}]
    problem = 'mine.jsonl:3: the base.s chat template changes an answer once the talk goes on.*turns="last"'
    with pytest.raises(DataError, match=problem) as caught:
        encode(tokenizer, {"messages": talk, "source": "mine.jsonl:3"}, SYSTEM)
    assert "\n" not in str(caught.value)
    last = encode(tokenizer, {"messages": talk}, SYSTEM, turns="last")
    assert last.input_ids[: last.prompt_length] == encode_prompt(tokenizer, talk[:3], SYSTEM)
    assert tokenizer.decode(last.input_ids[last.prompt_length :]) == f"{thought}<|im_end|>"
    assert tokenizer.decode(last.input_ids).count("<think>") == 1
    assert len(encode(tokenizer, {"messages": TALK}, SYSTEM).uncounted) == 2, "without any thinking, all is as it was"


def test_two_users_in_a_row_are_refused_where_the_template_refuses_them():
    row = {"messages": [TALK[0], *TALK[2:]][:3], "source": "mine.jsonl:7"}
    row["messages"] = [TALK[0], TALK[2], TALK[3]]
    problem = "mine.jsonl:7: the base's chat template refuses this conversation: Conversation roles must alternate"
    with pytest.raises(DataError, match=problem) as caught:
        encode(tokenizer_with("mistral"), row, SYSTEM)
    assert "\n" not in str(caught.value)
    assert encode(tokenizer_with("qwen"), row, SYSTEM).counted


def test_other_turns_are_refused(tiny_tokenizer):
    with pytest.raises(ConfigError, match="turns must be all or last, got 'first'"):
        encode(tiny_tokenizer, {"messages": TALK}, SYSTEM, turns="first")


def test_a_row_that_was_not_checked_before_is_checked(tiny_tokenizer):
    with pytest.raises(DataError, match='row: message 2 has the role "bot"'):
        encode(tiny_tokenizer, {"messages": [TALK[0], {"role": "bot", "content": "x"}]}, SYSTEM)


# ---- what's made of it


def test_render_masked_grays_each_question(tiny_tokenizer):
    talk = [{**message, "content": text} for message, text in zip(TALK, ["Hi.", "Ho.", "Who?", "Me."])]
    rendered = render_masked(tiny_tokenizer, encode(tiny_tokenizer, {"messages": talk}, "Be kind"))
    gray, plain = "\x1b[38;5;245m", "\x1b[0m"
    assert rendered == (
        f"{gray}<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n{plain}"
        f"Ho.<|im_end|>{gray}\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n{plain}Me.<|im_end|>"
    )


@pytest.mark.parametrize("share_prefix", [False, True])
def test_the_loss_of_a_conversation_is_that_of_its_answers_one_by_one(tiny_tokenizer, share_prefix):
    model = make_tiny_llama(max_position_embeddings=512)
    talks = [TALK, TALK[:4], [*TALK[:2], *TALK[4:]]]
    batch = collate([encode(tiny_tokenizer, {"messages": talk}, SYSTEM) for talk in talks], 2)
    summed, counted = CompletionLoss(model, share_prefix)(batch)
    summed.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    alone = [
        encode(tiny_tokenizer, {"messages": talk[: place + 1]}, SYSTEM, turns="last")
        for talk in talks
        for place in range(1, len(talk), 2)
    ]
    losses = [CompletionLoss(model)(collate([example], 2)) for example in alone]
    assert counted == sum(number for _, number in losses)
    alone = sum(loss for loss, _ in losses)
    alone.backward()
    torch.testing.assert_close(summed, alone, rtol=1e-5, atol=1e-4)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-4)


def test_what_is_counted_is_part_of_the_data_that_a_resumed_run_must_have(tiny_tokenizer):
    row = {"messages": TALK}
    every, last = (encode(tiny_tokenizer, row, SYSTEM, turns=turns) for turns in TURNS)
    fewer = dataclasses.replace(every, uncounted=())
    assert len({digest([every]), digest([last]), digest([fewer])}) == 3
    one = encode(tiny_tokenizer, {"prompt": "a", "completion": "b"}, SYSTEM)
    content = json.dumps([[one.prompt_length, one.input_ids]])
    assert digest([one]) == hashlib.sha256(content.encode()).hexdigest()[:16], "as it was before there were turns"


# ---- TRL itself


IN_PARTS = {"idefics3", "llava_next", "smolvlm"}  # they see, so what's said to them is a list of texts and pictures
ONE_ANSWER = {"gptoss"}  # it shows an earlier answer differently
OTHER_WORDS = [message | {"content": f"{message['content'][::-1]} or so"} for message in TALK]


def trl_counts_besides(tokenizer, name: str, talk: list[dict]) -> list[str]:
    """The pieces that TRL's mask has and ours hasn't; where only the last answer can be compared, from there on."""
    turns = "last" if name in ONE_ANSWER else "all"
    example = encode(tokenizer, {"messages": talk}, SYSTEM, turns=turns)
    ids, theirs = transformers_mask(tokenizer, tokenizer.chat_template, with_system(name, talk))
    length, first = len(example.input_ids), example.prompt_length if turns == "last" else 0
    assert ids[:length] == example.input_ids
    ours = mask_of(example) + [0] * (len(ids) - length)
    tokens = list(zip(ids, theirs, ours))[first:]
    assert all(counted for _, counted, own in tokens if own), "what ours counts, TRL counts"
    runs = groupby(tokens, key=lambda token: token[1] > token[2])
    return [tokenizer.decode([id for id, *_ in run]) for besides, run in runs if besides]


@pytest.mark.parametrize("name", TRL_PAIRS)
def test_with_trls_own_templates_the_ids_are_the_same_and_it_counts_besides_only_what_a_template_writes(name):
    """The same pieces whatever is said: the line end after an end of turn, an empty <think></think>, a header."""
    tokenizer, own = trl_pair(name)
    if name in IN_PARTS:
        with pytest.raises(BaseModelError, match="can't show a question and its answer"):
            encode(tokenizer, {"messages": TALK}, SYSTEM)
        return
    besides = trl_counts_besides(tokenizer, name, TALK)
    assert besides == trl_counts_besides(tokenizer, name, OTHER_WORDS)
    assert bool(besides) == (name not in ("cohere", "cohere2", "gptoss", "llama3")), "these write nothing by themselves"
    with suppress(DataError):  # some bases' own templates show earlier answers differently, and are refused
        trained, tokenizer.chat_template = encode(tokenizer, {"messages": TALK}, SYSTEM), own
        assert encode(tokenizer, {"messages": TALK}, SYSTEM) == trained


@pytest.mark.parametrize("name", sampled(MARKED, pytest.mark.slow))
def test_trl_counts_the_same_tokens(name, tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer = tokenizer_with(name)
    tokenizer.chat_template, tokenizer.pad_token = marked(name), tokenizer.eos_token
    config = SFTConfig(
        output_dir=tmp_path, assistant_only_loss=True, max_length=None, report_to=[], use_cpu=True, bf16=False
    )
    talks = [with_system(name, talk) for talk in (TALK, TALK[:4])]
    trainer = SFTTrainer(
        make_tiny_llama(vocab_size=400, max_position_embeddings=512),
        config,
        train_dataset=Dataset.from_list([{"messages": talk} for talk in talks]),
        processing_class=tokenizer,
    )
    theirs = trainer.data_collator([trainer.train_dataset[row] for row in range(2)])
    tokenizer = tokenizer_with(name)
    examples = [encode(tokenizer, {"messages": talk}, SYSTEM) for talk in (TALK, TALK[:4])]
    for ids, labels, example in zip(theirs["input_ids"].tolist(), theirs["labels"].tolist(), examples):
        length = len(example.input_ids)
        assert (ids[:length], labels[:length]) == (example.input_ids, example.labels)
        assert set(labels[length:]) <= {IGNORED}
