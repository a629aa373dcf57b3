"""The rules for what comes before a training, and for the choices that don't depend on the card.

For each choice, the first rule that applies and whose source is there decides. So a study that isn't finished yet has
its rule already: as soon as its result is stored, the rule comes into force.
"""

from labkit.advice import court_figures, figures
from labkit.advice.cases import ALL, LEAST_STEPS, PASSES, Case, Found
from labkit.advice.rule import (
    COURT_SCOPE,
    ONLY_OURS,
    TICKETS,
    Rule,
    always,
    our_alpha,
    our_rank,
    own,
    plain,
    with_alpha,
    with_rank,
)
from labkit.advice.sources import (
    AGAINST_FULL,
    BATCHES,
    COURT,
    FEW_ROWS,
    GLOSSES,
    LAYERS,
    RANKS,
    RATES,
    Cited,
    Habit,
    Stored,
)

FEW = 50  # rows
REGRET = ("Schulman 2025", "Schulman and others, LoRA Without Regret, thinkingmachines.ai/blog/lora")
SCALE = "A rate only means something together with α/r, so both come from the same place."
PATIENCE = f"That's {PASSES} passes, or {LEAST_STEPS} steps where rows are few. If you validate, the best step is kept."


def _by_rows(_, case: Case) -> Found:
    """4, 8 or 16 rows: the most with which a pass still has some thirty steps, and no fewer than 4."""
    return Found(next(size for size in (16, 8, 4) if size == 4 or case.situation.rows >= 32 * size))


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
        "one task of 24 labels, on the frozen 135M base; a larger base may do better at both",
        figures.classifiers,
        lambda case: case.situation.task == "classify",
        missing="How a classifier on frozen features does against a prompt with examples.",
        beside=(COURT, court_figures.courts_score),
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
        always("labkit evaluate --shots 8 --shots-from your rows"),
        lambda case: case.situation.rows < FEW and case.situation.task != "facts",
        beside=(GLOSSES, lambda study, case: figures.examples_shown(study)),
    ),
)

RULES = (
    Rule(
        "method",
        "A variant has to beat LoRA by more than chance, at a bearable price, before it's a first choice.",
        COURT,
        COURT_SCOPE,
        court_figures.best_method,
        own,
        missing="Whether another method beats LoRA when each has its own best rate.",
    ),
    Rule(
        "method",
        "It reaches what full fine-tuning reaches, and leaves the weights alone.",
        AGAINST_FULL,
        f"{TICKETS}, one seed",
        figures.lora_against_full,
        own,
    ),
    Rule(
        "method",
        "Tune the rate of plain LoRA before you try a variant.",
        Cited(
            "Lee 2026",
            "Lee and others, Learning Rate Matters: Vanilla LoRA May Suffice, arXiv 2602.04998",
            "with its own rate each, plain LoRA and nine variants ended within 1 to 2 % of each other",
        ),
        "their models and tasks; full fine-tuning isn't among the nine",
        always("lora"),
    ),
    Rule(
        "layers",
        "All of them, unless some with as many trained numbers scored better.",
        LAYERS,
        COURT_SCOPE,
        court_figures.measured_layers,
        lambda case: own(case) and plain(case),
        missing="What the choice of layers does to scores, at equal numbers.",
    ),
    Rule(
        "layers",
        "At the same number of trained numbers, attention alone learned worse.",
        Cited(
            *REGRET,
            "attention alone lost to the MLP layers alone with as many numbers; both together were like the MLP",
        ),
        "Llama-3.1-8B and a mixture of experts; not measured here yet",
        always("all-linear"),
        with_rank,
    ),
    Rule(
        "rank",
        "These layers were measured with it.",
        LAYERS,
        COURT_SCOPE,
        court_figures.rank_of_layers,
        lambda case: own(case) and plain(case) and case.chosen["layers"] != ALL,
    ),
    Rule(
        "rank",
        "It stays at the usual one, unless another scored better.",
        RANKS,
        f"{ONLY_OURS}, in 60 steps, on sql",
        court_figures.measured_rank,
        lambda case: own(case) and plain(case),
        missing="What the rank does to scores.",
    ),
    Rule("rank", "The rank that the rates were found with.", RATES, COURT_SCOPE, court_figures.courts_rank, our_rank),
    Rule("rank", "The rank that was measured here.", AGAINST_FULL, TICKETS, figures.trained_rank, our_rank),
    Rule(
        "rank",
        "As long as the adapter can hold what the rows say, the rank hardly matters.",
        Cited(
            *REGRET,
            "low ranks follow the loss of high ones until they run out of capacity: the higher, the later",
        ),
        "Llama and Qwen models, tens of thousands of rows; 16 is one of the ranks they tried",
        always(16),
        with_rank,
    ),
    Rule(
        "rank",
        "So many counted tokens may say more than a smaller adapter can hold.",
        Cited(*REGRET, "weights hold some 2 bits each, and a token says 1 bit at most, roughly: an upper bound"),
        "an estimate of what memorizing everything would take; learning to generalize takes less",
        lambda _, case: Found(case.least_rank()),
        lambda case: with_rank(case) and case.chosen["method"] == "lora" and case.least_rank() > case.chosen["rank"],
        replaces=True,
    ),
    Rule("α", SCALE, RATES, COURT_SCOPE, court_figures.courts_alpha, our_alpha),
    Rule("α", SCALE, AGAINST_FULL, TICKETS, figures.trained_alpha, our_alpha),
    Rule(
        "α",
        SCALE,
        Cited(*REGRET, "α = 32 at every rank: divided by r, the best rate hardly depends on the rank"),
        "their models; they couldn't improve on it",
        always(32),
        with_alpha,
    ),
    Rule(
        "batch size",
        "The rates were found with it.",
        RATES,
        COURT_SCOPE,
        court_figures.courts_batch,
        own,
        beside=(BATCHES, court_figures.large_batch),
    ),
    Rule("batch size", "The rates were found with it.", AGAINST_FULL, TICKETS, figures.trained_batch, own),
    Rule(
        "batch size",
        "Small batches suit LoRA, and a pass over few rows still has some steps.",
        Cited(
            *REGRET,
            "in some settings LoRA loses more than full fine-tuning as batches grow; at 32 rows the gap is small",
        ),
        "which of 4, 8 or 16 is a habit",
        _by_rows,
    ),
    *(
        Rule(
            "steps",
            PATIENCE,
            Stored(f"adapters/{adapter}/labkit.json", "studies.make_adapters"),
            f"{ONLY_OURS}; more or fewer passes weren't tried",
            figures.passes,
            lambda case, adapter=adapter: own(case) and case.situation.kind.adapter == adapter,
            beside=(FEW_ROWS, court_figures.overfitting),
        )
        for adapter in ("clauses", "tickets", "voice", "sql")
    ),
    Rule(
        "steps",
        PATIENCE,
        Habit(),
        "no study of this repository is about it yet",
        lambda _, case: Found(case.steps()),
    ),
)
