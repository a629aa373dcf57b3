"""The matrix of notebook 07 that no quantizer has touched."""

import torch
from conftest import make_tiny_llama

from labkit.lab.experiments.fresh_matrix import trained_from_zero


def test_it_comes_from_training_and_imitates_the_mlp():
    model = make_tiny_llama()
    with torch.no_grad():
        for weight in model.model.layers[0].mlp.parameters():
            weight.mul_(15)  # a trained MLP says more than a random one
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.manual_seed(0)
    matrix = trained_from_zero(model, steps=200)
    block = model.model.layers[0]
    with torch.no_grad():
        words = block.post_attention_layernorm(model.model.embed_tokens.weight)
        wanted = block.mlp(words)
    assert matrix.shape == (words.shape[1],) * 2 and not matrix.requires_grad
    assert (words @ matrix.T - wanted).norm() < 0.8 * wanted.norm()
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_the_same_seed_gives_the_same_matrix():
    model = make_tiny_llama()
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        made.append(trained_from_zero(model, steps=3))
    assert torch.equal(*made)
