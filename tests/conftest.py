"""What the tests share: a Llama small enough to train in milliseconds, with grouped queries and tied embeddings,
and a tokenizer that fits it."""

import gc
import os
import string

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Outputs, bits and bytes are a CPU's, also on a machine with a GPU; what's marked gpu names its device
os.environ.setdefault("LABKIT_DEVICE", "cpu")
# Two threads on matrices of 32 × 32 wait for each other more than they work; child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import Phase, settings
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from labkit.base import load_base

# To explain a failing example hypothesis traces every line that runs, which is slow in a process with torch. (With a
# thousand tests behind it, one failure had not been reported after ten minutes.) The example alone is enough.
_PHASES = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile("labkit", phases=_PHASES, deadline=None, max_examples=60)
settings.register_profile("thorough", settings.get_profile("labkit"), max_examples=1000)
settings.load_profile("labkit")

# What `make check`, `make test-units`, `make test-long` and `make test-gpu` tell tests apart by; most have none.
LANES = {"slow", "long", "gpu"}
EVERY_TEST = pytest.StashKey[dict[str, set[str]]]()


@pytest.hookimpl(tryfirst=True)  # before -m takes any away
def pytest_collection_modifyitems(config, items):
    config.stash[EVERY_TEST] = {item.nodeid: {mark.name for mark in item.iter_markers()} & LANES for item in items}


def pytest_collection_finish():
    """What's imported by now stays to the end, and no collection of garbage needs to look through it again."""
    gc.collect()
    gc.freeze()


def sampled(values, *marks) -> list:
    """Parameters: the first for the units (with `marks`), the rest for `make test-long`."""
    first, *rest = values
    return [pytest.param(first, marks=marks), *(pytest.param(value, marks=pytest.mark.long) for value in rest)]


TINY_SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
}


def make_tiny_llama(seed: int = 0, **changes) -> LlamaForCausalLM:
    """A random Llama of a few thousand parameters: 4 heads over 2 key/value heads, tied embeddings."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**(TINY_SHAPE | changes))).eval()


@pytest.fixture
def tiny_llama() -> LlamaForCausalLM:
    return make_tiny_llama()


@pytest.fixture(autouse=True)
def throw_away_learner(tmp_path, monkeypatch):
    """No test reads or writes the progress of whoever runs it."""
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "learner"))


@pytest.fixture(autouse=True)
def room_to_train(request, monkeypatch):
    """`train` simulates a step first, to see whether it fits: longer than a tiny model takes to train.

    The tests of that, marked ``memory_check``, have it as it is.
    """
    if "memory_check" not in request.keywords:
        monkeypatch.setattr("labkit.training.refusals.refuse_what_cannot_fit", lambda *_, **__: None)


_CHAT_TEMPLATE = """\
{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are somebody else<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def make_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, with the real base's habits: ChatML, a system prompt of its own, pad equal to eos."""
    characters = "\n" + string.ascii_letters + string.digits + " .,:;!?{}\"'$-"
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=_CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    return make_tiny_tokenizer()


@pytest.fixture(scope="session")
def base():
    """The real base model and its tokenizer, shared by all tests: leave it as it is."""
    return load_base()


@pytest.fixture(scope="module")
def one_thread():
    """So that sums are always taken in the same order, and tiny matrices do not fight for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
