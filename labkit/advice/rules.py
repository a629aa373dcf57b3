"""The rules for the choices that don't depend on the card.

For each choice, the first rule that applies and whose source is there decides. So a study that isn't finished yet has
its rule already: as soon as its result is stored, the rule comes into force.
"""

from labkit.advice import court_figures, figures
from labkit.advice.cases import ALL, LEAST_STEPS, PASSES, Case, Found
from labkit.advice.rule import (
    COURT_SCOPE,
    DIRECTIONS,
    ONLY_OURS,
    RANKS_SCOPE,
    TICKETS,
    Rule,
    always,
    our_alpha,
    our_lora,
    our_rank,
    own,
    with_alpha,
    with_rank,
)
from labkit.advice.sources import (
    AGAINST_FULL,
    BATCHES,
    CAPACITY,
    COURT,
    COURTS_OWN,
    FEW_ROWS,
    LAYERS,
    RANK_RATES,
    RANKS,
    REGRET,
    TRAINED_THERE,
    Cited,
    Habit,
    Used,
)

SCALE = "What the adapter adds is multiplied by α/r, so a learning rate only means something together with it."
FOUND_WITH = f"{DIRECTIONS} The learning rates were found with it."
RATE_BY_RANK = ((RANK_RATES, court_figures.rate_by_rank),)
SAME_ALPHA = "if you change the rank, leave α as it is, and the rate can stay"
SMALL = "It trains an adapter, one small file per task, in less memory than training every weight"
PATIENCE = f"That's {PASSES} passes, or {LEAST_STEPS} steps where rows are few. If you validate, the best step is kept."


def _by_rows(_, case: Case) -> Found:
    """4, 8 or 16 rows: the most with which a pass still has some thirty steps, and no fewer than 4."""
    return Found(next(size for size in (16, 8, 4) if size == 4 or case.situation.rows >= 32 * size))


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
        f"{SMALL}; and it did as well as full fine-tuning here.",
        AGAINST_FULL,
        f"{TICKETS}, one seed",
        figures.lora_against_full,
        own,
    ),
    Rule(
        "method",
        f"{SMALL}. Tune its rate before you try a variant.",
        Cited(
            "Lee 2026",
            "Lee and others, Learning Rate Matters: Vanilla LoRA May Suffice, arXiv 2602.04998",
            "with its own rate each, plain LoRA and nine variants scored within 1 to 2 % of each other",
        ),
        "their models and tasks; full fine-tuning isn't among the nine",
        always("lora"),
    ),
    Rule(
        "layers",
        "Every linear layer but the output head, unless some with as many parameters scored better.",
        LAYERS,
        COURT_SCOPE,
        court_figures.measured_layers,
        our_lora,
        missing="What the choice of layers does to scores, at equal parameters.",
    ),
    Rule(
        "layers",
        "That's every linear layer but the output head. With as many parameters, attention alone learned worse.",
        Cited(
            *REGRET,
            "attention alone lost to the MLP layers alone with as many parameters; both together were like the MLP",
        ),
        "Llama-3.1-8B and a mixture of experts",
        always("all-linear"),
        with_rank,
    ),
    Rule(
        "rank",
        f"{DIRECTIONS} These layers were measured with it.",
        LAYERS,
        COURT_SCOPE,
        court_figures.rank_of_layers,
        lambda case: our_lora(case) and case.chosen["layers"] != ALL,
    ),
    Rule(
        "rank",
        f"{DIRECTIONS} It stays at the usual one, unless another scored better.",
        RANKS,
        RANKS_SCOPE,
        court_figures.measured_rank,
        our_lora,
        missing="What the rank does to scores.",
    ),
    Rule("rank", FOUND_WITH, COURTS_OWN, COURT_SCOPE, court_figures.courts_rank, our_rank),
    Rule("rank", FOUND_WITH, TRAINED_THERE, TICKETS, figures.trained_rank, our_rank),
    Rule(
        "rank",
        f"{DIRECTIONS} As long as it can hold what the rows say (see below), the rank hardly matters.",
        Cited(
            *REGRET,
            "a low rank's loss follows a high one's until its adapter is full; a higher rank is full later",
        ),
        "Llama and Qwen models; 16 is one of the ranks they tried",
        always(16),
        with_rank,
    ),
    Rule(
        "rank",
        f"{DIRECTIONS} So many counted tokens may say more than it can hold with fewer.",
        CAPACITY,
        "an estimate of what memorizing everything would take; learning to generalize takes less",
        lambda _, case: Found(case.least_rank()),
        lambda case: with_rank(case) and case.chosen["method"] == "lora" and case.least_rank() > case.chosen["rank"],
        replaces=True,
    ),
    Rule("α", SCALE, LAYERS, COURT_SCOPE, court_figures.alpha_there, our_lora),
    Rule("α", SCALE, RANKS, RANKS_SCOPE, court_figures.alpha_there, our_lora),
    *(
        Rule("α", SCALE, source, f"{scope}; {SAME_ALPHA}", find, our_alpha, beside=RATE_BY_RANK)
        for source, scope, find in (
            (COURTS_OWN, COURT_SCOPE, court_figures.courts_alpha),
            (TRAINED_THERE, TICKETS, figures.trained_alpha),
        )
    ),
    Rule(
        "α",
        SCALE,
        Cited(*REGRET, "α = 32 at every rank: divided by r, the best rate hardly depends on the rank"),
        "their models, and they couldn't improve on it; if you change the rank, leave α at 32; the rate below comes "
        "from other runs",
        always(32),
        with_alpha,
    ),
    Rule(
        "batch size",
        "The rates were found with it.",
        COURTS_OWN,
        COURT_SCOPE,
        court_figures.courts_batch,
        own,
        beside=((BATCHES, court_figures.large_batch),),
    ),
    Rule("batch size", "The rates were found with it.", TRAINED_THERE, TICKETS, figures.trained_batch, own),
    Rule(
        "batch size",
        "A small batch is safe with LoRA, and a pass over few rows still has some steps.",
        Cited(
            *REGRET,
            "up to 32 rows, LoRA stays close to full fine-tuning; with larger batches it may fall behind",
        ),
        "which of 4, 8 or 16 is a habit",
        _by_rows,
    ),
    *(
        Rule(
            "steps",
            PATIENCE,
            Habit(),
            f"{ONLY_OURS}; more or fewer passes weren't tried",
            lambda _, case: Found(case.steps(), f"{PASSES} passes"),
            lambda case, adapter=adapter: own(case) and case.situation.kind.adapter == adapter,
            beside=(
                (Used(f"adapters/{adapter}/labkit.json", "studies.make_adapters"), figures.passes),
                (FEW_ROWS, court_figures.overfitting),
            ),
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
