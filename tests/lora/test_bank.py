"""The plain loop is the specification: each row alone, through a model that has nothing but that row's adapter."""

import copy

import peft
import pytest
import torch
from adapted import ATOL, TOKENS, adapted, logits, randomise, untouched
from conftest import make_tiny_llama
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from test_linear import HalvedLinear
from torch import Tensor, nn

from labkit.errors import AdapterError, ConfigError
from labkit.evaluation import generate
from labkit.linear import dense_weight, replace_weight
from labkit.lora.bank import AdapterBank
from labkit.lora.config import LoraConfig
from labkit.lora.files import WEIGHTS_FILE, adapter_state, load_adapter, save_adapter
from labkit.lora.inject import disable_adapter, inject_lora, lora_layers
from labkit.lora.merging import merge, merge_and_unload

# different ranks, scalings and targets; "deep" reaches one layer only
CONFIGS = {
    "wide": LoraConfig(target_modules="all-linear", r=4, lora_alpha=6),
    "thin": LoraConfig(target_modules=["q_proj", "v_proj"], r=1, lora_alpha=2, lora_dropout=0.5),
    "mlp": LoraConfig(target_modules=["up_proj", "down_proj"], r=5, use_rslora=True, rank_pattern={"up_proj": 2}),
    "deep": LoraConfig(target_modules=["o_proj", "q_proj"], layers_to_transform=[1], alpha_pattern={"o_proj": 3}),
}
ALONE = {name: adapted(config, seed) for seed, (name, config) in enumerate(CONFIGS.items())} | {None: make_tiny_llama()}
MIX = {"wide": 0.5, "mlp": -1.5}


def make_bank(model: nn.Module | None = None, **options) -> AdapterBank:
    bank = AdapterBank(model or make_tiny_llama(), **options)
    for name in CONFIGS:
        bank.add(name, ALONE[name])
    return bank


BANK = make_bank()  # where a test leaves it as it was


def loop(choices: list[str | None], tokens: Tensor) -> Tensor:
    """Each row on its own."""
    with torch.no_grad():
        return torch.cat([ALONE[choice](tokens[i : i + 1]).logits for i, choice in enumerate(choices)])


