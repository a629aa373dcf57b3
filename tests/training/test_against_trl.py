"""The usual way to a QLoRA as the oracle: transformers, bitsandbytes, PEFT and TRL's trainer, on the real base.

Same rows in the same order, same seed, same settings. One default of TRL's can't be switched off: it keeps A and B of a
4-bit base in bfloat16. Put back into float32, its losses and gradients are labkit's.
"""

import math
from dataclasses import replace

import pytest
import torch
from conftest import make_tiny_llama

import labkit
from labkit.base.locating import find_base
from labkit.lora.adapter import keys_of
from labkit.quant.linear4bit import to_bytes
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from labkit.training.schedule import rows_at

pytest.importorskip("trl")
pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.slow

BASE = "SmolLM2-135M-Instruct"
CONFIG = labkit.TrainConfig(steps=10, batch_size=2, learning_rate=2e-3, warmup_share=0.0)
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
TASK = labkit.load_task("tickets")


def rows_in_order(steps: int):
    rows = TASK.rows("train")
    return rows.select([i for step in range(steps) for i in rows_at(step, len(rows), CONFIG)])


def bits_of_theirs(model, theirs) -> None:
    """The bits of bitsandbytes' layers in labkit's: doubled scales may differ by a code (see double_quantize)."""
    from labkit.quant.guarded import GuardedLinear4bit

    for name, layer in labkit.lora_layers(model):
        packed = theirs.get_submodule(f"base_model.model.{name}.base_layer")
        layer.base_layer.restore_weight(to_bytes(GuardedLinear4bit.quantized.fget(packed)))


def ours(theirs=None):
    model, _ = labkit.load_base(BASE, device="cpu", quantize="nf4", double=theirs is not None)
    torch.manual_seed(0)
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    if theirs is not None:
        bits_of_theirs(model, theirs)
    return model


def usual_trainer(tokenizer, rows, steps: int, double: bool = False):
    import peft
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    from labkit.lab.experiments.quiet_trl import QUIETLY, SFTConfig, SFTTrainer

    settings = {
        "max_steps": steps,
        "per_device_train_batch_size": CONFIG.batch_size,
        "learning_rate": CONFIG.learning_rate,
        "lr_scheduler_type": "cosine",
        "train_sampling_strategy": "sequential",
        "bf16": False,
        "seed": 0,
        "use_cpu": True,
        **QUIETLY,
    }
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double)
    model = AutoModelForCausalLM.from_pretrained(find_base(BASE), quantization_config=four_bits, device_map={"": "cpu"})
    return SFTTrainer(
        peft.prepare_model_for_kbit_training(model),
        SFTConfig(**settings),
        train_dataset=Dataset.from_list(rows),
        peft_config=peft.LoraConfig(**LORA, task_type="CAUSAL_LM"),
        processing_class=tokenizer,
    )


def trained_by_name(model) -> dict[str, torch.nn.Parameter]:
    """A and B under PEFT's names in a file, whichever library put them in."""
    if hasattr(model, "peft_config"):
        return {n.replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}
    return {
        key: part.weight
        for name, layer in labkit.lora_layers(model)
        for key, part in zip(keys_of(name), (layer.lora_A, layer.lora_B))
    }


def in_float32(trainer, start: dict[str, torch.Tensor]) -> None:
    for name, parameter in trained_by_name(trainer.model).items():
        parameter.data = start[name].clone()


