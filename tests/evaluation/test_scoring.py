import dataclasses
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama, make_tiny_tokenizer, sampled
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_base import KINDS, make
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from labkit import (
    BaseModelError,
    ConfigError,
    DataError,
    Task,
    TrainConfig,
    bootstrap_interval,
    evaluate,
    generate,
    perplexity,
    train,
)
from labkit.base.chat_format import ends_of_answer
from labkit.evaluation import scoring
from labkit.evaluation.general_text import general_text
from labkit.evaluation.generation import answers_and_cuts
from labkit.evaluation.scoring import Score
from labkit.evaluation.streaming import AnswerStreamer
from labkit.step.batch import encode_prompt
from labkit.tasks import exact_match, task_from_files

ROWS = [{"prompt": f"Number {i}?", "completion": word} for i, word in enumerate(["one", "two", "three", "four"])]
TASK = Task("numbers", "Spell.", exact_match, {}, max_new_tokens=8)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def model():
    """Weights large enough that the greedy answer depends on the whole prompt."""
    return make_tiny_llama(max_position_embeddings=512, initializer_range=0.5, tie_word_embeddings=False)


# ---- intervals


def test_interval_of_a_coin_has_the_known_width():
    """For 1,000 values the normal approximation, mean ± 1.96 σ/√n, is the oracle."""
    values = [1.0] * 700 + [0.0] * 300
    half = 1.96 * math.sqrt(0.7 * 0.3 / 1000)
    assert bootstrap_interval(values) == pytest.approx((0.7 - half, 0.7 + half), abs=0.003)


def test_coverage_of_simulated_coins():
    """A 95 % interval holds the truth in about 95 of 100 experiments; 4.5 standard errors are allowed."""
    draw, truth, experiments = torch.Generator().manual_seed(0), 0.8, 300
    held = 0
    for _ in range(experiments):
        low, high = bootstrap_interval((torch.rand(100, generator=draw) < truth).double().tolist(), resamples=400)
        held += low <= truth <= high
    assert abs(held / experiments - 0.94) < 4.5 * math.sqrt(0.05 * 0.95 / experiments)


@pytest.mark.parametrize("n", [1, 40, 256])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_all_equal_gives_the_exact_binomial_bound(n, level):
    """At the bound, n equal answers in a row still have probability (1 − level) / 2."""
    low, high = bootstrap_interval([0.0] * n, level)
    assert low == 0 and (1 - high) ** n == pytest.approx((1 - level) / 2)
    assert bootstrap_interval([1] * n, level) == pytest.approx((1 - high, 1.0))


def test_a_known_bound():
    """The 'rule of three' with 97.5 %: 0 of 100 right leaves up to 3.6 %."""
    assert bootstrap_interval([0] * 100)[1] == pytest.approx(0.0362, abs=5e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_interval_is_within_the_values_and_repeatable(values):
    low, high = bootstrap_interval(values, resamples=200)
    assert low <= high and (low, high) == bootstrap_interval(values, resamples=200)
    if len(set(values)) > 1:
        assert min(values) - 1e-12 <= low and high <= max(values) + 1e-12


@pytest.mark.parametrize("n", [5, 700, 4195, 20_000])
def test_the_intervals_that_notebooks_show_are_those_of_one_large_drawing(n, monkeypatch):
    """Drawn in parts, to the last bit."""
    values = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    draws = torch.randint(n, (400, n), generator=torch.Generator().manual_seed(0))
    ends = values[draws].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    monkeypatch.setattr(scoring, "_DRAWN_AT_ONCE", 100 * n)
    assert bootstrap_interval(values.tolist(), resamples=400) == tuple(ends.tolist())


@pytest.mark.parametrize("kind", ["rare", "skewed", *sampled(["coin", "few values", "continuous"], pytest.mark.slow)])
def test_a_million_values_take_seconds_and_give_the_known_interval(kind):
    """For so many, the normal approximation is the oracle; for three in a million, Poisson's distribution."""
    n, draw = 1_000_000, torch.Generator().manual_seed(1)
    uniform = torch.rand(n, generator=draw, dtype=torch.float64)
    values = {
        "coin": (uniform < 0.7).double(),
        "rare": (torch.arange(n) < 3).double(),
        "few values": (uniform * 10).floor() / 10,
        "continuous": uniform,
        "skewed": uniform**8,
    }[kind]
    began = time.process_time()
    low, high = bootstrap_interval(values.tolist())
    assert time.process_time() - began < 10  # a second or two
    if kind == "rare":
        assert (low * n, high * n) == (0, pytest.approx(7, abs=1))
    else:
        half = 1.96 * values.std().item() / math.sqrt(n)
        assert low == pytest.approx(values.mean().item() - half, abs=0.1 * half)
        assert high == pytest.approx(values.mean().item() + half, abs=0.1 * half)


def test_interval_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="an interval needs at least one value"):
        bootstrap_interval([])
    for resamples in (0, -1, 2.5, "3"):
        with pytest.raises(ConfigError, match="resamples must be a whole number of at least 1, got"):
            bootstrap_interval([0.5, 0.7], resamples=resamples)


