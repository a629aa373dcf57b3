"""What was expected of each choice, written down before the first run, with the reason."""

from dataclasses import dataclass

DATE = "2026-11-29"


@dataclass(frozen=True)
class Prediction:
    """One question, the answer expected, and why."""

    question: str
    expected: str
    why: str


PREDICTIONS = {
    "rank": (
        Prediction(
            "does a higher rank score better?",
            "r = 1 is worse than r = 8, and from 8 to 64 it can't be told",
            "a house's conventions on a small schema are few directions; one direction in each of 210 layers is nearly "
            "enough, and a bit slower to learn in 60 steps",
        ),
        Prediction(
            "how does the best rate move from r = 1 to r = 64?",
            "under α = 16 by less than three times, under rsLoRA it falls by 3 to 10, under α = 2r by 10 or more",
            "all r columns of B see the same gradient, and Adam gives each a step of the same size, so ΔW grows like "
            "s · r times the rate at first: an s of 16 / r evens that out",
        ),
    ),
    "batch": (
        Prediction(
            "does LoRA lose more than full fine-tuning with 64 rows per step?",
            "yes, but by less than 0.1 nats per token",
            "Thinking Machines found it, more clearly with long training; with 20 steps both mostly lack steps",
        ),
        Prediction(
            "how many times full fine-tuning's best rate is LoRA's?",
            "about 30 with 4 rows, and not less with 64",
            "stored runs on `tickets` suggest some 30 at s = 2; the 10 that's often cited is for s = 32 / r",
        ),
    ),
    "targets": (
        Prediction(
            "which layers, with equal numbers?",
            "q, v is worse than all-linear on both tasks; q, k, v, o is worse on glosses; MLP can't be told from it",
            "published work agrees that MLP layers carry most of it, and a category of a gloss is looked up there",
        ),
    ),
    "weights": (
        Prediction(
            "do the layers that Spectrum picks beat all of attention, at about equal numbers?",
            "yes: attention alone is worse",
            "a quarter of each kind has MLP layers among it, and what a word means is mostly looked up there",
        ),
        Prediction(
            "and a quarter of each kind drawn at random?",
            "it can't be told from Spectrum's, seeds differing more among themselves",
            "the ratio ranks layers by a limit that calls most of pure noise signal; what it sorts by isn't the task",
        ),
    ),
    "few_rows": (
        Prediction(
            "does a low rank protect from overfitting?",
            "hardly: at its best rate, r = 1 rises from its lowest loss by more than half of what r = 64 does",
            "even r = 1 has 305,280 numbers for 32 rows; how far you get at a rate matters more than the rank",
        ),
        Prediction(
            "does dropout of 0.1?",
            "it changes the lowest loss by less than 5 %",
            "it drops inputs of A in 80 steps; the frozen path has everything still",
        ),
    ),
    "overlap": (
        Prediction(
            "do two seeds find the same directions?",
            "where ΔW writes, clearly more than at random; what it looks at, hardly, and more so with r = 64",
            "A begins at random and moves little in 60 steps, so ΔW can only look at what A happens to show; B begins "
            "at zero and goes where the gradient says",
        ),
        Prediction(
            "how many directions does an update have?",
            "an effective rank of 3 to 6 at r = 8, and of less than 32 at r = 64",
            "the gradient of 60 steps has few strong directions, and Adam spreads them out",
        ),
    ),
    "wrong_settings": (
        Prediction(
            "which mistakes end below the base?",
            "rate × 30 and α = 512 in all measures, shuffled answers in none but the score against shown rows, the "
            "loss on prompts and wrong templates in none",
            "steps that are too large break the base for other text, too; shuffled answers still teach the form",
        ),
    ),
}
