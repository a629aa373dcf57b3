import re
from dataclasses import replace
from functools import cache

import pytest
import torch
from conftest import TINY_SHAPE, make_tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_base import make
from training_run import ROWS, TASK, make_model, weights_of
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma3Config,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaForCausalLM,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from labkit import (
    CompletionLoss,
    ConfigError,
    LoraConfig,
    TrainConfig,
    TrainingError,
    encode,
    inject_lora,
    quantize_model,
    train,
)
from labkit.lora.inject import lora_layers
from labkit.quant.bnb import find_bitsandbytes
from labkit.step.batch import IGNORED, Batch, Example, collate
from labkit.step.gradient_checkpointing import checkpoint_layers
from labkit.step.shared_prefix import pack, shared_tokens
from labkit.training.checkpoints import newest, shared_prefix_before

pytestmark = pytest.mark.usefixtures("one_thread")


def rows_of(*rows: tuple[list[int], list[int]]) -> Batch:
    """A batch of prompts and completions, given as token ids."""
    length = max(len(prompt) + len(completion) for prompt, completion in rows)
    ids, labels = torch.full((len(rows), length), 2), torch.full((len(rows), length), IGNORED)
    for i, (prompt, completion) in enumerate(rows):
        end = len(prompt) + len(completion)
        ids[i, :end] = torch.tensor(prompt + completion)
        labels[i, len(prompt) : end] = torch.tensor(completion)
    return Batch(ids, labels)


BATCHES = {
    "different lengths": (
        3,
        rows_of(([5, 6, 7, 8, 9, 4], [11, 2]), ([5, 6, 7, 8], [12, 13, 14, 15, 2]), ([5, 6, 7, 8, 3, 3], [2])),
    ),
    "one prompt is all the others begin with": (2, rows_of(([5, 6, 7], [8, 2]), ([5, 6, 7, 8, 9], [2]))),
    "all prompts the same": (3, rows_of(([5, 6, 7, 8], [9, 2]), ([5, 6, 7, 8], [10, 11, 12, 2]))),
    "all rows the same": (3, rows_of(([5, 6, 7, 8], [9, 2]), ([5, 6, 7, 8], [9, 2]))),
    "nothing in common": (0, rows_of(([5, 6, 7], [8, 2]), ([6, 5, 7], [8, 9, 2]))),
    "prompts of one token": (0, rows_of(([5], [8, 2]), ([5], [8, 9, 2]))),
    "one row": (2, rows_of(([5, 6, 7], [8, 2]))),
    "conversations with the same first answer": (
        2,
        collate(
            [Example([5, 6, 7, 8, 9, 10, 11, 12, 2], 3, ((5, 7),)), Example([5, 6, 7, 8, 9, 13, 14, 2], 3, ((5, 6),))],
            pad_token_id=2,
        ),
    ),
    "the padding id in the prefix": (3, rows_of(([2, 2, 2, 4], [8, 2]), ([2, 2, 2, 5, 6], [8, 2]))),
}


def llama():
    return make_tiny_llama()


def cohere():
    torch.manual_seed(0)
    return CohereForCausalLM(CohereConfig(**TINY_SHAPE, logit_scale=0.25)).eval()


def qwen3():
    """Normalises queries and keys, head by head."""
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**TINY_SHAPE, head_dim=8)).eval()