def apart(some, others) -> float:
    return max(abs(one - other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("double, steps", [(False, CONFIG.steps), (True, 2)])
def test_losses_and_gradients_are_those_of_the_usual_tools(double, steps):
    from labkit.lab.experiments.quiet_trl import as_text, losses_of

    tokenizer = labkit.load_base(BASE, device="cpu")[1]
    rows = rows_in_order(steps)
    trainer = usual_trainer(tokenizer, [as_text(tokenizer, row, TASK.system) for row in rows], steps, double)
    model = ours(trainer.model if double else None)
    start = {name: p.detach().clone() for name, p in trained_by_name(model).items()}
    theirs = trained_by_name(trainer.model)
    # the same seed gave the same A, which TRL then rounded
    assert all(torch.equal(theirs[name], value.bfloat16()) for name, value in start.items())
    in_float32(trainer, start)

    examples = [encode(tokenizer, row, TASK.system) for row in rows]
    for example, row in zip(examples, trainer.train_dataset):
        assert example.input_ids == row["input_ids"] and example.labels == row["labels"]
    losses = labkit.train(model, tokenizer, TASK, replace(CONFIG, steps=steps)).losses
    assert apart(losses, losses_of(trainer)) < 1e-4

    in_float32(trainer, {name: p.detach() for name, p in trained_by_name(model).items()})  # rounding has added up
    summed, count = CompletionLoss(model.train())(batch := collate(examples[:4], tokenizer.pad_token_id))
    (summed / count).backward()
    trainer.model.train()(input_ids=batch.input_ids, labels=batch.labels).loss.backward()
    theirs = trained_by_name(trainer.model)
    for name, parameter in trained_by_name(model).items():
        assert (theirs[name].grad - parameter.grad).norm() < 1e-4 * parameter.grad.norm(), name
    assert losses[-1] < losses[0] - 0.5  # there was something to agree on


def test_what_trl_does_with_a_4_bit_base_unasked():
    """A and B in bfloat16 change the losses; computing activations a second time doesn't."""
    from labkit.lab.experiments.quiet_trl import as_text, losses_of

    tokenizer = labkit.load_base(BASE, device="cpu")[1]
    texts = [as_text(tokenizer, row, TASK.system) for row in rows_in_order(3)]
    trainer = usual_trainer(tokenizer, texts, steps=3)
    assert {p.dtype for p in trained_by_name(trainer.model).values()} == {torch.bfloat16}
    start = {name: p.detach().float() for name, p in trained_by_name(trainer.model).items()}
    rounded = losses_of(trainer)
    in_float32(trainer, start)
    wide = losses_of(trainer)
    assert rounded[0] == pytest.approx(wide[0], abs=1e-5)  # B is zero
    assert apart(rounded, wide) > 1e-4
    in_float32(trainer, start)
    trainer.args.gradient_checkpointing = False
    trainer.model.gradient_checkpointing_disable()
    assert apart(losses_of(trainer), wide) < 1e-5


def test_the_defaults_that_the_notebooks_name():
    import peft
    from transformers import BitsAndBytesConfig

    from labkit.lab.experiments.quiet_trl import QUIETLY, SFTConfig

    plain = SFTConfig(use_cpu=True, output_dir=QUIETLY["output_dir"])
    assert (plain.learning_rate, plain.bf16, plain.max_length, plain.seed) == (2e-5, True, 1024, 42)
    assert (plain.lr_scheduler_type, plain.train_sampling_strategy) == ("linear", "random")
    assert plain.gradient_checkpointing and math.isclose(plain.max_grad_norm, CONFIG.max_grad_norm)
    assert plain.weight_decay == CONFIG.weight_decay == 0
    assert BitsAndBytesConfig(load_in_4bit=True).bnb_4bit_quant_type == "fp4"
    assert not BitsAndBytesConfig(load_in_4bit=True).bnb_4bit_use_double_quant
    assert (peft.LoraConfig().target_modules, peft.LoraConfig().lora_alpha) == (None, 8)


def test_messages_get_a_line_break_more_and_long_rows_are_cut():
    from datasets import Dataset

    from labkit.lab.experiments.quiet_trl import QUIETLY, SFTConfig, SFTTrainer, as_text

    tokenizer = labkit.load_base(BASE, device="cpu")[1]
    rows = rows_in_order(2)

    def prepared(rows, **changes):
        settings = SFTConfig(use_cpu=True, bf16=False, **QUIETLY, **changes)
        model = make_tiny_llama(vocab_size=len(tokenizer))
        return SFTTrainer(
            model, settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
        ).train_dataset

    texts = [as_text(tokenizer, row, TASK.system) for row in rows]
    messages = [
        {
            "prompt": [{"role": "system", "content": TASK.system}, {"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["completion"]}],
        }
        for row in rows
    ]
    line_break, whole = tokenizer.encode("\n"), prepared(texts)
    for told, text in zip(prepared(messages), whole):
        assert told["input_ids"] == text["input_ids"] + line_break and told["labels"] == text["labels"] + line_break
    chats = prepared([{"messages": each["prompt"] + each["completion"]} for each in messages])
    assert all(chat["labels"] == chat["input_ids"] for chat in chats), "a chat has a label on every token"
    assert max(map(len, whole["input_ids"])) > 70 == max(map(len, prepared(texts, max_length=70)["input_ids"]))
