"""A question and its answers as text, as a page and as a picture; nothing here asks a model anything."""

import html
import io
import re
import warnings
from dataclasses import dataclass

from labkit.errors import showable

# A ticket is one long word, whose lines may end here: after a comma that isn't within a number
_AFTER_A_COMMA = re.compile(r"(?<=,)(?=[^\s\d])")


@dataclass(frozen=True)
class Answer:
    """One answer, whole or so far.

    Args:
        who: who gives it ("the base").
        text: as the model wrote it, whatever that is.
        tokens: made for it, the end of turn included.
        seconds: they took.
        cut: whether it ended at the limit of tokens, and not by itself.
    """

    who: str
    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    cut: bool = False


@dataclass(frozen=True)
class Conversation:
    """A question, the answers to it, and what else there is to say, such as why there is none."""

    question: str
    answers: tuple[Answer, ...] = ()
    remark: str = ""


def effort(answer: Answer, seconds: bool = True) -> str:
    """``12 tokens · 0.6 s``, and whether the limit of tokens cut the answer off.

    Args:
        seconds: left out where they would make the same conversation look different each time.
    """
    parts = [f"{answer.tokens} token{'' if answer.tokens == 1 else 's'}"]
    parts += [f"{answer.seconds:.1f} s"] if seconds else []
    parts += ["cut off at the limit"] if answer.cut else []
    return " · ".join(parts)


def conversation_text(conversation: Conversation) -> str:
    """The conversation as lines of text, without the seconds."""
    lines = [f"You: {_shortened(conversation.question)}"] if conversation.question else []
    for answer in conversation.answers:
        lines += [f"{answer.who}: {answer.text}", f"  ({effort(answer, seconds=False)})"]
    return showable("\n".join(lines + ([conversation.remark] if conversation.remark else [])))


def conversation_html(conversation: Conversation, seconds: bool = True) -> str:
    """The conversation as a table with a column for each answer.

    What a model writes is shown as it is: its markup is text here, never a part of the page.
    """
    parts = [f"<p><b>You:</b> {_escaped(_shortened(conversation.question))}</p>"] if conversation.question else []
    if conversation.answers:
        width = f"{100 // len(conversation.answers)}%"
        rows = [("th", [answer.who for answer in conversation.answers])]
        rows += [("td", [answer.text for answer in conversation.answers])]
        rows += [("td", [effort(answer, seconds) for answer in conversation.answers])]
        # anywhere, because a long word would run over into the next column
        style = f'style="text-align: left; vertical-align: top; overflow-wrap: anywhere; width: {width}"'
        cells = ["".join(f"<{tag} {style}>{_escaped(text)}</{tag}>" for text in texts) for tag, texts in rows]
        table = "\n".join(f"<tr>{row}</tr>" for row in cells)
        parts.append(f'<table style="width: 100%; table-layout: fixed">\n{table}\n</table>')
    parts += [f"<p>{_escaped(conversation.remark)}</p>"] if conversation.remark else []
    return "\n".join(parts)


def conversation_png(conversation: Conversation) -> bytes:
    """The conversation as a picture, the answers side by side, without the seconds."""
    from matplotlib.figure import Figure  # not pyplot: nothing is to be shown, and this works in any thread
    from PIL import Image

    columns = len(conversation.answers)
    wide = 78 // columns  # characters that fit into a column
    wrapped = [_wrapped(answer.text, wide) for answer in conversation.answers]
    question = _wrapped(f"You: {_shortened(conversation.question)}", 84)
    line = 0.19  # inches
    height = (len(question) + max(map(len, wrapped)) + 4) * line
    figure = Figure(figsize=(7, height), dpi=100)

    def write(x: int, row: int, lines: list[str], **settings) -> None:
        x, y = 0.02 + 0.97 * x / columns, 1 - (row + 0.5) * line / height
        # a $ in an answer is a $, not the beginning of a formula
        figure.text(x, y, "\n".join(lines), va="top", fontsize=9, linespacing=1.45, parse_math=False, **settings)

    write(0, 0, question, color="#444444")
    for column, (answer, lines) in enumerate(zip(conversation.answers, wrapped)):
        write(column, len(question) + 0.5, [answer.who], weight="bold")
        write(column, len(question) + 1.5, lines, family="DejaVu Sans Mono")
        write(column, len(question) + 2 + len(lines), [effort(answer, seconds=False)], color="#444444")
    drawn, picture = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # an emoji, say: a box stands for it
        figure.savefig(drawn, format="png")
    Image.open(drawn).convert("L").save(picture, format="png", optimize=True)  # grey as it is: a third of the bytes
    return picture.getvalue()


def _shortened(question: str) -> str:
    """Enough of the question to know it by: the answers are below it."""
    return question if len(question) <= 400 else question[:400] + " …"


def _escaped(text: str) -> str:
    breakable = _AFTER_A_COMMA.sub("<wbr>", html.escape(showable(text), quote=False))
    return breakable.replace("\n", "<br>")


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of up to `width` characters: they end at a space or after a comma, and only a longer word is cut."""
    whole = rf".{{1,{width}}}(?:\s|$|{_AFTER_A_COMMA.pattern})|.{{1,{width}}}"
    return [part.rstrip() for line in text.split("\n") for part in re.findall(whole, line.expandtabs()) or [""]]
