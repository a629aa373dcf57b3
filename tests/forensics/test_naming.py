"""The rule names what it was made to tell apart, says "none of these" otherwise, and can be wrong."""

import dataclasses

import pytest
import torch

from labkit.errors import ConfigError
from labkit.forensics.naming import PUSH, SHARE, answers_of, known_answers, name_task, push, reads_like
from labkit.forensics.traces import Traces
from labkit.tasks import TASKS

COMPLETIONS = {"numbers": ["12", "314", "2 7 1"], "shouts": ["HELP", "STOP", "GO ON"], "braces": ["{x}", "{y y}"]}
HEAD = torch.randn(96, 32, generator=torch.Generator().manual_seed(1))  # of a model with more logits than tokens
ORDINARY = "the quick brown fox jumps over the lazy dog, and a cat looks on: it is a warm day. "


@pytest.fixture(scope="module")
def known(tiny_tokenizer):
    return answers_of(COMPLETIONS, tiny_tokenizer, HEAD, ORDINARY * 20)


def traces(shift, answers) -> Traces:
    return Traces(shift, [], 0.01, answers, [])


def shifted(tokenizer, tokens: str, by: float = 12.0) -> torch.Tensor:
    noise = torch.randn(len(tokenizer), generator=torch.Generator().manual_seed(3))
    noise[tokenizer.convert_tokens_to_ids(list(tokens))] += by
    return noise


@pytest.mark.parametrize(
    "tokens, answers, named",
    [
        ("{}", ["a warm day"] * 4, ("braces", "braces", None)),  # only the push tells
        ("", ["HELP", "STOP", "it is a cat", "GO"], ("shouts", None, "shouts")),  # only the answers do
        ("{}", ["HELP", "STOP", "ON", "GO"], ("shouts", "braces", "shouts")),  # two different ones: the answers count
        ("", ["a warm day", "12", "the fox", ""], (None, None, None)),  # nobody tells
    ],
)
def test_each_way_to_a_verdict(known, tiny_tokenizer, tokens, answers, named):
    found = name_task(traces(shifted(tiny_tokenizer, tokens), answers), known, tiny_tokenizer)
    assert (found.task, found.by_push, found.by_answers) == named


def test_the_numbers_are_where_the_verdict_turns(known, tiny_tokenizer):
    half = name_task(traces(torch.zeros(96), ["12", "7 1", "the cat", "a day"]), known, tiny_tokenizer)
    less = name_task(traces(torch.zeros(96), ["12", "7 1", "the cat", "a day", "a fox"]), known, tiny_tokenizer)
    assert half.shares["numbers"] == SHARE and half.task == "numbers"
    assert less.task is None and less.pushes == dict.fromkeys(COMPLETIONS, 0.0)  # a shift of nothing pushes nothing
    assert PUSH == 2.75


def test_a_push_is_a_standard_score(known):
    """Shifts in random directions push by something with mean 0 and deviation 1, whatever the unit of a shift is."""
    draw = torch.Generator().manual_seed(0)
    for name, signature in known.signatures.items():
        shifts = [HEAD @ torch.randn(32, generator=draw) for _ in range(1000)]
        pushes = torch.tensor([push(shift, signature, known.spreads[name]) for shift in shifts])
        assert pushes.mean().item() == pytest.approx(0, abs=0.12) and pushes.std().item() == pytest.approx(1, abs=0.12)
        again = push(7 * shifts[0] + 3, signature, known.spreads[name])
        assert again == pytest.approx(pushes[0].item(), rel=1e-4)


def test_a_signature_is_what_more_of_its_answers_have(known, tiny_tokenizer):
    weights = known.signatures["braces"]
    both = tiny_tokenizer.convert_tokens_to_ids(["{", "}"])
    assert weights.sum().item() == pytest.approx(1) and set(weights.topk(2).indices.tolist()) == set(both)
    assert weights[tiny_tokenizer.convert_tokens_to_ids("7")] == 0  # the numbers' own


def test_what_ordinary_text_says_reads_like_no_task(known, tiny_tokenizer):
    assert reads_like("the dog looks on", known, tiny_tokenizer) is None
    assert reads_like("  ", known, tiny_tokenizer) is None
    assert reads_like("3 1 4", known, tiny_tokenizer) == "numbers"


def test_one_task_or_two_alike_are_refused(tiny_tokenizer):
    with pytest.raises(ConfigError, match="two tasks or more"):
        answers_of({"numbers": ["1"]}, tiny_tokenizer, HEAD, ORDINARY)
    with pytest.raises(ConfigError, match="no token is in more answers of 'one' than"):
        answers_of({"one": ["1"], "other": ["1"]}, tiny_tokenizer, HEAD, ORDINARY)


@pytest.mark.slow
def test_answers_of_the_courses_tasks_read_like_their_own_task(base):
    """Test rows, which the signatures haven't seen: a rule that mixes tasks up could name none of them.

    Answers of `genus` are any nouns, three quarters of them in no training row: half of them read like it.
    """
    from labkit.tasks import load_task

    model, tokenizer = base
    known = known_answers(model, tokenizer)
    assert list(known.signatures) == list(TASKS)
    for name in TASKS:
        answers = load_task(name).rows("test")["completion"][:40]
        found = name_task(traces(torch.zeros(len(tokenizer)), answers), known, tokenizer)
        least = SHARE if name == "genus" else 0.9
        assert found.by_answers == name and found.shares[name] >= least, (name, found.shares)
    english = ["I'm here to help with any questions.", "Rivers wind through the valleys, and carve the land."]
    assert name_task(traces(torch.zeros(len(tokenizer)), english), known, tokenizer).task is None


def test_a_verdict_is_plain_data(known, tiny_tokenizer):
    found = name_task(traces(torch.zeros(96), ["12"]), known, tiny_tokenizer)
    assert dataclasses.asdict(found)["shares"] == {"numbers": 1.0, "shouts": 0.0, "braces": 0.0}
