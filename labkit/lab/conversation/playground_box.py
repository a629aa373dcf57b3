"""Type your own sentence: ask a model, and watch the answer appear; with an adapter, beside the base's answer."""

import threading
from collections.abc import Callable
from dataclasses import replace

from torch import nn

from labkit.evaluation.generation import whole_number
from labkit.lab.conversation.answering import Stopped, converse, explained
from labkit.lab.conversation.between_cells import run_between_cells
from labkit.lab.conversation.showing import Conversation, conversation_html, conversation_png, conversation_text
from labkit.lab.widgets import in_notebook, show_widget


def playground(
    model: nn.Module, tokenizer, text: str, *, system: str = "You are a helpful assistant.", max_new_tokens: int = 64
) -> None:
    """A text field, and below it the model's greedy answer, appearing token by token.

    When the model carries LoRA layers it answers twice, side by side: first as its base (the adapter silenced by
    :func:`labkit.disable_adapter`), then with its adapter. Model and adapter are afterwards as they were, whatever
    happens: an error, a stop, an interrupt.

    Where there is no kernel, you see the answers to `text`: as text for a base, whose greedy answer is the same
    on every machine; as a picture, which nbval does not compare, as soon as an adapter answers too, because one that
    was trained a moment ago may differ from machine to machine.

    Args:
        model: a causal language model; whether it carries an adapter is looked at again for each question.
        tokenizer: of the base model.
        text: the sentence that stands in the field at first. It is answered at once.
        system: the system prompt.
        max_new_tokens: where an answer is cut off at the latest; it is said when that happens.

    Raises:
        ConfigError: `max_new_tokens` isn't a whole number of at least 1.
    """
    max_new_tokens = whole_number("max_new_tokens", max_new_tokens)

    def answer(question: str, show: Callable[[Conversation], None]) -> Conversation:
        return converse(model, tokenizer, question, system, max_new_tokens, show)

    first = answer(text, lambda conversation: None)
    if in_notebook():
        compared, html_text, png = standing_in(first)
        show_widget(AskingBox(answer, first).box, compared, html_text, png)
    else:
        print(conversation_text(first))


def standing_in(first: Conversation) -> tuple[str, str | None, bytes | None]:
    """What is shown where there is no kernel: the text that nbval compares, a page, a picture.

    An adapter's answer is only in the picture: nbval compares text, and an adapter trained a moment ago may write
    something else on another machine.
    """
    if len(first.answers) < 2:
        return conversation_text(first), conversation_html(first, seconds=False), None
    base, adapted = first.answers
    text = conversation_text(Conversation(first.question, (base,), f"{adapted.who}: see the picture."))
    return text, None, conversation_png(first)


class AskingBox:
    """The text field, the two buttons, and the conversation below them.

    Args:
        answer: ``answer(question, show)``, which calls ``show`` with the conversation as it grows.
        first: what is shown at first.
        field: a text field widget to type in, in place of one line.
    """

    def __init__(
        self, answer: Callable[[str, Callable[[Conversation], None]], Conversation], first: Conversation, field=None
    ):
        from ipywidgets import HTML, Button, HBox, Layout, Text, VBox

        self._answer, self._shown, self._stop = answer, first, threading.Event()
        self.field = field or Text(first.question, description="You:", placeholder="your own sentence")
        self.field.layout = Layout(width="70%")
        self.button = Button(description="Answer", button_style="primary")
        self.stop = Button(description="Stop", disabled=True)
        self.conversation = HTML(conversation_html(first), layout=Layout(width="99%"))
        self.box = VBox([HBox([self.field, self.button, self.stop]), self.conversation])
        self.button.on_click(lambda button: self.start())
        self.stop.on_click(lambda button: self._stop.set())
        # Enter, as the text field reports it. Its value would also change when the learner only leaves the field.
        self.field.on_msg(lambda field, content, buffers: content.get("event") == "submit" and self.start())

    def start(self) -> None:
        """Answer what stands in the field, as soon as no cell is running."""
        if self.button.disabled:  # one question at a time
            return
        self.button.disabled, self.stop.disabled = True, False
        self._stop.clear()
        self._show(Conversation(self.field.value, remark="The model answers as soon as the running cell has ended."))
        run_between_cells(self._converse)

    def _converse(self) -> None:
        try:
            self._show(Conversation(self.field.value, remark="The model reads …"))
            self._show(self._answer(self.field.value, self._show_or_stop))
        except KeyboardInterrupt as interrupt:
            self._show(replace(self._shown, remark=explained(interrupt)))
        finally:
            self.button.disabled, self.stop.disabled = False, True

    def _show_or_stop(self, conversation: Conversation) -> None:
        # Heard where clicks come in while the main thread works (JupyterLab 4.4 and later); elsewhere there is ■.
        if self._stop.is_set():
            raise Stopped
        self._show(conversation)

    def _show(self, conversation: Conversation) -> None:
        self._shown = conversation
        self.conversation.value = conversation_html(conversation)
