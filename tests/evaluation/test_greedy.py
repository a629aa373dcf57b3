from contextlib import nullcontext
from functools import partial

import pytest
import torch
from conftest import make_tiny_llama, sampled
from kinds_of_base import make

from labkit import (
    AdapterBank,
    LoraConfig,
    generate,
    inject_lora,
    load_adapter,
    load_base,
    load_task,
    merge,
    quantize_model,
)
from labkit.base.chat_format import ends_of_answer
from labkit.evaluation import generation, greedy
from labkit.lora.inject import lora_layers
from labkit.step.batch import encode_prompt

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = [[5, 6, 7, 8, *own] for own in ([9], [10, 11, 12], [13, 14], [15, 16, 17, 18, 19, 20, 21, 22, 23], [9, 24])]
ROOM = 20


def llama(**shape):
    return make_tiny_llama(initializer_range=0.5, tie_word_embeddings=False, **shape)


def with_lora(model):
    inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))
    for _, layer in lora_layers(model):
        torch.nn.init.normal_(layer.lora_B.weight, std=0.1)
    return model.eval()


def sharp(kind):
    """Weights large enough that the answer depends on the whole prompt."""
    model = make(kind).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8 if p.ndim > 1 else 1)
    return model


@torch.no_grad()
def one_by_one(model, prompts, ends, room=ROOM):
    """What transformers answers to each prompt alone."""
    answers = []
    for prompt in prompts:
        asked = torch.tensor([prompt], device=model.device)
        named = {"max_new_tokens": room, "do_sample": False, "eos_token_id": ends or None, "pad_token_id": 0}
        found = model.generate(input_ids=asked, attention_mask=torch.ones_like(asked), **named)
        answers.append(found[0, len(prompt) :].tolist())
    return answers


@torch.no_grad()
def ours(model, prompts, ends, room=ROOM):
    assert greedy.decodes_alike(model)
    return greedy.greedy(model, prompts, room, ends)


MODELS = {
    "llama": llama,
    "LoRA": lambda: with_lora(llama()),
    "four bits": lambda: quantize_model(llama(hidden_size=64, intermediate_size=128)),
    "eager": lambda: llama(attn_implementation="eager"),
    **{kind: partial(sharp, kind) for kind in ("qwen3", "mistral with a window", "gemma2", "qwen2_moe", "opt")},
}


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_that_each_prompt_gets_alone(name, monkeypatch):
    """Of different lengths, some longer than the windows; the cache grows twice."""
    monkeypatch.setattr(greedy, "_ROOM", 7)
    model = MODELS[name]()
    wanted = one_by_one(model, PROMPTS, [])
    assert len({*map(tuple, wanted)}) > 2, "answers depend on the prompts"
    assert ours(model, PROMPTS, []) == wanted
    some = [wanted[0][2], wanted[3][5]]  # which end some answers sooner than others
    ended = one_by_one(model, PROMPTS, some)
    assert len({*map(len, ended)}) > 1
    assert ours(model, PROMPTS, some) == ended


def test_prompts_with_nothing_in_common_all_the_same_and_one_alone():
    model = llama()
    for prompts in ([[5, 6], [7], [8, 9, 10]], [[5, 6, 7]] * 3, [[5, 6, 7]], [[5], [5, 6]]):
        assert ours(model, prompts, [], 6) == one_by_one(model, prompts, [], 6)


def test_shared_tokens_are_computed_once_padding_never_and_ended_rows_leave(monkeypatch):
    model, seen = llama(), []
    wanted = one_by_one(model, PROMPTS, [])
    ends = [wanted[0][2]]
    lengths = [len(answer) for answer in one_by_one(model, PROMPTS, ends)]
    assert greedy.decodes_alike(model)
    with (
        torch.no_grad(),
        model.model.layers[1].mlp.register_forward_hook(lambda layer, inputs, output: seen.append(output.shape[:2])),
    ):
        greedy.greedy(model, PROMPTS, ROOM, ends)
    assert seen[0] == (1, 4 + sum(len(prompt) - 4 for prompt in PROMPTS))
    # the token after the n-th is asked for by those that have said n, and not ended
    assert seen[1:] == [(sum(length > n for length in lengths), 1) for n in range(1, max(lengths))]


@pytest.mark.parametrize("kind", ["falcon", "bloom", "gpt_neo", "llama4_text", "mamba", "jamba"])
def test_where_attention_is_not_plain_transformers_answers(kind):
    assert not greedy.decodes_alike(make(kind).eval())


def test_generate_takes_it_for_many_prompts_and_not_for_a_banks_rows(tiny_tokenizer, monkeypatch):
    model, taken = llama(max_position_embeddings=512), []
    monkeypatch.setattr(generation, "greedy", lambda *given: taken.append(1) or greedy.greedy(*given))
    ask = partial(generate, model, tiny_tokenizer, system="Spell.", max_new_tokens=8)
    prompts = [f"Number {i}?" for i in range(5)]
    together = ask(prompts)
    assert taken and ask(prompts, batch_size=2) == together
    taken.clear()
    assert [ask([prompt])[0] for prompt in prompts] == together and not taken
    AdapterBank(model)
    assert ask(prompts, adapters=[None] * 5) == together and not taken


