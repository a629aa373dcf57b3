"""``labkit preview``: rows as a training sees them."""

import argparse
import os
import sys

from labkit.cli.training import task_of


def preview(options: argparse.Namespace) -> None:
    """Rows as the model gets them: the chat template around them, and which tokens the loss counts."""
    from labkit.base import DEFAULT_BASE
    from labkit.base.loading import find_tokenizer
    from labkit.step.batch import encode, render_masked

    task = task_of(options, train=options.data)
    tokenizer, whose = find_tokenizer(options.base or os.environ.get("LABKIT_BASE") or DEFAULT_BASE)
    rows = task.rows("train")
    in_color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    how = "and the rest is gray" if in_color else "shown between ⟦ and ⟧"
    for row in rows.select(range(min(options.rows, len(rows)))).to_list():
        example = encode(tokenizer, row, task.system, turns=options.turns)
        tokens, counted = len(example.input_ids), example.counted
        print(f"{row['source']}: {tokens:,} tokens for {whose}. The loss counts {counted:,} of them, {how}:\n")
        marks = {} if in_color else {"counted": "⟦{}⟧", "masked": "{}"}
        print(render_masked(tokenizer, example, **marks))
        print()
