"""The plain loop is the specification: each row alone, through a model that has nothing but that row's adapter."""

import copy

import peft
import pytest
import torch
from adapted import ATOL, TOKENS, adapted, logits, randomise, untouched
from banked import ALONE, BANK, CONFIGS, MIX, assert_close, loop, make_bank, some_tokens, summed
from conftest import make_tiny_llama
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.evaluation.generation import generate
from labkit.lora.adapter import adapter_state
from labkit.lora.bank import AdapterBank
from labkit.lora.config import LoraConfig
from labkit.lora.files import load_adapter, save_adapter
from labkit.lora.inject import disable_adapter, inject_lora, lora_layers
from labkit.lora.merging import merge
from labkit.quant.convert import quantize_model


def test_one_adapter_for_all_rows():
    base = logits(make_tiny_llama())
    bank = make_bank()
    for name in CONFIGS:
        bank.activate(name)
        assert bank.active == name
        assert_close(logits(bank.model), logits(ALONE[name]))
        assert (logits(bank.model) - base).abs().max() > 100 * ATOL
    bank.deactivate()
    assert bank.active is None
    assert torch.equal(logits(bank.model), base)


@given(
    choices=st.lists(st.sampled_from([*CONFIGS, None]), min_size=1, max_size=7),
    length=st.integers(1, 9),
    seed=st.integers(0, 9),
)
@example(["wide"] * 4, 6, 0)  # one group
@example(["wide", "wide", "mlp", "mlp"], 6, 0)  # two groups of two rows
@example(["wide", "mlp", "mlp", "mlp"], 6, 0)  # runs of different lengths
@example([None] * 4, 6, 0)
def test_a_mixed_batch_equals_the_loop(choices, length, seed):
    tokens = some_tokens(len(choices), length, seed)
    with torch.no_grad(), untouched(BANK.model), BANK.rows(choices) as model:
        assert_close(model(tokens).logits, loop(choices, tokens))


def test_peft_agrees_and_leaves_hooks_behind_where_the_bank_does_not(tmp_path):
    """The trap: after one failed call with adapter_names, PEFT's model goes on answering for that call's rows."""
    names = ["thin", "mlp", "wide"]
    for name in names:
        save_adapter(ALONE[name], tmp_path / name)
    theirs = peft.PeftModel.from_pretrained(make_tiny_llama(), tmp_path / "thin", adapter_name="thin").eval()
    bank = AdapterBank(make_tiny_llama())
    for name in names:
        bank.add(name, tmp_path / name)
        if name != "thin":
            theirs.load_adapter(tmp_path / name, name)
    choices, tokens = ["mlp", None, "wide", "thin", "wide"], some_tokens(5)
    with torch.no_grad(), bank.rows(choices):
        ours = bank.model(tokens).logits
        assert_close(ours, theirs(tokens, adapter_names=[choice or "__base__" for choice in choices]).logits)

    def hooks(model: nn.Module) -> int:
        return sum(len(module._forward_pre_hooks) for module in model.modules())

    outside = torch.full_like(tokens, 1000)  # no such token
    assert hooks(theirs) == 0
    with pytest.raises(IndexError):
        theirs(outside, adapter_names=["wide"] * 5)
    assert hooks(theirs) > 0
    theirs.set_adapter("thin")  # no use: the failed call's adapter answers
    assert_close(theirs(tokens).logits, loop(["wide"] * 5, tokens))
    with untouched(bank.model), pytest.raises(IndexError), bank.rows(["wide"] * 5):
        bank.model(outside)
    with torch.no_grad(), bank.rows(choices):
        assert torch.equal(bank.model(tokens).logits, ours)


