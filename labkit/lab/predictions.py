"""Predictions: say first what you expect, then measure, and see at the end of the course what surprised you."""

import itertools
import math
from collections.abc import Iterable, Mapping

from labkit.errors import ConfigError
from labkit.lab.learner_record import Prediction, note_measured, note_prediction, read_record
from labkit.lab.widgets import as_html, in_notebook, radio_buttons, show_widget

Range = tuple[float | None, float | None]  # from the first on, up to and without the second

_asked: dict[str, dict[str, Range | None]] = {}  # id -> each option with its range, if it has one; of this session


def predict(
    question: str,
    options: list[str] | Mapping[str, Range],
    *,
    id: str | None = None,
) -> None:
    """Ask what the learner expects; a choice is recorded when it is made.

    In Jupyter it shows one button for each option. Nothing waits for an answer: in a plain run nothing is
    chosen and nothing recorded, and the stored output, question and options as text, is the same each time.

    Args:
        question: one sentence.
        options: what might come out, at least two, each a few words. Where a number decides, each with its range
            ``{"under 1 %": (None, 0.01), "1 to 10 %": (0.01, 0.1), "more": (0.1, None)}``: from the first number on,
            up to and without the second; None is no bound. No two ranges overlap.
        id: what :func:`reveal` calls it; the question itself when not given.

    Raises:
        ConfigError: fewer than two options, the same one twice, or ranges that overlap or are empty.
    """
    texts, id = tuple(options), id or question
    if len(texts) < 2 or len(set(texts)) < len(texts) or not all(isinstance(o, str) and o for o in texts):
        raise ConfigError(f"predict({question!r}) needs at least two options, all different texts, got {texts}")
    _asked[id] = dict.fromkeys(texts)
    if isinstance(options, Mapping):
        _check_ranges(question, options)
        _asked[id] = dict(options)
    text = "\n".join([f"Your prediction: {question}", *(f"  ○ {option}" for option in texts)])
    if in_notebook():
        show_widget(_prediction_box(id, question, texts), text)
    else:
        print(text)


def reveal(id: str, measured: str | float, *, stored: bool = False, simulated: bool = False) -> None:
    """Print what the learner said beside what was measured; keep both for the end of the course.

    Args:
        id: of the prediction; its question, if it has no other.
        measured: the number that came out, if the options have ranges; else the option that came out. Let code
            choose it from the measurement, never by hand.
        stored, simulated: it comes from a stored study, or from the simulator, and the line says so.

    Raises:
        ConfigError: `measured` is in no range, or not one of the prediction's options.
    """
    if id in _asked and not (isinstance(measured, str) and measured in _asked[id]):
        measured = _option_of(id, measured, _asked[id])
    prediction = read_record().predictions.get(id)
    if prediction:
        note_measured(id, measured)
    origin = "Stored" if stored else "Simulated" if simulated else "Measured"
    print(comparison(prediction.said if prediction else None, measured, origin))


def _option_of(id: str, measured, options: Mapping[str, Range | None]) -> str:
    """The option in whose range the number `measured` falls."""
    ranges = {option: limits for option, limits in options.items() if limits is not None}
    if not ranges:
        raise ConfigError(f"reveal({id!r}): {measured!r} is not one of its options {', '.join(options)}")
    try:
        number = float(measured)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"reveal({id!r}) needs a number, got {measured!r}")
    for option, (low, high) in ranges.items():
        if (low is None or low <= number) and (high is None or number < high):
            return option
    raise ConfigError(f"reveal({id!r}): {number:g} is in none of its ranges: {', '.join(options)}")


def _check_ranges(question: str, options: Mapping[str, Range]) -> None:
    infinity = float("inf")
    try:
        limits = sorted((-infinity if a is None else a, infinity if b is None else b) for a, b in options.values())
        in_order = all(low < high for low, high in limits)
    except (TypeError, ValueError):
        raise ConfigError(f"predict({question!r}): a range is a pair of numbers or None, as in (0.01, 0.1)") from None
    if not in_order or any(high > after for (_, high), (after, _) in itertools.pairwise(limits)):
        raise ConfigError(f"predict({question!r}): its ranges overlap, or one of them is empty")


def comparison(said: str | None, measured: str, origin: str = "Measured") -> str:
    """One line: ``You said: both. Measured: only B. A surprise.``"""
    if said is None:
        return f"{origin}: {measured}. (You made no prediction.)"
    return f"You said: {said}. {origin}: {measured}. {'As you expected.' if said == measured else 'A surprise.'}"


def surprises(answers: Iterable[Prediction]) -> list[str]:
    """What surprised the learner, as lines of text: a count, then each prediction that didn't come true.

    Args:
        answers: predictions, in the order they were made; those not measured yet do not count.
    """
    measured = [answer for answer in answers if answer.measured is not None]
    if not measured:
        return ["No prediction of yours has been measured yet."]
    missed = [answer for answer in measured if answer.said != answer.measured]
    lines = [f"You made {len(measured)} predictions, and {len(measured) - len(missed)} came true."]
    if len(measured) == 1:
        lines = [
            "You made 1 prediction, and it didn't come true." if missed else "You made 1 prediction, and it came true."
        ]
    if missed:
        lines.append("What surprised you:")
    for answer in missed:
        lines += [f"  {answer.question}", f"    you said: {answer.said} · measured: {answer.measured}"]
    return lines


def show_surprises() -> None:
    """Print what surprised you so far: your predictions that didn't come true."""
    print("\n".join(surprises(read_record().predictions.values())))


def note_on_choice(chosen: str, recorded: Prediction | None) -> str:
    """What stands below the buttons after a choice.

    Args:
        chosen: the option chosen now.
        recorded: what the learner's record holds after it.
    """
    if recorded is None:
        return "Your choice couldn't be saved, but the course goes on: run the next cell."
    if recorded.said != chosen:
        return f"You've seen the measurement, so what you said before it stays: {recorded.said}."
    return "Noted. Now run the next cell."


def _prediction_box(id: str, question: str, options: tuple[str, ...]):
    """The question, a radio button for each option, and a note."""
    from ipywidgets import HTML, VBox

    note = HTML()

    def choose(option: str) -> None:
        note_prediction(id, question, option)
        note.value = as_html(note_on_choice(option, read_record().predictions.get(id)))

    before = read_record().predictions.get(id)
    buttons = radio_buttons(options, before.said if before else None, choose)
    return VBox([HTML(f"<b>Your prediction:</b> {as_html(question)}"), buttons, note])
