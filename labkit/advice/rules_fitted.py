"""The rules for the choices that depend on how the step fits on the card, and for what happens to the adapter."""

from labkit.advice import court_figures, figures
from labkit.advice.cases import Case, Found
from labkit.advice.rule import COURT_SCOPE, TICKETS, Rule, always, own
from labkit.advice.sources import AGAINST_FULL, QLORA, RATES, Cited, Habit, Stored


def _swept_rate(_, case: Case) -> Found:
    """Thinking Machines' own sweep: dense models up to 3 billion numbers at 1e-3, from 8 billion on at 3e-4."""
    step = case.step()
    return Found(1e-3 if step.cost(step.stages()[0]).parameters < 5e9 else 3e-4)


FITTED = (
    Rule(
        "weights",
        "Four-bit weights take a quarter of the bytes, and 16-bit ones leave too little room here.",
        QLORA,
        TICKETS,
        figures.four_bits,
        lambda case: case.four_bits,
    ),
    Rule(
        "weights",
        "Four-bit weights take a quarter of the bytes, and 16-bit ones leave too little room here.",
        Cited(
            "Dettmers 2023",
            "Dettmers and others, QLoRA, arXiv 2305.14314",
            "QLoRA came to 16-bit fine-tuning's scores, from 7B to 65B, and a 65B model onto a 48 GB card",
        ),
        "their benchmarks",
        always("NF4 with 8-bit scales: QLoRA"),
        lambda case: case.four_bits,
    ),
    Rule(
        "weights",
        "On a CPU, that's what labkit trains in, and what its numbers were measured in.",
        Habit(),
        "bfloat16 halves the weights",
        always("float32"),
        lambda case: case.situation.card is None,
    ),
    Rule(
        "weights",
        "Most models are published in it, and GPUs are fastest in 16 bits.",
        Habit(),
        "the adapter stays in float32",
        always("bfloat16"),
    ),
    Rule(
        "learning rate",
        "The rate matters more than the variant, and each method has its own.",
        RATES,
        f"{COURT_SCOPE}, one seed; judged by the loss on validation rows",
        court_figures.best_rate,
        own,
        missing="Each method's best learning rate on sql and glosses.",
    ),
    Rule(
        "learning rate",
        "Higher rates forgot more here and got no more right.",
        AGAINST_FULL,
        f"{TICKETS}, one seed, three rates",
        figures.tickets_rate,
        lambda case: own(case) and case.chosen["method"] == "lora",
    ),
    Rule(
        "learning rate",
        "Begin here, and try a third and three times as much on validation rows.",
        Cited(
            "Thinking Machines 2026",
            "github.com/thinking-machines-lab/tinker-cookbook, recipes/chat_sl/results/sft_sweep.md",
            "LoRA's best of 4e-5 to 3e-3 was 1e-3 for Llama 1B and 3B, 3e-4 for Llama 8B and 70B, where 1e-3 broke the "
            "70B; but 1e-3 for Qwen3-8B",
        ),
        "chat data (tulu3), 780 steps of 128 rows, ranks 4 to 128 (70B: 1 to 4); nothing here says how it carries over",
        _swept_rate,
    ),
    Rule(
        "afterwards",
        "That's what an adapter is for.",
        Stored("results/mixed_batch.json", "benchmarks.mixed_batch"),
        "a 135M model on two CPU cores; with a GPU it's another ratio",
        figures.swapped,
        lambda case: case.situation.use == "swap",
    ),
    Rule(
        "afterwards",
        "Round again to four bits, and nearly every weight goes back to where it was: the update is lost.",
        Stored("results/merge_aware.json", "studies.merge_aware"),
        f"{TICKETS}, at a rate of 2e-3; a larger update arrives, and labkit.merge_aware trains for such a merge",
        figures.merged_from_four_bits,
        lambda case: case.situation.use == "merge" and case.four_bits,
    ),
    Rule(
        "afterwards",
        "A merge is exact in float32, nearly so in bfloat16, and not in four bits.",
        Stored("results/merge_routes.json", "studies.merge_routes"),
        f"{TICKETS}; labkit.merge_aware trains for a merge into four bits",
        figures.merged_dense,
        lambda case: case.situation.use == "merge",
    ),
    Rule(
        "afterwards",
        "Kept apart, it can still be merged later.",
        Stored("results/merge_latency.json", "benchmarks.merge_latency"),
        "a 135M model on two CPU cores, r = 8 on all linear layers",
        figures.kept_or_merged,
    ),
)
