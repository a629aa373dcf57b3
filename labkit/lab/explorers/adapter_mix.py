"""The adapter mixer: a slider for the weight of each adapter, and what the model then answers."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import nn

from labkit.errors import ConfigError
from labkit.evaluation.generation import whole_number
from labkit.lab.conversation.answering import converse
from labkit.lab.conversation.playground_box import AskingBox
from labkit.lab.conversation.showing import Conversation, conversation_png, conversation_text
from labkit.lab.widgets import in_notebook, show_widget
from labkit.lora.bank import Choice
from labkit.model_facts import facts_of

LOWEST, HIGHEST, STEP = -1.0, 2.0, 0.1  # of a weight; beyond 0 and 1 to see what too much of a thing does


def blend_name(choice: Choice) -> str:
    """Who answers, in words: ``the base``, ``sql``, ``0.5 sql + 0.5 voice``."""
    if isinstance(choice, Mapping):
        return " + ".join(f"{weight:g} {name}" for name, weight in choice.items())
    return choice or "the base"


def adapter_mixer(
    model: nn.Module,
    tokenizer,
    rows: Mapping[str, Mapping],
    *,
    weights: Mapping[str, float] | None = None,
    max_new_tokens: int = 64,
) -> None:
    """Sliders for the weights of all adapters in the model's bank, something to ask, and the greedy answer.

    ΔW = Σ wᵢ ΔWᵢ, the sum of :meth:`labkit.AdapterBank.blend`. The system prompt is that of the row chosen,
    whatever the weights are; what is asked can be changed. The bank is afterwards as it was, whatever happens.

    Where there is no kernel, a picture shows what the first blend answers to the first row.

    Args:
        model: a causal language model with a :class:`labkit.AdapterBank`.
        tokenizer: of the base model.
        rows: what to ask, by name: ``prompt`` and ``system``, and ``completion``, if it is known what is right.
        weights: where the sliders stand at first; those not named stand at 0.
        max_new_tokens: where an answer is cut off at the latest; it is said when that happens.

    Raises:
        ConfigError: the model has no bank, or an empty one; no rows, or a conversation; a weight for an adapter that is
            not there, or one the sliders do not reach; `max_new_tokens` is no whole number from 1 on.
    """
    bank, weights = facts_of(model).bank, dict(weights or {})
    max_new_tokens = whole_number("max_new_tokens", max_new_tokens)
    if not bank or not rows:
        raise ConfigError("adapter_mixer needs a model whose bank has adapters, and rows to ask")
    if any(not isinstance(row.get("prompt"), str) for row in rows.values()):
        raise ConfigError("adapter_mixer asks single questions: each row needs a prompt that is text")
    for name, weight in weights.items():
        if name not in bank or not LOWEST <= weight <= HIGHEST:
            raise ConfigError(f"no slider of {', '.join(bank.names)} goes to {weight} {name}")

    def answer(row: Mapping, weights: Mapping[str, float], question: str, show: Callable[[Conversation], None]):
        choice = {name: weight for name, weight in weights.items() if weight} or None
        chosen = (blend_name(choice), choice)
        said = converse(model, tokenizer, question, row["system"], max_new_tokens, show, chosen)
        known = not said.remark and question == row["prompt"] and row.get("completion")
        return replace(said, remark=f"Right would be: {known}") if known else said

    name, row = next(iter(rows.items()))
    first = answer(row, weights, row["prompt"], lambda conversation: None)
    if not first.answers:
        raise ConfigError(f"{name}: {first.remark}")
    if in_notebook():
        text = f"(the adapter mixer is shown here; the picture is what {first.answers[0].who} says to a row of {name})"
        box = _mixer_box(rows, {name: weights.get(name, 0.0) for name in bank.names}, first, answer)
        show_widget(box, text, png=conversation_png(first))
    else:
        print(conversation_text(first))


def _mixer_box(rows: Mapping[str, Mapping], weights: Mapping[str, float], first: Conversation, answer: Callable):
    """What to ask, a slider for each adapter, and below them the question, the buttons and the answer."""
    from ipywidgets import Dropdown, FloatSlider, Label, Layout, Textarea, VBox

    wide = {"style": {"description_width": "80px"}, "layout": Layout(width="500px")}
    chooser = Dropdown(options=list(rows), description="a row of", **wide)
    told = Label()
    sliders = {
        name: FloatSlider(weight, min=LOWEST, max=HIGHEST, step=STEP, description=name, continuous_update=False, **wide)
        for name, weight in weights.items()
    }
    field = Textarea(first.question, rows=4)

    def at_the_sliders(question: str, show: Callable[[Conversation], None]) -> Conversation:
        weights = {name: round(slider.value, 6) for name, slider in sliders.items()}  # 0.3, not 0.30000000000000004
        return answer(rows[chooser.value], weights, question, show)

    asking = AskingBox(at_the_sliders, first, field)

    def offer_row(_=None) -> None:
        told.value = f"system prompt: {rows[chooser.value]['system']}"
        field.value = rows[chooser.value]["prompt"]

    chooser.observe(offer_row, names="value")
    offer_row()
    return VBox([chooser, told, *sliders.values(), asking.box])
