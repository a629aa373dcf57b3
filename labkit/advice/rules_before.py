"""The rules for what to try before a training, or in its place."""

import shlex

from labkit.advice import court_figures, figures
from labkit.advice.cases import Case, Found
from labkit.advice.commands import loadable
from labkit.advice.rule import Rule, always, large
from labkit.advice.sources import COURT, GLOSSES, Cited, Habit

FEW, SOME = 50, 500  # rows


def _prompted(_, case: Case) -> Found:
    asked = case.situation
    base = "" if asked.own else f"--base {shlex.quote(loadable(asked.name))} "
    return Found(f"labkit evaluate {base}--data held-out.jsonl --shots 8 --shots-from train.jsonl")


BEFORE = (
    Rule(
        "look facts up",
        "A model that's given the text with the question needs no training, and you can correct the text.",
        Cited(
            "Ovadia 2023",
            "Ovadia and others, Fine-Tuning or Retrieval?, arXiv 2312.05934",
            "retrieval beat fine-tuning on the text, for facts the model knew and for new ones; many "
            "paraphrases of a fact could help",
        ),
        "models of 7B trained on plain text, asked multiple-choice questions; nothing here measures it yet",
        always("retrieval: put the text that holds the answer into the prompt"),
        lambda case: case.situation.task == "facts",
    ),
    Rule(
        "first a classifier",
        "It takes minutes, needs no GPU, and sets the score that LoRA has to beat.",
        GLOSSES,
        "one task of 24 labels, on the frozen 135M base; a larger base may do better at both; how it's done: "
        "studies/task_baselines",
        figures.classifiers,
        lambda case: case.situation.task == "classify",
        missing="How a classifier on frozen features does against a prompt with examples.",
        beside=((COURT, court_figures.courts_score),),
    ),
    Rule(
        "first a prompt",
        f"Under {FEW} rows, ask with a few of them in the prompt: it takes a minute, and it's the score to beat.",
        Cited(
            "Liu 2022",
            "Liu and others, Few-Shot Parameter-Efficient Fine-Tuning Is Better and Cheaper, arXiv 2205.05638",
            "on few rows, training (IA³) beat the same rows in a prompt, so don't stop at the prompt",
        ),
        f"T0 models; the bound of {FEW} rows is a habit",
        _prompted,
        lambda case: case.situation.rows < FEW and case.situation.task != "facts",
        beside=((GLOSSES, lambda study, case: figures.examples_shown(study)),),
    ),
    Rule(
        "first a prompt",
        "A few of your rows in the prompt of the same model: that's the score to beat.",
        Habit(),
        "where answers have no right form, read a few dozen of both, without knowing whose they are",
        _prompted,
        lambda case: case.situation.rows >= FEW and case.situation.task not in ("facts", "classify"),
    ),
    Rule(
        "first a smaller one",
        f"Under {SOME} rows, a smaller model shows sooner, and on a smaller card, what the rows teach.",
        Habit(),
        "how far its score carries to the large one isn't known",
        always("a model of 7 or 8 billion parameters"),
        lambda case: case.situation.rows < SOME and case.situation.task != "facts" and large(case),
    ),
)
