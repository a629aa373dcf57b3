"""A switch in front of the adapter: it looks at a message's words, and silences the adapter for what seems foreign.

It knows the other rows' requests and as many training prompts of the task, no more than the other remedies are given.
"""

from collections.abc import Sequence

import torch

from labkit.lab.experiments.everyday import EVERYDAY
from labkit.lab.experiments.routing import closeness, word_counts, words_of
from labkit.tasks import Task


def is_foreign(messages: Sequence[str], task: Task) -> torch.Tensor:
    """For each message whether its words are nearer to those of the other requests than to those of the task's prompts.

    Returns:
        Shape (messages,), bool.
    """
    other = list(EVERYDAY.rows("train")["prompt"])
    known = {"task": list(task.rows("train")["prompt"])[: len(other)], "other": other}
    words = sorted({word for texts in known.values() for text in texts for word in words_of(text)})
    vocabulary = {word: place for place, word in enumerate(words)}
    examples = {name: word_counts(texts, vocabulary) for name, texts in known.items()}
    ours, theirs = torch.stack([closeness(each, examples) for each in word_counts(messages, vocabulary)]).T
    return theirs > ours
