"""The benchmark table of the README, made from the stored results.

python -m benchmarks.readme_table            # write it
python -m benchmarks.readme_table --check    # exit with 1 where the README has another one
"""

import argparse
import json
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from studies.results import RESULTS

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by benchmarks/readme_table.py -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: is measured.
        against: what it is compared with.
        file: name of the stored result.
        place: the keys that lead to the ratio in it.
        at_least: the ratio to reach, where more is better.
        at_most: the ratio to stay under, where less is better. Neither: nothing was set.
        folder: of the result.
    """

    what: str
    against: str
    file: str
    place: tuple[str, ...]
    at_least: float | None = None
    at_most: float | None = None
    folder: Path = RESULTS

    def asked(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}× as fast"
        return "" if self.at_most is None else f"at most {self.at_most:g}×"

    def measured(self, ratio: float) -> str:
        """The ratio, and whether it falls short of what was asked."""
        reached = (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)
        text = f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.2f}×"
        return text if reached else f"{text}, **not reached**"


STEP, TIMES = "a LoRA training step", "times faster"
PREFIX = f"{STEP}, `share_prefix=True`"
QSTEP, GUARDED = "a QLoRA training step", "PEFT + bitsandbytes, guarded"
MIXED = "one token for 16 rows, each by another of 16 adapters"
OPEN = "bank, rows open"
OPENING = "bank, opening rows : PEFT, adapter_names"
TABLE = [
    Row(STEP, "Trainer + PEFT", "train_step", (TIMES, "labkit : Trainer + PEFT"), 1.25),
    Row(STEP, "TRL's SFTTrainer", "train_step", (TIMES, "labkit : TRL SFTTrainer + PEFT"), 1.25),
    Row(
        f"time of {STEP}",
        "the frozen base, forward and backward",
        "train_step",
        ("seconds relative to the frozen floor", "labkit"),
        at_most=1.15,
    ),
    Row(PREFIX, "Trainer + PEFT", "train_step", (TIMES, "labkit, share_prefix : Trainer + PEFT"), 1.5),
    Row(PREFIX, "TRL's SFTTrainer", "train_step", (TIMES, "labkit, share_prefix : TRL SFTTrainer + PEFT"), 1.5),
    Row(QSTEP, GUARDED, "qlora_step", ("peft_against_labkit",), 1.3),
    Row(f"{QSTEP}, `share_prefix=True`", GUARDED, "qlora_step", ("share_prefix", "peft_against_it"), 1.3),
    Row(MIXED, "PEFT `adapter_names`", "mixed_batch", (TIMES, f"{OPEN} : PEFT, adapter_names"), 3.5),
    Row(MIXED, "PEFT `set_adapter`, row by row", "mixed_batch", (TIMES, f"{OPEN} : PEFT, set_adapter in a loop"), 15),
    Row(f"{MIXED}, opening the rows too", "PEFT `adapter_names`", "mixed_batch", (TIMES, OPENING)),
    Row("`activate`, 16 adapters", "PEFT `set_adapter`, 16 adapters", "swap", (TIMES, "activate, 16 adapters"), 100),
    Row("`activate`, 256 adapters", "PEFT `set_adapter`, 16 adapters", "swap", (TIMES, "activate, 256 adapters"), 100),
    Row(
        "time of a mixed batch, 4 to 256 adapters, the slowest",
        "1 adapter",
        "swap",
        ("growth", "slowest relative to one adapter"),
        at_most=1.1,
    ),
    Row("memory of 1,000 adapters", "their numbers alone", "swap", ("many", "memory relative to the numbers")),
    Row(
        "time to write a token, adapter kept apart",
        "the base",
        "merge_latency",
        ("times the base", "writing", "labkit, kept apart"),
    ),
    Row(
        "time to write a token, adapter merged",
        "the base",
        "merge_latency",
        ("times the base", "writing", "labkit, merged"),
    ),
]


def line(row: Row) -> str:
    file = row.folder / f"{row.file}.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        measured, date = row.measured(reduce(lambda part, key: part[key], row.place, content)), content["date"]
    except (FileNotFoundError, KeyError):  # a benchmark not run yet, or without a library that is not installed
        measured, date = "not yet measured", ""
    return f"| {row.what} | {row.against} | {row.asked()} | {measured} | {date} |"


def table(rows: list[Row]) -> str:
    head = ["| what | against | asked | measured | date |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(line, rows)])


def with_table(text: str, rows: list[Row]) -> str:
    """`text` with the table between its two markers.

    Raises:
        ValueError: it has not both markers, once each.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the README needs the line {BEGIN!r} and, after it, {END!r}, once each")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}"


def main(arguments: list[str] | None = None, readme: Path = ROOT / "README.md") -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the table is another")
    check = parser.parse_args(arguments).check
    text = readme.read_text(encoding="utf-8")
    wanted = with_table(text, TABLE)
    if wanted == text:
        return 0
    if check:
        print("README.md does not show the stored results: run python -m benchmarks.readme_table", file=sys.stderr)
        return 1
    readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
