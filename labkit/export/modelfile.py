"""Ollama's recipe for a model: base, adapter, system prompt, and how a conversation is written out for it.

Ollama's templates are Go's. The base's own, in Jinja, isn't translated but tried: it writes a conversation of known
words, and what stands around them becomes the Go template. Then both have to write other conversations alike. Where
they don't, the Modelfile has no TEMPLATE, and Ollama uses what it finds in the base's GGUF file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from labkit.base.chat_format import ends_of_answer, frame_of, messages_of
from labkit.base.describing import context_length
from labkit.errors import ConfigError, printable

MODELFILE = "Modelfile"
LONGEST_CONTEXT = 8192  # tokens; a longer one costs memory even where nobody uses it
_WORDS = [f"labkit{name}" for name in ("system", "first", "second", "third", "fourth", "fifth")]
_ANSWER = "labkitanswer"
_NO_TEMPLATE = "# No TEMPLATE: the base's own can't be written as one ({}). Ollama takes what the base's file has.\n"
_FILE = """\
# ollama create {name} -f Modelfile
FROM {from_base}
ADAPTER {adapter}
{template}{system}
# Like labkit: the likeliest token, and no penalty for repeating a word
PARAMETER temperature 0
PARAMETER repeat_penalty 1
PARAMETER num_ctx {context}
{stops}"""


@dataclass(frozen=True)
class Conversation:
    """What a template writes around each part of a conversation.

    Attributes:
        start: before the system prompt, or before the first question where that stands in it.
        after_system: between the system prompt and the first question.
        before_answer: between a question and its answer.
        after_answer: between an answer and the next question.
        prompt: after the last question, where the model is to answer.
        in_question: whether the system prompt stands at the head of the first question, and only if there is one.
    """

    start: str
    after_system: str
    before_answer: str
    after_answer: str
    prompt: str
    in_question: bool

    def write(self, system: str, turns: Sequence[str]) -> str:
        """The conversation of these questions and answers, up to where the model is to answer."""
        text = self.start + ("" if self.in_question and not system else system + self.after_system)
        for i, said in enumerate(turns[:-1]):
            text += said + (self.after_answer if i % 2 else self.before_answer)
        return text + turns[-1] + self.prompt

    def in_go(self) -> str:
        """The same as a Go template for Ollama, which has all system prompts in ``.System``, too."""
        system = f"{{{{ .System }}}}{self.after_system}"
        if self.in_question:
            system = f"{{{{ if .System }}}}{system}{{{{ end }}}}"
        more, asked = "{{ if gt (len (slice $.Messages $i)) 1 }}", self.prompt
        if self.before_answer != self.prompt:
            asked = f"{more}{self.before_answer}{{{{ else }}}}{self.prompt}{{{{ end }}}}"
        return (
            f"{self.start}{system}{{{{ range $i, $_ := .Messages }}}}"
            f'{{{{ if eq .Role "user" }}}}{{{{ .Content }}}}{asked}'
            f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{more}{self.after_answer}{{{{ end }}}}'
            "{{ end }}{{ end }}"
        )


def modelfile(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    about: Mapping,
    *,
    from_base: str,
    adapter: str,
    name: str,
) -> str:
    """The text of a Modelfile for `model` with an adapter.

    Args:
        model: the base.
        tokenizer: its tokenizer, with a chat template.
        about: what the adapter's ``labkit.json`` says; ``system`` becomes the system prompt.
        from_base: the base, as a GGUF file or under its name in Ollama.
        adapter: the adapter's GGUF file.
        name: what the model is to be called, in the command that makes it.

    Raises:
        ConfigError: the system prompt, or `from_base`, has what a Modelfile can't hold.
    """
    system = about.get("system") or ""
    if reason := _unquotable(system):
        raise ConfigError(f"the adapter's system prompt can't be in a Modelfile: it has {reason}")
    if not from_base.isprintable():
        raise ConfigError(f"from_base must be a file or a name on one line, got {from_base!r}")
    try:
        template = f"TEMPLATE {_quoted(_template(tokenizer))}\n"
    except ConfigError as error:
        template = _NO_TEMPLATE.format(error)
    context = context_length(model.config)
    stops = (tokenizer.decode([end]) for end in ends_of_answer(model, tokenizer))
    return _FILE.format(
        name=name,
        from_base=from_base,
        adapter=adapter,
        template=template,
        system=f"SYSTEM {_quoted(system)}\n" if system else "",
        context=min(context or LONGEST_CONTEXT, LONGEST_CONTEXT),
        stops="".join(f'PARAMETER stop "{stop}"\n' for stop in stops if stop.strip() and not _unquotable(stop)),
    )


def conversation_of(tokenizer: PreTrainedTokenizerBase) -> Conversation:
    """What the tokenizer's chat template writes around the parts of a conversation.

    Raises:
        ConfigError: in a few words; it doesn't write the same around each.
    """
    system, *turns = _WORDS
    pieces, rest = [], _rendered(tokenizer, system, turns)
    for word in _WORDS:
        piece, found, rest = rest.partition(word)
        if not found:
            raise ConfigError("it leaves out a part of a long conversation")
        pieces.append(piece)
    found = Conversation(*pieces[:4], prompt=rest, in_question=not frame_of(tokenizer).system_role)
    for system in (_WORDS[0], "", "Two\nlines."):
        for count in (1, 3, 5):
            if found.write(system, turns[:count]) != _rendered(tokenizer, system, turns[:count]):
                raise ConfigError("it doesn't write every turn alike")
    return found


def _template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The chat template as Ollama's. ConfigError, in a few words, where it can't be."""
    found = conversation_of(tokenizer)
    if _begins_by_itself(tokenizer):  # with a token that Ollama would then write twice
        if not found.start.startswith(tokenizer.bos_token):
            raise ConfigError(f"Ollama would write {tokenizer.bos_token} before it")
        found = replace(found, start=found.start.removeprefix(tokenizer.bos_token))
    written = "".join(text for text in vars(found).values() if isinstance(text, str))
    if "{{" in written or "}}" in written:
        raise ConfigError("it writes braces")
    if reason := _unquotable(written):
        raise ConfigError(f"it writes {reason}")
    return found.in_go()


def _begins_by_itself(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer, and so llama.cpp's of the same base, puts a token before every text."""
    return tokenizer.bos_token_id is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]


def _rendered(tokenizer: PreTrainedTokenizerBase, system: str, turns: Sequence[str]) -> str:
    """The conversation as labkit has the model answer it (see :func:`labkit.base.chat_format.prompt_text`)."""
    frame = frame_of(tokenizer)
    messages = messages_of(frame.system_role, turns[0], system)
    messages += [{"role": ("user", "assistant")[i % 2], "content": said} for i, said in enumerate(turns)][1:]
    if not frame.own_prompt:
        messages.append({"role": "assistant", "content": _ANSWER})
    try:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=frame.own_prompt, tokenize=False)
    except Exception:  # templates raise what they like
        raise ConfigError("it refuses some conversations") from None
    return text if frame.own_prompt else text.rpartition(_ANSWER)[0].rstrip(" ")


def _unquotable(text: str) -> str | None:
    """What in `text` Ollama's parser wouldn't give back, in words."""
    if '"""' in text:  # where it ends
        return "three quotes in a row"
    # these it drops
    if strange := [c for c in text if not (c.isprintable() or c in "\n\t")]:
        return f"a character that doesn't show itself ({printable(strange[0], keep='')})"
    return None


def _quoted(text: str) -> str:
    return f'"""{text}"""'
