"""A matrix that was trained here and now, from zero: weights that no quantizer has ever touched."""

import torch
from torch import Tensor, nn


def trained_from_zero(model: nn.Module, steps: int = 400) -> Tensor:
    """A matrix that imitates the first block's MLP, as well as one matrix can, on at most 4,096 word vectors.

    Args:
        model: a Llama-like model, on the CPU; it's only read.
        steps: of Adam, each on 256 word vectors drawn with torch's own random numbers.

    Returns:
        float32, shape (hidden, hidden), started at zero: y ≈ W x.
    """
    block = model.model.layers[0]
    with torch.no_grad():
        embeddings = model.model.embed_tokens.weight
        words = block.post_attention_layernorm(embeddings[:: max(1, len(embeddings) // 4096)][:4096])
        wanted = block.mlp(words)
    matrix = torch.zeros(words.shape[1], words.shape[1], requires_grad=True)
    adam = torch.optim.Adam([matrix], lr=0.01)
    for _ in range(steps):
        some = torch.randint(len(words), (256,))
        loss = (words[some] @ matrix.T - wanted[some]).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return matrix.detach()
