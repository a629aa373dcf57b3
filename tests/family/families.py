"""What the tests of the family share: tiny models with a method on them, the same in PEFT, and ten steps of both."""

import peft
import torch
from conftest import make_tiny_llama
from torch import Tensor, nn

from labkit.family.method import Method

ATOL = 1e-5  # how far labkit and PEFT may be apart in float32
TOKENS = torch.tensor([[1, 5, 9, 33, 2], [7, 8, 60, 4, 11]])
LABELS = TOKENS.clone()
LABELS[:, 0] = -100  # in PEFT, the last virtual token has to predict the first real one


def put_on(method: Method, seed: int = 0, **shape) -> nn.Module:
    """A tiny Llama with `method` on it, moved away from where it starts."""
    torch.manual_seed(seed)
    model = make_tiny_llama(**shape)
    torch.manual_seed(1)
    trained = method.apply(model)
    moved(trained.parameters.values(), seed)
    return model


@torch.no_grad()
def moved(parameters, seed: int = 0) -> None:
    """Change each number a little."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.add_((0.1 * torch.randn(parameter.shape, generator=generator)).to(parameter.dtype))


def peft_twin(model: nn.Module, config: peft.PeftConfig, **shape) -> peft.PeftModel:
    """PEFT's model of the same base, with the numbers that train in `model`."""
    base = make_tiny_llama(**shape)
    torch.manual_seed(1)
    twin = peft.get_peft_model(base, config).eval()
    ours, theirs = trained(model), trained(twin)
    assert ours.keys() == theirs.keys()
    with torch.no_grad():
        for name, parameter in theirs.items():
            parameter.copy_(ours[name])
    return twin


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """What trains, under names that are alike in labkit and in PEFT."""
    return {_name(name): p for name, p in model.named_parameters() if p.requires_grad}


def _name(name: str) -> str:
    name = name.removeprefix("base_model.model.").removeprefix("base_model.")
    for theirs, ours in ((".default", ""), ("lora_magnitude_vector.weight", "lora_magnitude_vector")):
        name = name.replace(theirs, ours)
    if name.startswith(("prompt_encoder.", "prefix_encoder.")):
        name = name.replace("prefix_encoder", "prompt_encoder").replace("embedding.weight", "embedding")
    return name


def logits(model: nn.Module, tokens: Tensor = TOKENS) -> Tensor:
    with torch.no_grad():
        return model(tokens).logits[:, -tokens.shape[1] :]  # PEFT shows what's answered to virtual tokens, too


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Of the loss, with respect to what trains and to the embedded tokens."""
    x = model.get_input_embeddings()(TOKENS).detach().requires_grad_()
    model.zero_grad()
    model(inputs_embeds=x, labels=LABELS).loss.backward()
    return {"input": x.grad} | {name: p.grad.clone() for name, p in trained(model).items()}


def ten_steps(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What trains, after ten steps."""
    model.train()
    for _ in range(10):
        optimizer.zero_grad()
        model(TOKENS, labels=LABELS).loss.backward()
        optimizer.step()
    return {name: p.detach().clone() for name, p in trained(model).items()}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=ATOL, rtol=0, msg=lambda m, name=name: f"{name}: {m}")
