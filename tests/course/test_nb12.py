"""Notebook 12's exercises are what labkit computes, and its layer is the one that gets the stored run's losses."""

import torch
from conftest import make_tiny_llama
from torch import nn

import labkit
from labkit.course.nb12.exercises import MyVeRA, my_count, my_dora, my_inputs, my_verdict
from labkit.evaluation.comparing import paired_difference, verdict
from labkit.family.ia3 import IA3
from labkit.lab.checking.form import find
from labkit.lab.checking.judging import judge
from labkit.lab.experiments.one_layer import one_layer
from labkit.linear import linear_layers

TOKENS = torch.tensor([[1, 5, 9, 33, 2], [7, 8, 60, 4, 11]])


def test_the_layer_in_a_model_trains_as_labkits_vera():
    by_hand, trained = make_tiny_llama(), labkit.adapt(make_tiny_llama(), "vera", r=16)
    shared = next(each.projections for _, each in trained.model.named_modules() if hasattr(each, "projections"))
    by_hand.requires_grad_(False)
    for name, layer in linear_layers(by_hand).items():
        by_hand.set_submodule(name, MyVeRA(layer, shared.vera_A, shared.vera_B))
    losses = []
    for model in (by_hand, trained.model):
        adam = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.0)
        seen = []
        for _ in range(5):
            loss = model(TOKENS, labels=TOKENS).loss
            seen.append(loss.item())
            loss.backward()
            adam.step()
            adam.zero_grad()
        losses.append(seen)
    torch.testing.assert_close(*map(torch.tensor, losses), atol=1e-4, rtol=0)
    assert losses[0][-1] < losses[0][0] - 0.01
    assert labkit.trainable_parameters(by_hand)[0] == trained.count


def test_ia3s_count_is_the_methods():
    model = make_tiny_llama()
    config = model.config
    given = config.hidden_size, config.num_attention_heads, config.num_key_value_heads, config.intermediate_size
    assert my_count(*given, config.num_hidden_layers) == IA3().count(model)
    assert my_count(576, 9, 3, 1536, 30) == 57_600


def test_doras_weight_is_its_layers():
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4, bias=False), torch.randn(3, 6)
    made = one_layer("dora", layer, x, r=2, lora_alpha=4)
    A, B, m = (made.numbers[name] for name in ("lora_A", "lora_B", "lora_magnitude_vector"))
    assert made.off(x @ my_dora(layer.weight.detach(), A, B, m, 2.0).T) < 1e-6


def test_virtual_tokens_get_the_loss_that_prompt_tuning_gets():
    model = make_tiny_llama()
    embeds, labels = model.get_input_embeddings()(TOKENS).detach(), TOKENS.clone()
    labels[:, 0] = -100  # the last virtual token would have to predict it
    trained = labkit.adapt(make_tiny_llama(), "prompt", num_virtual_tokens=3, start=(4, 5, 6))
    P = trained.model.prompt_encoder.embedding.detach()
    X, mask, asked = my_inputs(P, embeds, torch.ones_like(TOKENS), labels)
    ours = model(inputs_embeds=X, attention_mask=mask, labels=asked).loss
    torch.testing.assert_close(ours, trained.model(TOKENS, labels=labels).loss, atol=1e-5, rtol=0)


def test_the_verdict_is_labkits():
    generator = torch.Generator().manual_seed(0)
    for shift in (-0.2, 0.0, 0.2):
        ours = (torch.rand(3, 80, generator=generator) < 0.5 + shift).double()
        theirs = (torch.rand(3, 80, generator=generator) < 0.5).double()
        difference = paired_difference(ours, theirs)
        means = torch.linspace(difference.low, difference.high, 1001)
        stretched = difference.mean + (means - difference.mean) / 0.95  # so that the middle 95 % end there
        said = my_verdict(stretched)
        assert said == verdict(difference)


def test_unusual_right_answers_are_right():
    buffers = type(
        "Buffered",
        (nn.Module,),
        {
            "__init__": _with_buffers,
            "forward": lambda self, x: self.base(x) + (x @ self.A.T * self.d) @ (self.b[:, None] * self.B).T,
        },
    )
    assert judge(find("12.1"), buffers).mark == "✔"
    by_deviations = judge(
        find("12.5"),
        lambda means: (
            "can't tell" if means.mean().abs() < 1.96 * means.std() else "better" if means.mean() > 0 else "worse"
        ),
    )
    assert by_deviations.mark == "✔"


def _with_buffers(self, base, A, B):
    nn.Module.__init__(self)
    self.base = base
    base.requires_grad_(False)
    self.register_buffer("A", A[:, : base.weight.shape[1]])
    self.register_buffer("B", B[: base.weight.shape[0]])
    self.d, self.b = nn.Parameter(0.1 * torch.ones(A.shape[0])), nn.Parameter(0 * base.weight[:, 0].detach())
