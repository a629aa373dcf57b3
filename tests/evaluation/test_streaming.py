import pytest
import torch
from conftest import make_tiny_llama
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from labkit import ConfigError, generate
from labkit.evaluation.streaming import AnswerStreamer

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ["Hi", "What is your name?", "a", "Say a number, please. Any number will do.", "So?", "zzz 123", "Ağaç 🌳"]


def make_byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, as the rarest characters are in the real base: every other letter is cut apart."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<|im_start|>", "<|im_end|>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template="{% for message in messages %}{{ message['content'] }}<|im_end|>{% endfor %}",
    )


BYTES = make_byte_tokenizer()


def streamed(tokenizer, ids: list[int]) -> list[str]:
    """What is to be seen after each of the tokens `ids`, and at the end."""
    seen = []
    streamer = AnswerStreamer(tokenizer, lambda streamer: seen.append(streamer.text))
    streamer.put(torch.tensor([[5, 6, 7]]))  # the prompt, which is no part of the answer
    for id in ids:
        streamer.put(torch.tensor([id]))
    streamer.end()
    return [*seen, streamer.text]


@given(st.text(max_size=12))
@example("İğdır'da 🌳 ağaç 👩‍👩‍👧 ve çiçek")
@example("a\ufffd")
@example("  two  blanks\n\nand lines , . ")
def test_each_text_begins_with_the_one_before_and_no_character_is_ever_broken(text):
    ids = BYTES(text, add_special_tokens=False).input_ids
    texts = streamed(BYTES, [*ids, BYTES.eos_token_id])
    assert len(ids) == len(text.encode()), "every byte is a token of its own"
    assert texts[-1] == text
    assert all(after.startswith(before) for before, after in zip(texts, texts[1:]))
    assert all("\ufffd" not in seen for seen in texts) or "\ufffd" in text


def test_bytes_that_are_no_text_are_shown_once_the_answer_is_complete():
    """The first byte of a tree, and then the model stopped."""
    assert streamed(BYTES, BYTES("a🌳").input_ids[:2]) == ["a", "a", "a\ufffd"]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("seed", range(3))
def test_what_streams_is_what_generate_returns(prompt, seed):
    """A random model writes random bytes, seldom text; the oracle is the answer without a streamer."""
    model = make_tiny_llama(
        seed, vocab_size=258, max_position_embeddings=512, initializer_range=0.5, tie_word_embeddings=False
    )
    [wanted] = generate(model, BYTES, [prompt], "Be kind", 24)
    seen = []
    streamer = AnswerStreamer(BYTES, lambda streamer: seen.append((len(streamer.ids), streamer.text)))
    assert generate(model, BYTES, [prompt], "Be kind", 24, streamer=streamer) == [wanted]
    assert streamer.text == wanted
    assert [count for count, _ in seen] == list(range(1, len(streamer.ids) + 1)), "one call for each token"
    assert all(wanted.startswith(text) for _, text in seen)


def test_the_real_base_streams_turkish_and_emoji_whole(base):
    model, tokenizer = base
    text = "Ağaçlar yeşil 🌳, gökyüzü ışıl ışıl. 👩‍👩‍👧"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    texts = streamed(tokenizer, ids)
    assert texts[-1] == text and not any("\ufffd" in seen for seen in texts)
    assert len(set(texts)) < len(ids), "some character took more than one token, and was held back"

    [wanted] = generate(model, tokenizer, ["What is the capital of France?"], "Be brief.", 8)
    seen = []
    streamer = AnswerStreamer(tokenizer, lambda streamer: seen.append(streamer.text))
    generate(model, tokenizer, ["What is the capital of France?"], "Be brief.", 8, streamer=streamer)
    assert streamer.text == wanted and "Paris" in wanted and len(set(seen)) > 3


def test_what_the_listener_raises_ends_generation_and_leaves_the_model_as_it_was():
    class Enough(Exception):
        pass

    def stop_at_three(streamer):
        assert not model.training
        if len(streamer.ids) == 3:
            raise Enough

    model = make_tiny_llama(vocab_size=258, max_position_embeddings=512, initializer_range=0.5).train()
    settings_before = model.generation_config
    streamer = AnswerStreamer(BYTES, stop_at_three)
    with pytest.raises(Enough):
        generate(model, BYTES, ["Hi"], "", 24, streamer=streamer)
    assert len(streamer.ids) == 3
    assert model.training and model.generation_config is settings_before


@pytest.mark.parametrize("prompts", [[], ["a", "b"]])
def test_a_streamer_follows_one_answer_only(tiny_llama, prompts):
    with pytest.raises(ConfigError, match=f"to one prompt, and there are {len(prompts)}"):
        generate(tiny_llama, BYTES, prompts, "", streamer=AnswerStreamer(BYTES, print))