@pytest.mark.parametrize("error", [None, InterruptedError])
def test_an_adapter_is_merged_meanwhile_and_every_parameter_is_itself_again(error):
    """Also one that an optimizer holds: it would train a weight that's no longer the model's."""
    model = with_lora(llama())
    layers = [layer for _, layer in lora_layers(model)]
    before = [(name, id(p), p.detach().clone()) for name, p in model.named_parameters()]
    with pytest.raises(error) if error else nullcontext(), greedy.merged_where_it_pays(model, 16):
        assert all(layer.merged for layer in layers)
        assert not layers[0].base_layer.weight.equal(before[2][2])
        if error:
            raise error
    assert not any(layer.merged for layer in layers)
    assert [(name, id(p)) for name, p in model.named_parameters()] == [(name, known) for name, known, _ in before]
    assert all(p.equal(known) for p, (*_, known) in zip(model.parameters(), before))


def test_many_prompts_are_answered_as_with_the_adapter_kept_apart(tiny_tokenizer, monkeypatch):
    model, prompts = with_lora(llama(max_position_embeddings=512)), [f"Number {i}?" for i in range(16)]
    ask = partial(generate, model, tiny_tokenizer, prompts, "Spell.", max_new_tokens=8)
    seen = []
    note = lambda *_: seen.append(all(layer.merged for _, layer in lora_layers(model)))  # noqa: E731
    merged = ask(on_batch=note)
    monkeypatch.setattr(greedy, "_MERGE", 17)
    assert ask(on_batch=note) == merged and seen == [True, False]
    for _, layer in lora_layers(model):
        layer.enabled = False
    assert ask() != merged, "the adapter matters"


def disabled():
    model = with_lora(llama())
    next(lora_layers(model))[1].enabled = False
    return model


def tied():
    return inject_lora(make_tiny_llama(), LoraConfig(r=4, target_modules=["lm_head", "q_proj"]))


@pytest.mark.parametrize(
    "made",
    [
        llama,
        tied,
        disabled,
        lambda: with_lora(llama().to(torch.bfloat16)),
        lambda: with_lora(quantize_model(llama(hidden_size=64, intermediate_size=128))),
    ],
)
def test_what_would_not_be_exact_is_not_merged(made):
    model = made()
    with greedy.merged_where_it_pays(model, 16):
        assert not any(layer.merged for _, layer in lora_layers(model))


def test_nor_for_a_few_prompts_or_without_memory_or_twice(monkeypatch):
    model = with_lora(llama())
    first = next(lora_layers(model))[1]
    with greedy.merged_where_it_pays(model, 15):
        assert not first.merged
    monkeypatch.setattr(greedy, "free_bytes", lambda device: 10_000)
    with greedy.merged_where_it_pays(model, 16):
        assert not first.merged
    monkeypatch.undo()
    merge(model)
    weight = first.base_layer.weight
    with greedy.merged_where_it_pays(model, 16):
        assert first.base_layer.weight is weight
    assert first.merged


def test_the_model_is_as_before_also_after_an_error():
    model = llama()
    before, wanted = model.config._attn_implementation, model(input_ids=torch.tensor([PROMPTS[0]])).logits
    with pytest.raises(IndexError):
        greedy.greedy(model, [[5, 6], [5, 96]], 4, [])
    assert model.config._attn_implementation == before
    assert model(input_ids=torch.tensor([PROMPTS[0]])).logits.equal(wanted)


@pytest.mark.parametrize("count", sampled([3, 64], pytest.mark.slow))
def test_tickets_are_answered_as_by_transformers(count):
    """The real base in float32, without an adapter, which talks on for as long as it may, and with one."""
    model, tokenizer = load_base(device="cpu")
    task = load_task("tickets")
    rows = list(task.rows("test"))[:count]
    prompts = [encode_prompt(tokenizer, row["prompt"], task.system) for row in rows]
    ends, room = ends_of_answer(model, tokenizer), task.token_limit(tokenizer, rows)
    alone = room if count > 16 else 16
    assert ours(model, prompts, ends, alone) == one_by_one(model, prompts, ends, alone)
    load_adapter(model, "data/adapters/tickets")
    with greedy.merged_where_it_pays(model, count):
        found = ours(model, prompts, ends, room)
    assert found == one_by_one(model, prompts, ends, room)


def test_reading_several_tokens_at_a_time_changes_no_answer(monkeypatch):
    """As on a GPU: a row that ends in between is cut where it ended, and leaves later."""
    model, ends = llama(), range(20, 50)
    wanted = ours(model, PROMPTS, ends, 30)
    assert len({len(answer) for answer in wanted}) > 1, "they end at different tokens"
    monkeypatch.setattr(greedy, "_tokens_per_look", lambda device: 7)
    assert ours(model, PROMPTS, ends, 30) == wanted