def test_score_as_text():
    assert str(Score(0.875, 0.8, 1.0)) == "87.5% [80.0%, 100.0%]"


# ---- generate


PROMPTS = ["Hi", "What is your name?", "a", "Say a number, please. Any number will do.", "Hi", "So?", "zzz 123"]


def greedy(model, tokenizer, prompt: str, system: str, max_new_tokens: int) -> str:
    """One prompt, no batch, no padding, no cache: the oracle."""
    ids = encode_prompt(tokenizer, prompt, system)
    start = len(ids)
    with torch.no_grad():
        while len(ids) < start + max_new_tokens:
            ids.append(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax().item())
            if ids[-1] == tokenizer.eos_token_id:
                break
    return tokenizer.decode(ids[start:], skip_special_tokens=True)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_answers_in_batches_are_those_one_by_one_in_order(model, tiny_tokenizer, batch_size):
    wanted = [greedy(model, tiny_tokenizer, prompt, "Be kind", 12) for prompt in PROMPTS]
    assert len(set(wanted)) >= 4  # else order would not show
    assert generate(model, tiny_tokenizer, PROMPTS, "Be kind", 12, batch_size) == wanted


@pytest.mark.slow
def test_real_base_answers_in_batches_as_one_by_one(base):
    model, tokenizer = base
    prompts = ["Name a colour.", "What is the capital of France? Answer in one word.", "Count from one to three."]
    wanted = [greedy(model, tokenizer, prompt, "Be brief.", 8) for prompt in prompts]
    assert generate(model, tokenizer, prompts, "Be brief.", 8) == wanted
    assert "Paris" in wanted[1]


def test_greedy_whatever_settings_the_base_comes_with(model, tiny_tokenizer):
    wanted = generate(model, tiny_tokenizer, PROMPTS, "Be kind", 12)
    own = model.generation_config
    own.update(do_sample=True, temperature=5.0, repetition_penalty=9.0, max_length=20)
    before = own.to_dict()
    assert generate(model, tiny_tokenizer, PROMPTS, "Be kind", 12) == wanted
    assert model.generation_config is own and own.to_dict() == before


def test_one_system_prompt_for_each(model, tiny_tokenizer):
    systems = ["Be kind", "Answer in verse, always.", "x"]
    wanted = [greedy(model, tiny_tokenizer, "Hi", system, 12) for system in systems]
    assert len(set(wanted)) > 1
    assert generate(model, tiny_tokenizer, ["Hi"] * 3, systems, 12) == wanted
    with pytest.raises(ConfigError, match="3 prompts cannot go with 2 system prompts"):
        generate(model, tiny_tokenizer, ["Hi"] * 3, systems[:2])


def test_reports_how_far_it_is(model, tiny_tokenizer):
    told = []
    generate(model, tiny_tokenizer, PROMPTS, "", 1, batch_size=3, on_batch=lambda *done: told.append(done))
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert generate(model, tiny_tokenizer, [], "") == []


def test_an_answer_ends_at_each_end_that_the_base_knows(model, tiny_tokenizer):
    whole = generate(model, tiny_tokenizer, PROMPTS, "Be kind", 12)
    letters = sorted({answer[4] for answer in whole if len(answer) > 4})[:3]
    model.generation_config.eos_token_id = [2, *tiny_tokenizer.convert_tokens_to_ids(letters)]
    ended = generate(model, tiny_tokenizer, PROMPTS, "Be kind", 12)
    for before, after in zip(whole, ended, strict=True):
        first = min((before.index(letter) for letter in letters if letter in before), default=None)
        assert after == before[:first]


