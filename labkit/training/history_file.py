"""How a training went, in the adapter's folder: ``history.json``.

    {"stopped_early": false, "before": {"step": 0, "validation_loss": 2.4}, "entries": [{"step": 1, "loss": 2.1,
     "learning_rate": 0.0005, "tokens": 512, "seconds": 1.4, "validation_loss": 2.0,
     "validation_scores": {"exact": 0.25}}, …]}

Of a long run, neighboring steps are one entry, so that the file stays below a megabyte. A folder may be a stranger's,
and what doesn't look like this is refused.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import AdapterError
from labkit.lora.files import HISTORY_FILE
from labkit.storage.untrusted import plain, read_json
from labkit.storage.writing import restored
from labkit.training.reports import TrainResult

MOST = 2000  # entries in a file that is written
_SCORES = 20  # metrics that are read of an entry
_WHOLE, _NUMBERS = ("step", "tokens"), ("loss", "learning_rate", "seconds")


def as_file(result: TrainResult) -> dict:
    """The content of ``history.json`` for a run.

    Beyond :data:`MOST` steps, an entry stands for several: their mean loss, all their tokens, and, if there was a
    validation among them, the best one with its step.
    """
    entries = [entry | {"seconds": seconds} for entry, seconds in zip(result.history, result.clock)]
    width = math.ceil(len(entries) / MOST) or 1
    groups = (entries[first : first + width] for first in range(0, len(entries), width))
    before = {"before": result.before} if result.before else {}
    return {"stopped_early": result.stopped_early, **before, "entries": [_as_one(group) for group in groups]}


def history(path: Path | str) -> TrainResult:
    """How the training of the adapter in the folder `path` went.

    Of a run of more than 2,000 steps, an entry stands for several neighboring steps, with their mean loss.

    Args:
        path: a folder that ``labkit train`` wrote.

    Returns:
        Its losses, learning rates and validations; `seconds` and `tokens_per_second` are of the whole run.

    Raises:
        AdapterError: the folder has no ``history.json``, or there's something else in it.
    """
    file = restored(path) / HISTORY_FILE
    if Path(path).is_dir() and not os.path.lexists(file):
        raise AdapterError(
            f"{path}: there is no {HISTORY_FILE}. labkit train writes it beside its adapter when it's done"
        )
    found = read_json(file)
    entries = list(_checked(found.get("entries"), file))
    clock = [entry.pop("seconds") for entry in entries]
    rate = sum(entry["tokens"] for entry in entries) / clock[-1] if clock[-1] else 0.0
    before = None
    if "before" in found:
        before = {"step": 0} | _validation_in(found["before"], f"{file}: 'before'")
        if "validation_loss" not in before:
            raise AdapterError(f"{file}: 'before' has no validation_loss")
    return TrainResult(entries, clock[-1], rate, clock, found.get("stopped_early") is True, before)


def _as_one(group: list[dict]) -> dict:
    validated = [entry for entry in group if "validation_loss" in entry]
    kept = min(validated, key=lambda entry: entry["validation_loss"]) if validated else group[-1]
    loss = math.fsum(entry["loss"] for entry in group) / len(group)
    return kept | {"loss": loss, "tokens": sum(entry["tokens"] for entry in group)}


def _checked(entries: object, file: Path) -> Iterator[dict]:
    if not isinstance(entries, list) or not entries:
        raise AdapterError(f"{file}: 'entries' must be a list with an entry for each step")
    step, seconds = 0, 0.0
    for number, entry in enumerate(entries, start=1):
        where = f"{file}: entry {number}"
        validation = _validation_in(entry, where)
        fields = {name: entry.get(name) for name in (*_WHOLE, *_NUMBERS)}
        _refuse_no_numbers(fields, where)
        if fields["step"] <= step or fields["seconds"] < seconds:
            raise AdapterError(f"{file}: entry {number}: steps and seconds must grow from entry to entry")
        step, seconds = fields["step"], fields["seconds"]
        yield fields | validation


def _validation_in(entry: object, where: str) -> dict:
    """What an entry says of a validation, if anything."""
    if not isinstance(entry, dict):
        raise AdapterError(f"{where} must be a JSON object, found {type(entry).__name__}")
    scores = entry.get("validation_scores", {})
    if not isinstance(scores, dict):
        raise AdapterError(f"{where}: 'validation_scores' must be a JSON object")
    loss = {"validation_loss": entry["validation_loss"]} if "validation_loss" in entry else {}
    named = {plain(metric, 40): score for metric, score in [*scores.items()][:_SCORES]}
    _refuse_no_numbers(loss | named, where)
    return loss | ({"validation_scores": named} if named else {})


def _refuse_no_numbers(fields: dict, where: str) -> None:
    for name, value in fields.items():
        if not _is_number(value) or (name in _WHOLE and (type(value) is not int or value < 0)):
            raise AdapterError(f"{where}: {name!r} must be a number, found {plain(repr(value), 40)}")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e30  # which NaN isn't, and no figure can be drawn beyond
