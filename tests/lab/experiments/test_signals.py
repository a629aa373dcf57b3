"""What `signals` notes of a training step, compared with what it's made of."""

import pytest
import torch
from torch import nn

from labkit.errors import ConfigError
from labkit.lab.experiments.signals import signals


def test_a_weights_gradient_is_made_of_the_two_signals():
    layer, x = nn.Linear(3, 2), torch.randn(1, 5, 3)
    with signals(layer) as seen:
        assert not seen
        layer(x).square().sum().backward()
    X, G = seen[layer]
    assert torch.equal(X, x[0]) and G.shape == (5, 2)
    torch.testing.assert_close(G.T @ X, layer.weight.grad)
    layer(x)  # nothing listens any more
    assert set(seen) == {layer}


def test_a_frozen_layer_in_a_frozen_model_has_signals_too():
    first, second = nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 2).requires_grad_(False)
    with signals(first, second) as seen:
        second(first(torch.randn(1, 5, 3))).sum().backward()
    assert seen[first].G.shape == (5, 4)
    torch.testing.assert_close(seen[first].G, torch.ones(5, 2) @ second.weight)


def test_without_a_backward_pass_there_is_nothing_to_note():
    layer = nn.Linear(3, 2)
    with pytest.raises(ConfigError, match="run both inside"), signals(layer):
        layer(torch.randn(1, 5, 3))
    assert not layer._forward_hooks
