"""Which of the known tasks was an adapter trained on, or none of these? A rule, so that right and wrong can be counted.

Two witnesses are heard. What each task's answers look like comes from its training rows, which everybody has; of the
adapter they know only its :mod:`labkit.forensics.traces`.

1. **The push.** Each task has a signature: the tokens that more of its answers have than any other task's. The shift of
   the logits, as standard scores over the vocabulary, is summed over a signature, and divided by what that would be for
   shifts in random directions: those give numbers with mean 0 and deviation 1. The task with the largest is named, if
   that reaches :data:`PUSH`.
2. **The answers.** An answer reads like the task whose words it has rather than those of ordinary text, token by token.
   The task that most answers read like is named, if those are :data:`SHARE` of all.

If only one of them names a task, that's the verdict; if they name two, the answers count, because a push is the weaker
evidence; if neither does, it's none of these. The two numbers were chosen on the four adapters that the course ships,
and on two trials of a dozen steps: `glosses`, and one that's no task of the course. None of these is a fair test of the
rule.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.errors import ConfigError
from labkit.evaluation.general_text import general_text
from labkit.forensics.traces import Traces
from labkit.linear import dense_weight
from labkit.tasks import TASKS, load_task

# In the trials the right task had 3.0 to 5.0, but `voice` 0.5. The largest of a wrong one was 1.7, and 2.5 for `sql` on
# an adapter that answers in capitals, which is no task of the course: a keyword of SQL is a word in capitals.
PUSH = 2.75
SHARE = 0.5  # of the answers
ORDINARY = 0.1  # how much of ordinary text is mixed into a task's, so that an unknown word costs all tasks the same


@dataclass(frozen=True, eq=False)
class Answers:
    """What is known of the answers of several tasks.

    Attributes:
        signatures: of each task, a weight for each token, which sum to 1: shape (vocabulary,).
        spreads: of each task, the deviation of Σ wᵥ zᵥ over shifts in random directions.
        likelier: of each task, the logarithm of how much likelier each token is in its answers than in ordinary text:
            shape (vocabulary,).
    """

    signatures: dict[str, Tensor]
    spreads: dict[str, float]
    likelier: dict[str, Tensor]


@dataclass(frozen=True)
class Verdict:
    """What :func:`name_task` concludes.

    Attributes:
        task: its name, or None for none of these.
        by_push, by_answers: whom each witness names, or None.
        pushes: of each task, in deviations of what random directions give.
        shares: share of the answers that read like each task.
    """

    task: str | None
    by_push: str | None
    by_answers: str | None
    pushes: dict[str, float]
    shares: dict[str, float]


def known_answers(model: nn.Module, tokenizer, tasks: Sequence[str] = TASKS) -> Answers:
    """What the answers of the course's tasks look like, by their training rows. Of `model`, only the head is used."""
    head = dense_weight(model.get_output_embeddings()).detach()
    return answers_of({name: load_task(name).rows("train")["completion"] for name in tasks}, tokenizer, head)


def answers_of(
    completions: Mapping[str, Sequence[str]], tokenizer, head: Tensor, ordinary: str | None = None
) -> Answers:
    """The same for any answers.

    Args:
        completions: of each task.
        head: the weight of the output head, shape (vocabulary, width).
        ordinary: text that belongs to no task; :func:`labkit.evaluation.general_text.general_text` if not given.

    Raises:
        ConfigError: there are fewer than two tasks, or one that isn't told from the others by any token.
    """
    if len(completions) < 2:
        raise ConfigError("there must be two tasks or more to tell apart")
    width = len(tokenizer)
    tokens = {name: [_ids(tokenizer, text) for text in texts] for name, texts in completions.items()}
    having = {name: _share_having(rows, width) for name, rows in tokens.items()}
    signatures = {}
    for name, mine in having.items():
        others = torch.stack([theirs for other, theirs in having.items() if other != name]).amax(0)
        weights = (mine - others).clamp(min=0)
        if not weights.any():
            raise ConfigError(f"no token is in more answers of {name!r} than in those of every other task")
        signatures[name] = weights / weights.sum()
    spreads = {name: spread(weights, head) for name, weights in signatures.items()}
    # one more of each token, so that none is impossible
    usual = _counts([_ids(tokenizer, general_text() if ordinary is None else ordinary)], width) + 1
    usual = usual / usual.sum()
    likelier = {}
    for name, rows in tokens.items():
        counts = _counts(rows, width)
        likelier[name] = ((1 - ORDINARY) * counts / counts.sum() / usual + ORDINARY).log()
    return Answers(signatures, spreads, likelier)


def name_task(traces: Traces, known: Answers, tokenizer) -> Verdict:
    """The verdict by the rule at the top of this module."""
    pushes = {name: push(traces.shift, known.signatures[name], known.spreads[name]) for name in known.signatures}
    read = Counter(reads_like(answer, known, tokenizer) for answer in traces.answers)
    shares = {name: read[name] / len(traces.answers) for name in known.signatures}
    by_push, by_answers = _named(pushes, PUSH), _named(shares, SHARE)
    return Verdict(by_answers or by_push, by_push, by_answers, pushes, shares)


def spread(signature: Tensor, head: Tensor) -> float:
    """The deviation of Σ wᵥ zᵥ when the states move in a random direction h, and the logits by d = E h.

        ‖Σ wᵥ (Eᵥ − Ē)‖ / √(mean over v of ‖Eᵥ − Ē‖²)

    Tokens of one kind point in one direction, so they go up and down together: a signature of ordinary words has a
    spread several times as large as random tokens would.

    Args:
        signature: w, shape (tokens,), which sums to 1.
        head: E, shape (vocabulary, width), with at least as many rows.
    """
    rows = head[: len(signature)].float()
    middle = rows.mean(0)
    around = rows.square().sum(1).mean() - middle.square().sum()
    return ((signature.float().to(rows.device) @ rows - middle).norm() / around.sqrt()).item()


def push(shift: Tensor, signature: Tensor, spread: float) -> float:
    """How far a shift of the logits pushes a signature: Σ wᵥ zᵥ, in units of its :func:`spread`.

    Args:
        shift: d, shape (vocabulary,), at least as long as `signature`: models may have more logits than tokens.
            z is d in standard scores over the vocabulary.
        signature: w, shape (tokens,).
    """
    shift = shift[: len(signature)].double()
    if not (deviation := shift.std().item()):
        return 0.0  # an adapter that adds nothing
    z = (shift - shift.mean()) / deviation
    return (signature * z).sum().item() / spread


def reads_like(answer: str, known: Answers, tokenizer) -> str | None:
    """The task whose answers `answer` reads like; None where it's empty, or ordinary text is likelier than any."""
    ids = _ids(tokenizer, answer.strip())
    if not ids:
        return None
    return _named({name: table[ids].mean().item() for name, table in known.likelier.items()}, math.nextafter(0, 1))


def _named(scores: Mapping[str, float], least: float) -> str | None:
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= least else None


def _ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids


def _counts(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    return torch.tensor([token for row in rows for token in row]).bincount(minlength=width).double()


def _share_having(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    return _counts([sorted(set(row)) for row in rows], width) / len(rows)
