"""The losses of a training in a terminal: a curve and a few lines, in characters that every terminal has."""

from labkit.storage.untrusted import plain
from labkit.training.reports import TrainResult

HEIGHT = 12  # lines of the curve
WIDEST = 100
LINES = 12  # of the table of validations
_TRAINING, _VALIDATION, _BEST = ".", "o", "X"


def history_text(run: TrainResult, width: int = 80) -> str:
    """The run as text: its losses as a curve, at most `width` characters wide, its validations, and what it took."""
    first, last = run.history[0], run.history[-1]
    tokens = sum(entry["tokens"] for entry in run.history)
    said = [
        f"{last['step']:,} steps, {tokens:,} tokens, {run.seconds:,.0f} s. "
        f"Training loss: {first['loss']:.4g} at first, {last['loss']:.4g} at the end"
    ]
    if run.best:
        early = " (the run was stopped early)" if run.stopped_early else ""
        said.append(f"{which_is_kept(run)}{early}")
    return "\n".join([*_curve(run, min(max(width, 40), WIDEST)), "", *_table(run), *said])


def which_is_kept(run: TrainResult) -> str:
    """Of a run with validation: which step's weights its adapter has."""
    if run.best["step"] == 0:
        return "No step lowered the validation loss, so the adapter is as it was before the first"
    return f"The adapter is that of step {run.best['step']:,}, which has the lowest validation loss"


def _curve(run: TrainResult, width: int) -> list[str]:
    drawn = [entry["loss"] for entry in run.history] + [entry["validation_loss"] for entry in run.validations]
    low, high = min(drawn), max(drawn)
    labels = [f"{high:.3g}", f"{low:.3g}"]
    margin = max(map(len, labels))
    columns, end = width - margin - 3, run.history[-1]["step"]
    grid = [[" "] * columns for _ in range(HEIGHT)]

    def column_of(step: int) -> int:
        return max(step - 1, 0) * (columns - 1) // max(end - 1, 1)

    def mark(column: int, loss: float, sign: str) -> None:
        row = round((high - loss) / (high - low) * (HEIGHT - 1)) if high > low else HEIGHT - 1
        grid[row][column] = sign

    losses: dict[int, list[float]] = {}
    for entry in run.history:
        losses.setdefault(column_of(entry["step"]), []).append(entry["loss"])
    for column, here in losses.items():
        mark(column, sum(here) / len(here), _TRAINING)
    for entry in run.validations:
        mark(column_of(entry["step"]), entry["validation_loss"], _VALIDATION)
    if run.best:
        mark(column_of(run.best["step"]), run.best["validation_loss"], _BEST)
    left = [labels[0], *[""] * (HEIGHT - 2), labels[1]]
    legend = f"{_TRAINING} training"
    legend += f"   {_VALIDATION} validation   {_BEST} lowest validation" if run.best else ""
    steps = f"step 1{f'step {end:,}':>{max(columns - 6, 0)}}" if end > 1 else "step 1"
    return [
        f"loss, nats per token   {legend}",
        *(f"{label:>{margin}} |{''.join(row).rstrip()}" for label, row in zip(left, grid)),
        f"{'':>{margin}} +{'-' * columns}",
        f"{'':>{margin}}  {steps}",
    ]


def _table(run: TrainResult) -> list[str]:
    """The validations, evenly spaced where there are many; always with the first, the best and the last."""
    there = run.validations
    if not there:
        return []
    every = -(-len(there) // LINES)
    always = (there[0], run.best, there[-1])
    shown = [entry for place, entry in enumerate(there) if place % every == 0 or entry in always]
    metrics = list(dict.fromkeys(metric for entry in shown for metric in entry.get("validation_scores", {})))[:4]
    names = ["step", "training", "validation", *(plain(metric, 12) for metric in metrics)]
    widths = [max(len(name), 7) for name in names]
    lines = ["  ".join(f"{name:>{wide}}" for name, wide in zip(names, widths))]
    for entry in shown:
        scores = entry.get("validation_scores", {})
        training = f"{entry['loss']:.4f}" if "loss" in entry else ""
        cells = [f"{entry['step']:,}", training, f"{entry['validation_loss']:.4f}"]
        cells += [f"{scores[metric]:.3f}" if metric in scores else "" for metric in metrics]
        line = "  ".join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths))
        lines.append(f"{line}  lowest" if entry is run.best else line)
    return [*lines, ""]
