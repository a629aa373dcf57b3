"""PEFT as the oracle: the same weights give the same numbers, and every field of its config is honoured or refused."""

import inspect
import json
import re
from typing import get_args

import peft
import pytest
import torch
from adapted import ATOL, TOKENS, adapted, logits, peft_twin, peft_weights, randomise
from conftest import make_tiny_llama
from peft.tuners.lora.config import LoraConfig as LoraConfigOfPeft
from peft.tuners.lora.layer import LoraLayer
from safetensors.torch import load_file, save_file
from torch import nn

from labkit.errors import AdapterError, ConfigError
from labkit.lora.config import LoraConfig
from labkit.lora.files import CONFIG_FILE, WEIGHTS_FILE, load_adapter, save_adapter
from labkit.lora.inject import inject_lora, lora_layers

CONFIGS = {
    "default targets": {},
    "query and value": {"target_modules": ["q_proj", "v_proj"], "r": 4, "lora_alpha": 12},
    "all-linear": {"target_modules": "all-linear"},
    "rsLoRA": {"target_modules": ["k_proj", "down_proj"], "use_rslora": True, "lora_alpha": 3},
    "by pattern": {
        "target_modules": "all-linear",
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 5},
        "alpha_pattern": {"v_proj": 1, r"layers\.0\..*\.[qk]_proj": 6},
        "use_rslora": True,
    },
    "names excluded": {"target_modules": ["q_proj", "v_proj", "up_proj"], "exclude_modules": ["layers.0.mlp.up_proj"]},
    "pattern excluded": {"target_modules": "all-linear", "exclude_modules": r".*\.layers\.0\..*"},
    "one layer": {"target_modules": ["q_proj", "o_proj"], "layers_to_transform": 1},
    "layer list": {"target_modules": ["q_proj"], "layers_to_transform": [0, 5], "layers_pattern": "layers"},
    "regular expression": {"target_modules": r".*layers\.1\.(self_attn\.[kv]|mlp\.gate)_proj"},
    "dropout": {"target_modules": "all-linear", "lora_dropout": 0.3},
}
each_config = pytest.mark.parametrize("fields", CONFIGS.values(), ids=CONFIGS.keys())


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Of the loss, with respect to the embedded tokens and to A and B; the same dropout each time."""
    torch.manual_seed(0)
    x = model.get_input_embeddings()(TOKENS).detach().requires_grad_()
    model(inputs_embeds=x, labels=TOKENS).loss.backward()
    weights = peft_weights(model) if isinstance(model, peft.PeftModel) else dict(model.named_parameters())
    found = {name: weight.grad for name, weight in weights.items() if weight.requires_grad}
    return {"input": x.grad, **found}


def assert_all_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=ATOL, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


@each_config
def test_forward_and_every_gradient(fields):
    ours = adapted(LoraConfig(**fields)).train()
    theirs = peft_twin(ours, **fields).train()
    torch.testing.assert_close(logits(ours), logits(theirs), atol=ATOL, rtol=0)
    assert (logits(ours) - logits(make_tiny_llama())).abs().max() > 100 * ATOL
    mine = gradients(ours)
    assert all(gradient.abs().max() > ATOL for gradient in mine.values())
    assert_all_close(mine, gradients(theirs))


@each_config
def test_ten_steps_of_adamw(fields):
    ours = adapted(LoraConfig(**fields)).train()
    theirs = peft_twin(ours, **fields).train()
    start = {name: p.detach().clone() for name, p in ours.named_parameters() if p.requires_grad}
    for model in (ours, theirs):
        torch.manual_seed(1)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        for _ in range(10):
            loss = model(TOKENS, labels=TOKENS).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    mine = {name: p.detach() for name, p in ours.named_parameters() if p.requires_grad}
    assert all((mine[name] - start[name]).abs().max() > 1e-3 for name in mine)
    assert_all_close(mine, {name: p.detach() for name, p in peft_weights(theirs).items()})


@each_config
def test_peft_reads_ours_and_we_read_it_back_to_the_bit(fields, tmp_path):
    ours = adapted(LoraConfig(**fields))
    save_adapter(ours, tmp_path / "ours")
    theirs = peft.PeftModel.from_pretrained(make_tiny_llama(), tmp_path / "ours").eval()
    torch.testing.assert_close(logits(theirs), logits(ours), atol=ATOL, rtol=0)
    theirs.save_pretrained(tmp_path / "theirs")
    again = load_adapter(make_tiny_llama(), tmp_path / "theirs")
    assert torch.equal(logits(again), logits(ours))
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in ours.state_dict().items())


@each_config
def test_we_read_pefts(fields, tmp_path):
    theirs = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(**fields)).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours = load_adapter(make_tiny_llama(), tmp_path)
    torch.testing.assert_close(logits(ours), logits(theirs), atol=ATOL, rtol=0)
    save_adapter(ours, tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS_FILE).stat().st_size > 0
    back = peft.PeftModel.from_pretrained(make_tiny_llama(), tmp_path / "again").eval()
    assert torch.equal(logits(back), logits(theirs))


@pytest.mark.parametrize("init_lora_weights", [True, "gaussian"])
def test_a_begins_as_pefts_does(init_lora_weights):
    fields = {"target_modules": ["gate_proj"], "init_lora_weights": init_lora_weights, "r": 64}
    ours = inject_lora(make_tiny_llama(hidden_size=256), LoraConfig(**fields))
    theirs = peft.get_peft_model(make_tiny_llama(hidden_size=256), peft.LoraConfig(**fields))
    for name, weight in peft_weights(theirs).items():
        mine = ours.get_parameter(name)
        assert mine.std().item() == pytest.approx(weight.std().item(), rel=0.03)
        assert mine.abs().max().item() == pytest.approx(weight.abs().max().item(), rel=0.25)


DEFAULTS = peft.LoraConfig().to_dict()

# A value other than the default for each field of PEFT's config. Those in HONOURED must act as in PEFT ...
HONOURED = {
    "r": 3,
    "lora_alpha": 20,
    "lora_dropout": 0.4,
    "target_modules": ["k_proj", "up_proj"],
    "exclude_modules": ["layers.0.self_attn.v_proj"],
    "use_rslora": True,
    "layers_to_transform": [1],
    "layers_pattern": ["layers"],
    "rank_pattern": {"q_proj": 2},
    "alpha_pattern": {"v_proj": 40},
    "init_lora_weights": "gaussian",
    "task_type": "CAUSAL_LM",
    "inference_mode": True,
    "peft_version": "0.0.1",
    "base_model_name_or_path": "someone/model",
    "revision": "v2",
    "auto_mapping": {"base_model_class": "LlamaForCausalLM", "parent_library": "transformers.models.llama"},
    "fan_in_fan_out": True,
    "megatron_core": "megatron.other",
    "loftq_config": {"loftq_bits": 4},
    "eva_config": {"rho": 2.0},
    "corda_config": {"corda_method": "ipm"},
    "lora_ga_config": {"direction": "ArB2r"},
    "qalora_group_size": 32,
}
# ... and those in REFUSED must be refused with the field's name.
REFUSED = {
    "peft_type": "LOHA",
    "bias": "lora_only",
    "modules_to_save": ["lm_head"],
    "megatron_config": {"hidden_size": 32},
    "trainable_token_indices": [1, 2],
    "use_dora": True,
    "velora_config": {"num_groups": 4},
    "alora_invocation_tokens": [1, 2],
    "use_qalora": True,
    "monteclora_config": {"num_samples": 4},
    "layer_replication": [[0, 2], [1, 2]],
    "lora_bias": True,
    "target_parameters": ["mlp.experts.down_proj"],
    "use_bdlora": {"nblocks": 2},
    "arrow_config": {"top_k": 2},
    "kasa_config": {"beta": 0.1},
    "ensure_weight_tying": True,
}
CHANGES_NOTHING_ALONE = {  # how the adapter came about, or what another field needs
    *("init_lora_weights", "task_type", "inference_mode", "peft_version", "base_model_name_or_path", "revision"),
    *("auto_mapping", "layers_pattern", "fan_in_fan_out", "megatron_core", "qalora_group_size"),
    *("loftq_config", "eva_config", "corda_config", "lora_ga_config"),
}


@pytest.mark.parametrize("field", DEFAULTS)
def test_each_field_has_an_example(field):
    assert (field in HONOURED) != (field in REFUSED), (
        f"PEFT's LoraConfig has the field {field!r}, which these tests do not know. If LoraConfig.from_peft can "
        "honour it, do so and add another value than its default to HONOURED; if it refuses it, add one to REFUSED."
    )
    assert (HONOURED | REFUSED)[field] != DEFAULTS[field]


@pytest.mark.parametrize("field", DEFAULTS)
def test_each_field_is_accepted_at_its_default(field):
    assert LoraConfig.from_peft({"task_type": None, field: DEFAULTS[field]}) == LoraConfig(task_type=None)


def test_all_defaults_together_are_accepted():
    assert LoraConfig.from_peft(DEFAULTS) == LoraConfig(task_type=None)


@pytest.mark.parametrize("field", [field for field in DEFAULTS if field in REFUSED])
def test_a_field_beyond_lora_is_refused_by_name(field, tmp_path):
    with pytest.raises(ConfigError, match=rf"^{field}="):
        LoraConfig.from_peft({**DEFAULTS, field: REFUSED[field]})
    save_adapter(adapted(), tmp_path)
    written = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**written, field: REFUSED[field]}))
    with pytest.raises(AdapterError, match=f"{CONFIG_FILE}: {field}="):
        load_adapter(make_tiny_llama(), tmp_path)


@pytest.mark.parametrize("field", [field for field in DEFAULTS if field in HONOURED])
def test_a_field_of_lora_acts_as_in_peft(field, tmp_path):
    helpers = {"layers_to_transform": [1]} if field == "layers_pattern" else {}
    theirs = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(**{field: HONOURED[field], **helpers}))
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    written = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**written, field: HONOURED[field]}))
    ours = load_adapter(make_tiny_llama().train(), tmp_path)
    torch.testing.assert_close(logits(ours), logits(theirs.train()), atol=ATOL, rtol=0)

    plain = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(**helpers)).train()
    randomise(plain)
    alike = torch.allclose(logits(ours), logits(plain), atol=ATOL, rtol=0)
    assert alike is (field in CHANGES_NOTHING_ALONE)
    assert len(list(lora_layers(ours))) == len(peft_weights(theirs)) // 2


BEGINNINGS = [
    kind for each in get_args(LoraConfigOfPeft.__annotations__["init_lora_weights"]) for kind in get_args(each)
]
NEEDS_DATA = {"corda": r"self\.get_base_layer\(\)\.weight\.data = weight", "lora_ga": r"\.weight\.data = weight_data"}


@pytest.mark.parametrize("kind", [False, "GAUSSIAN", "pissa_niter_2", *BEGINNINGS])
def test_how_a_file_began_matters_where_peft_changed_the_base(kind, tmp_path):
    base = make_tiny_llama()
    fields = {"init_lora_weights": kind, "target_modules": ["q_proj", "v_proj"]}
    if kind in NEEDS_DATA:  # a pass over data comes first; what PEFT does then is read in its source
        assert re.search(NEEDS_DATA[kind], inspect.getsource(getattr(LoraLayer, f"{kind}_init")))
        changed, theirs = True, None
        save_adapter(adapted(), tmp_path)
    else:
        helper = {"loftq_config": {"loftq_bits": 4, "loftq_iter": 1}} if kind == "loftq" else {}
        theirs = peft.get_peft_model(base, peft.LoraConfig(**fields, **helper)).eval()
        randomise(theirs)
        theirs.save_pretrained(tmp_path)
        now, before = theirs.base_model.model.state_dict(), make_tiny_llama().state_dict()
        kept = {key.replace(".base_layer", ""): tensor for key, tensor in now.items() if "lora_" not in key}
        assert kept.keys() == before.keys()
        changed = any(not torch.equal(tensor, before[key]) for key, tensor in kept.items())
    written = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**written, "init_lora_weights": kind}))
    if not changed:
        assert torch.equal(logits(load_adapter(make_tiny_llama(), tmp_path)), logits(theirs))
        return
    remedy = "Merge it in PEFT" if kind == "loftq" else "Save the adapter again in PEFT with path_initial_model_for"
    with pytest.raises(AdapterError, match=rf"{CONFIG_FILE}: init_lora_weights='{kind}' changed the base.*{remedy}"):
        load_adapter(make_tiny_llama(), tmp_path)


def test_a_beginning_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match="^init_lora_weights='tomorrow' is not known here: it may have changed"):
        LoraConfig.from_peft({"init_lora_weights": "tomorrow"})


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pefts_copy_of_the_bases_output_head_is_let_be_unless_it_was_trained(dtype, tmp_path):
    """PEFT writes the base's own head beside A and B, when they adapt it."""
    untied = {"tie_word_embeddings": False}
    theirs = peft.get_peft_model(
        make_tiny_llama(**untied), peft.LoraConfig(target_modules=["lm_head", "q_proj"])
    ).eval()
    randomise(theirs)
    theirs.to(dtype).save_pretrained(tmp_path)
    state = load_file(tmp_path / WEIGHTS_FILE)
    copy = "base_model.model.lm_head.base_layer.weight"
    assert state[copy].dtype == dtype
    ours = load_adapter(make_tiny_llama(**untied), tmp_path)
    if dtype == torch.float32:
        assert torch.equal(logits(ours), logits(theirs))
    assert load_adapter(make_tiny_llama(**untied).to(torch.bfloat16), tmp_path)

    for changed in (state[copy] + 1, state[copy][:-1]):
        save_file({**state, copy: changed.contiguous()}, tmp_path / WEIGHTS_FILE)
        with pytest.raises(AdapterError, match=f"{WEIGHTS_FILE}: {copy} isn't this base's own weight"):
            load_adapter(make_tiny_llama(**untied), tmp_path)
