"""Every kind of base, all the way through; and the table of bases in README, made of what was found.

What labkit does on a kind must equal what transformers, PEFT and a plain model with the same weights do. What it
refuses, it refuses in one sentence, and that sentence stands below README's table.

``python tests/test_kinds_of_base.py`` writes the table anew.
"""

import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import peft
import pytest
import torch
import torch.nn.functional as F
from conftest import make_tiny_tokenizer
from kinds_of_base import KINDS, config_of, make
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from labkit import (
    AdapterBank,
    LoraConfig,
    inject_lora,
    load_adapter,
    measure,
    merge_into_dense,
    quantize_model,
    save_adapter,
    save_merged,
    simulate,
)
from labkit.errors import ConfigError, LabkitWarning
from labkit.lora.inject import lora_layers
from labkit.step.batch import Example, collate
from labkit.step.gradient_checkpointing import checkpointed
from labkit.step.loss import CompletionLoss

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- made by tests/test_kinds_of_base.py -->", "<!-- end of the table of bases -->"
TOLERANCE = 1e-6  # of the largest number compared

# rows that begin alike, and go on longer than the windows and chunks of the models that have them
EXAMPLES = [Example([3, 4, 5, 6] * 4 + [7 + row] * (3 + row), 16) for row in range(3)]
BATCH = collate(EXAMPLES, pad_token_id=2)


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=BATCH.input_ids, use_cache=False).logits


def adapted(kind: str, model: nn.Module | None = None) -> nn.Module:
    """A model of this kind with an adapter on every linear layer, whose B is not zero."""
    model = inject_lora(model or make(kind), LoraConfig(r=2, target_modules="all-linear"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, layer in lora_layers(model):
            layer.lora_A.weight.normal_(0, 0.05, generator=generator)
            layer.lora_B.weight.normal_(0, 0.05, generator=generator)
    return model


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}


def mean(loss: CompletionLoss) -> Tensor:
    summed, counted = loss(BATCH)
    return summed / counted


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    ours, theirs = ours.detach(), theirs.detach()
    return float((ours - theirs).abs().max() / max(1, theirs.abs().max()))


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert apart(ours, theirs) <= TOLERANCE


def assert_same_gradients(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys() != set()
    for name in ours:
        assert_same(ours[name], theirs[name])


def trains(kind: str) -> None:
    """The loss and the gradients are those of transformers' own forward; a batch's are those of its rows."""
    model = adapted(kind)
    loss, counted = mean(CompletionLoss(model)), len(BATCH.positions)
    whole = model(input_ids=BATCH.input_ids, use_cache=False).logits[:, :-1].float()
    theirs = F.cross_entropy(whole.flatten(0, 1), BATCH.labels[:, 1:].flatten(), ignore_index=-100, reduction="sum")
    assert_same(loss, theirs / counted)
    ours = gradients(model, loss)
    assert_same_gradients(ours, gradients(model, theirs / counted))
    alone = sum(CompletionLoss(model)(collate([example], 2))[0] for example in EXAMPLES)
    assert_same_gradients(ours, gradients(model, alone / counted))
    with checkpointed(model.train()):
        assert_same_gradients(ours, gradients(model, mean(CompletionLoss(model))))


def merges(kind: str) -> None:
    """Kept apart = loaded from its folder = merged, written, and loaded by transformers alone; and not the base."""
    model = adapted(kind)
    wanted = logits(model)
    assert (wanted - logits(make(kind))).abs().max() > 100 * TOLERANCE
    with TemporaryDirectory() as folder:
        assert_same(logits(load_adapter(make(kind), save_adapter(model, f"{folder}/adapter"))), wanted)
        save_merged(model, make_tiny_tokenizer(), f"{folder}/merged")
        assert_same(logits(AutoModelForCausalLM.from_pretrained(f"{folder}/merged").eval()), wanted)


def is_read_by_peft(kind: str) -> str | None:
    """Where labkit says that PEFT may read it otherwise, that is what is found."""
    model = adapted(kind)
    with TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", LabkitWarning)
        save_adapter(model, f"{folder}/adapter")
        try:
            twin = peft.PeftModel.from_pretrained(make(kind), f"{folder}/adapter").eval()
        except ValueError as error:
            return f"PEFT refuses: {str(error).splitlines()[0]}"
    told = [str(each.message) for each in said if issubclass(each.category, LabkitWarning)]
    if told and apart(logits(model), logits(twin)) > TOLERANCE:
        return told[0]
    assert_same(logits(model), logits(twin))


def serves_by_row(kind: str) -> None:
    model, bank = adapted(kind), AdapterBank(make(kind))
    bank.add("mine", model)
    with bank.rows(["mine", None, "mine"]):
        rows = logits(bank.model)
    assert_same(rows[::2], logits(model)[::2])
    assert_same(rows[1], logits(make(kind))[1])


def shares_prefix(kind: str) -> None:
    model = adapted(kind).train()
    shared = CompletionLoss(model, share_prefix=True)
    assert_same_gradients(gradients(model, mean(shared)), gradients(model, mean(CompletionLoss(model))))


def goes_to_four_bits(kind: str) -> None:
    """The loss and the gradients are those of a plain model with the weights that the four bits stand for."""
    packed = quantize_model(make(kind))
    plain = merge_into_dense(quantize_model(make(kind)))
    ours, theirs = adapted(kind, packed), adapted(kind, plain)
    assert_same(logits(ours), logits(theirs))
    mine = gradients(ours, mean(CompletionLoss(ours)))
    assert_same_gradients(mine, gradients(theirs, mean(CompletionLoss(theirs))))


def is_simulated(kind: str) -> None:
    """Simulated = measured, to the byte, in every phase and by kind."""
    model = inject_lora(make(kind), LoraConfig(r=2, target_modules="all-linear"))
    step = {"batch_size": 2, "sequence": 24, "labelled": 5}
    found = simulate(config_of(kind), r=2, dtype="float32", device="cpu", **step)
    assert found.phases == measure(model, **step).phases


COLUMNS = {
    "train": trains,
    "merge": merges,
    "PEFT reads it": is_read_by_peft,
    "an adapter per row": serves_by_row,
    "`share_prefix`": shares_prefix,
    "four bits": goes_to_four_bits,
    "`plan`": is_simulated,
}


@cache
def verdict(kind: str, column: str) -> str | None:
    """None where the result is right, or the sentence that refuses."""
    try:
        return COLUMNS[column](kind)
    except ConfigError as error:
        return str(error)


def in_readme() -> list[str]:
    return README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].splitlines()


def stated() -> dict[tuple[str, str], bool]:
    """What README's table says of each kind and column."""
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in in_readme() if "|" in line)
    return {
        (kind, column): cell == "yes"
        for kinds, *cells in rows
        for kind in kinds.split(", ")
        for column, cell in zip(head[1:], cells, strict=True)
    }


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        # among the units all of it, but of what takes longest a third
        pytest.param(kind, column, marks=pytest.mark.long if column == "`plan`" and i % 3 else pytest.mark.slow)
        for i, kind in enumerate(KINDS)
        for column in COLUMNS
    ],
)
def test_right_or_one_sentence_as_readme_says(kind, column):
    sentence = verdict(kind, column)
    assert sentence is None or "\n" not in sentence
    assert stated()[kind, column] == (sentence is None)


