"""The answers to 64 prompts: labkit's `generate`, which `evaluate` uses, against transformers' on the same model.

    python -m benchmarks.answers            # six minutes on two cores

On the course's base, float32, the first 64 test rows of `tickets` in one batch, by the base alone (most of whose
answers run into the limit) and with the trained adapter (whose answers all end by themselves). Both must give the same
64 answers. transformers is handed the batch sorted, padded and encoded; labkit's time has all of that in it, and
merging and unmerging the adapter.

The limit is what would be seen if labkit took time for nothing but the matrix products that it computes.
"""

from functools import partial
from statistics import mean, median

import torch
from transformers import GenerationConfig

import labkit
from benchmarks.side_by_side import in_turn, ratio, store, where_the_time_goes
from labkit.base.chat_format import ends_of_answer
from labkit.step.batch import encode_prompt, padding_id

ROWS, ROUNDS = 64, 3
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm")
TASK = labkit.load_task("tickets")


@torch.no_grad()
def by_transformers(model, tokenizer, prompts: list[list[int]], room: int) -> list[str]:
    """Greedy, from prompts that are padded on the left."""
    ends, pad, length = ends_of_answer(model, tokenizer), padding_id(model, tokenizer), max(map(len, prompts))
    ids = torch.tensor([[pad] * (length - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    greedy = GenerationConfig(max_new_tokens=room, do_sample=False, pad_token_id=pad, eos_token_id=ends)
    found = model.eval().generate(input_ids=ids, attention_mask=mask, generation_config=greedy)
    return tokenizer.batch_decode(found[:, length:], skip_special_tokens=True)


def main() -> None:
    rows = list(TASK.rows("test"))[:ROWS]
    adapted, tokenizer = labkit.load_base(device="cpu")
    labkit.load_adapter(adapted, "data/adapters/tickets")
    models = {"base": labkit.load_base(device="cpu")[0], "adapter": adapted}
    room = TASK.token_limit(tokenizer, rows)
    rows.sort(key=lambda row: len(encode_prompt(tokenizer, row["prompt"], TASK.system)))
    asked = [row["prompt"] for row in rows]
    encoded = [encode_prompt(tokenizer, prompt, TASK.system) for prompt in asked]
    ways = {}
    for name, model in models.items():
        ways[f"labkit, {name}"] = partial(labkit.generate, model, tokenizer, asked, TASK.system, room)
        ways[f"transformers, {name}"] = partial(by_transformers, model, tokenizer, encoded, room)
    answers = {name: way() for name, way in ways.items()}
    same = {
        name: sum(a == b for a, b in zip(answers[f"labkit, {name}"], answers[f"transformers, {name}"]))
        for name in models
    }
    assert set(same.values()) == {ROWS}, same
    times = in_turn(ways, ROUNDS)
    operators = {name: where_the_time_goes(way) for name, way in ways.items()}
    faster = {name: ratio(times, f"transformers, {name}", f"labkit, {name}") for name in models}
    # a share, since a profile takes longer than the work it looks at
    products = {
        name: sum(spent.get(op, 0) for op in PRODUCTS) / sum(spent.values()) for name, spent in operators.items()
    }
    seconds = {name: median(taken) for name, taken in times.items()}
    said = {name: [len(tokenizer(text).input_ids) for text in answers[f"labkit, {name}"]] for name in models}
    store(
        "answers",
        {
            "rows": ROWS,
            "rounds": ROUNDS,
            "tokens of a prompt": {"mean": mean(map(len, encoded)), "longest": max(map(len, encoded))},
            "tokens of an answer": {name: {"mean": mean(n), "longest": max(n)} for name, n in said.items()},
            "same answers": same,
            "milliseconds": {name: 1e3 * taken for name, taken in seconds.items()},
            "times faster": faster,
            "share of matrix products": products,
            "limit": {name: times_faster / products[f"labkit, {name}"] for name, times_faster in faster.items()},
            "milliseconds by operator": operators,
            "seconds": times,
        },
    )


if __name__ == "__main__":
    main()
