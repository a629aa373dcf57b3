import pytest
import torch
import torch.nn.functional as F
from conftest import TINY_SHAPE, make_tiny_llama
from kinds_of_base import make
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
)

from labkit import CompletionLoss, ConfigError, LoraConfig, encode, inject_lora
from labkit.step.batch import IGNORED, Batch, collate
from labkit.step.gradient_checkpointing import checkpoint_layers, checkpointed, is_checkpointed
from labkit.step.loss import label_logits
from labkit.step.probing import draws_random_numbers

ROWS = [
    {"prompt": "Say a number.", "completion": "87"},
    {"prompt": "Hi", "completion": "Good morning"},
    {"prompt": "What does <|im_end|> mean?", "completion": "The end."},
]


def gemma2():
    """Caps its logits at ±2, far below what its weights, made large, would give."""
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(**TINY_SHAPE, head_dim=8, final_logit_softcapping=2.0)).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(50)
    return model


def cohere():
    """Scales its logits."""
    torch.manual_seed(0)
    return CohereForCausalLM(CohereConfig(**TINY_SHAPE, logit_scale=0.25)).eval()


def llama():
    return make_tiny_llama(max_position_embeddings=256)


MODELS = pytest.mark.parametrize("make", [llama, gemma2, cohere])


@pytest.fixture
def batch(tiny_tokenizer):
    return collate([encode(tiny_tokenizer, row, "Be kind") for row in ROWS], tiny_tokenizer.pad_token_id)


@pytest.fixture
def mask(tiny_tokenizer, batch):
    lengths = torch.tensor([len(encode(tiny_tokenizer, row, "Be kind").input_ids) for row in ROWS])
    return (torch.arange(batch.input_ids.shape[1]) < lengths[:, None]).long()


@MODELS
def test_loss_and_gradients_equal_transformers_own(make, batch, mask):
    """Theirs: all logits, the attention mask given. Ours: labelled positions only, no mask."""
    model = make()
    theirs = model(input_ids=batch.input_ids, attention_mask=mask, labels=batch.labels).loss
    theirs.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()

    summed, count = CompletionLoss(model)(batch)
    (summed / count).backward()
    torch.testing.assert_close(summed / count, theirs, atol=1e-6, rtol=1e-6)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, wanted[name], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert max(gradient.abs().max() for gradient in wanted.values()) > 1e-3


def test_counts_completions_and_their_ends(tiny_llama, batch):
    _, count = CompletionLoss(tiny_llama)(batch)
    assert count == sum(len(row["completion"]) + 1 for row in ROWS) == (batch.labels != IGNORED).sum()


@MODELS
def test_label_logits_equal_the_full_ones(make, batch):
    model = make()
    counted = batch.labels[:, 1:] != IGNORED
    with torch.no_grad():
        full = model(input_ids=batch.input_ids).logits[:, :-1]
        few = label_logits(model, batch.input_ids, batch.positions)
    assert few.shape == (counted.sum(), model.config.vocab_size)
    torch.testing.assert_close(few, full[counted], atol=1e-6, rtol=1e-5)
    if make is gemma2:
        assert 1.5 < few.abs().max() <= 2.0


def test_the_output_head_sees_labelled_positions_only(tiny_llama, batch):
    seen = []
    with tiny_llama.lm_head.register_forward_hook(lambda head, inputs, output: seen.append(output.shape)):
        _, count = CompletionLoss(tiny_llama)(batch)
    assert seen == [(count, 96)]


def test_the_model_is_as_before_also_after_an_error(tiny_llama, batch):
    wanted = tiny_llama(input_ids=batch.input_ids).logits
    CompletionLoss(tiny_llama)(batch)
    with pytest.raises(IndexError):
        label_logits(tiny_llama, batch.input_ids, torch.tensor([batch.input_ids.numel()]))
    assert tiny_llama(input_ids=batch.input_ids).logits.equal(wanted)