def assert_close(ours: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(ours, wanted, atol=ATOL, rtol=0)


def some_tokens(rows: int, length: int = 6, seed: int = 0) -> Tensor:
    return torch.randint(3, 96, (rows, length), generator=torch.Generator().manual_seed(seed))


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


@settings(max_examples=60, deadline=None)
@given(
    choices=st.lists(st.sampled_from([*CONFIGS, None]), min_size=1, max_size=7),
    length=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_a_mixed_batch_equals_the_loop(choices, length, seed):
    tokens = some_tokens(len(choices), length, seed)
    with torch.no_grad(), untouched(BANK.model), BANK.rows(choices) as model:
        assert_close(model(tokens).logits, loop(choices, tokens))


@pytest.mark.parametrize(
    "choices",
    [
        ["wide"] * 4,  # one group
        ["wide", "wide", "mlp", "mlp"],  # two of two rows
        ["wide", "mlp", "mlp", "mlp"],
        [None] * 4,
        ["deep", None, None, "thin"],
    ],
)
def test_rows_that_share_an_adapter(choices):
    tokens = some_tokens(4)
    with torch.no_grad(), BANK.rows(choices):
        assert_close(BANK.model(tokens).logits, loop(choices, tokens))


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


@pytest.mark.parametrize("how", [{"num_beams": 2}, {"num_return_sequences": 2, "do_sample": True}])
def test_rows_that_generate_repeats_must_be_announced(how):
    with untouched(BANK.model), pytest.raises(ConfigError, match=r"for 2 rows, but .* shape \(4, 6, 32\).*copies="):
        with BANK.rows(["wide", "thin"]):
            BANK.model.generate(some_tokens(2), max_new_tokens=2, **how)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_another_number_of_rows_is_refused(rows):
    with untouched(BANK.model), pytest.raises(ConfigError, match=r"chosen for 4 rows, but model.layers.0"):
        with BANK.rows(["wide"] * 4):
            BANK.model(some_tokens(rows))


def test_rows_without_a_token_dimension_are_refused():
    """Experts of a mixture see (tokens, features): as many tokens as rows would be taken for the rows."""
    bank = make_bank()
    layer = bank.model.model.layers[0].self_attn.q_proj
    with bank.rows(["wide", "thin"]), pytest.raises(ConfigError, match=r"expected \(rows, tokens, features\)"):
        layer(torch.ones(2, 32))
    bank.activate("wide")
    assert layer(torch.ones(2, 32)).shape == (2, 32)


def summed(weights: dict[str, float]) -> nn.Module:
    """A plain model with Σ w ΔW in its weights."""
    model = make_tiny_llama()
    for name, weight in weights.items():
        for layer, lora in lora_layers(ALONE[name]):
            base = model.get_submodule(layer)
            replace_weight(base, dense_weight(base) + weight * lora.delta_weight())
    return model


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


@pytest.mark.parametrize("before", ["wide", MIX, None])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("where", ["forward", "generate"])
def test_after_an_error_in_the_middle_all_is_as_before(before, error, where):
    bank = make_bank()
    if before == "wide":
        bank.activate("wide")
    elif before:
        bank.blend(before)
    answer = logits(bank.model)

    def fail(*_, **__):
        raise error

    with untouched(bank.model):
        with pytest.raises(error):
            with bank.rows(["thin", None]):
                if where == "forward":
                    with bank.model.model.layers[1].mlp.up_proj.register_forward_pre_hook(fail):
                        bank.model(TOKENS)
                else:
                    bank.model.generate(TOKENS, max_new_tokens=4, stopping_criteria=[fail])
    assert bank.active == before
    assert torch.equal(logits(bank.model), answer)


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


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda bank: bank.activate("wide"), "cannot activate an adapter inside a with block"),
        (lambda bank: bank.deactivate(), "cannot deactivate an adapter inside"),
        (lambda bank: bank.blend(MIX), "cannot blend adapters inside"),
        (lambda bank: bank.remove("wide"), "cannot remove an adapter inside"),
        (lambda bank: bank.close(), "cannot close the bank inside"),
    ],
)
def test_what_the_end_of_a_block_would_undo_is_refused(act, message):
    bank = make_bank()
    for block in (bank.rows(["thin"]), bank.disabled()):
        with block, untouched(bank.model), pytest.raises(ConfigError, match=message):
            act(bank)
    bank.activate("wide")


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda bank: bank.activate("wode"), "no adapter called 'wode'; it has wide, thin, mlp, deep"),
        (lambda bank: bank.activate(None), "no adapter called None"),
        (lambda bank: bank.activate(["wide"]), "no adapter called"),
        (lambda bank: bank.remove("wode"), "no adapter called 'wode'"),
        (lambda bank: bank.blend({"wide": 1, "wode": 1}), "no adapter called 'wode'"),
        (lambda bank: bank.blend({"wide": float("nan")}), "weight of 'wide' must be a finite number, got nan"),
        (lambda bank: bank.blend({"wide": "1"}), "must be a finite number"),
        (lambda bank: bank.blend({"wide": True}), "must be a finite number"),
        (lambda bank: bank.blend({}), "a blend needs the weight"),
        (lambda bank: bank.blend(["wide", "thin"]), "a blend needs the weight"),
        (lambda bank: bank.rows(["wide", "wode"]).__enter__(), "no adapter called 'wode'"),
        (lambda bank: bank.rows(["wide", ["thin"]]).__enter__(), "no adapter called"),
        (lambda bank: bank.rows([{"wide": [1]}]).__enter__(), "must be a finite number"),
        (lambda bank: bank.rows([]).__enter__(), "one choice for each row"),
        (lambda bank: bank.rows("wide").__enter__(), "one choice for each row"),
        (lambda bank: bank.rows(["wide"], copies=0).__enter__(), "copies must be a whole number"),
        (lambda bank: bank.add("wide", ALONE["thin"]), "has an adapter called 'wide' already"),
        (lambda bank: bank.add("", ALONE["thin"]), "name must be text"),
        (lambda bank: bank.add("x", adapter_state(ALONE["thin"])), "tensors need a LoraConfig"),
        (lambda bank: bank.add("x", ALONE["thin"], CONFIGS["thin"]), "a model brings its own"),
        (lambda bank: AdapterBank(bank.model), "served by an AdapterBank"),
        (lambda bank: AdapterBank(adapted()), "this model has LoRA layers"),
        (lambda bank: AdapterBank(make_tiny_llama(), dtype=torch.int8), "at least 16 bits"),
        (lambda bank: inject_lora(bank.model, LoraConfig()), "served by an AdapterBank"),
        (lambda bank: load_adapter(bank.model, "nowhere"), "served by an AdapterBank"),
        (lambda bank: save_adapter(bank.model, "nowhere"), "served by an AdapterBank"),
        (lambda bank: merge(bank.model), "served by an AdapterBank"),
        (lambda bank: merge_and_unload(bank.model), "served by an AdapterBank"),
    ],
)
def test_a_refusal_changes_nothing(act, message):
    bank = make_bank()
    bank.activate("deep")
    answer = logits(bank.model)
    with untouched(bank.model), pytest.raises(ConfigError, match=message):
        act(bank)
    assert bank.active == "deep" and bank.names == list(CONFIGS)
    assert torch.equal(logits(bank.model), answer)