TINY = {"vocab_size": 79, "num_hidden_layers": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
OTHERS = {
    "rwkv": TINY | {"hidden_size": 32, "attention_hidden_size": 32, "intermediate_size": 64, "context_length": 256},
    "bart": TINY
    | {"d_model": 32, "decoder_layers": 2, "encoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 48}
    | {"encoder_attention_heads": 4, "encoder_ffn_dim": 48, "max_position_embeddings": 256, "is_decoder": True},
}
QUICK = ["mamba", "opt", "bloom", "rwkv", "bart"]
SLOWER = [kind for kind in KINDS if kind not in QUICK]
SLOWER = [pytest.param(kind, marks=pytest.mark.long if i % 3 else pytest.mark.slow) for i, kind in enumerate(SLOWER)]


@pytest.mark.parametrize("kind", [*QUICK, *SLOWER])
def test_batches_equal_single_answers_on_other_kinds_of_base(kind, tiny_tokenizer):
    """Also where a model can't leave padding out, as RWKV can't."""
    if kind in OTHERS:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **OTHERS[kind])).eval()
    else:
        context = {"max_position_embeddings": 256} if "max_position_embeddings" in KINDS[kind] else {}
        model = make(kind, **{"vocab_size": 79, "max_seq_len": 256} if kind == "mpt" else {"vocab_size": 79, **context})
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim == 2:  # the answer depends on the whole prompt
            parameter.data.mul_(6) if kind == "rwkv" else torch.nn.init.normal_(parameter)
    prompts = [PROMPTS[i] for i in (1, 0, 4, 6)]  # two of them are the same
    single = [greedy(model, tiny_tokenizer, prompt, "Be kind", 5) for prompt in prompts]
    told, batches = [], {"rwkv": 4, "bart": 3}.get(kind, 1)
    answers = generate(model, tiny_tokenizer, prompts, "Be kind", 5, on_batch=lambda *done: told.append(done))
    assert answers == single and len(told) == batches
    assert len(set(single)) > 1 or kind in ("gemma2", "gemma3_text", "mistral with a window"), "order would not show"


@pytest.mark.parametrize("own_tokens", [False, True])
def test_a_peft_models_prompts_go_together_if_it_leaves_padding_out(tiny_tokenizer, own_tokens):
    """PEFT gives its base no positions where it has put tokens of its own first: GPT-2 then counts padding."""
    base = make("gpt2", vocab_size=79, n_positions=256)
    torch.manual_seed(0)
    for parameter in base.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter)
    config = PromptTuningConfig("CAUSAL_LM", num_virtual_tokens=2) if own_tokens else LoraConfig("CAUSAL_LM")
    model, told = get_peft_model(base, config), []
    prompts = [PROMPTS[i] for i in (1, 0, 4, 6)]
    single = [generate(model, tiny_tokenizer, [prompt], "Be kind", 5)[0] for prompt in prompts]
    assert generate(model, tiny_tokenizer, prompts, "Be kind", 5, on_batch=lambda *done: told.append(done)) == single
    assert len(set(single)) > 1 and len(told) == (3 if own_tokens else 1)


def test_an_answers_length_may_be_left_open(model, tiny_tokenizer):
    """As in a task of one's own data, whose max_new_tokens is None."""
    with torch.no_grad():
        model.lm_head.weight[ends_of_answer(model, tiny_tokenizer)] = 0  # it never ends one by itself
    streamer = AnswerStreamer(tiny_tokenizer, lambda streamer: None)
    answer = generate(model, tiny_tokenizer, ["Hi"], "", None, streamer=streamer)
    assert len(streamer.ids) == 64 and answer == generate(model, tiny_tokenizer, ["Hi"], "")


def test_an_end_that_is_no_special_token_is_no_part_of_the_answer(model, tiny_tokenizer):
    """Some tokenizers don't know what ends their turns: to them, <|im_end|> is text that happens to be one token."""
    [wanted] = generate(model, tiny_tokenizer, ["Hi"], "Be kind", 12)
    model.generation_config.eos_token_id = tiny_tokenizer.convert_tokens_to_ids(wanted[5])
    first = wanted.index(wanted[5])
    streamer = AnswerStreamer(tiny_tokenizer, lambda streamer: None)
    answers = answers_and_cuts(model, tiny_tokenizer, ["Hi"], "Be kind", 12, streamer=streamer)
    assert answers == ([wanted[:first]], [False]) and streamer.text == wanted[:first]