@pytest.mark.slow
def test_the_sentences_below_the_table_are_those_that_refuse():
    for line in in_readme():
        if line.startswith("- "):
            where, sentence = line.removeprefix("- ").split(": ", 1)
            assert verdict(*where.split(", ")) == sentence


def table() -> str:
    """README's table: kinds that can do the same things share a line, and one sentence per "no" stands below."""
    alike: dict[tuple[bool, ...], list[str]] = {}
    for kind in KINDS:
        alike.setdefault(tuple(verdict(kind, column) is None for column in COLUMNS), []).append(kind)
    lines = [f"| base | {' | '.join(COLUMNS)} |", "|---" * (1 + len(COLUMNS)) + "|"]
    for can, kinds in sorted(alike.items(), reverse=True):
        lines.append(f"| {', '.join(kinds)} | {' | '.join('yes' if each else 'no' for each in can)} |")
    lines.append("")
    for column in COLUMNS:  # of a kind that has nothing to train, the rest goes without saying
        refused = [
            kind for kind in KINDS if verdict(kind, column) and (column == "train" or not verdict(kind, "train"))
        ]
        for kind in refused[:1]:
            lines.append(f"- {kind}, {column}: {verdict(kind, column)}")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


@pytest.mark.long
def test_the_table_in_readme_is_what_was_found():
    readme = README.read_text(encoding="utf-8")
    assert with_table(readme) == readme, "write it anew: .venv/bin/python tests/test_kinds_of_base.py"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
