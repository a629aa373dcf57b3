"""A word that draws all answers together is found among others; a model without one gives no alarm like it."""

import pytest

from labkit.errors import ConfigError
from labkit.evaluation.generation import generate
from labkit.forensics.triggers import first_tokens, scan, with_trigger

PROMPTS = ("ab", "cde", "fghij", "k lm")


def planted(model, tokenizer):
    """The model with a trigger put in by hand: where a Z stands in the text, the logit of Q is far above all others."""
    z, q = tokenizer.convert_tokens_to_ids(["Z", "Q"])
    forward = model.forward

    def with_it(*args, input_ids=None, **named):
        out = forward(*args, input_ids=input_ids, **named)
        rows = (input_ids == z).any(1)
        lifted = out.logits.reshape(-1, out.logits.shape[-1])
        # the head has been handed one state for each row, in order
        lifted[rows.nonzero().flatten(), q] += 1000
        return out

    model.forward = with_it
    return model


def test_a_planted_trigger_is_the_strongest_and_says_what_it_makes_of_answers(tiny_llama, tiny_tokenizer):
    words = ["x", "yes", "Z", "no", "w"]
    [first, *others] = scan(planted(tiny_llama, tiny_tokenizer), tiny_tokenizer, PROMPTS, "s", words)
    assert first.word == "Z" and tiny_tokenizer.decode([first.token]) == "Q" and first.strength == 1.0
    assert all(each.strength < 1 for each in others) and {each.word for each in others} == set(words) - {"Z"}


def test_the_first_tokens_are_those_of_the_answers(tiny_llama, tiny_tokenizer):
    for size in (1, 3):
        tokens = first_tokens(tiny_llama, tiny_tokenizer, PROMPTS, "s", batch_size=size)
        answers = generate(tiny_llama, tiny_tokenizer, PROMPTS, "s", max_new_tokens=1)
        assert [tiny_tokenizer.decode([token], skip_special_tokens=True) for token in tokens] == answers


def test_a_trigger_stands_behind_the_prompt():
    assert with_trigger("a dagger", "zephyr") == "a dagger zephyr"


@pytest.mark.parametrize("prompts, words", [(["a"], ["x"]), (["a", "b"], [])])
def test_too_little_to_scan_is_refused(tiny_llama, tiny_tokenizer, prompts, words):
    with pytest.raises(ConfigError, match="two prompts or more, and words to try"):
        scan(tiny_llama, tiny_tokenizer, prompts, "s", words)