def test_an_answer_never_runs_past_the_context_and_a_prompt_that_fills_it_is_refused(tiny_tokenizer):
    """OPT's table of positions ends there: one token more is an error of PyTorch's."""
    model = make("opt", vocab_size=128)  # 64 tokens of context
    room = 64 - len(encode_prompt(tiny_tokenizer, "", "Be kind"))
    prompts = ["x" * (room - 3), "Hi", "x" * (room - 1)]
    answers, cut = answers_and_cuts(model, tiny_tokenizer, prompts, "Be kind", 10)
    assert all(cut) and any(answers) and len(answers[0]) <= 3 and len(answers[2]) <= 1
    assert answers == [answers_and_cuts(model, tiny_tokenizer, [one], "Be kind", 10)[0][0] for one in prompts]
    with pytest.raises(ConfigError, match="^prompt 2 has 64 tokens with .* context ends at 64, .* Shorten it$"):
        generate(model, tiny_tokenizer, ["Hi", "x" * room], "Be kind")
    with pytest.raises(ConfigError, match="^the prompt has 70 tokens"):
        generate(model, tiny_tokenizer, ["x" * (room + 6)], "Be kind")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"prompts": "What is your name?"},
            r"^prompts must be a list of strings, got str. For a single prompt, pass \[prompt\]$",
        ),
        ({"prompts": None}, "^prompts must be a list of strings, got NoneType$"),
        ({"prompts": 8}, "^prompts must be a list of strings, got int$"),
        ({"prompts": ["a", 8]}, "^number 2 of prompts must be a string, got 8$"),
        ({"prompts": [float("nan")]}, "number 1 of prompts must be a string, got nan"),
        ({"prompts": [None]}, "number 1 of prompts must be a string, got None"),
        ({"prompts": [["a"] * 10**6]}, r"number 1 of prompts must be a string, got \['a', 'a', .*\.\.\.\]$"),
        ({"system": ["a", None]}, "number 2 of system must be a string, got None"),
        ({"system": None}, "^system must be a string, or a list with one string per prompt, got NoneType$"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": -3}, "batch_size must be a whole number of at least 1, got -3"),
        ({"batch_size": "8"}, "batch_size must be a whole number of at least 1, got '8'"),
        ({"batch_size": 2.0}, "batch_size must be a whole number of at least 1, got 2.0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of at least 1, got 0"),
        ({"max_new_tokens": "8"}, "max_new_tokens must be a whole number of at least 1, got '8'"),
        ({"max_new_tokens": float("nan")}, "max_new_tokens must be a whole number of at least 1, got nan"),
        ({"max_new_tokens": True}, "max_new_tokens must be a whole number of at least 1, got True"),
    ],
)
def test_what_generate_cannot_take_is_refused_in_one_sentence(tiny_llama, tiny_tokenizer, given, problem):
    arguments = {"prompts": ["a", "b"], "system": "", "max_new_tokens": 1, "batch_size": 1} | given
    with pytest.raises(ConfigError, match=problem):
        generate(tiny_llama, tiny_tokenizer, **arguments)


