"""The divergence from the silenced adapter: torch's own, two models apart, and what it leaves alone."""

import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_llama

import labkit
from labkit import ConfigError, LoraConfig, inject_lora
from labkit.step.batch import Batch, Example, collate
from labkit.step.kl import kl_to_silenced

LONG = {"max_position_embeddings": 256}


def batch() -> Batch:
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(3, 96, (length,), generator=draw).tolist() for length in (12, 7)]
    return collate([Example(rows[0], 5), Example(rows[1], 4)], pad_token_id=2)


def adapted(B: float = 0.5, dropout: float = 0.0):
    model = inject_lora(make_tiny_llama(**LONG), LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear"))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, layer in labkit.lora_layers(model):
            layer.lora_B.weight.copy_(B * torch.randn(layer.lora_B.weight.shape, generator=draw))
    return model


def test_it_is_torchs_own_divergence_between_two_models():
    model, base, rows = adapted(), make_tiny_llama(**LONG), batch()
    counted = rows.labels[:, 1:] != -100
    with torch.no_grad():
        p, q = (each(rows.input_ids).logits[:, :-1][counted].log_softmax(-1) for each in (base, model))
    wanted = F.kl_div(q, p, log_target=True, reduction="batchmean")
    assert counted.sum() == 10 and wanted > 0.01
    torch.testing.assert_close(kl_to_silenced(model, rows).detach(), wanted, rtol=1e-5, atol=1e-6)


def test_its_gradient_is_that_of_all_answers_by_how_likely_the_base_finds_them():
    model, base, rows = adapted(), make_tiny_llama(**LONG), batch()
    counted = rows.labels[:, 1:] != -100
    with torch.no_grad():
        p = base(rows.input_ids).logits[:, :-1][counted].softmax(-1)
    trained = [p_ for p_ in model.parameters() if p_.requires_grad]
    soft = F.cross_entropy(model(rows.input_ids).logits[:, :-1][counted], p)
    wanted = torch.autograd.grad(soft, trained)
    for one, other in zip(torch.autograd.grad(kl_to_silenced(model, rows), trained), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("B", [0.0, 0.1, 0.5, 2.0])
def test_it_is_zero_where_nothing_was_learned_and_never_below(B):
    found = kl_to_silenced(adapted(B), batch()).item()
    assert abs(found) < 1e-6 if B == 0 else found > 1e-5


def test_the_reference_has_no_dropout_of_the_adapters_and_all_is_left_as_it_was():
    model, rows = adapted(0.0, dropout=0.5).train(), batch()
    assert abs(kl_to_silenced(model, rows).item()) < 1e-6
    kl_to_silenced(model, rows).backward()
    assert model.training and all(layer.enabled for _, layer in labkit.lora_layers(model))
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert frozen and all(p.grad is None for p in frozen)


def test_without_an_adapter_or_a_label_there_is_nothing_to_compare():
    with pytest.raises(ConfigError, match="no adapter to switch off"):
        kl_to_silenced(make_tiny_llama(**LONG), batch())
    unlabeled = collate([Example([4, 5, 6], 3)], pad_token_id=2)
    with pytest.raises(ConfigError, match="no token of the batch has a label"):
        kl_to_silenced(adapted(), unlabeled)


def test_training_with_it_stays_nearer_to_the_base(tiny_tokenizer, one_thread):
    """A property: the same steps on the same rows, and other rows held to the base."""
    rows = [{"prompt": f"say {i}", "completion": f"ok {i}"} for i in range(16)]
    other = [labkit.encode(tiny_tokenizer, {"prompt": f"tell {i}", "completion": f"no {i}"}, "Be.") for i in range(4)]
    held, config = collate(other, 2), labkit.TrainConfig(steps=12, batch_size=4, learning_rate=1e-2)
    task = labkit.Task("echo", "Say it.", lambda answer, row: {"exact": 0.0}, {})
    found = {}
    for way, extra in (("alone", None), ("held", lambda model, step: 100 * kl_to_silenced(model, held))):
        torch.manual_seed(0)
        model = inject_lora(make_tiny_llama(**LONG), LoraConfig(r=4, target_modules="all-linear"))
        labkit.train(model, tiny_tokenizer, task, config, rows=rows, extra_loss=extra)
        found[way] = kl_to_silenced(model, held).item()
    assert found["held"] < 0.5 * found["alone"]