def padded(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Prompts of these lengths, padded on the left, and their mask."""
    tokens, mask = some_tokens(len(lengths), max(lengths)), torch.ones(len(lengths), max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        tokens[row, : max(lengths) - length], mask[row, : max(lengths) - length] = 2, 0
    return tokens, mask


@pytest.mark.parametrize(
    "how, copies",
    [
        ({}, 1),
        ({"use_cache": False}, 1),
        ({"num_beams": 3}, 3),
        ({"num_beams": 4, "num_return_sequences": 2}, 4),
        ({"prefill_chunk_size": 2}, 1),
    ],
)
def test_generate_with_left_padding_equals_each_row_alone(how, copies):
    choices, lengths = ["mlp", None, "wide", "thin", "wide"], [5, 2, 7, 3, 4]
    tokens, mask = padded(lengths)
    how = {"max_new_tokens": 9, "do_sample": False, "pad_token_id": 2, **how}
    with BANK.rows(choices, copies=copies):
        ours = BANK.model.generate(tokens, attention_mask=mask, **how)
    returned = how.get("num_return_sequences", 1)
    distinct = set()
    for row, (choice, length) in enumerate(zip(choices, lengths)):
        prompt = tokens[row : row + 1, -length:]
        alone = ALONE[choice].generate(prompt, attention_mask=torch.ones_like(prompt), **how)
        answers = ours[row * returned : (row + 1) * returned, tokens.shape[1] :].tolist()
        wanted = alone[:, length:].tolist()
        assert [a[: len(w)] for a, w in zip(answers, wanted)] == wanted
        distinct.add(tuple(wanted[0]))
    assert len(distinct) > 3


def test_sampled_sequences_of_a_row_all_have_its_adapter():
    tokens = some_tokens(1)
    torch.manual_seed(0)
    with BANK.rows(["wide"], copies=4):
        ours = BANK.model.generate(tokens, do_sample=True, num_return_sequences=4, max_new_tokens=5, pad_token_id=2)
    torch.manual_seed(0)
    wanted = ALONE["wide"].generate(tokens, do_sample=True, num_return_sequences=4, max_new_tokens=5, pad_token_id=2)
    assert torch.equal(ours, wanted)


def test_one_adapter_for_all_takes_inputs_of_any_shape():
    bank, x = make_bank(), torch.randn(2, 3, 4, 32)
    bank.activate("wide")
    for part in (x, x[0], x[0, 0], x[0, 0, 0], x[:, :0]):
        ours = bank.model.model.layers[0].self_attn.q_proj(part)
        assert_close(ours, ALONE["wide"].model.layers[0].self_attn.q_proj(part))


@pytest.mark.parametrize("weights", [{"wide": 0.5, "thin": 0.5}, MIX, {"deep": 1}, {"mlp": 0, "wide": 1}, {"thin": -2}])
def test_a_blend_is_the_weighted_sum_of_the_updates(weights):
    bank = make_bank()
    bank.blend(weights)
    assert bank.active == weights
    assert_close(logits(bank.model), logits(summed(weights)))


def test_a_blend_is_pefts_cat_and_not_the_mean_of_a_and_b(tmp_path):
    config = LoraConfig(target_modules="all-linear")
    bank = AdapterBank(make_tiny_llama())
    for name, seed in (("a", 1), ("b", 2)):
        bank.add(name, save_adapter(adapted(config, seed), tmp_path / name))
    theirs = peft.PeftModel.from_pretrained(make_tiny_llama(), tmp_path / "a", adapter_name="a").eval()
    theirs.load_adapter(tmp_path / "b", "b")
    bank.blend({"a": 0.5, "b": 0.5})
    apart = {}
    for kind in ("cat", "linear"):
        theirs.add_weighted_adapter(["a", "b"], [0.5, 0.5], kind, combination_type=kind)
        theirs.set_adapter(kind)
        apart[kind] = (logits(theirs) - logits(bank.model)).abs().max()
    assert apart["cat"] < ATOL
    assert apart["linear"] > 1000 * ATOL  # PEFT's "linear" averages A and B


def test_rows_may_ask_for_blends():
    tokens = some_tokens(4)
    with torch.no_grad(), BANK.rows([MIX, "thin", None, MIX]):
        ours = BANK.model(tokens).logits
    wanted = loop(["wide", "thin", None, "wide"], tokens)
    with torch.no_grad():
        wanted[[0, 3]] = summed(MIX)(tokens[[0, 3]]).logits
    assert_close(ours, wanted)


def test_blocks_may_be_nested():
    tokens = some_tokens(2)
    bank = make_bank()
    bank.activate("mlp")
    with torch.no_grad():
        with bank.rows(["wide", None]) as model:
            with bank.rows([None, "thin"]):
                assert_close(model(tokens).logits, loop([None, "thin"], tokens))
            for silence in (bank.disabled(), disable_adapter(model)):
                with silence:
                    assert torch.equal(model(some_tokens(5)).logits, ALONE[None](some_tokens(5)).logits)
            assert_close(model(tokens).logits, loop(["wide", None], tokens))
        assert_close(model(tokens).logits, loop(["mlp", "mlp"], tokens))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_adapter_from_file_model_and_tensors(tmp_path, name):
    bank = AdapterBank(make_tiny_llama())
    bank.add("model", ALONE[name])
    bank.add("file", save_adapter(ALONE[name], tmp_path / "a"))
    state = adapter_state(ALONE[name])
    bank.add("tensors", state, CONFIGS[name])
    bank.add("merged", merge(copy.deepcopy(ALONE[name])))
    for tensor in state.values():
        tensor.zero_()  # the bank has copies
    answers = []
    for held in bank.names:
        bank.activate(held)
        answers.append(logits(bank.model))
    assert all(torch.equal(answer, answers[0]) for answer in answers)
    assert_close(answers[0], logits(ALONE[name]))


def test_coming_and_going_of_others_is_not_felt():
    bank = make_bank()
    bank.activate("mlp")
    answer = logits(bank.model)
    bank.remove("wide")
    bank.add("other", ALONE["deep"])
    assert torch.equal(logits(bank.model), answer)
    assert bank.names == ["thin", "mlp", "deep", "other"] and len(bank) == 4 and "wide" not in bank
    with pytest.raises(ConfigError, match="'mlp' is in use: deactivate it first"):
        bank.remove("mlp")
    bank.blend({"mlp": 1, "thin": 1})
    with pytest.raises(ConfigError, match="'thin' is in use"):
        bank.remove("thin")
    bank.deactivate()
    bank.remove("thin")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bytes_held_are_the_numbers_of_a_and_b(dtype):
    bank = make_bank(dtype=dtype)
    layers = [layer for name in CONFIGS for _, layer in lora_layers(ALONE[name])]
    numbers = sum(layer.r * (layer.in_features + layer.out_features) for layer in layers)
    assert bank.nbytes == numbers * dtype.itemsize
    for name in CONFIGS:
        bank.remove(name)
    assert bank.nbytes == 0


def test_a_neighbours_infinities_stay_with_the_neighbour():
    config = LoraConfig(target_modules=["o_proj"], r=1)
    state = {key: torch.full_like(tensor, 1e36) for key, tensor in adapter_state(adapted(config)).items()}
    bank = make_bank()
    bank.add("huge", state, config)
    tokens = some_tokens(3)
    with torch.no_grad(), bank.rows(["thin", "huge", None]):
        ours = bank.model(tokens).logits
    assert ours[1].isnan().any()
    assert_close(ours[[0, 2]], loop(["thin", None, None], tokens)[[0, 2]])


def test_gradients_pass_through_to_the_input():
    choices, tokens = ["wide", None, "mlp"], some_tokens(3)

    def gradient(model: nn.Module, rows: Tensor) -> Tensor:
        x = make_tiny_llama().get_input_embeddings()(rows).detach().requires_grad_()
        model(inputs_embeds=x).logits.square().sum().backward()
        return x.grad

    with BANK.rows(choices):
        ours = gradient(BANK.model, tokens)
    wanted = torch.cat([gradient(ALONE[choice], tokens[i : i + 1]) for i, choice in enumerate(choices)])
    torch.testing.assert_close(ours, wanted, atol=ATOL, rtol=1e-4)
    BANK.model.zero_grad()


@pytest.mark.parametrize("backend", ["labkit", "bitsandbytes"])
def test_on_a_4_bit_base_it_equals_the_lora_layer(tmp_path, backend):
    """Again after a forward in eval mode, where bitsandbytes alone would repack its weights, and after an error."""
    if backend == "bitsandbytes":
        pytest.importorskip("bitsandbytes")

    def base() -> nn.Module:
        return quantize_model(make_tiny_llama(), backend, double=True)

    bank, choices, tokens = make_bank(base()), ["wide", "mlp", None], some_tokens(3)
    alone = {None: base()}
    for name in ("wide", "mlp"):
        alone[name] = load_adapter(base(), save_adapter(ALONE[name], tmp_path / name)).eval()
    wanted = torch.cat([alone[choice](tokens[i : i + 1]).logits for i, choice in enumerate(choices)]).detach()
    for _ in range(2):
        with torch.no_grad(), bank.rows(choices) as model, untouched(model):
            assert_close(model(tokens).logits, wanted)
            with pytest.raises(ConfigError, match="chosen for 3 rows"):
                model(some_tokens(2))
    assert (wanted[2] - loop([None], tokens[2:])[0]).abs().max() > 100 * ATOL  # four bits are felt


def test_on_a_16_bit_base_the_answer_is_that_of_the_lora_layer():
    """A and B in float32, the answer in the base's 16 bits, as LoraLinear has it."""
    alone = inject_lora(make_tiny_llama().bfloat16(), CONFIGS["wide"])
    randomise(alone)
    for dtype, apart in ((torch.float32, 0.01), (torch.bfloat16, 0.05)):
        bank = AdapterBank(make_tiny_llama().bfloat16(), dtype=dtype)
        bank.add("wide", alone)
        with torch.no_grad(), bank.rows(["wide", None]):
            ours = bank.model(TOKENS).logits
        assert ours.dtype == torch.bfloat16
        wanted = torch.cat([logits(alone)[:1], logits(make_tiny_llama().bfloat16())[1:]])
        torch.testing.assert_close(ours, wanted, atol=apart, rtol=0)


def test_a_copied_model_has_a_bank_of_its_own():
    bank = make_bank()
    bank.activate("wide")
    twin = copy.deepcopy(bank.model)
    bank.deactivate()
    assert twin.labkit.bank is not bank and twin.labkit.bank.active == "wide"
    assert_close(logits(twin), logits(ALONE["wide"]))
    twin.labkit.bank.close()
    assert torch.equal(logits(twin), logits(bank.model))


def test_answers_to_prompts_each_by_its_own_adapter(tiny_tokenizer):
    prompts = ["Hello there", "Hi", "What is the time?", "Go", "Bye now"]
    choices = ["wide", None, "mlp", "thin", "wide"]
    ours = generate(BANK.model, tiny_tokenizer, prompts, "Be kind", 8, batch_size=3, adapters=choices)
    assert ours == [
        generate(ALONE[choice], tiny_tokenizer, [prompt], "Be kind", 8)[0] for choice, prompt in zip(choices, prompts)
    ]
    with pytest.raises(ConfigError, match="prompts are sorted by length here"), BANK.rows(choices):
        generate(BANK.model, tiny_tokenizer, prompts, "Be kind")
    for model, given_choices in ((BANK.model, choices[:2]), (make_tiny_llama(), choices)):
        with pytest.raises(ConfigError, match="adapters needs a model with an AdapterBank, and one choice for each"):
            generate(model, tiny_tokenizer, prompts, "Be kind", adapters=given_choices)