@pytest.mark.parametrize("pad", [None, "<pad>"])
def test_padding_that_is_missing_or_that_the_model_lacks_changes_nothing(model, tiny_tokenizer, pad):
    tokenizer = make_tiny_tokenizer()
    tokenizer.pad_token = None
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if pad:
        tokenizer.add_special_tokens({"pad_token": pad})
        assert tokenizer.pad_token_id >= len(model.get_input_embeddings().weight)
    wanted = [generate(model, tokenizer, [prompt], "Be kind", 12)[0] for prompt in PROMPTS]
    assert generate(model, tokenizer, PROMPTS, "Be kind", 12) == wanted
    task = Task("numbers", "Spell.", exact_match, {})
    result = train(model, tokenizer, task, TrainConfig(steps=1, batch_size=4), rows=ROWS)
    assert len(result.losses) == 1
    tokenizer.add_tokens(["Number"])
    with pytest.raises(BaseModelError, match="gives 'Number' the id"):
        generate(model, tokenizer, ["Number 3?"], "Be kind")
    with pytest.raises(BaseModelError, match="gives 'Number' the id"):
        train(model, tokenizer, task, TrainConfig(steps=1, batch_size=4), rows=ROWS)


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_also_after_an_error(model, tiny_tokenizer, training):
    def fail(done, of):
        assert not model.training
        raise InterruptedError

    model.train(training)
    generate(model, tiny_tokenizer, ["Hi"], "", 1)
    assert model.training is training
    with pytest.raises(InterruptedError):
        generate(model, tiny_tokenizer, ["Hi"], "", 1, on_batch=fail)
    assert model.training is training
    perplexity(model, tiny_tokenizer, "abc " * 80)
    assert model.training is training
    with pytest.raises(BaseModelError, match="embedding has 4 rows"):
        wide = make_tiny_llama(vocab_size=4, max_position_embeddings=256).train(training)
        perplexity(wide, tiny_tokenizer, "abc " * 80)
    assert model.training is training


# ---- evaluate


@pytest.fixture(scope="module")
def overfit(tiny_tokenizer, one_thread):
    model = make_tiny_llama(max_position_embeddings=512)
    result = train(model, tiny_tokenizer, TASK, TrainConfig(steps=80, batch_size=4, learning_rate=2e-2), rows=ROWS)
    assert result.losses[-1] < 0.05
    return model


def test_an_overfit_model_scores_full_marks(overfit, tiny_tokenizer):
    found = evaluate(overfit, tiny_tokenizer, TASK, ROWS, batch_size=3)
    assert found.predictions == [row["completion"] for row in ROWS] and found.rows == ROWS
    assert found.row_scores == [{"exact": 1.0}] * 4
    assert found.scores == {"exact": Score(1.0, *bootstrap_interval([1.0] * 4))}


def test_an_untrained_model_scores_nothing_and_rows_keep_their_scores(overfit, tiny_tokenizer):
    assert evaluate(make_tiny_llama(), tiny_tokenizer, TASK, ROWS).scores["exact"].mean == 0
    rows = [ROWS[0], ROWS[1] | {"completion": "dos"}, ROWS[2]]
    found = evaluate(overfit, tiny_tokenizer, TASK, rows)
    assert [row["exact"] for row in found.row_scores] == [1, 0, 1] and found.scores["exact"].mean == 2 / 3
    assert evaluate(overfit, tiny_tokenizer, TASK, rows, limit=1).rows == rows[:1]


def test_the_test_split_and_a_rows_own_system_prompt(overfit, tiny_tokenizer, tmp_path):
    """What training put before a row is put before it here, too."""
    (tmp_path / "test.jsonl").write_text('{"prompt": "Hi", "completion": "a", "system": "Spell."}\n' * 2)
    task = Task("mine", "Something else.", lambda answer, row: {"n": len(answer)}, {"test": tmp_path / "test.jsonl"})
    found = evaluate(overfit, tiny_tokenizer, task)
    assert found.predictions == [greedy(overfit, tiny_tokenizer, "Hi", "Spell.", 64)] * 2
    assert found.scores["n"].mean == len(found.predictions[0])


def test_answers_that_were_cut_off_are_counted(overfit, tiny_tokenizer):
    assert evaluate(overfit, tiny_tokenizer, TASK, ROWS).cut_off == 0, "each ends by itself within 8 tokens"
    task = dataclasses.replace(TASK, max_new_tokens=4)
    found = evaluate(overfit, tiny_tokenizer, task, ROWS)  # "one" and an end are 4 tokens, "three" is 5
    assert (found.cut_off, found.max_new_tokens) == (2, 4)
    assert found.about_cuts() == "2 of 4 answers were cut off at 4 tokens"
    assert evaluate(overfit, tiny_tokenizer, TASK, ROWS).about_cuts() == ""


