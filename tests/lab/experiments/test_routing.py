"""Routers: directions as the SVD and PEFT's Arrow find them, votes and reactions as counted one by one."""

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama, make_tiny_tokenizer

from labkit.lab.experiments import routing
from labkit.step.batch import encode_prompt


def update(r: int, inputs: int = 12, outputs: int = 7, seed: int = 0) -> tuple:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(r, inputs, generator=draw), torch.randn(outputs, r, generator=draw)


@pytest.mark.parametrize("r", [1, 2, 5])
def test_directions_are_the_right_singular_vectors_each_as_long_as_its_value(r):
    A, B = update(r)
    found = routing.directions(A, B)
    _, sizes, right = torch.linalg.svd(B @ A)
    torch.testing.assert_close(found.norm(dim=1), sizes[:r])
    torch.testing.assert_close((F.normalize(found) * right[:r]).sum(1).abs(), torch.ones(r))


def test_the_strongest_is_the_prototype_of_pefts_arrow():
    arrow = pytest.importorskip("peft.tuners.lora.arrow").ArrowLoraLinearLayer
    A, B = update(3)
    B[:, 0] *= 5  # so that power iteration has converged
    config = type("Config", (), dict(
        top_k=1, router_temperature=1.0, rng_seed=0, task_adapter_names=[], gks_adapter_names=[], use_gks=False
    ))  # fmt: skip
    theirs = arrow(12, config).top_right_singular_vec_from_BA(A, B, iters=100)
    assert abs(F.cosine_similarity(routing.directions(A, B)[0], theirs, dim=0).item()) == pytest.approx(1, abs=1e-5)


def adapters_of(ranks, blocks: int = 2, inputs: int = 12) -> list:
    found = []
    for number, r in enumerate(ranks):
        names = [f"model.layers.{block}.self_attn.{layer}" for block in range(blocks) for layer in routing.LAYERS]
        updates = {name: update(r, inputs, seed=10 * number + place) for place, name in enumerate(names)}
        found.append(routing.all_directions(updates, blocks))
    return found


def test_votes_are_those_of_tokens_counted_one_by_one():
    adapters, inputs = adapters_of([1, 3, 2]), torch.randn(2, 5, 12)
    counts = torch.zeros(3)
    for block in range(2):
        for token in inputs[block]:
            for layer in range(2):
                along = [abs(F.cosine_similarity(token, each[block, layer, 0], dim=0).item()) for each in adapters]
                counts[along.index(max(along))] += 1
    torch.testing.assert_close(routing.votes(inputs, adapters), counts / counts.sum())


def test_a_reaction_is_the_share_of_the_largest_that_the_update_could_have():
    A, B = update(2)
    one = torch.stack([torch.stack([routing.directions(A, B)] * 2)])  # one block, the same update in both layers
    x = torch.randn(1, 3, 12)
    expected = ((x @ (B @ A).T).norm(dim=-1) / (B @ A).norm() / x.norm(dim=-1)).mean()
    torch.testing.assert_close(routing.reactions(x, [one])[0], expected)


def test_message_inputs_are_what_the_layers_get_at_the_messages_own_tokens():
    model, tokenizer = make_tiny_llama(vocab_size=128), make_tiny_tokenizer()
    system = "Be brief."
    before, after = routing.message_span(tokenizer, system)
    [seen] = routing.message_inputs(model, tokenizer, ["the lamp is broken"], system)
    ids = encode_prompt(tokenizer, "the lamp is broken", system)
    states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    for block, layer in enumerate(model.model.layers):
        expected = layer.input_layernorm(states[block])[0, before : len(ids) - after]
        torch.testing.assert_close(seen[block], expected.detach())
    assert not any(layer.self_attn.q_proj._forward_pre_hooks for layer in model.model.layers)


def test_in_a_batch_every_message_is_as_alone():
    model, tokenizer = make_tiny_llama(vocab_size=128), make_tiny_tokenizer()
    messages = ["a", "the lamp is broken, and nobody comes", "soon"]
    together = list(routing.message_inputs(model, tokenizer, messages, "Be brief."))
    opinions = list(routing.own_opinions(model, tokenizer, messages, "Be brief."))
    for message, seen, opinion in zip(messages, together, opinions, strict=True):
        [alone] = routing.message_inputs(model, tokenizer, [message], "Be brief.")
        torch.testing.assert_close(seen, alone)
        [own] = routing.own_opinions(model, tokenizer, [message], "Be brief.")
        assert opinion == pytest.approx(own, rel=1e-4)


def test_an_opinion_is_the_models_own_loss_and_the_entropy_of_its_first_token():
    model, tokenizer = make_tiny_llama(vocab_size=128), make_tiny_tokenizer()
    ids = torch.tensor([encode_prompt(tokenizer, "the lamp", "Be brief.")])
    before, after = routing.message_span(tokenizer, "Be brief.")
    labels = torch.full_like(ids, -100)
    labels[0, before : ids.shape[1] - after] = ids[0, before : ids.shape[1] - after]
    out = model(ids, labels=labels)
    [(loss, unsure)] = routing.own_opinions(model, tokenizer, ["the lamp"], "Be brief.")
    assert loss == pytest.approx(out.loss.item(), rel=1e-4)
    first = torch.distributions.Categorical(logits=out.logits[0, -1])
    assert unsure == pytest.approx(first.entropy().item(), rel=1e-4)


def test_the_closest_is_seen_from_the_middle():
    far = torch.tensor([100.0, 0.0, 0.0])
    examples = {"a": far + torch.tensor([[0.0, 1.0, 0.0]]), "b": far + torch.tensor([[0.0, -1.0, 0.0]])}
    assert routing.closeness(far + torch.tensor([0.0, 0.5, 0.0]), examples).argmax() == 0
    assert routing.closeness(far + torch.tensor([0.0, -0.5, 0.0]), examples).argmax() == 1


def test_words_are_counted_on_a_log_scale_and_unknown_ones_left_out():
    [counts] = routing.word_counts(["The lamp, the LAMP: the end"], {"the": 0, "lamp": 1, ",": 2})
    torch.testing.assert_close(counts, torch.log1p(torch.tensor([3.0, 2.0, 1.0])))
