"""How each stored figure is read from its file: what it amounts to, and a sentence with the numbers in it."""

from collections.abc import Iterable
from statistics import mean

from labkit.advice.cases import Case, Found
from labkit.simulation.simulating import simulate

LABELS = 24  # of the task glosses
ASKED = ("base", 8, False)  # with so many examples, and no list of the labels


def percent(share: float) -> str:
    """``98.4 %``, ``58 %``."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def rate(number: float) -> str:
    """``2e-3``: a learning rate as people write it."""
    digits, power = f"{number:.1e}".split("e")
    return f"{float(digits):g}e{int(power)}"


# ---- LoRA, QLoRA and full fine-tuning on tickets


def lora_against_full(study: dict, case: Case) -> Found:
    """LoRA, with the tickets that it and full fine-tuning get right at the best of their rates."""
    exact = {name: max(each["scores"]["exact"]["mean"] for each in study["runs"] if each["method"] == name)
             for name in ("lora", "full")}  # fmt: skip
    rows = study["recipe"]["test_rows"]
    return Found(
        "lora",
        f"both reached the same loss; at the best of three rates each, LoRA got {percent(exact['lora'])} of {rows} "
        f"tickets right and full fine-tuning {percent(exact['full'])}",
    )


def tickets_rate(study: dict, case: Case) -> Found:
    """Of the rates that can't be told from the best one, that which forgot least."""
    runs = [each for each in study["runs"] if each["method"] == "lora"]
    best = max(each["scores"]["exact"]["mean"] for each in runs)
    alike = [each for each in runs if each["scores"]["exact"]["high"] >= best]
    chosen = min(alike, key=lambda each: each["perplexity"])
    rates = [each["learning_rate"] for each in runs]
    found = chosen["learning_rate"]
    said = (
        f"of the rates tried ({', '.join(map(rate, rates))}), {rate(found)} forgot least of other text (perplexity "
        f"{chosen['perplexity']:.1f} against the base's {study['base_perplexity']:.1f}; lower: less surprised), and "
        "got "
        f"{percent(chosen['scores']['exact']['mean'])} of the tickets right, the best {percent(best)}: "
        "too close to tell"
    )
    if found == min(rates):
        said += f". It's the lowest of those tried, so try {rate(0.4 * found)}, too"
    return Found(found, said)


def trained_rank(study: dict, case: Case) -> Found:
    """The rank that LoRA was trained with on tickets."""
    r = study["recipe"]["lora"]["r"]
    return Found(r, f"r = {r}")


def trained_alpha(study: dict, case: Case) -> Found:
    """α as it was trained, at whatever rank: so the rate can stay, too."""
    alpha = study["recipe"]["lora"]["lora_alpha"]
    return Found(alpha, f"α = {alpha}")


def trained_batch(study: dict, case: Case) -> Found:
    """The rows per step that it was trained with."""
    size = study["recipe"]["batch_size"]
    return Found(size, f"{size} rows per step")


def four_bits(study: dict, case: Case) -> str:
    """What four bits cost on tickets."""
    by_method = {
        name: [each["scores"]["exact"]["mean"] for each in study["runs"] if each["method"] == name]
        for name in ("lora", "qlora")
    }
    perplexity = {each["format"]: each["perplexity"] for each in study["formats"]}
    return (
        f"over {len(by_method['qlora'])} seeds QLoRA got {percent(mean(by_method['qlora']))} of the tickets right, "
        f"LoRA {percent(mean(by_method['lora']))}, on a 135M model; untrained, four bits made its base worse "
        f"(perplexity {perplexity['float32']:.1f} → {perplexity['NF4, doubled']:.1f}), and training made up for it"
    )


# ---- what the shipped adapters took


def passes(about: dict, case: Case) -> str:
    """How often the shipped adapter of such a task saw its rows."""
    recipe, scores = about["recipe"], about["scores"]
    seen = recipe["training"]["steps"] * recipe["training"]["batch_size"] / recipe["rows"]
    metric, score = next(iter(scores.items()))
    said = f"the {about['task']} adapter saw {recipe['rows']} rows {seen:.1f} times, and gets {percent(score['mean'])}"
    return f"{said} ({metric})"


