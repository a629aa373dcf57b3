import peft
import pytest
import torch
from adapted import adapted, bits, logits, untouched
from conftest import make_tiny_llama
from kinds_of_base import make
from torch import nn
from transformers import CTRLConfig, CTRLLMHeadModel, LlamaConfig, LlamaForCausalLM

from labkit.errors import ConfigError
from labkit.lora.config import LoraConfig
from labkit.lora.inject import (
    disable_adapter,
    inject_lora,
    lora_layers,
    mark_only_lora_as_trainable,
    trainable_parameters,
)
from labkit.lora.layer import LoraLinear
from labkit.lora.merging import merge

MLP = ["gate_proj", "up_proj", "down_proj"]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SMOLLM2 = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
LLAMA_8B = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}


def on_meta(settings: dict) -> LlamaForCausalLM:
    with torch.device("meta"):
        return LlamaForCausalLM(LlamaConfig(**settings))


@pytest.mark.parametrize(
    "settings, r, target_modules, count, base",
    [
        (SMOLLM2, 8, None, 460_800, 134_515_008),
        (SMOLLM2, 8, ATTENTION, 921_600, 134_515_008),
        (SMOLLM2, 8, MLP, 1_520_640, 134_515_008),
        (SMOLLM2, 8, "all-linear", 2_442_240, 134_515_008),
        (LLAMA_8B, 16, ATTENTION, 13_631_488, 8_030_261_248),
    ],
)
def test_counts_of_real_models_without_their_weights(settings, r, target_modules, count, base):
    model = inject_lora(on_meta(settings), LoraConfig(r=r, target_modules=target_modules))
    assert trainable_parameters(model) == (count, base + count)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


@pytest.mark.parametrize("r", [1, 3, 8])
def test_counts_with_grouped_queries_by_hand(r):
    hidden, key_value, mlp, layers = 32, 16, 48, 2  # two of four heads hold keys and values
    by_hand = layers * r * (2 * (hidden + hidden) + 2 * (hidden + key_value) + 3 * (hidden + mlp))
    model = make_tiny_llama()
    total = sum(p.numel() for p in model.parameters())
    inject_lora(model, LoraConfig(r=r, target_modules="all-linear"))
    assert trainable_parameters(model) == (by_hand, total + by_hand)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fresh_adapter_changes_nothing(dtype):
    model = make_tiny_llama().to(dtype)
    before, weights = logits(model), bits(model.state_dict())
    inject_lora(model, LoraConfig(target_modules="all-linear"))
    assert torch.equal(logits(model), before)
    after = bits(model.state_dict())
    assert {name.replace(".base_layer", ""): w for name, w in after.items() if "lora_" not in name} == weights


def test_gradients_reach_the_adapter_and_nothing_else():
    model = adapted().train()
    tokens = torch.tensor([[1, 2, 3, 4]])
    model(tokens, labels=tokens).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is ("lora_A" in name or "lora_B" in name)
        assert (parameter.grad is not None) is parameter.requires_grad


def test_names_match_at_a_dot():
    model = make_tiny_llama()
    attention = model.model.layers[0].self_attn
    attention.my_q_proj = nn.Linear(32, 32)
    inject_lora(model, LoraConfig(target_modules=["q_proj"]))
    assert isinstance(attention.q_proj, LoraLinear) and type(attention.my_q_proj) is nn.Linear
    assert [name for name, _ in lora_layers(model)] == [f"model.layers.{i}.self_attn.q_proj" for i in range(2)]


def test_all_linear_leaves_out_the_head_and_is_spelled_out():
    for tied in (True, False):
        model = adapted(tie_word_embeddings=tied)
        assert type(model.lm_head) is nn.Linear
        assert model.labkit.adapter.target_modules == sorted(ATTENTION + MLP)
        assert len(list(lora_layers(model))) == 2 * 7