def test_an_output_head_with_lora(batch):
    model = make_tiny_llama(max_position_embeddings=256, tie_word_embeddings=False)
    inject_lora(model, LoraConfig(r=4, target_modules=["lm_head", "q_proj"]))
    torch.nn.init.normal_(model.lm_head.lora_B.weight)
    summed, _ = CompletionLoss(model)(batch)
    full = model(input_ids=batch.input_ids).logits[:, :-1]
    wanted = F.cross_entropy(full.flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(summed, wanted)


def test_padding_changes_nothing(tiny_llama, batch):
    summed, count = CompletionLoss(tiny_llama)(batch)
    wider = Batch(F.pad(batch.input_ids, (0, 9), value=5), F.pad(batch.labels, (0, 9), value=IGNORED))
    padded, padded_count = CompletionLoss(tiny_llama)(wider)
    assert count == padded_count
    torch.testing.assert_close(summed, padded, atol=0, rtol=1e-6)


def test_the_loss_of_a_half_precision_model_is_float32(batch):
    summed, _ = CompletionLoss(llama().to(torch.bfloat16))(batch)
    assert summed.dtype == torch.float32


@pytest.mark.parametrize(("dropout", "in_attention"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)])
def test_checkpointing_changes_no_bit(batch, dropout, in_attention):
    """Dropout must fall on the same numbers when a layer is computed again."""

    def loss_and_gradients(prepare):
        model = make_tiny_llama(max_position_embeddings=256, attention_dropout=in_attention)
        inject_lora(model, LoraConfig(r=4, target_modules="all-linear", lora_dropout=dropout))
        for module in model.modules():
            if hasattr(module, "lora_B"):
                torch.nn.init.normal_(module.lora_B.weight)
        prepare(model).train()
        torch.manual_seed(1)
        summed, _ = CompletionLoss(model)(batch)
        summed.backward()
        return summed, [p.grad for p in model.parameters() if p.requires_grad]

    plain, checkpointed = loss_and_gradients(lambda model: model), loss_and_gradients(checkpoint_layers)
    assert plain[0].equal(checkpointed[0])
    assert all(one.equal(other) for one, other in zip(plain[1], checkpointed[1], strict=True))


def test_inside_the_with_block_layers_are_checkpointed_and_after_it_as_before():
    model = llama()
    with checkpointed(model):
        assert is_checkpointed(model)
    assert not is_checkpointed(model)
    checkpoint_layers(model)
    with pytest.raises(InterruptedError), checkpointed(model):
        raise InterruptedError
    assert is_checkpointed(model)


def test_a_model_without_checkpointing_is_refused():
    with pytest.raises(ConfigError, match="Linear has no gradient checkpointing: train without"):
        checkpoint_layers(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["phimoe", "opt", "mixtral", "mamba2", "gemma3_text"])
def test_checkpointing_changes_no_bit_of_any_kind(kind):
    """PhiMoE's router jitters, OPT drops whole layers, and Mixtral's jitter is off unless it's asked for."""
    drawn = {"phimoe": {}, "opt": {"dropout": 0.2, "layerdrop": 0.3}, "mixtral": {"router_jitter_noise": 0.2}}
    model, (ids,) = make(kind, **drawn.get(kind, {})).train(), torch.arange(3, 43).split(40)
    batch = Batch(ids.view(2, 20), ids.view(2, 20))
    assert draws_random_numbers(model) == (kind in drawn)

    def loss_and_gradients():
        model.zero_grad()
        torch.manual_seed(1)
        summed, _ = CompletionLoss(model)(batch)
        summed.backward()
        return summed, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain = loss_and_gradients()
    with checkpointed(model):
        again = loss_and_gradients()
    assert plain[0].equal(again[0]) and plain[1].keys() == again[1].keys()
    assert all(gradient.equal(again[1][name]) for name, gradient in plain[1].items())
