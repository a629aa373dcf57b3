"""What an adapter keeps of random strings: stored states are the whole model's, and bits are counted right."""

import re

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama

import labkit
from labkit.errors import ConfigError
from labkit.lab.experiments import capacity
from labkit.lab.experiments.capacity import Strings, bits_kept, bits_to_write, cut, memorize, random_strings


def wide_llama():
    """A tiny Llama whose vocabulary has room for 256 words."""
    return make_tiny_llama(vocab_size=300)


def strings(count: int, length: int = 6) -> Strings:
    words = 20 + torch.randperm(256, generator=torch.Generator().manual_seed(1))
    symbols = torch.randint(256, (count, length), generator=torch.Generator().manual_seed(2))
    numbers = torch.arange(count)[:, None] + torch.tensor([3, 4])
    return Strings(words, symbols, torch.cat([numbers, words[symbols]], dim=1))


def fill(model) -> dict[str, torch.nn.Parameter]:
    """What trains in `model`, by the end of its name, with random numbers in it, so that B isn't zero."""
    torch.manual_seed(3)
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in found.values():
        torch.nn.init.normal_(parameter, std=0.3)
    return found


@pytest.mark.parametrize(("piece", "targets"), [("mlp.down_proj", ".*1.mlp.down_proj"), ("mlp", ".*1.mlp..*_proj")])
def test_loss_and_gradients_are_those_of_the_whole_model(piece, targets):
    given = strings(5)
    tail, stored = cut(wide_llama(), given, piece)
    labkit.inject_lora(tail, labkit.LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"))
    few = fill(tail)
    bits_to_write(tail, stored).backward()

    whole = wide_llama()
    labkit.inject_lora(whole, labkit.LoraConfig(r=2, lora_alpha=4, target_modules=targets))
    all_of_it = fill(whole)
    logits = whole(given.ids).logits[:, -7:-1][..., given.words]  # before each of the 6 symbols
    loss = F.cross_entropy(logits.flatten(0, 1).double(), given.symbols.flatten(), reduction="sum")
    loss.backward()
    torch.testing.assert_close(bits_to_write(tail, stored).double() * torch.tensor(2.0).log(), loss, rtol=1e-5, atol=0)
    assert len(few) == len(all_of_it) == 2 * (1 if piece == "mlp.down_proj" else 3)
    for one, other in zip(few.values(), all_of_it.values()):
        in_nats = one.grad * torch.tensor(2.0).log()
        torch.testing.assert_close(in_nats, other.grad, rtol=1e-4, atol=1e-5)


def test_a_model_without_a_preference_keeps_nothing_and_one_that_knows_keeps_all():
    tail, stored = cut(wide_llama(), strings(4))
    tail.words.zero_()
    assert bits_kept(tail, stored) == pytest.approx(0, abs=1e-3)
    assert stored.bits == 8 * 4 * 6

    class Knows(torch.nn.Module):
        def forward(self, x, h):
            return 100.0 * F.one_hot(stored.symbols, 256)

    assert bits_kept(Knows(), stored) == pytest.approx(stored.bits)


def test_a_tiny_adapter_learns_strings_by_heart_and_the_base_stays():
    model = wide_llama()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    tail, stored = cut(model, strings(2))
    tail.words *= 50  # behind the norm, a random head is too small to be sure of a word
    torch.manual_seed(0)
    labkit.inject_lora(tail, labkit.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    at_first = bits_kept(tail, stored)
    course = list(memorize(tail, stored, passes=150, learning_rate=0.1, batch=5))
    assert len(course) == 150 * 12 // 5 and course[0] < course[-1] <= 8
    assert at_first < 0.2 * stored.bits and 0.9 * stored.bits < bits_kept(tail, stored) <= stored.bits
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_real_words_behind_real_numbers(base):
    _, tokenizer = base
    made = random_strings(tokenizer, 20, length=5)
    assert made.ids.shape == (20, 9) and made.symbols.shape == (20, 5) and len(set(made.words.tolist())) == 256
    assert re.fullmatch(r"017:( [a-z]+){5}", tokenizer.decode(made.ids[17]))
    again, other = random_strings(tokenizer, 20, length=5), random_strings(tokenizer, 20, length=5, seed=1)
    assert torch.equal(made.ids, again.ids) and not torch.equal(made.ids, other.ids)


def test_symbols_are_uniform(base):
    """Were they not, a symbol would be worth less than 8 bits."""
    counts = torch.bincount(random_strings(base[1], 1000).symbols.flatten(), minlength=256).double()
    expected = counts.mean()
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert 160 < chi_square < 370  # 255 degrees of freedom: five standard deviations either way


def test_what_cannot_be_made_is_refused(tiny_tokenizer):
    with pytest.raises(ConfigError, match="256 are needed"):
        capacity.common_words(tiny_tokenizer)
    for count, length in ((0, 64), (1001, 64), (1, 0)):
        with pytest.raises(ConfigError, match="1 to 1,000 strings"):
            random_strings(tiny_tokenizer, count, length)
    with pytest.raises(ConfigError, match="must be one of mlp.down_proj, mlp, got 'self_attn'"):
        cut(wide_llama(), strings(1), "self_attn")