def gemma3():
    """Reads and sees, with windows in the half that reads: its settings are nested, and so is its attention's."""
    text = TINY_SHAPE | {"head_dim": 8, "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}
    sight = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sight |= {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(
        Gemma3Config(text_config=text, vision_config=sight, mm_tokens_per_image=4, image_token_index=95)
    )


def deepseek_v2():
    """Queries, keys and values are made of a few numbers, and values have another head size; with experts."""
    return make("deepseek_v3", model_type="deepseek_v2", topk_method="greedy", n_group=1, head_dim=8)


def roberta():
    """A decoder that gives the first token position 3, whatever position it is told."""
    shape = {key: TINY_SHAPE[key] for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")}
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    return RobertaForCausalLM(RobertaConfig(**shape, **no_dropout, intermediate_size=48, is_decoder=True))


def nf4():
    return quantize_model(make_tiny_llama(hidden_size=64, intermediate_size=128))


def bitsandbytes():
    if find_bitsandbytes() is None:
        pytest.skip("bitsandbytes does not run here")
    return quantize_model(make_tiny_llama(hidden_size=64, intermediate_size=128), backend="bitsandbytes")


def with_lora(model):
    """Every layer adapted, and no B zero: else all gradients of A would be."""
    torch.manual_seed(1)
    inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))
    for _, layer in lora_layers(model):
        torch.nn.init.normal_(layer.lora_B.weight, std=0.1)
    return model


def loss_and_gradients(model, batch, share_prefix):
    summed, _ = CompletionLoss(model.train(), share_prefix)(batch)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return summed, dict(zip(trained, torch.autograd.grad(summed, trained.values()), strict=True))


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("made", [llama, cohere, qwen3, nf4, bitsandbytes])
def test_loss_and_gradients_equal_the_plain_steps(made, name):
    model, (_, batch) = with_lora(made()), BATCHES[name]
    plain, wanted = loss_and_gradients(model, batch, share_prefix=False)
    shared, found = loss_and_gradients(model, batch, share_prefix=True)
    torch.testing.assert_close(shared, plain, atol=1e-5, rtol=1e-5)
    for key, gradient in wanted.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-5, rtol=1e-5, msg=lambda m, key=key: f"{key}: {m}")
    assert max(gradient.abs().max() for gradient in wanted.values()) > 1e-2


def test_full_fine_tuning_too():
    """Embeddings and norms are trained as well, and the embedding is the head."""
    batch = BATCHES["different lengths"][1]
    (plain, wanted), (shared, found) = (loss_and_gradients(llama(), batch, share) for share in (False, True))
    torch.testing.assert_close((shared, found), (plain, wanted), atol=1e-5, rtol=1e-5)


tokens = st.lists(st.integers(3, 5), min_size=1, max_size=6)


@cache
def both_losses() -> tuple[dict, CompletionLoss, CompletionLoss]:
    """Of one model, which is asked once whether it shares prefixes."""
    model = llama().train()
    trained = dict(model.named_parameters())
    return trained, CompletionLoss(model), CompletionLoss(model, share_prefix=True)


@given(st.lists(st.tuples(tokens, tokens), min_size=2, max_size=4))
def test_any_batch(rows):
    batch, (trained, *losses) = rows_of(*rows), both_losses()
    (plain, wanted), (shared, found) = (
        (summed, torch.autograd.grad(summed, trained.values())) for summed in (loss(batch)[0] for loss in losses)
    )
    torch.testing.assert_close((shared, *found), (plain, *wanted), atol=1e-5, rtol=1e-5)


LONG = rows_of(
    *(([3, 4, 5, 6] * 4 + list(range(10, 10 + row)), list(range(30, 44 + 5 * row)) + [2]) for row in range(3))
)


@pytest.mark.parametrize(
    "kind", ["mistral with a window", "gemma2", "gpt_oss", "qwen2_moe", "opt", gemma3, deepseek_v2]
)
def test_other_peoples_models_too(kind):
    """Rows are longer than the windows, and what they begin with is, too."""
    model = kind() if callable(kind) else make(kind)
    with torch.no_grad():
        for p in model.parameters():  # so that a token that's looked at matters
            p.mul_(4 if p.ndim > 1 else 1)
    model = inject_lora(model, LoraConfig(r=4, target_modules="all-linear", exclude_modules=".*vision.*"))
    for _, layer in lora_layers(model):
        torch.nn.init.normal_(layer.lora_B.weight, std=0.1)
    before, per_part = model.config._attn_implementation, [m.config for m in model.modules() if hasattr(m, "config")]
    (plain, wanted), (shared, found) = (loss_and_gradients(model, LONG, share) for share in (False, True))
    torch.testing.assert_close(shared, plain, atol=0, rtol=1e-5)
    for key, gradient in wanted.items():
        assert (found[key] - gradient).abs().max() <= 1e-5 * max(1, gradient.abs().max()), key
    assert {config._attn_implementation for config in per_part} == {before}


@pytest.mark.parametrize("name", BATCHES)
def test_shared_tokens(name):
    wanted, batch = BATCHES[name]
    assert shared_tokens(batch) == wanted