# ---- before training


def classifiers(study: dict, case: Case) -> Found:
    """A logistic regression on frozen features against examples in a prompt."""
    runs = [each for each in study["runs"] if not each.get("shuffled")]
    frozen = max(
        (each for each in runs if each["method"].startswith("frozen features")),
        key=lambda each: each["scores"]["accuracy"]["mean"],
    )
    return Found(
        "a logistic regression on the base's frozen features",
        f"chance is {percent(1 / LABELS)}; it got {percent(frozen['scores']['accuracy']['mean'])} of "
        f"{len(frozen['answers'])} definitions right, and " + examples_shown(study),
    )


def examples_shown(study: dict) -> str:
    """What the base makes of examples in its prompt."""
    [shown] = [each for each in study["runs"] if (each["method"], each.get("examples"), each.get("names")) == ASKED]
    score, rows = percent(shown["scores"]["accuracy"]["mean"]), len(shown["answers"])
    return f"the 135M base with {shown['examples']} examples in its prompt got {score} of {rows} definitions right"


# ---- afterwards


def swapped(bench: dict, case: Case) -> Found:
    """An adapter kept apart, with what a batch of many adapters takes."""
    times = bench["milliseconds"]["bank, opening rows"] / bench["milliseconds"]["base alone"]
    return Found(
        "keep it apart: an AdapterBank serves many",
        f"{bench['rows']} rows with {bench['adapters']} adapters in one batch took {times:.2f} times as long as the "
        "base alone",
    )


def kept_or_merged(bench: dict, case: Case) -> Found:
    """An adapter kept apart for now, with what that costs per token."""
    writing = bench["milliseconds a pass"]["writing"]
    times = writing["labkit, kept apart"] / writing["base"]
    return Found("keep it apart while you try things", f"kept apart, a token takes {times:.2f} times as long; merged, "
                 "as long as the base's")  # fmt: skip


def merged_dense(study: dict, case: Case) -> Found:
    """Where an adapter of a 16-bit base is merged into: what's right kept apart, in bfloat16 and in four bits."""
    exact = {each["way"]: percent(each["scores"]["exact"]["mean"]) for each in study["ways"]
             if each["trained on"] == "float32"}  # fmt: skip
    return Found(
        "merge in bfloat16, not into four bits",
        f"of the tickets, {exact['kept apart']} are right kept apart, {exact['merged, bfloat16']} merged in bfloat16, "
        f"and {exact['merged, then four bits']} merged and then rounded to four bits",
    )


def merged_from_four_bits(study: dict, case: Case) -> Found:
    """The same for an adapter of a 4-bit base: dequantized and left so, or rounded to four bits again."""
    runs = [each for each in study["runs"] if each["trained on"] == "four bits" and not each["merge-aware"]]
    ways = _means(each["ways"] for each in runs if "dequantized, bfloat16" in each["ways"])
    return Found(
        "dequantize, merge in bfloat16, stay there",
        f"dequantized and merged in bfloat16, {percent(ways['dequantized, bfloat16'])} of the tickets are right; "
        f"rounded to four bits again, {percent(ways['in four bits'])}",
    )


def _means(runs: Iterable[dict]) -> dict[str, float]:
    runs = list(runs)
    return {way: mean(each[way]["scores"]["exact"]["mean"] for each in runs) for way in runs[0]}


# ---- time


def measured_flops(bench: dict) -> tuple[float, str]:
    """Operations per second that a training step of the course's base reached on a CPU, and where that was."""
    rows, tokens = bench["rows"], bench["tokens per step"]
    sequence, labelled = round(tokens["padded"] / rows), round(tokens["with a label"] / rows)
    cost = simulate(
        "smollm2-135m", "lora", batch_size=rows, sequence=sequence, labelled=labelled, dtype="float32", device="cpu"
    )
    return cost.total_flops / bench["milliseconds"]["labkit"] * 1000, bench["machine"]
