"""What the recommended training takes: memory from the simulator, time from its operations, the size of what's left."""

from dataclasses import replace

from labkit.advice.cases import BITS, Case
from labkit.advice.figures import measured_flops
from labkit.advice.lines import Line
from labkit.advice.situations import size_in_words
from labkit.advice.sources import CAPACITY, PACE, Habit, Simulated, reading
from labkit.simulation.estimates import estimate

SHORT = 0.1  # seconds of a step on a GPU, below which its operations say little of its time
UTILIZATION = 0.3  # of a card's peak: as `labkit plan` guesses


def fit_line(case: Case) -> Line:
    """How many rows go through the model at once, and whether layers are computed again."""
    way, batch = case.fit.way, case.chosen["batch size"]
    parts = [f"{way.rows} of {batch} rows at once" if way.rows < batch else "the whole batch at once"]
    parts += ["with gradient checkpointing"] if way.checkpointing else []
    why = {
        "easy": "It's the simplest way that leaves a tenth of the memory free.",
        "tight": "It may not fit: less than a tenth of the memory would stay free.",
        "none": "It's the lightest way there is here, and it doesn't fit.",
    }[case.fit.room]
    said = "gradients of the parts are added up, so the step is the same" if way.rows < batch else ""
    return Line("at once", way.rows, why, Simulated(), said, shown=" ".join(parts))


def cost_lines(case: Case) -> list[Line]:
    """Peak memory, time and the file."""
    cost = case.fit.cost
    unverified = [line for line in cost.assumptions if "not yet verified" in line]
    assumed = " (assumed)" if case.situation.assumed else ""
    memory = Line(
        "peak memory",
        cost.peak,
        _verdict(case),
        Simulated(),
        f"{case.fit.way.rows} × {case.situation.tokens:,} tokens{assumed}, AdamW, adapters in float32",
        "; ".join(unverified) or "on a CPU, checked against PyTorch's own allocator",
        shown=f"{cost.peak / 1e9:.1f} GB",
    )
    whole = case.step().whole
    file = Line(
        "file",
        cost.saved_bytes,
        f"{cost.trained:,} of {cost.parameters:,} parameters are trained.",
        Simulated(),
        scope="the model in its own dtype" if whole else "the adapter in float32, as PEFT writes it",
        shown=f"{cost.saved_bytes / 1e6:,.0f} MB",
    )
    compared = [] if whole else [_full_line(case), _room_line(case)]
    return [memory, _time_line(case), file, *compared]


def _full_line(case: Case) -> Line:
    """What training every weight would take: the first reason for an adapter."""
    peak = case.step().cost(replace(case.fit.way, method="full")).peak
    return Line(
        "full instead",
        peak,
        "That's the peak of training every weight, with as many rows at once; and it leaves a whole model per task.",
        Simulated(),
        scope="AdamW, in the model's own dtype",
        shown=f"{peak / 1e9:,.1f} GB",
    )


def _room_line(case: Case) -> Line:
    """Whether the adapter could hold what the rows say: an upper bound, as arithmetic."""
    trained, counted = case.fit.cost.trained, case.situation.counted
    what = "tokens, as if all were answers," if case.situation.all_count else "counted tokens"
    return Line(
        "room in the adapter",
        BITS * trained,
        f"The adapter has {size_in_words(trained)} parameters × {BITS} bits; your rows, {size_in_words(counted)} "
        f"{what} × 1 bit at most.",
        CAPACITY,
        scope="more room than rows: the rank is large enough. Fewer: a higher rank may help; an estimate of "
        "memorizing everything",
        shown=f"{size_in_words(BITS * trained)} bits for at most {size_in_words(counted)}",
    )


def _verdict(case: Case) -> str:
    card, fit = case.situation.card, case.fit
    there = f"{fit.memory / 1e9:.1f} GB"
    where = f"The {card.name.split(',')[0]} has {there}" if card else f"This machine has {there} free"
    if fit.room == "tight":
        return f"{where}: it may not fit. Run two steps first (--steps 2), or take a larger card."
    if fit.room == "easy":
        return f"{where}: it fits."
    larger = fit.card_that_would()
    other = f"The {larger.name} would do" if larger else "No single card of the table would do"
    return f"{where}: it doesn't fit, even so. {other}."


def _time_line(case: Case) -> Line:
    """Seconds of computing: operations over a pace, which is a guess on a card, and measured on a CPU."""
    cost, asked = case.fit.cost, case.situation
    rows = case.chosen["steps"] * case.chosen["batch size"]
    flops = cost.total_flops * rows / case.fit.way.rows
    assumed = ", for rows of the tokens assumed" if asked.assumed else ""
    why = f"{case.chosen['steps']:,} steps of {flops / case.chosen['steps'] / 1e12:,.2f} trillion operations{assumed}."
    if asked.card is None:
        bench = case.shelf.read(PACE)
        if bench is None:
            return Line(
                "time", None, why, PACE, scope="how fast a CPU trains was measured in that file", shown="not known"
            )
        pace, machine = reading(PACE, lambda: measured_flops(bench))
        said, scope = f"{pace / 1e9:.0f} GFLOPS on {machine}", "another machine has another pace; scoring comes on top"
        return Line("time", flops / pace, why, PACE, said, scope, bench.get("date"), in_minutes(flops / pace))
    if asked.card.teraflops is None:
        return Line("time", None, why, Habit(), scope=f"the {asked.card.name}'s peak isn't known", shown="not known")
    seconds = estimate(cost, asked.card, rows, case.fit.way.rows, utilization=UTILIZATION).seconds
    said = f"{UTILIZATION:.0%} of the card's {asked.card.teraflops:g} TFLOPS are reached"
    scope = "a guess: kernels and data decide, so it may take twice as long; "
    scope += ("unpacking four bits isn't counted, and " if case.four_bits else "") + "scoring comes on top"
    if seconds / case.chosen["steps"] < SHORT:
        scope = f"too little: of so short a step, starting its kernels takes most; {scope}"
    return Line("time", seconds, why, Habit(), said, scope, shown=f"{in_minutes(seconds)}, up to twice that")


def in_minutes(seconds: float) -> str:
    """``12 minutes``, ``3.2 hours``."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"