def test_the_limit_for_ones_own_data_comes_from_the_longest_completion(overfit, tiny_tokenizer, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f'{{"prompt": "a", "completion": "{"x" * n}"}}\n' for n in (3, 80, 7)))
    task = task_from_files({"test": path}, "Spell.")
    assert task.max_new_tokens is None and task.token_limit(tiny_tokenizer, task.rows("test")) == 80 + 20 + 8
    assert evaluate(make_tiny_llama(), tiny_tokenizer, task, ROWS, limit=1).max_new_tokens == 5 + 1 + 8
    assert evaluate(make_tiny_llama(), tiny_tokenizer, TASK, ROWS, limit=1).max_new_tokens == 8


@pytest.mark.parametrize("limit", [-1, "3", 1.5, True])
def test_a_limit_that_is_no_number_of_rows_is_refused(tiny_llama, tiny_tokenizer, limit):
    with pytest.raises(ConfigError, match="limit must be a whole number of at least 0, got "):
        evaluate(tiny_llama, tiny_tokenizer, TASK, ROWS, limit=limit)


def test_rows_in_memory_are_checked_by_training_and_by_evaluation(tiny_llama, tiny_tokenizer):
    rows = [*ROWS, {"prompt": "Number 5?", "completion": 5}]
    for work in (evaluate, lambda *three, rows: train(*three, TrainConfig(steps=1, batch_size=4), rows=rows)):
        with pytest.raises(DataError, match='^row 5: "completion" is a number, not a string'):
            work(tiny_llama, tiny_tokenizer, TASK, rows=rows)
        with pytest.raises(DataError, match="^rows: expected a list of rows"):
            work(tiny_llama, tiny_tokenizer, TASK, rows="mine.jsonl")
    too_long = [*ROWS, {"prompt": "Number 5?", "completion": "five" * 30}]
    with pytest.raises(DataError, match="^row 5: the row has .* tokens, but the model's context ends at 64"):
        train(tiny_llama, tiny_tokenizer, TASK, TrainConfig(steps=1, batch_size=4), rows=too_long)


@pytest.mark.parametrize("answer", [{}, {"completion": ""}, {"completion": 5}, {"completion": None}])
def test_a_completion_is_asked_for_only_where_it_is_read(tiny_llama, tiny_tokenizer, answer):
    task = Task("mine", "Spell.", lambda answer, row: {"n": len(answer)}, {}, max_new_tokens=None)
    rows = [{"prompt": "Hi", **answer}]
    assert evaluate(tiny_llama, tiny_tokenizer, task, rows).max_new_tokens == 8
    with pytest.raises(DataError, match="^row 1: .*completion"):
        evaluate(tiny_llama, tiny_tokenizer, TASK, rows)
    with pytest.raises(DataError, match='^row 1: the field "prompt" is missing'):
        evaluate(tiny_llama, tiny_tokenizer, task, [answer])


def talk(*said: str) -> list[dict]:
    return [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 3, said)]


def test_of_a_conversation_the_last_answer_is_asked_for_with_all_that_was_said_before(model, tiny_tokenizer):
    """The oracle is greedy decoding of the conversation before it; a question alone is answered otherwise."""
    said = talk("Number 1?", "one", "And then?", "two", "Thanks")
    seen = []
    task = Task("mine", "Spell.", lambda answer, row: seen.append(row) or {"n": len(answer)}, {}, max_new_tokens=8)
    found = evaluate(model, tiny_tokenizer, task, [{"messages": said}, *ROWS[:1], {"messages": said[:1]}])
    asked = [said[:3], ROWS[0]["prompt"], said[:1]]
    assert found.predictions == [greedy(model, tiny_tokenizer, prompt, "Spell.", 8) for prompt in asked]
    assert found.predictions == generate(model, tiny_tokenizer, asked, "Spell.", 8)
    assert [(row["prompt"], row["completion"]) for row in seen] == [
        (said[:3], "two"),
        (ROWS[0]["prompt"], "one"),
        (said[:1], None),
    ]
    assert found.predictions[0] != generate(model, tiny_tokenizer, ["And then?"], "Spell.", 8)[0]
    again = evaluate(model, tiny_tokenizer, task, found.rows)
    assert again.predictions == found.predictions, "rows that come back can go in again"
    own = [{"role": "system", "content": "Be kind"}, *said]
    assert evaluate(model, tiny_tokenizer, task, [{"messages": own}]).predictions == [
        greedy(model, tiny_tokenizer, said[:3], "Be kind", 8)
    ]