def test_packing_keeps_each_token_at_its_place():
    """Neither the last token of a row is there, which predicts nothing, nor padding."""
    packed = pack(BATCHES["different lengths"][1])
    assert packed.input_ids.tolist() == [[5, 6, 7, *[8, 9, 4, 11], *[8, 12, 13, 14, 15], *[8, 3, 3]]]
    assert packed.position_ids.tolist() == [[0, 1, 2, *[3, 4, 5, 6], *[3, 4, 5, 6, 7], *[3, 4, 5]]]
    assert packed.input_ids[0, packed.positions].tolist() == [4, 11, *[8, 12, 13, 14, 15], 3]


def test_side_by_side_and_packed_again():
    packed = pack(BATCHES["different lengths"][1])
    keys = torch.randn(1, 2, 15, 4)
    by_row = packed.by_row(keys)
    assert by_row.shape == (3, 2, 8, 4)
    assert by_row[1].equal(torch.cat([keys[0, :, :3], keys[0, :, 7:12]], dim=1))
    assert packed.packed(by_row.transpose(1, 2)).equal(keys.transpose(1, 2))


def test_a_row_without_labels_and_a_batch_without():
    _, batch = BATCHES["different lengths"]
    labels = batch.labels.clone()
    labels[1] = IGNORED
    batch = Batch(batch.input_ids, labels)
    (plain, wanted), (shared, found) = (loss_and_gradients(llama(), batch, share) for share in (False, True))
    torch.testing.assert_close((shared, found), (plain, wanted), atol=1e-5, rtol=1e-5)
    nothing = Batch(batch.input_ids, torch.full_like(labels, IGNORED))
    assert CompletionLoss(llama(), share_prefix=True)(nothing) == (0, 0)


def test_layers_see_the_prefix_once(tiny_tokenizer):
    model = make_tiny_llama(max_position_embeddings=256)
    examples = [
        encode(tiny_tokenizer, row, TASK.system)
        for row in ({"prompt": f"Add {i}.", "completion": "1"} for i in range(4))
    ]
    batch, seen = collate(examples, tiny_tokenizer.pad_token_id), []
    rows, tokens = batch.input_ids.shape
    plain, shared = CompletionLoss(model), CompletionLoss(model, share_prefix=True)
    with model.model.layers[1].mlp.register_forward_hook(lambda layer, inputs, output: seen.append(output.shape[:2])):
        plain(batch)
        shared(batch)
    alike = len(tiny_tokenizer("<|im_start|>system\nAdd.<|im_end|>\n<|im_start|>user\nAdd ").input_ids)
    assert seen == [(rows, tokens), (1, alike + rows * (tokens - 1 - alike))]


# ---- training


CONFIG = TrainConfig(steps=6, batch_size=4, learning_rate=1e-2)


def run(tokenizer, config, model=None, **options):
    model = model or make_model(dropout=0)
    return train(model, tokenizer, TASK, config, rows=ROWS, **options), model


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_run_equals_the_plain_one(tiny_tokenizer, parts):
    """With four parts, each has a single row."""
    config = replace(CONFIG, gradient_accumulation=parts)
    plain, model = run(tiny_tokenizer, replace(config, share_prefix=False))
    shared, other = run(tiny_tokenizer, replace(config, share_prefix=True))
    assert shared.losses == pytest.approx(plain.losses, rel=1e-5)
    for name, p in weights_of(other).items():
        torch.testing.assert_close(p, model.get_parameter(name), atol=1e-5, rtol=0)


def stop(report):
    if report.step == 3:
        raise InterruptedError


@pytest.mark.parametrize(
    ("begun", "resumed", "dropout"),
    [(True, True, 0), ("auto", "auto", 0), ("auto", "auto", 0.1), (False, "auto", 0), (False, "auto", 0.1)],
)
def test_a_resumed_run_ends_in_the_bits_of_an_uninterrupted_one(tiny_tokenizer, tmp_path, begun, resumed, dropout):
    """Also one that was begun when "auto" wasn't the default yet: its checkpoint says False, and that's kept."""
    config = replace(CONFIG, share_prefix=begun, checkpoint_every=2)
    with pytest.raises(InterruptedError):
        run(tiny_tokenizer, config, make_model(dropout), output_dir=tmp_path / "a", on_step=stop)
    again = replace(config, share_prefix=resumed)
    found, model = run(tiny_tokenizer, again, make_model(dropout), output_dir=tmp_path / "a", resume=True)
    whole, other = run(tiny_tokenizer, config, make_model(dropout), output_dir=tmp_path / "b")
    assert found.history == whole.history
    assert all(p.equal(weights_of(other)[name]) for name, p in weights_of(model).items())


