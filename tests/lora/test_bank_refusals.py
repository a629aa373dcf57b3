"""What a bank refuses, and that model and bank are the same before and after: weights, hooks, what trains, mode."""

import pytest
import torch
from adapted import TOKENS, adapted, logits, untouched
from banked import ALONE, BANK, CONFIGS, MIX, make_bank, some_tokens
from conftest import make_tiny_llama
from torch import nn

from labkit.errors import AdapterError, ConfigError
from labkit.lora.adapter import adapter_state
from labkit.lora.bank import AdapterBank
from labkit.lora.config import LoraConfig
from labkit.lora.files import WEIGHTS_FILE, load_adapter, save_adapter
from labkit.lora.inject import inject_lora
from labkit.lora.merging import merge, merge_and_unload
from labkit.model_facts import facts_of, note
from labkit.quant.convert import quantize_model


@pytest.mark.parametrize(
    "given, run",
    [
        ("was given 4", lambda model, two: model.generate(two, max_new_tokens=2, num_beams=2)),
        ("was given 6", lambda model, two: model.generate(two, num_return_sequences=3, do_sample=True)),
        ("was given 1", lambda model, two: model(two[:1])),
        # experts of a mixture see (tokens, features): as many tokens as rows would be taken for the rows
        ("can't tell the rows apart", lambda model, two: model.model.layers[0].self_attn.q_proj(torch.ones(2, 32))),
    ],
)
def test_a_batch_of_other_rows_is_refused(given, run):
    with untouched(BANK.model), pytest.raises(ConfigError, match=given):
        with BANK.rows(["wide", "thin"]) as model:
            run(model, some_tokens(2))


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
        (lambda bank: quantize_model(bank.model), "served by an AdapterBank: quantize the base first"),
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
    """What else may be wrong with a folder is seen in test_bad_files: both read it with the same function."""
    bank = make_bank()
    note(bank.model, base_name="someone/model", fingerprint="f00d")
    bank.activate("wide")
    answer = logits(bank.model)
    cut = save_adapter(ALONE["thin"], tmp_path / "cut") / WEIGHTS_FILE
    cut.write_bytes(cut.read_bytes()[:-1])
    other = adapted(CONFIGS["thin"])
    note(other, base_name="someone/else", fingerprint="beef")
    save_adapter(other, tmp_path / "other base")
    save_adapter(adapted(LoraConfig(), hidden_size=64), tmp_path / "wider")
    for name, cause in {
        "cut": "not a whole safetensors file",
        "other base": "trained on another base: someone/else with fingerprint beef",
        "wider": r"has shape \(8, 64\), expected \(8, 32\)",
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
    with pytest.raises(AdapterError, match="adapter 'new': there is no adapter, because the model has no LoRA layer"):
        BANK.add("new", make_tiny_llama())
    assert "new" not in BANK


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


def test_closing_leaves_the_model_as_it_was():
    model = make_tiny_llama().train()
    with untouched(model):
        bank = make_bank(model.eval())
        bank.activate("wide")
        bank.close()
        model.train()
    assert facts_of(model).bank is None
    assert torch.equal(logits(model.eval()), logits(make_tiny_llama()))
    with pytest.raises(ConfigError, match="no adapter called 'wide'; it has none"):
        bank.activate("wide")
    with pytest.raises(ConfigError, match="the bank is closed"):
        bank.add("wide", ALONE["wide"])
    inject_lora(model, LoraConfig())
