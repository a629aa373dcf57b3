"""What isn't known about a piece of advice: the closing list."""

from collections.abc import Iterable

from labkit.advice.cases import Case
from labkit.advice.rule import Rule
from labkit.advice.situations import size_in_words
from labkit.advice.sources import Stored


def unknowns(case: Case, rules: Iterable[Rule]) -> list[str]:
    """Each in a sentence: studies that aren't there, and how far from what was measured this case is."""
    asked, said = case.situation, []
    if not case.shelf.there:
        said.append(
            "None of the repository's stored results is here (labkit alone comes without data/results): what they'd "
            "say is left to citations and habits."
        )
    waiting = [
        rule.missing[0].lower() + rule.missing[1:].rstrip(".")
        for rule in rules
        if rule.missing and isinstance(rule.source, Stored) and rule.source.file in case.shelf.missing
    ]
    if waiting:
        said.append(f"What studies of this repository that aren't finished will say: {'; '.join(waiting)}.")
    if case.fit is None:
        return [*said, "Whether LoRA could teach your facts all the same: nothing here has measured it."]
    if asked.assumed:
        answers = ", all of them answers" if asked.all_count else ""
        said.append(
            f"How long your rows are: {asked.tokens:,} tokens are assumed{answers}. --data counts them, --seq and "
            "--labelled say it. Half the tokens take about half the time."
        )
    if not asked.own:
        cost = case.fit.cost
        numbers = size_in_words(cost.parameters - (0 if case.step().whole else cost.trained))
        said.append(f"How scores measured on 135 million parameters carry to {numbers}.")
    said.append(f"Whether {asked.rows:,} rows are enough: train on half of them, too, and see what the rest added.")
    said.append("Whether your rows are as easy as the course's: score a few held back before you trust any of this.")
    if 2 * case.fit.cost.trained < asked.counted:
        said.append(
            "Whether LoRA keeps up with full fine-tuning on so many tokens: in published runs it fell behind once data "
            "outgrew it (Biderman and others, LoRA Learns Less and Forgets Less, arXiv 2405.09673)."
        )
    if asked.task in ("style", "chat"):
        said.append(
            f"What a good score is for {asked.kind.words}: the tasks measured here have right answers, yours may not."
        )
    if asked.task == "chat":
        said.append("What training on conversations does: no task of the course is one.")
    if case.four_bits and not asked.own:
        said.append("The best rate on four bits with this α/r: no cited run had both.")
    if asked.card and asked.card.name.startswith("T4"):
        said.append("The time in bfloat16 on a T4, which has no units for it: its peak is float16's.")
    if asked.alike:
        said.append(
            f"Which card you have: the {asked.card.name} is taken, and {' and '.join(asked.alike)} would do as well by "
            "what you said, at another pace. --card with its name says it."
        )
    if asked.card:
        said.append("Whether the GPU's memory is as simulated: no card has checked it yet.")
    return said
