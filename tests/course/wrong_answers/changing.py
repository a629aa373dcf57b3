"""Slips are small: a wrong answer is mostly a right one with a line or two changed."""

import textwrap


def changed(right: str, *changes: tuple[str, str]) -> str:
    """``right`` with each first text replaced by the second; ValueError if it isn't in there."""
    text = textwrap.dedent(right).strip()
    for old, new in changes:
        if old not in text:
            raise ValueError(f"{old!r} isn't in the answer to change")
        text = text.replace(old, new)
    return text