def test_a_few_shot_prompt_is_the_examples_as_turns_before_each_question(model, tiny_tokenizer):
    """The oracle is the same conversation written out by hand; what's scored is the row as it was."""
    seen = []
    task = Task("mine", "Spell.", lambda answer, row: seen.append(row) or {"n": len(answer)}, {}, max_new_tokens=8)
    own, examples = [{"role": "system", "content": "Be kind"}], [ROWS[1], {"messages": talk("A", "b", "C", "d", "Bye")}]
    shown, rows = (
        talk("Number 1?", "two", "A", "b", "C", "d"),
        [ROWS[0], {"messages": [*own, *talk("E", "f", "G", "h")]}],
    )
    found = evaluate(model, tiny_tokenizer, task, rows, examples=examples)
    written = [*shown, *talk(ROWS[0]["prompt"])], [*own, *shown, *talk("E", "f", "G")]
    assert found.predictions == [greedy(model, tiny_tokenizer, asked, "Spell.", 8) for asked in written]
    plain = evaluate(model, tiny_tokenizer, task, rows)
    assert found.predictions != plain.predictions and found.rows == plain.rows and seen[:2] == seen[2:]
    with pytest.raises(DataError, match='row 1: the field "completion" is missing'):
        evaluate(model, tiny_tokenizer, task, rows, examples=[{"prompt": "Number 9?"}])


def test_an_overfit_model_answers_the_last_turn(tiny_tokenizer):
    model = make_tiny_llama(max_position_embeddings=512)
    rows = [{"messages": talk(f"Number {i}?", word, "Again?", word)} for i, word in enumerate(["one", "two", "six"])]
    config = TrainConfig(steps=80, batch_size=3, learning_rate=2e-2, turns="last")
    train(model, tiny_tokenizer, TASK, config, rows=rows)
    found = evaluate(model, tiny_tokenizer, TASK, rows)
    assert found.scores["exact"].mean == 1 and found.predictions == ["one", "two", "six"]


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        (talk("Hi") + [{"role": "bot", "content": "Ho"}], 'prompt 2: message 2 has the role "bot"'),
        ([{"role": "assistant", "content": "Hi"}], "prompt 2: no user speaks"),
    ],
)
def test_a_prompt_that_is_no_conversation_is_refused(model, tiny_tokenizer, prompt, problem):
    with pytest.raises(DataError, match=problem):
        generate(model, tiny_tokenizer, ["Hi", prompt], "", 1)


def test_nothing_to_evaluate_is_refused(model, tiny_tokenizer):
    for options in ({"rows": []}, {"rows": ROWS, "limit": 0}):
        with pytest.raises(ConfigError, match="nothing to evaluate on: there are no rows"):
            evaluate(model, tiny_tokenizer, TASK, **options)


def rights_squared(answers, rows):
    """Something that is no mean over rows."""
    right = [answer.strip() == row["completion"] for answer, row in zip(answers, rows)]
    return {"rights squared": (sum(right) / len(right)) ** 2}


def test_a_summary_is_of_the_whole_set_and_has_an_interval(model, tiny_tokenizer):
    """The square of a share: its interval is the share's interval, squared, as squaring keeps the order."""
    task = Task("numbers", "Spell.", exact_match, {}, summary=rights_squared, max_new_tokens=8)
    plain = evaluate(model, tiny_tokenizer, TASK, ROWS)
    rows = [
        {**row, "completion": answer if i % 2 else "?"} for i, (row, answer) in enumerate(zip(ROWS, plain.predictions))
    ]
    found = evaluate(model, tiny_tokenizer, task, rows * 10)
    assert found.scores["exact"].mean == 0.5 and found.scores["rights squared"].mean == 0.25
    low, high = bootstrap_interval([float(i % 2) for i in range(40)])
    assert found.scores["rights squared"].low == pytest.approx(low**2, abs=0.04)
    assert found.scores["rights squared"].high == pytest.approx(high**2, abs=0.04)
    assert found.scores["rights squared"] == evaluate(model, tiny_tokenizer, task, rows * 10).scores["rights squared"]
    assert all(set(row) == {"exact"} for row in found.row_scores)


# ---- perplexity


