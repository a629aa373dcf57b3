"""What the recommended training takes: memory from the simulator, time from its operations, the size of what's left."""

from labkit.advice.cases import Case
from labkit.advice.figures import measured_flops
from labkit.advice.lines import Line
from labkit.advice.sources import PACE, Habit, Simulated, reading
from labkit.simulation.estimates import estimate

SHORT = 0.1  # seconds of a step on a GPU, below which its operations say little of its time
UTILIZATION = 0.3  # of a card's peak: as `labkit plan` guesses


def fit_line(case: Case) -> Line:
    """How many rows go through the model at once, and whether layers are computed again."""
    way, batch = case.fit.way, case.chosen["batch size"]
    parts = [f"{way.rows} of {batch} rows at once" if way.rows < batch else "the whole batch at once"]
    parts += ["with gradient checkpointing"] if way.checkpointing else []
    why = {
        "easy": "It's the least changed way whose step leaves a tenth of the memory free.",
        "tight": "It fits, but less than a tenth of the memory stays free.",
        "none": "It's the lightest way there is here, and it doesn't fit.",
    }[case.fit.room]
    said = "gradients of the parts are added up, so the step is the same" if way.rows < batch else ""
    return Line("at once", way.rows, why, Simulated(), said, shown=" ".join(parts))


def cost_lines(case: Case) -> list[Line]:
    """Peak memory, time and the file."""
    cost = case.fit.cost
    notes = [line for line in cost.assumptions if "not yet verified" in line]
    memory = Line(
        "peak memory",
        cost.peak,
        _verdict(case),
        Simulated(),
        f"{case.fit.way.rows} × {case.situation.tokens:,} tokens, AdamW, adapters in float32",
        "; ".join(notes) or "on a CPU, checked against PyTorch's own allocator",
        shown=f"{cost.peak / 1e9:.1f} GB",
    )
    whole = case.step().whole
    file = Line(
        "file",
        cost.saved_bytes,
        f"{cost.trained:,} of {cost.parameters:,} numbers are trained.",
        Simulated(),
        scope="the model in its own dtype" if whole else "the adapter in float32, as PEFT writes it",
        shown=f"{cost.saved_bytes / 1e6:,.0f} MB",
    )
    return [memory, _time_line(case), file]


def _verdict(case: Case) -> str:
    card, fit = case.situation.card, case.fit
    there = f"{fit.memory / 1e9:.1f} GB"
    where = f"The {card.name} has {there}" if card else f"This machine has {there} free"
    if fit.room != "none":
        return f"{where}: it fits{'' if fit.room == 'easy' else ', tightly'}."
    larger = fit.card_that_would()
    other = f"The {larger.name} would do" if larger else "No single card of the table would do"
    return f"{where}: it doesn't fit, even so. {other}."


def _time_line(case: Case) -> Line:
    """Seconds of computing: operations over a pace, which is a guess on a card, and measured on a CPU."""
    cost, asked = case.fit.cost, case.situation
    rows = case.chosen["steps"] * case.chosen["batch size"]
    flops = cost.total_flops * rows / case.fit.way.rows
    why = f"{case.chosen['steps']:,} steps of {flops / case.chosen['steps'] / 1e12:,.2f} TFLOP."
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
    scope = "a guess; " + ("unpacking four bits isn't counted, and " if case.four_bits else "") + "scoring comes on top"
    if seconds / case.chosen["steps"] < SHORT:
        scope = f"too little: of so short a step, starting its kernels takes most; {scope}"
    return Line("time", seconds, why, Habit(), said, scope, shown=in_minutes(seconds))


def in_minutes(seconds: float) -> str:
    """``12 minutes``, ``3.2 hours``."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"
