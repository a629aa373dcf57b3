"""The table of benchmarks/README.md and the README's lines on speed, made from the stored results.

python -m benchmarks.readme_table            # write them
python -m benchmarks.readme_table --check    # exit with 1 where a page is out of date
"""

import argparse
import json
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from studies.results import RESULTS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by benchmarks/readme_table.py -->", "<!-- end of what it made -->"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: is measured.
        peer: what it is compared with.
        file: name of the stored result.
        place: the keys that lead to the ratio in it.
        limit: the ratio if labkit's own part cost nothing, or the keys that lead to it; None where no such run is
            stored.
        folder: of the result.
    """

    what: str
    peer: str
    file: str
    place: tuple[str, ...]
    limit: tuple[str, ...] | float | None = None
    folder: Path = RESULTS

    def content(self) -> dict:
        return json.loads((self.folder / f"{self.file}.json").read_text(encoding="utf-8"))

    def ratio(self) -> float:
        """As stored.

        Raises:
            FileNotFoundError, KeyError: the benchmark wasn't run yet, or ran without a library that isn't installed.
        """
        return _at(self.place, self.content())

    def shown_limit(self) -> str:
        limit = _at(self.limit, self.content()) if isinstance(self.limit, tuple) else self.limit
        return "" if limit is None else times(limit)


def _at(place: tuple[str, ...], content: dict) -> float:
    return reduce(lambda part, key: part[key], place, content)


def times(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.2f}×"


STEP, TIMES = "speed of a LoRA training step", "times faster"
PLAIN = f"{STEP}, `share_prefix=False`"
FLOOR, ALONE = "seconds relative to the frozen floor", "seconds relative to the base alone"
SET16 = "PEFT `set_adapter`, 16 adapters"
QSTEP, GUARDED = "speed of a QLoRA training step", "PEFT + bitsandbytes, guarded"
ANSWERS, GENERATE = "speed of the answers to 64 prompts", "transformers' `generate`, same batch"
MIXED = "speed of one token for 16 rows, each by another of 16 adapters"
OPEN = "bank, rows open"
OPENING = "bank, opening rows : PEFT, adapter_names"
NAMES, LOOP = "PEFT, adapter_names", "PEFT, set_adapter in a loop"
WRITING = ("times the base", "writing")
BESIDE_TRAINER = Row(STEP, "Trainer + PEFT", "train_step", (TIMES, "labkit, share_prefix : Trainer + PEFT"))
BESIDE_TRL = Row(STEP, "TRL's SFTTrainer", "train_step", (TIMES, "labkit, share_prefix : TRL SFTTrainer + PEFT"))
QLORA = Row(QSTEP, GUARDED, "qlora_step", ("share_prefix", "peft_against_it"))
MANY = Row(MIXED, "PEFT `adapter_names`", "mixed_batch", (TIMES, f"{OPEN} : {NAMES}"), (ALONE, NAMES))
TABLE = [
    BESIDE_TRAINER,
    BESIDE_TRL,
    Row(PLAIN, "Trainer + PEFT", "train_step", (TIMES, "labkit : Trainer + PEFT"), (FLOOR, "Trainer + PEFT")),
    Row(
        PLAIN,
        "TRL's SFTTrainer",
        "train_step",
        (TIMES, "labkit : TRL SFTTrainer + PEFT"),
        (FLOOR, "TRL SFTTrainer + PEFT"),
    ),
    Row(
        "time of a LoRA training step, `share_prefix=False`",
        "the frozen base, forward and backward",
        "train_step",
        (FLOOR, "labkit"),
        1,
    ),
    QLORA,
    Row(f"{QSTEP}, `share_prefix=False`", GUARDED, "qlora_step", ("peft_against_labkit",)),
    Row(ANSWERS, GENERATE, "answers", (TIMES, "base"), ("limit", "base")),
    Row(f"{ANSWERS}, with an adapter", GENERATE, "answers", (TIMES, "adapter"), ("limit", "adapter")),
    MANY,
    Row(MIXED, "PEFT `set_adapter`, row by row", "mixed_batch", (TIMES, f"{OPEN} : {LOOP}"), (ALONE, LOOP)),
    Row(f"{MIXED}, opening the rows too", "PEFT `adapter_names`", "mixed_batch", (TIMES, OPENING), (ALONE, NAMES)),
    Row("speed of `activate`, 16 adapters", SET16, "swap", (TIMES, "activate, 16 adapters")),
    Row(
        "speed of `activate`, 256 adapters",
        "PEFT `set_adapter`, 16 adapters",
        "swap",
        (TIMES, "activate, 256 adapters"),
    ),
    Row(
        "time of a mixed batch, 4 to 256 adapters, the slowest",
        "1 adapter",
        "swap",
        ("growth", "slowest relative to one adapter"),
        1,
    ),
    Row("memory of 1,000 adapters", "their numbers alone", "swap", ("many", "memory relative to the numbers"), 1),
    Row("time to write a token, adapter kept apart", "the base", "merge_latency", (*WRITING, "labkit, kept apart"), 1),
    Row("time to write a token, adapter merged", "the base", "merge_latency", (*WRITING, "labkit, merged"), 1),
]


def line(row: Row) -> str:
    try:
        measured, limit, date = times(row.ratio()), row.shown_limit(), row.content()["date"]
    except (FileNotFoundError, KeyError):
        measured, limit, date = "not yet measured", "", ""
    return f"| {row.what} | {row.peer} | {measured} | {limit} | {date} |"


def table(rows: list[Row]) -> str:
    head = ["| labkit's | beside | ratio | limit | date |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(line, rows)])


def lines() -> str:
    """The README's three lines."""
    trainer, trl, qlora, many = (times(row.ratio()) for row in (BESIDE_TRAINER, BESIDE_TRL, QLORA, MANY))
    return "\n".join(
        [
            f"- A LoRA training step is {trainer} as fast as with Hugging Face's Trainer + PEFT, and {trl} with TRL.",
            f"- A QLoRA training step is {qlora} as fast as with PEFT and bitsandbytes.",
            f"- For sixteen rows, each with its own adapter, writing the next token is {many} as fast as with PEFT.",
        ]
    )


def with_part(text: str, made: str) -> str:
    """`text` with `made` between its two markers.

    Raises:
        ValueError: it has not both markers, once each.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page needs the line {BEGIN!r} and, after it, {END!r}, once each")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where a page says something else"
    )
    check, stale = parser.parse_args(arguments).check, False
    for page, made in ((root / "README.md", lines()), (root / "benchmarks" / "README.md", table(TABLE))):
        text = page.read_text(encoding="utf-8")
        wanted = with_part(text, made)
        if wanted == text:
            continue
        if check:
            stale = True
            where = page.relative_to(root).as_posix()
            print(f"{where} doesn't show the stored results: run python -m benchmarks.readme_table", file=sys.stderr)
        else:
            page.write_text(wanted, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
