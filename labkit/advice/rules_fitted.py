"""The rules for the choices that depend on how the step fits on the card, and for what happens to the adapter."""

from labkit.advice import court_figures, figures
from labkit.advice.cases import BITS, Case, Found
from labkit.advice.fitting import ROOM, Way
from labkit.advice.rule import (
    COURT_SCOPE,
    DIRECTIONS,
    RANKS_SCOPE,
    TICKETS,
    Rule,
    always,
    large,
    our_lora,
    own,
    plain,
)
from labkit.advice.sources import AGAINST_FULL, LAYERS, QLORA, RANKS, RATES, REGRET, Cited, Habit, Stored


def _swept_rate(_, case: Case) -> Found:
    """Thinking Machines' own sweep: dense models up to 3 billion parameters at 1e-3, from 8 billion on at 3e-4."""
    return Found(1e-3 if case.parameters < 5e9 else 3e-4)


def _in_four_bits(_, case: Case) -> Found:
    """The trade in bytes: what 16 bits would take, and whether checkpointing alone would do."""
    step, most = case.step(), ROOM * case.memory / 1e9
    dense, again = (step.cost(Way("lora", checkpointing, 1)).peak / 1e9 for checkpointing in (False, True))
    bits = 16 if case.situation.card else 32
    trade = (
        "so checkpointing would do, too. Four bits come first because they compute no layer twice. To keep "
        f"{bits} bits, put --gradient-checkpointing in the place of --quantize, with one row at once"
        if again <= most
        else "so neither leaves that room"
    )
    return Found(
        "NF4 with 8-bit scales: QLoRA",
        f"{QLORA_PAPER.says}. In {bits} bits, a step of one row takes {dense:.1f} GB, or {again:.1f} GB with "
        f"checkpointing (◇). {most:.1f} GB may be planned, {trade}",
    )


def _leaner_rank(_, case: Case) -> Found | None:
    """Half of the cited rank, where that leaves a tenth of the memory free, and holds what the rows say."""
    rank = case.chosen["rank"] // 2
    fit = case.step(rank=rank).fit(case.memory)
    if fit.room != "easy" or BITS * fit.cost.trained < case.situation.counted:
        return None
    return Found(
        rank,
        f"{FULL_LATER}. With r = {2 * rank}, less than a tenth of the memory would stay free; with {rank}, more "
        "does (◇)",
    )


SCORED_WITH = "A rate belongs to a rank and its layers, and this is the one that these were scored with."

FULL_LATER = "a low rank's loss follows a high one's until its adapter is full"
LEANER = (
    Rule(
        "rank",
        f"{DIRECTIONS} As long as it can hold what the rows say (see below), the smaller one will do.",
        Cited(*REGRET, FULL_LATER),
        "Llama and Qwen models",
        _leaner_rank,
        lambda case: plain(case) and case.chosen["rank"] == 16 and case.fit.room == "tight" and not own(case),
        replaces=True,
    ),
)

QLORA_PAPER = Cited(
    "Dettmers 2023",
    "Dettmers and others, QLoRA, arXiv 2305.14314",
    "QLoRA came to 16-bit fine-tuning's scores, from 7B to 65B, and a 65B model onto a 48 GB card",
)

SWEEP = (
    "Thinking Machines 2026",
    "github.com/thinking-machines-lab/tinker-cookbook, recipes/chat_sl/results/sft_sweep.md",
)

FITTED = (
    Rule(
        "weights",
        "A layer in four bits takes about a quarter of the bytes; embeddings and head stay as they are.",
        QLORA_PAPER,
        "their benchmarks; ours: tickets, an easy task of templates",
        _in_four_bits,
        lambda case: case.four_bits,
        beside=((QLORA, figures.four_bits),),
    ),
    Rule(
        "weights",
        "On a CPU, that's what labkit trains in, and what its numbers were measured in.",
        Habit(),
        "--dtype bfloat16 would halve their bytes",
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
    Rule("learning rate", SCORED_WITH, LAYERS, COURT_SCOPE, court_figures.rate_there, our_lora),
    Rule("learning rate", SCORED_WITH, RANKS, RANKS_SCOPE, court_figures.rate_there, our_lora),
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
        "Begin here, then try 3e-4 on validation rows, and nothing above.",
        Cited(
            f"{QLORA_PAPER.short}, {SWEEP[0]}",
            f"{QLORA_PAPER.reference}; {SWEEP[1]}",
            "QLoRA's authors took 1e-4 for 33B and 65B, 2e-4 for 7B and 13B, in four bits at r = 64, α = 16, so "
            "α/r = 1/4; the sweep, in 16 bits at r = 1 to 4, found 3e-4 best for Llama 70B, and 1e-3 broke it",
        ),
        "batches of 16 and of 128 rows there, and other α/r: smaller batches and a larger α/r usually want a lower "
        "rate",
        always(1e-4),
        large,
    ),
    Rule(
        "learning rate",
        "Begin here, and try a third on validation rows; three times as much only if the loss doesn't jump.",
        Cited(
            *SWEEP,
            "LoRA's best of 4e-5 to 3e-3 was 1e-3 for Llama 1B and 3B and Qwen3-8B, 3e-4 for Llama 8B; QLoRA's authors "
            "took 2e-4 for 7B and 13B, at α/r = 1/4 (arXiv 2305.14314)",
        ),
        "chat data, 780 steps of 128 rows, ranks 4 to 128, in 16 bits; smaller batches usually want a lower rate",
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
        "Kept apart, it can still be merged later, into the 16-bit base: a merge needs that one too.",
        Habit(),
        "with a base in four bits, merge into what those stand for, and keep that in 16 bits (notebook 09)",
        always("keep it apart while you try things"),
        lambda case: case.situation.card is not None,
    ),
    Rule(
        "afterwards",
        "Kept apart, it can still be merged later.",
        Stored("results/merge_latency.json", "benchmarks.merge_latency"),
        "a 135M model on two CPU cores, r = 8 on all linear layers",
        figures.kept_or_merged,
    ),
)
