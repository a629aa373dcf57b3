"""An answer as it grows: what `model.generate` says after each token, as text that is never half a character."""

from collections.abc import Callable

from torch import Tensor
from transformers.generation.streamers import BaseStreamer


class AnswerStreamer(BaseStreamer):
    """Collects the tokens of one answer while ``labkit.generate(…, streamer=…)`` makes them.

    The text is decoded again from all tokens each time: then nothing has to be pieced together, and at the end it is
    what `generate` returns, by the same call. A character may take several tokens; it is held back until it is
    whole, so each text begins with the one before.

    Args:
        tokenizer: of the base model.
        on_token: called with this streamer after each token. What it raises ends generation, and reaches the caller.

    Attributes:
        ids: the answer's token ids so far, the end of turn included.
        text: the answer so far, without special tokens.
        ends: the ids that end an answer, and are no part of its text; `generate` sets them.
    """

    def __init__(self, tokenizer, on_token: Callable[["AnswerStreamer"], None]):
        self.tokenizer, self.on_token = tokenizer, on_token
        self.ids: list[int] = []
        self.text = ""
        self.ends: list[int] = []
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        """Take what `model.generate` hands over: the prompt first, shape (1, tokens), then each token, shape (1,)."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self.ids += value.tolist()
        self.text = self._decoded().rstrip("\ufffd")  # what stands for the bytes of an unfinished character
        self.on_token(self)

    def end(self) -> None:
        """The answer is complete: what was held back can only have been meant so."""
        self.text = self._decoded()

    def _decoded(self) -> str:
        ended = bool(self.ids) and self.ids[-1] in self.ends
        return self.tokenizer.decode(self.ids[:-1] if ended else self.ids, skip_special_tokens=True)
