"""The command: runs the parts one after the other, and writes one JSON file."""

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import benchmarks.on_a_gpu
from benchmarks.on_a_gpu import card, checks, large, memory, steps
from labkit.storage.writing import write_atomically
from studies.processes import Died, rows_of_a_process
from studies.results import RESULTS

Rows = Callable[[Callable, dict, float], Iterator[dict]]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """A part of the run.

    Attributes:
        run: a module's function. It's given a setting (``device`` and ``tiny``) and a function, which it calls with
            each row it has measured. A row with ``wrong`` in it breaks a promise; one with ``left_out`` says why
            there's nothing to see. Both are one sentence.
        seconds: its share of eight minutes. What earlier parts didn't need comes on top.
        tidy: from its rows to what the file says of them.
    """

    run: Callable[[dict, Callable[[dict], None]], None]
    seconds: float
    tidy: Callable[[list[dict]], dict] = lambda rows: {"rows": rows}


CARD = Part(card.about, 30)
PARTS = {
    "tests": Part(checks.tests, 80, checks.counted),
    "notebook 08": Part(checks.notebook, 100, checks.counted),
    "simulator": Part(memory.measure, 110),
    "steps": Part(steps.measure, 90),
    "large shapes": Part(large.measure, 60),
}
MINUTES = 8


def main(arguments: Sequence[str] | None = None, rows_of: Rows = rows_of_a_process) -> int:
    """0 where every promise held, 1 where one was broken. `rows_of` starts a part and gives its rows."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.on_a_gpu",
        description=benchmarks.on_a_gpu.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: try the code without a GPU")
    parser.add_argument("--tiny", action="store_true", help="on a shape of a few million weights")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="in all, if every part is run (default 8)")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="where to: data/results/gpu; or build, where it isn't a whole run on a GPU",
    )
    chosen = parser.parse_args(arguments)
    setting = {"device": chosen.device, "tiny": chosen.tiny}
    began, pace = time.monotonic(), chosen.minutes / MINUTES
    _, (found, *_) = finished(CARD, setting, pace * CARD.seconds, rows_of)
    if "card" not in found:
        print("Nothing was measured:", *found.values(), file=sys.stderr)
        return 1
    whole = chosen.device == "cuda" and not chosen.tiny and set(chosen.parts) == set(PARTS)
    folder = chosen.to or (RESULTS / "gpu" if whole else ROOT / "build")
    file = folder / f"{re.sub(r'[^a-z0-9]+', '-', found['card'].lower()).strip('-')}.json"
    content = {**found, "tiny": chosen.tiny, "seconds": 0.0, "wrong": [], "parts": {}}
    end = began + pace * (CARD.seconds + sum(PARTS[name].seconds for name in chosen.parts))
    for number, name in enumerate(chosen.parts):
        later = pace * sum(PARTS[after].seconds for after in chosen.parts[number + 1 :])
        seconds, rows = finished(PARTS[name], setting, end - later - time.monotonic(), rows_of)
        content["parts"][name] = {"seconds": seconds, **PARTS[name].tidy(rows)}
        content["wrong"] += [f"{name}: {row['wrong']}" for row in rows if "wrong" in row]
        content["seconds"] = round(time.monotonic() - began, 1)
        write_atomically(file, json.dumps(content, indent=1) + "\n")  # now, so that a kill loses one part only
        print(f"{name}: {seconds:.0f} s", *_said(rows), sep="\n  ", flush=True)
    print(f"{file}: {content['seconds']:.0f} s, {len(content['wrong']) or 'no'} broken promises")
    return 1 if content["wrong"] else 0


def finished(part: Part, setting: dict, limit: float, rows_of: Rows) -> tuple[float, list[dict]]:
    """The seconds that `part` took and the rows it sent, however it ended."""
    began, limit, rows = time.monotonic(), max(0.0, limit), []
    try:
        for row in rows_of(part.run, setting, limit):
            rows.append(row)
    except TimeoutError:
        rows.append({"left_out": f"the rest: its time was up, {limit:.0f} s"})
    except Died as death:
        rows.append({"wrong": f"its process died with exit code {death}; what it said last is above"})
    return round(time.monotonic() - began, 1), rows


def _said(rows: list[dict]) -> list[str]:
    """What was broken, by its setting, and how often something was left out for the same reason."""

    def setting(row: dict) -> str:
        return " ".join(str(row[name]) for name in ("test", "shape", "base", "method") if name in row)

    broken = [f"{setting(row)}: {row['wrong']}".removeprefix(": ") for row in rows if "wrong" in row]
    left_out = Counter(row["left_out"] for row in rows if "left_out" in row)
    return [*broken, *(f"left out, {count}×: {reason}" for reason, count in left_out.items())]


if __name__ == "__main__":
    sys.exit(main())
