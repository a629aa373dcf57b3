"""The rules: in which situation, what is recommended, why, where that comes from, and how far it carries.

For each choice, the first rule that applies and whose source is there decides. So a study that isn't finished yet has
its rule already: as soon as its result is stored, the rule comes into force.
"""

from collections.abc import Callable
from dataclasses import dataclass

from labkit.advice import figures
from labkit.advice.cases import PASSES, Case, Found
from labkit.advice.sources import Cited, Habit, Source, Stored

FEW = 50  # rows


@dataclass(frozen=True)
class Rule:
    """One recommendation.

    Attributes:
        about: which choice it's about.
        why: the reason, in one sentence.
        source: where it comes from.
        scope: how far that carries.
        find: what it recommends; None where it has nothing to say. It's given the content of a stored source, or None.
        when: in which situations; everywhere if nothing is said.
        replaces: whether it replaces a choice that has been made.
        missing: what isn't known as long as the stored source isn't there.
        beside: a second stored source, and the sentence that's read from it, where it's there.
    """

    about: str
    why: str
    source: Source
    scope: str
    find: Callable[[dict | None, Case], Found | None]
    when: Callable[[Case], bool] = lambda case: True
    replaces: bool = False
    missing: str = ""
    beside: tuple[Stored, Callable[[dict, Case], str | None]] | None = None


def always(value) -> Callable:
    """Finds the same in every situation."""
    return lambda _, case: Found(value)


def own(case: Case) -> bool:
    return case.situation.own


def another(case: Case) -> bool:
    return not case.situation.own


def with_rank(case: Case) -> bool:
    return case.chosen["method"] in ("lora", "rslora", "lora+", "lora-fa", "dora", "pissa", "vera")


def with_alpha(case: Case) -> bool:
    return with_rank(case) and case.chosen["method"] != "vera"


COURT = Stored("results/court.json", "studies.court")
RATES = Stored("results/court_rates.json", "studies.court --stage rates")
AGAINST_FULL = Stored("results/full_vs_lora.json", "studies.full_vs_lora")
QLORA = Stored("results/qlora_vs_lora.json", "studies.qlora_vs_lora")
REGRET = ("Schulman 2025", "Schulman and others, LoRA Without Regret, thinkingmachines.ai/blog/lora")

PATIENCE = f"{PASSES} passes. With rows to validate on, the best step is kept, so too many only take time."

ONLY_OURS = "measured on a 135M model only"
TICKETS = f"{ONLY_OURS}, on tickets, an easy task of templates"
COURT_SCOPE = f"{ONLY_OURS}, in 60 steps, on sql and glosses"


def _swept_rate(_, case: Case) -> Found:
    """Thinking Machines' own sweep: dense models up to 3 billion numbers at 1e-3, from 8 billion on at 3e-4."""
    step = case.step()
    return Found(1e-3 if step.cost(step.stages()[0]).parameters < 5e9 else 3e-4)


def _by_rows(_, case: Case) -> Found:
    """4, 8 or 16 rows: so many that a pass still has some sixty steps, as far as that goes."""
    return Found(next(size for size in (16, 8, 4) if size == 4 or case.situation.rows >= 32 * size))


BEFORE = (
    Rule(
        "look facts up",
        "A model that's given the text with the question needs no training, and you can correct the text.",
        Cited(
            "Ovadia 2023",
            "Ovadia and others, Fine-Tuning or Retrieval?, arXiv 2312.05934",
            "retrieval beat fine-tuning on the text, for facts the model knew and for new ones; many paraphrases of a "
            "fact helped training",
        ),
        "models of 7B trained on plain text, asked multiple-choice questions; nothing here measures it yet",
        always("retrieval: put the text that holds the answer into the prompt"),
        lambda case: case.situation.task == "facts",
    ),
    Rule(
        "first a classifier",
        "It takes minutes, needs no GPU, and sets the score that LoRA has to beat.",
        Stored("results/glosses_baselines.json", "studies.glosses_baselines"),
        "one task of 24 labels, on the frozen 135M base; a larger base has better features, and answers prompts better",
        figures.classifiers,
        lambda case: case.situation.task == "classify",
        missing="How a classifier on frozen features does against a prompt with examples.",
        beside=(COURT, figures.courts_score),
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
    ),
)

RULES = (
    Rule(
        "method",
        "A variant has to beat LoRA by more than chance, at a bearable price, before it's a first choice.",
        COURT,
        COURT_SCOPE,
        figures.best_method,
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
        "rank",
        "The rank that was measured here.",
        COURT,
        f"{COURT_SCOPE}; one rank per method",
        lambda court, case: Found(
            figures.settings_of_method(court, case)["r"], "the court took it; no other was tried"
        ),
        lambda case: own(case) and with_rank(case) and case.chosen["method"] != "lora",
    ),
    Rule(
        "rank",
        "The rank that was measured here.",
        AGAINST_FULL,
        TICKETS,
        figures.trained_rank,
        lambda case: own(case) and with_rank(case),
    ),
    Rule(
        "rank",
        "As long as the adapter can hold what the rows say, the rank hardly matters.",
        Cited(
            *REGRET,
            "low ranks follow the loss of high ones until they run out of capacity, later the more rank there is",
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
    Rule(
        "α",
        "A rate only means something together with α/r, so both come from the same place.",
        COURT,
        COURT_SCOPE,
        lambda court, case: Found(figures.settings_of_method(court, case)["lora_alpha"], "the court took it"),
        lambda case: own(case) and with_alpha(case) and case.chosen["method"] != "lora",
    ),
    Rule(
        "α",
        "A rate only means something together with α/r, so both come from the same place.",
        AGAINST_FULL,
        TICKETS,
        figures.trained_alpha,
        lambda case: own(case) and with_alpha(case),
    ),
    Rule(
        "α",
        "A rate only means something together with α/r, so both come from the same place.",
        Cited(*REGRET, "α = 32 at every rank: divided by r, the best rate hardly depends on the rank"),
        "their models; they couldn't improve on it",
        always(32),
        with_alpha,
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
        "batch size",
        "The rates were found with it.",
        COURT,
        COURT_SCOPE,
        figures.courts_batch,
        own,
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

# what depends on how the step fits
FITTED = (
    Rule(
        "weights",
        "They take a quarter of the bytes, and 16-bit weights leave too little room here.",
        QLORA,
        TICKETS,
        figures.four_bits,
        lambda case: case.four_bits,
    ),
    Rule(
        "weights",
        "They take a quarter of the bytes, and 16-bit weights leave too little room here.",
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
        figures.best_rate,
        own,
        missing="Each method's best learning rate on sql and glosses.",
    ),
    Rule(
        "learning rate",
        "The highest rate that works forgets most, so take the lowest that works as well.",
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
