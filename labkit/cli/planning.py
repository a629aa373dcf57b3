"""``labkit plan`` and ``labkit advise``: what a fine-tune of any model would cost, and how to begin with it."""

import argparse
import json
from dataclasses import asdict

from labkit.cli.adapter_to_train import targets
from labkit.cli.base_options import refuse_double_alone
from labkit.errors import ConfigError


def plan(options: argparse.Namespace) -> None:
    """What a fine-tune would cost: memory, cards, time, money. Nothing is trained or downloaded."""
    import torch

    import labkit
    from labkit.simulation.cards import card_named
    from labkit.simulation.estimates import estimate, refuse_no_estimate
    from labkit.simulation.memory_check import free_bytes

    rows, sequence, labelled = _size_of_rows(options) if options.data else (5000, 512, 1.0)
    examples, sequence = options.examples or rows, options.seq or sequence
    labelled = labelled if options.labelled is None else options.labelled
    # refused before the work
    card = None if options.card is None else card_named(options.card)
    if card and options.device == "cpu":
        raise ConfigError("--card is a GPU, and --device cpu is this machine: leave one of them out")
    counts = {"examples": examples, "epochs": options.epochs}
    refuse_no_estimate(card, options.utilization, options.price, **counts)
    if options.price is not None and card is None:
        raise ConfigError("--price is for the time on a card: say --card, too")
    method, double = options.method, True
    if method != "qlora":  # which is with --double anyway
        refuse_double_alone(options)
    if options.quantize == "none" and method == "qlora":
        raise ConfigError("--method qlora is LoRA on a base in four bits. Leave out --quantize none, or say lora")
    if options.quantize == "nf4":
        if method == "full":
            raise ConfigError("--quantize nf4 goes with LoRA: four bits can't be trained. Leave out --method full")
        method, double = "qlora", options.double
    cost = labkit.simulate(
        options.model,
        method,
        double=double,
        r=options.rank,
        target_modules=targets(options),
        batch_size=options.batch_size,
        sequence=sequence,
        labelled=labelled,
        dtype=options.dtype or ("float32" if options.device == "cpu" else "bfloat16"),
        adapter_dtype=options.adapter_dtype,
        optimizer=options.optimizer,
        checkpointing=options.checkpointing,
        device=options.device,
    )
    found = None
    if card:
        found = estimate(
            cost,
            card,
            examples,
            options.batch_size,
            epochs=options.epochs,
            utilization=options.utilization,
            price_per_hour=options.price,
        )
    if options.json:
        print(json.dumps(cost.as_dict() | {"estimate": found and asdict(found)}, indent=2))
        return
    print(cost)
    if options.device == "cpu":
        free = free_bytes(torch.device("cpu"))
        print(f"This machine has {free / 1e9:.1f} GB free: it {'fits' if cost.peak <= free else 'does not fit'}.")
        print("The time depends on the machine: labkit train shows it after the first step.")
        return
    for each, fits in cost.cards():
        print(f"  {'✔' if fits else '✗'} {each.name:<18} {each.usable_bytes / 1e9:6.1f} GB usable")
    if found:
        print(found)
        if not dict(cost.cards())[card]:
            print(f"But a step does not fit into that card: {cost.peak / 1e9:.1f} GB of {card.usable_bytes / 1e9:.1f}.")


def advise(options: argparse.Namespace) -> None:
    """Which method and settings to begin with, each with its source, and what isn't known."""
    import labkit

    if options.swappable and options.merged:
        raise ConfigError("--swappable keeps the adapter apart, and --merged doesn't: leave one of them out")
    if options.rows is None and options.data is None:
        raise ConfigError("say --rows and how many there are, or --data and their file")
    rows, tokens, labelled = _size_of_rows(options) if options.data else (options.rows, None, 1.0)
    found = labkit.advise(
        options.model,
        options.card,
        options.task,
        options.rows or rows,
        tokens=options.seq or tokens,
        labelled=labelled if options.labelled is None else options.labelled,
        use="swap" if options.swappable else "merge" if options.merged else "either",
    )
    print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if options.json else found)


def _size_of_rows(options: argparse.Namespace) -> tuple[int, int, int]:
    """Of the rows in ``--data``: how many, the tokens of the longest, and the most that the loss counts in one."""
    from labkit.base.loading import find_tokenizer
    from labkit.step.batch import encode
    from labkit.tasks import task_from_files

    task = task_from_files({"train": options.data}, options.system, options.format)
    tokenizer, whose = find_tokenizer(options.model)
    examples = [encode(tokenizer, row, task.system, turns=options.turns) for row in task.rows("train")]
    longest, counted = max(len(one.input_ids) for one in examples), max(one.counted for one in examples)
    if not options.json:
        print(f"{task.name}: {len(examples):,} rows of up to {longest:,} tokens, of which the loss counts {counted:,}")
        print(f"  (as {whose} splits text into tokens)")
    return len(examples), longest, counted
