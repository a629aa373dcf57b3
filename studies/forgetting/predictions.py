"""What was expected to come out, written down before the first run and before the base was asked any of the questions.

The stored runs of `full_vs_lora` were known: after 50 steps on `tickets`, LoRA had raised the loss on other text by
0.39 nats per token at a rate of 1e-3, and by 0.94 at 2e-3.
"""

from dataclasses import dataclass

DATE = "2026-11-29"


@dataclass(frozen=True)
class Prediction:
    """One question, the answer expected, and why."""

    question: str
    expected: str
    why: str


PREDICTIONS = {
    "remedies": (
        Prediction(
            "with nothing done about it, is a question that has nothing to do with the task answered in its form?",
            "asked with the task's own system prompt, more than half, on both tasks; with a neutral one, more than half"
            " after glosses and less than a quarter after sql. Perplexity on other text at least doubles on both",
            "60 steps at 3e-3 is a strong push. Every prompt of sql begins with a schema, which a question lacks; one "
            "of glosses is any phrase, which a question nearly is",
        ),
        Prediction(
            "does 5 % of other rows help?",
            "with the neutral system prompt, fewer than one in ten is in the task's form, and the score can't be told "
            "from nothing's. With the task's own system prompt it helps less than half as much: the model learns to "
            "look at the system prompt. Perplexity rises less than half as much, in nats",
            "12 to 24 rows are few, but they're the only ones that say when not to",
        ),
        Prediction(
            "is the KL to the silenced adapter, on the same rows, better than replaying them?",
            "in perplexity yes, with every seed; in form and right answers it can't be told",
            "a row replayed says one next word, the KL how likely each is: more to hold on to, from as many rows",
        ),
        Prediction(
            "does a third of the rate help?",
            "it forgets less than half as much in nats and in form, and scores worse on glosses; on sql it can't be "
            "told",
            "the validation losses of the court are 0.55 against 0.43 on glosses, and 0.09 against 0.04 on sql",
        ),
        Prediction(
            "does half of the adapter help?",
            "less than a third of the nats are left, and the score is worse on both tasks, by ten points or more on "
            "one of them; per point of score lost it's a worse bargain than the lower rate on glosses",
            "what's forgotten grows about as the square of the update at first, what's learned was fitted at full size",
        ),
        Prediction(
            "can a switch that only looks at words silence the adapter where it should?",
            "fewer than 1 in 50 rows of sql and 1 in 10 of glosses are silenced wrongly, fewer than 1 in 10 questions "
            "get through to sql's adapter and fewer than 1 in 5 to glosses'. The score can't be told from nothing's on "
            "sql and is worse on glosses",
            "requests and questions share their question words; a definition has the words of anything",
        ),
    ),
    "sequence": (
        Prediction(
            "after glosses on the same adapter, what's left of sql?",
            "less than half of its score, while glosses learns as well as on an adapter of its own",
            "the second task's system prompt is another one, which protects a little; nothing else does",
        ),
        Prediction(
            "and with 5 % of sql's rows among those of glosses?",
            "within fifteen points of what it was, and glosses can't be told from that without",
            "24 rows that it knows already are enough to keep what they need",
        ),
    ),
    "cost": (
        Prediction(
            "what does a step take with one other row held to the silenced adapter?",
            "20 to 60 % more seconds, and less than 10 % more memory at the peak; a copy of the base would be 538 MB",
            "one row of about 70 tokens goes through twice, once with gradients, beside 300 tokens of the step; what it"
            " holds is gone before the optimizer's part, or is small beside the step's own",
        ),
    ),
}