def test_what_auto_chose_is_said_and_kept(tiny_tokenizer, tmp_path):
    """Resumed with the other choice, the run would end in other bits."""
    config = replace(CONFIG, share_prefix="auto", checkpoint_every=2)
    with pytest.raises(InterruptedError):
        run(tiny_tokenizer, config, output_dir=tmp_path, on_step=stop)
    assert shared_prefix_before(tmp_path) is True
    with pytest.raises(TrainingError, match="not the same: share_prefix"):
        run(tiny_tokenizer, replace(config, share_prefix=False), output_dir=tmp_path, resume=True)
    (newest(tmp_path) / "run.json").write_text("{")
    assert shared_prefix_before(tmp_path) is None and shared_prefix_before(tmp_path / "nowhere") is None


# "auto" has to know it of: dropout, checkpointing, attention of another kind; and of an earlier choice
@pytest.mark.parametrize(
    ("made", "changed", "said"),
    [
        (lambda: make_model(0), {}, "share_prefix is on: what all rows of a step begin with is computed once"),
        (lambda: make_model(0), {"share_prefix": False}, "^$"),
        (lambda: make_model(0.1), {}, "share_prefix is off: this model draws random numbers in training"),
        (
            lambda: make_model(0),
            {"gradient_checkpointing": True},
            "share_prefix is off: gradient checkpointing would compute the layers again",
        ),
        (lambda: with_lora(make("falcon")), {}, "share_prefix is off: it works only .* this 'falcon' model"),
    ],
)
def test_auto_is_on_where_it_is_exact(tiny_tokenizer, made, changed, said):
    assert TrainConfig().share_prefix == "auto"
    config = replace(CONFIG, steps=2, batch_size=2, **changed)
    found, model = run(tiny_tokenizer, config, made())
    assert re.search(said, found.about_prefix)
    chosen = found.about_prefix.startswith("share_prefix is on")
    wanted, other = run(tiny_tokenizer, replace(config, share_prefix=chosen), made())
    assert found.losses == wanted.losses
    assert all(p.equal(weights_of(other)[name]) for name, p in weights_of(model).items())


# ---- what is left behind, and refusals


def test_the_model_is_as_before_also_after_an_error():
    model, known = llama(), set(ALL_ATTENTION_FUNCTIONS)
    batch = BATCHES["different lengths"][1]
    wanted = model(input_ids=batch.input_ids).logits
    CompletionLoss(model, share_prefix=True)(batch)
    with pytest.raises(IndexError):
        CompletionLoss(model, share_prefix=True)(replace(batch, input_ids=batch.input_ids + 96))
    assert model.config._attn_implementation == "sdpa" and set(ALL_ATTENTION_FUNCTIONS) == known
    assert model(input_ids=batch.input_ids).logits.equal(wanted)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: make_model(dropout=0.1), "draws random numbers in training"),
        (lambda: make_tiny_llama(attention_dropout=0.1), "draws random numbers in training"),
        (
            lambda: make("phimoe"),
            "draws random numbers in training .dropout, or a router's jitter.*, or train without share_prefix$",
        ),
        (lambda: make("opt", layerdrop=0.1), "draws random numbers in training"),
        (lambda: checkpoint_layers(llama()), "checkpointing would compute the layers again"),
        *(
            (lambda kind=kind: make(kind), f"this {kind!r} model computes its own. Train without share_prefix")
            for kind in ("falcon", "bloom", "gpt_neo", "llama4_text", "mamba", "jamba")
        ),
        (roberta, "this 'roberta' model computes its own"),
    ],
)
def test_where_it_would_not_be_exact_it_is_refused(tiny_tokenizer, made, message):
    model = made()
    with pytest.raises(ConfigError, match=f"share_prefix: .*{message}"):
        CompletionLoss(model, share_prefix=True)
    with pytest.raises(ConfigError, match=f"share_prefix: .*{message}"):
        run(tiny_tokenizer, replace(CONFIG, share_prefix=True), model)


def test_with_checkpointing_it_is_refused_at_once():
    with pytest.raises(ConfigError, match="share_prefix and gradient_checkpointing do not go together"):
        TrainConfig(share_prefix=True, gradient_checkpointing=True)
