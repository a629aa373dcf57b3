"""Talk to a base in a terminal, and to its adapters, which are chosen and blended between two questions.

Every question stands alone: what was said before is no part of the prompt, because the adapters were trained so. One
that was trained on conversations of several turns is given the conversation so far.
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import nn

from labkit.base.describing import context_length
from labkit.errors import AdapterError, ConfigError, showable
from labkit.evaluation.generation import whole_number
from labkit.lab.conversation.answering import ask, explained
from labkit.lab.conversation.showing import Answer, effort
from labkit.lab.explorers.adapter_mix import blend_name
from labkit.lora.bank import AdapterBank
from labkit.lora.files import CONFIG_FILE, read_about
from labkit.storage.paths import course_data_dir
from labkit.storage.untrusted import plain
from labkit.storage.writing import restored

HELP = """\
Type a question and press Enter. Each is answered on its own. A line that ends in \\ goes on in the next one.
  /use sql                  an adapter answers: one of the course's, or a folder that holds one
  /mix sql=0.5 voice=0.5    a blend of several answers, each with its weight
  /base                     the base answers
  /new                      a new conversation, for an adapter that remembers what was said
  /help                     this list, and the course's adapters
  /quit                     leave (so does Ctrl-D); Ctrl-C stops an answer"""
SYSTEM = "You are a helpful assistant."
LONGEST = 256  # tokens of an answer, if nothing else is asked for


def shipped_adapters() -> dict[str, Path]:
    """The folders of the adapters that come with the course, by name."""
    return {file.parent.name: file.parent for file in sorted(course_data_dir().glob(f"adapters/*/{CONFIG_FILE}"))}


def adapter_folder(name: str) -> Path:
    """The folder of the adapter `name`: one of the course's, or the folder of that name.

    Raises:
        AdapterError: there is none.
    """
    shipped = shipped_adapters()
    folder = restored(shipped.get(name, os.path.expanduser(name)))
    if not (folder / CONFIG_FILE).is_file():
        known = f"one of the course's ({', '.join(shipped)}) or " if shipped else ""
        raise AdapterError(f"there is no adapter {name!r}. Name {known}a folder with {CONFIG_FILE} in it")
    return folder


class Chat:
    """A base that is served through an :class:`labkit.AdapterBank`, and listens to one line at a time.

    Args:
        model: a causal language model without LoRA layers and without a bank.
        tokenizer: of the base model.
        system: the base's system prompt. Each adapter brings its own; a blend takes that of its heaviest.
        max_new_tokens: where an answer is cut off at the latest; it is said when that happens. None means 256, or half
            of the model's context if that is less.

    Attributes:
        bank: the adapters taken in so far, under the names they were asked for.

    Raises:
        ConfigError: the model has LoRA layers or a bank; `max_new_tokens` is no whole number from 1 on, or leaves no
            room to ask in.
    """

    def __init__(self, model: nn.Module, tokenizer, system: str = SYSTEM, max_new_tokens: int | None = None):
        context = context_length(model.config) or math.inf
        if max_new_tokens is None:
            max_new_tokens = min(LONGEST, max(1, context // 2))
        max_new_tokens = whole_number("max_new_tokens", max_new_tokens)
        if max_new_tokens >= context:
            raise ConfigError(
                f"max_new_tokens: an answer has 1 to {context - 1:,} new tokens with this model, got {max_new_tokens:,}"
            )
        self.model, self.tokenizer, self.max_new_tokens = model, tokenizer, max_new_tokens
        self.bank = AdapterBank(model)
        self._base_system, self._systems = system, {}
        self._remembering: set[str] = set()  # the adapters that were trained on conversations
        self._said: list[dict[str, str]] = []

    @property
    def who(self) -> str:
        """Who answers: ``base``, ``sql``, ``0.5 sql + 0.5 voice``."""
        return blend_name(self.bank.active) if self.bank.active else "base"

    @property
    def system(self) -> str:
        """The system prompt of who answers."""
        return self._systems.get(self._speaker, self._base_system)

    @property
    def remembers(self) -> bool:
        """Whether who answers is given what was said before."""
        return self._speaker in self._remembering

    @property
    def _speaker(self) -> str | None:
        active = self.bank.active
        return max(active, key=active.get) if isinstance(active, Mapping) else active

    def talk(self, read: Callable[[str], str] = input) -> None:
        """Take in line after line until ``/quit`` or the end. What goes wrong is said, and the chat goes on.

        Args:
            read: shows its argument and returns a line; EOFError when there is none.
        """
        while True:
            try:
                line = read(f"{self.who}> ")
                while line.endswith("\\"):
                    line = line[:-1] + "\n" + read("… ")
                if line.strip() == "/quit":
                    return
                self.hear(line)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print("\n(/quit leaves the chat)")

    def use(self, name: str) -> None:
        """Have the adapter `name` answer: one of the course's, or the folder of that name.

        Raises:
            AdapterError: there is none, or it can't be used.
        """
        self._take_in(name)
        self.bank.activate(name)
        self._begin()

    def hear(self, line: str) -> None:
        """Do what a line asks for, and print what comes of it. A line that asks for the impossible changes nothing."""
        try:
            match line.split(maxsplit=1):
                case []:
                    pass
                case ["/base"]:
                    self.bank.deactivate()
                    self._said = []
                case ["/new"]:
                    self._said = []
                case ["/use", name]:
                    self.use(name.strip())
                case ["/mix", weights]:
                    self._mix(weights)
                case ["/help"]:
                    print(HELP, f"The course's adapters: {', '.join(shipped_adapters()) or 'none is here'}", sep="\n")
                case [command, *_] if command.startswith("/"):
                    print(f"{line.strip()!r} is no command as it stands. /help shows how each is written.")
                case _:
                    self._answer(line)
        except Exception as error:  # a stranger's adapter, or a base nobody tried, can fail in any way
            print(explained(error, "Another question or /base may still work."))

    def _mix(self, text: str) -> None:
        parts = [part.rpartition("=") for part in text.split()]
        try:
            weights = {name: float(weight) for name, _, weight in parts}
        except ValueError:
            weights = {}
        if not all(weights) or len(weights) < len(parts):
            raise ConfigError(f"{text.strip()!r}: name each adapter once, with its weight: /mix sql=0.5 voice=0.5")
        for name in weights:
            self._take_in(name)
        self.bank.blend(weights)
        self._begin()

    def _begin(self) -> None:
        self._said = []
        print(f"{plain(self.who, 400)} answers now, and is told: {plain(self.system, 2000)}")
        if self.remembers:
            print("It learned conversations, so it's given what was said before. /new starts another one.")

    def _take_in(self, name: str) -> None:
        """Have the adapter `name` in the bank."""
        if name in self.bank:
            return
        folder = adapter_folder(name)
        about = read_about(folder)
        system = about.get("system")
        self.bank.add(name, folder)
        if about.get("conversations") is True:
            self._remembering.add(name)
        self._systems[name] = system if isinstance(system, str) else self._base_system

    def _answer(self, question: str) -> None:
        """Print the answer as it grows, then how long it took, also when Ctrl-C stops it."""
        answer, remarks = Answer(self.who), []
        asked = [*self._said, {"role": "user", "content": question}] if self.remembers else question

        def show(answers: tuple[Answer, ...]) -> None:
            nonlocal answer
            # what a model writes is shown, and gives the terminal no orders
            print(showable(answers[0].text[len(answer.text) :]), end="", flush=True)
            [answer] = answers

        try:
            show(ask(self.model, self.tokenizer, asked, self.system, self.max_new_tokens, show))
        except KeyboardInterrupt:
            remarks = ["stopped"]
        if self.remembers and answer.text.strip():
            self._said = [*asked, {"role": "assistant", "content": answer.text}]
        rate = answer.tokens / answer.seconds if answer.seconds else 0
        print("\n  " + " · ".join([effort(answer), f"{rate:.1f} tokens/s", *remarks]))
