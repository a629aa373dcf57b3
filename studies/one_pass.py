"""Which rows are answered right, and the loss, in one pass over the right answers, without generating any.

A greedy answer is right exactly where each token of the right answer is the likeliest one after those before it, and
then one that ends it. One pass over prompt and right answer shows that for every token at once, where generating goes
on token by token; and it's the pass that gives the loss. It's the same as `labkit.evaluate` where only one text is
right and only its own tokens spell it. A model that spells "process" as "pro" and "cess" would be right there and wrong
here; what's trained on whole answers doesn't, and `studies.data_size` scores one run both ways to see.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from labkit.base.chat_format import ends_of_answer
from labkit.evaluation.greedy import merged_where_it_pays
from labkit.step.batch import collate, encode, padding_id
from labkit.step.loss import label_logits
from labkit.step.shared_prefix import attention_by_row, pack

BATCH = 32  # rows at a time, of similar length


@torch.no_grad()
def answered_right(model: nn.Module, tokenizer, rows: Sequence[Mapping], system: str) -> tuple[list[bool], float]:
    """For each row, whether the greedy answer would be its completion; and the loss over all, in nats per token.

    The model's mode, and its weights to the bit, are afterwards as before.

    Args:
        model: a causal language model with plain attention, such as a Llama; adapters are merged meanwhile.
        rows: each with prompt and completion.
        system: the task's system prompt.
    """
    examples = [encode(tokenizer, row, system) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: len(examples[row].input_ids))
    ends = torch.tensor(ends_of_answer(model, tokenizer))
    right, summed, counted, was_training = [False] * len(rows), 0.0, 0, model.training
    model.eval()
    try:
        with merged_where_it_pays(model, len(rows)):
            for start in range(0, len(rows), BATCH):
                chosen = order[start : start + BATCH]
                batch = collate([examples[row] for row in chosen], padding_id(model, tokenizer))
                packed = pack(batch)
                with attention_by_row(model, packed) as mask:
                    named = {"position_ids": packed.position_ids, "attention_mask": mask}
                    logits = label_logits(model, packed.input_ids, packed.positions, **named)  # (counted, vocabulary)
                targets = batch.labels.flatten()[batch.positions + 1]
                summed += F.cross_entropy(logits.float(), targets, reduction="sum").item()
                counted += len(targets)
                likeliest = logits.argmax(-1)
                parts = [examples[row].counted for row in chosen]
                for row, said, wanted in zip(chosen, likeliest.split(parts), targets.split(parts)):
                    # whichever token ends an answer, it's ended
                    right[row] = said[:-1].equal(wanted[:-1]) and bool(torch.isin(said[-1], ends))
    finally:
        model.train(was_training)
    return right, summed / counted