def test_all_linear_may_leave_others_out():
    model = adapted(LoraConfig(target_modules="all-linear", exclude_modules=MLP))
    assert {name.split(".")[-1] for name, _ in lora_layers(model)} == set(ATTENTION)
    model = adapted(LoraConfig(target_modules="all-linear", layers_to_transform=1))
    assert len(list(lora_layers(model))) == 7


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_kept(training):
    model = inject_lora(make_tiny_llama().train(training), LoraConfig(lora_dropout=0.5))
    assert {module.training for module in model.modules()} == {training}


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"target_modules": ["q_porj"]}, "target 'q_porj' matches no layer to adapt; linear layers here: down_proj"),
        ({"target_modules": ["q_porj", "k_porj"]}, r"target \['k_porj', 'q_porj'\] matches no layer"),
        ({"target_modules": ["proj"]}, "target 'proj' matches no layer"),
        ({"target_modules": []}, r"target \[\] matches no layer"),
        ({"target_modules": r".*\.qq_proj"}, "matches no layer"),
        ({"target_modules": ["../../q_proj"]}, "matches no layer"),
        ({"target_modules": ["q_proj"], "exclude_modules": ["q_proj"]}, "matches no layer"),
        ({"target_modules": ["q_proj"], "layers_to_transform": [7]}, "matches no layer"),
        ({"target_modules": ["embed_tokens"]}, "embed_tokens is a Embedding, not a linear layer"),
        ({"target_modules": ["q_proj", "norm"]}, "is a LlamaRMSNorm, not a linear layer"),
        ({"target_modules": ".*"}, "not a linear layer"),
        ({"alpha_pattern": {"q_proj": 1, ".*_proj": 2}}, "alpha_pattern: several keys match .*q_proj and disagree"),
        ({"rank_pattern": {"v_proj": 1, ".*_proj": 2}}, "rank_pattern: several keys match .*v_proj and disagree"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_target_that_cannot_be_adapted_leaves_the_model_alone(fields, message, training):
    model = make_tiny_llama().train(training)
    model.lm_head.requires_grad_(False)
    with untouched(model), pytest.raises(ConfigError, match=message):
        inject_lora(model, LoraConfig(**fields))


def test_a_model_without_the_default_targets_says_which_were_meant():
    with pytest.raises(ConfigError, match=r"target \['q_proj', 'v_proj'\] matches no layer .* linear layers here: 0"):
        inject_lora(nn.Sequential(nn.Linear(2, 2)), LoraConfig())


def test_injecting_twice_is_refused():
    model = adapted(LoraConfig(target_modules=["q_proj"]))
    with untouched(model), pytest.raises(ConfigError, match="already has LoRA layers"):
        inject_lora(model, LoraConfig(target_modules=["v_proj"]))


def test_a_layer_that_fails_half_way_leaves_the_model_alone():
    model = make_tiny_llama()
    too_large = LoraConfig(target_modules=["q_proj", "v_proj"], rank_pattern={"layers.1.self_attn.v_proj": 10**17})
    with untouched(model), pytest.raises(RuntimeError):
        inject_lora(model, too_large)


def test_marking_again_after_something_was_thawed():
    model = adapted()
    model.requires_grad_(True)
    assert trainable_parameters(model)[0] == trainable_parameters(model)[1]
    mark_only_lora_as_trainable(model)
    assert trainable_parameters(model)[0] == sum(
        layer.r * (layer.in_features + layer.out_features) for _, layer in lora_layers(model)
    )


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_disabled_the_model_answers_as_its_base(merged, dtype):
    base = logits(make_tiny_llama().to(dtype))
    model = inject_lora(make_tiny_llama().to(dtype), LoraConfig(target_modules="all-linear"))
    for _, layer in lora_layers(model):
        nn.init.normal_(layer.lora_B.weight)
    if merged:
        merge(model)
    answer = logits(model)
    assert not torch.equal(answer, base)
    with untouched(model):
        with disable_adapter(model) as silent:
            assert silent is model and torch.equal(logits(model), base)
            with disable_adapter(model):
                assert torch.equal(logits(model), base)
            assert torch.equal(logits(model), base)
    assert torch.equal(logits(model), answer)


@pytest.mark.parametrize("merged", [False, True])
def test_disabling_ends_when_something_is_thrown(merged):
    model = adapted()
    if merged:
        merge(model)
    answer = logits(model)
    with untouched(model):
        with pytest.raises(KeyboardInterrupt):
            with disable_adapter(model):
                raise KeyboardInterrupt
    assert torch.equal(logits(model), answer)


def test_a_merge_while_disabled_does_not_last():
    model = adapted()
    with untouched(model), disable_adapter(model):
        merge(model)


def test_one_layer_disabled_by_hand_stays_so():
    model = adapted()
    next(layer for _, layer in lora_layers(model)).enabled = False
    with untouched(model), disable_adapter(model):
        pass


def test_names_that_this_base_lacks_do_no_harm_where_others_match():
    """As with PEFT: one list of names goes with many architectures."""
    names = ["c_attn", "q_proj", "query_key_value", "v_proj"]
    theirs = peft.get_peft_model(make_tiny_llama(), peft.LoraConfig(target_modules=names))
    ours = inject_lora(make_tiny_llama(), LoraConfig(target_modules=names))
    assert [name for name, _ in lora_layers(ours)] == theirs.targeted_module_names


@pytest.mark.parametrize(
    ("kind", "left_out"),
    [
        ("llama4_text", {"router"}),  # it answers with a choice of experts
        ("phimoe", {"gate", "router"}),
        ("mamba", {"dt_proj", "x_proj", "out_proj"}),  # whose weight the model takes, for a product or a kernel
        ("mamba2", {"out_proj"}),
        ("jamba", {"dt_proj", "router"}),
    ],
)
def test_all_linear_takes_what_learns(kind, left_out):
    """Every layer with an adapter gets a gradient, and no other linear layer would."""
    model = inject_lora(make(kind), LoraConfig(target_modules="all-linear"))
    tokens = torch.arange(3, 43)[None]
    model.train()(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()
    assert all(layer.lora_B.weight.grad is not None for _, layer in lora_layers(model))
    without = {name.split(".")[-1] for name, m in model.named_modules() if type(m) is nn.Linear and "lora" not in name}
    assert without - {"base_layer", "lm_head"} <= left_out


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [
        ("gpt2", "all-linear", "no layer to adapt. c_attn, c_fc, c_proj are Conv1D layers here, GPT-2's linear layer"),
        ("gpt2", ["c_attn"], r"h.0.attn.c_attn is a Conv1D, GPT-2's .* which labkit doesn't adapt"),
        ("gpt2", None, r"\['q_proj', 'v_proj'\] matches no layer to adapt; .* are Conv1D layers here"),
        ("mixtral", ["w1", "w2"], r"The experts' weights \(down_proj, gate_up_proj\) aren't layers but stacks"),
        ("mamba", ["dt_proj"], "mixer.dt_proj would learn nothing: .* Leave 'dt_proj' out of target_modules"),
        ("llama4_text", ["router"], "feed_forward.router is a Llama4Router, a linear layer with a forward of its own"),
    ],
)
def test_what_only_looks_linear_is_called_by_its_name(kind, targets, message):
    with pytest.raises(ConfigError, match=message):
        inject_lora(make(kind), LoraConfig(target_modules=targets))


def test_another_librarys_packed_layer_is_called_so():
    bnb = pytest.importorskip("bitsandbytes")
    model = nn.Sequential(bnb.nn.Linear4bit(64, 64, quant_type="nf4").to("cpu"))
    for targets in ("all-linear", ["0"], ["q_proj"]):
        with pytest.raises(
            ConfigError, match=r"Linear4bit.*, another library's layer.*, or with load_base\(.*\"nf4\"\)"
        ):
            inject_lora(model, LoraConfig(target_modules=targets))


def test_names_that_stand_for_other_modules_too_are_spelled_in_full():
    """The layers of CTRL have numbers, and in each is a linear layer called 0."""
    config = CTRLConfig(vocab_size=96, n_embd=32, dff=48, n_layer=3, n_head=4, n_positions=64)
    model = inject_lora(CTRLLMHeadModel(config), LoraConfig(target_modules="all-linear"))
    full = [f"transformer.h.{layer}.ffn.{part}" for layer in (0, 1, 2) for part in (0, 2)]
    assert model.labkit.adapter.target_modules == ["Wk", "Wq", "Wv", "dense", *full]


def test_a_model_may_take_the_weight_of_a_layer():
    """For a kernel, as Mamba does on a GPU: it is then the adapted one, with its gradients."""
    layer = LoraLinear(nn.Linear(4, 3), r=2)
    nn.init.normal_(layer.lora_B.weight)
    x = torch.randn(5, 4)
    torch.testing.assert_close(torch.nn.functional.linear(x, layer.weight, layer.bias), layer(x))
    ours = torch.autograd.grad((x @ layer.weight.T).square().sum(), layer.lora_B.weight)
    torch.testing.assert_close(ours, torch.autograd.grad((layer(x) - layer.bias).square().sum(), layer.lora_B.weight))
    layer.enabled = False
    assert layer.weight.equal(layer.base_layer.weight)