def test_perplexity_equals_a_direct_computation(model, tiny_tokenizer):
    """A text of one window's length has only that window; the model's own loss is the oracle."""
    text = "The quick brown fox jumps over the lazy dog. " * 2
    ids = torch.tensor([tiny_tokenizer(text).input_ids])
    logits = model(input_ids=ids).logits
    wanted = F.cross_entropy(logits[0, :-1], ids[0, 1:]).exp().item()
    assert perplexity(model, tiny_tokenizer, text, window=len(ids[0])) == pytest.approx(wanted, rel=1e-5)
    assert model(input_ids=ids, labels=ids).loss.exp().item() == pytest.approx(wanted, rel=1e-5)


def test_a_model_that_knows_nothing_has_the_vocabularys_size(tiny_tokenizer):
    model = make_tiny_llama(max_position_embeddings=512)
    torch.nn.init.zeros_(model.lm_head.weight)
    assert perplexity(model, tiny_tokenizer, "abc 123 " * 50) == pytest.approx(96, rel=1e-5)


def test_windows_depend_on_the_seed_alone(model, tiny_tokenizer):
    text = general_text()[:20_000]
    first = perplexity(model, tiny_tokenizer, text, windows=2)
    torch.rand(3)
    assert perplexity(model, tiny_tokenizer, text, windows=2) == first
    assert perplexity(model, tiny_tokenizer, text, windows=2, seed=1) != first


def test_real_base_knows_english(base):
    """Far below its vocabulary of 49,152, on a text it can hardly have seen in this order."""
    assert 3 < perplexity(*base, windows=2, window=128) < 60


def test_general_text_is_the_help_of_python():
    text = general_text()
    assert len(text) > 300_000 and 'The "for" statement' in text and text == general_text()


def test_windows_that_cannot_be_are_refused(model, tiny_tokenizer):
    with pytest.raises(ConfigError, match="the text has 3 tokens, fewer than one window of 256"):
        perplexity(model, tiny_tokenizer, "abc")
    with pytest.raises(ConfigError, match="the text has 0 tokens"):
        perplexity(model, tiny_tokenizer, "")
    for options in ({"windows": 0}, {"windows": "4"}, {"window": 1}, {"window": 2.5}):
        with pytest.raises(ConfigError, match="windows? must be a whole number of at least [12], got"):
            perplexity(model, tiny_tokenizer, "abc", **options)
    with pytest.raises(ConfigError, match="a window of 65 tokens is longer than the model's context of 64: take fewer"):
        perplexity(make("opt"), tiny_tokenizer, "abc " * 80, window=65)
    assert perplexity(make("opt"), tiny_tokenizer, "abc " * 80, window=64, windows=1) > 1
    with pytest.raises(ConfigError, match="^text must be a string, got int$"):
        perplexity(model, tiny_tokenizer, 3)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    bert = BertLMHeadModel(BertConfig(vocab_size=96, **shape))
    with pytest.raises(ConfigError, match="BertLMHeadModel isn't causal"):
        perplexity(bert, tiny_tokenizer, "abc " * 80)
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=96, d_model=8, num_layers=1))
    for ask in (perplexity, lambda *given: generate(*given, ["Hello"], "Be kind.")):
        with pytest.raises(ConfigError, match="'t5' reads with an encoder and writes with a decoder"):
            ask(t5, tiny_tokenizer)


# ---- what a notebook would show


@pytest.mark.slow
def test_nothing_is_printed(tmp_path):
    """Notebooks compare stdout and stderr: training, evaluating and perplexity say nothing there."""
    code = """
from training_run import ROWS, TASK, make_model, make_tiny_tokenizer
from labkit import TrainConfig, evaluate, perplexity, train
import sys
model, tokenizer = make_model(), make_tiny_tokenizer()
tokenizer.model_max_length = 40  # all rows are longer, which tokenizers like to remark on
model.generation_config.max_length = 20  # and generation on this
model.generation_config.temperature = 0.2
config = TrainConfig(steps=4, batch_size=4, gradient_accumulation=2, checkpoint_every=2)
train(model, tokenizer, TASK, config, rows=ROWS, output_dir=sys.argv[1])
train(model, tokenizer, TASK, config, rows=ROWS, output_dir=sys.argv[1], resume=True)
evaluate(model, tokenizer, TASK, ROWS, limit=3)
perplexity(model, tokenizer, windows=1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
