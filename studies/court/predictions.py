"""What was expected to come out, written down before the first run: against LoRA, task by task, with the reason.

Where a method trains about as many numbers as LoRA or more, "can't tell" is the bet: with the rate tuned, such variants
were found to tie (arXiv 2602.04998), and with three seeds and some 300 rows the interval is about ten points wide.
"""

from dataclasses import dataclass

from labkit.evaluation.comparing import Verdict

DATE = "2026-11-29"


@dataclass(frozen=True)
class Prediction:
    """One line: the verdict expected on each task, and why."""

    sql: Verdict
    glosses: Verdict
    why: str


PREDICTIONS = {
    "full": Prediction(
        "can't tell", "can't tell", "60 steps of 8 rows fit into rank 8; its best rate will be 10 to 30 times lower"
    ),
    "spectrum": Prediction(
        "can't tell", "can't tell", "a quarter of the layers is still ten times as many numbers as LoRA has"
    ),
    "rslora": Prediction(
        "can't tell", "can't tell", "same scale of 2, and eight times the rank that nobody needs here"
    ),
    "lora+": Prediction("can't tell", "can't tell", "it mends a rate that's wrong for B; a tuned rate isn't"),
    "lora-fa": Prediction(
        "can't tell", "can't tell", "half the numbers, but B sees eight random directions in each of 210 layers"
    ),
    "dora": Prediction("can't tell", "can't tell", "LoRA with lengths, and there's nothing about length in the tasks"),
    "pissa": Prediction("can't tell", "can't tell", "a quicker start, which a higher rate gives LoRA as well"),
    "vera": Prediction("worse", "worse", "a twelfth of the numbers, and they can only weigh random directions"),
    "ia3": Prediction("worse", "worse", "57,600 factors turn up what the base has; a new format has to be made of it"),
    "bitfit": Prediction(
        "worse", "worse", "an added bias is the same for every token: it says which format, and not which answer"
    ),
    "bottleneck": Prediction(
        "can't tell", "can't tell", "more numbers than LoRA, a nonlinear function, and the right places for it"
    ),
    "prefix": Prediction(
        "worse", "worse", "keys and values learn slowly, and 60 steps are few: the paper takes thousands"
    ),
    "prompt": Prediction(
        "worse", "worse", "11,520 numbers in front of a small base; it needs size and steps, says its paper"
    ),
}