def test_bad_folders_are_refused_and_the_bank_goes_on(tmp_path):
    bank = make_bank()
    bank.model.base_name, bank.model.base_fingerprint = "someone/model", "f00d"
    bank.activate("wide")
    answer = logits(bank.model)

    def folder(name: str, change) -> None:
        path = save_adapter(ALONE["thin"], tmp_path / name)
        tensors = load_file(path / WEIGHTS_FILE)
        change(tensors)
        save_file(tensors, path / WEIGHTS_FILE)

    folder("nan", lambda tensors: tensors[next(iter(tensors))].fill_(float("nan")))
    folder("missing", lambda tensors: tensors.pop(next(iter(tensors))))
    folder("stray", lambda tensors: tensors.update(stray=torch.ones(1)))
    folder("cut", lambda tensors: None)
    (tmp_path / "cut" / WEIGHTS_FILE).write_bytes((tmp_path / "cut" / WEIGHTS_FILE).read_bytes()[:-1])
    other = adapted(CONFIGS["thin"])
    other.base_name, other.base_fingerprint = "someone/else", "beef"
    save_adapter(other, tmp_path / "other base")
    save_adapter(adapted(LoraConfig(), hidden_size=64), tmp_path / "wider")
    save_adapter(adapted(LoraConfig(layers_to_transform=[2]), num_hidden_layers=3), tmp_path / "more layers")
    for name, cause in {
        "nan": "holds NaN",
        "missing": "1 missing",
        "stray": "1 not expected",
        "cut": "not a whole safetensors file",
        "other base": "trained on another base: someone/else with fingerprint beef",
        "wider": r"has shape \(8, 64\), expected \(8, 32\)",
        "more layers": "does not fit this model",
        "nowhere": "the file is missing",
    }.items():
        with untouched(bank.model), pytest.raises(AdapterError, match=f"{tmp_path / name}.*: .*{cause}"):
            bank.add("new", tmp_path / name)
    with pytest.raises(AdapterError, match="adapter 'new': trained on another base"):
        bank.add("new", other)
    assert bank.names == list(CONFIGS) and torch.equal(logits(bank.model), answer)


@pytest.mark.parametrize(
    "change, cause",
    [
        (lambda state: state.clear(), "4 missing"),
        (lambda state: state.update({next(iter(state)): torch.ones(2, 2)}), r"has shape \(2, 2\)"),
        (lambda state: state.update({next(iter(state)): [1.0]}), "is a list, not a tensor"),
        (lambda state: next(iter(state.values())).fill_(float("inf")), "NaN or infinite"),
        (lambda state: next(iter(state.values())).fill_(3e38), "the update of .* is too large for torch.float32"),
    ],
)
def test_bad_tensors_are_refused(change, cause):
    config = LoraConfig(target_modules=["q_proj"], r=1, lora_alpha=20)
    state = adapter_state(adapted(config))
    change(state)
    with untouched(BANK.model), pytest.raises(AdapterError, match=f"adapter 'new': .*{cause}"):
        BANK.add("new", state, config)
    with pytest.raises(AdapterError, match="adapter 'new': the model given has no LoRA layer"):
        BANK.add("new", make_tiny_llama())
    assert "new" not in BANK


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


def test_closing_leaves_the_model_as_it_was():
    model = make_tiny_llama().train()
    with untouched(model):
        bank = make_bank(model.eval())
        bank.activate("wide")
        bank.close()
        model.train()
    assert not hasattr(model, "adapter_bank")
    assert torch.equal(logits(model.eval()), logits(make_tiny_llama()))
    with pytest.raises(ConfigError, match="no adapter called 'wide'; it has none"):
        bank.activate("wide")
    with pytest.raises(ConfigError, match="the bank is closed"):
        bank.add("wide", ALONE["wide"])
    inject_lora(model, LoraConfig())


def test_a_layer_replaced_behind_the_banks_back_is_noticed():
    bank = AdapterBank(make_tiny_llama())
    bank.model.set_submodule("model.layers.0.self_attn.q_proj", nn.Linear(32, 32))
    with pytest.raises(ConfigError, match="layers.0.self_attn.q_proj is not the layer it was"):
        bank.add("thin", ALONE["thin"])


def test_in_train_mode_an_adapter_is_refused():
    bank = make_bank()
    bank.model.train()
    assert logits(bank.model).isfinite().all()  # nothing is chosen
    bank.activate("thin")
    with untouched(bank.model), pytest.raises(ConfigError, match="serves and does not train: call model.eval"):
        bank.model(TOKENS)


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


def test_over_layers_that_pack_their_weight():
    """As 4-bit layers do, they answer the protocol of labkit.linear and have no weight to look at."""
    model = make_tiny_llama()
    for name, layer in [item for item in model.named_modules() if item[0].endswith("_proj")]:
        model.set_submodule(name, HalvedLinear(layer.weight.detach()))
    bank, tokens, choices = make_bank(model), some_tokens(3), ["wide", "mlp", None]
    with torch.no_grad(), bank.rows(choices):
        assert_close(model(tokens).logits, loop(choices, tokens))


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
    assert twin.adapter_bank is not bank and twin.adapter_bank.active == "wide"
    assert_close(logits(twin), logits(ALONE["wide"]))
    twin.adapter_bank.close()
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
