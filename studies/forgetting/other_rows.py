"""The other rows that remedies against forgetting are given: the base's own answers to 24 everyday requests.

    python -m studies.forgetting.other_rows        # a minute; writes data/everyday/train.jsonl

The requests were written for this course, and none is among the questions that are scored, or like one. Nobody judged
the answers: they're what the base says, right or wrong, because what's to be kept is how it answers. An answer ends
with its last whole sentence within 64 tokens, so that no row teaches the model to stop in the middle of one.
"""

import json
import re

import labkit
from labkit.lab.experiments.everyday import EVERYDAY
from labkit.storage.writing import write_atomically

REQUESTS = (
    "Write a short greeting for a birthday card.",
    "Give me a tip for sleeping better.",
    "Explain what a rainbow is.",
    "Suggest a name for a small bakery.",
    "What can I cook with rice and eggs?",
    "Describe a forest in one sentence.",
    "Why do leaves fall in autumn?",
    "How do I remove a stain from a shirt?",
    "Tell me a fun fact about elephants.",
    "Write one line of a poem about the sea.",
    "How can I stay motivated at work?",
    "What should I pack for a trip to the mountains?",
    "How does a bicycle stay upright?",
    "Give an example of a healthy snack.",
    "What makes a good friend?",
    "Summarize what a library is for.",
    "How do I say no politely?",
    "What is the difference between a lake and a pond?",
    "Recommend a hobby for a rainy afternoon.",
    "Explain why exercise matters.",
    "How do I plant a tomato?",
    "Write a polite request for a day off.",
    'What does "once in a blue moon" mean?',
    "How do airplanes fly?",
)
LONGEST = 64  # tokens of an answer


def whole_sentences(answer: str) -> str:
    """`answer` up to the end of its last whole sentence; all of it, where it has none. A list's "2." ends nothing."""
    ends = [match.end() for match in re.finditer(r"(?<!\d)[.!?][\"”']?(?=\s|$)", answer)]
    return answer[: ends[-1]] if ends else answer.strip()


def rows() -> list[dict]:
    """The requests with the base's answers, each with the system prompt they were asked with."""
    model, tokenizer = labkit.load_base(device="cpu")
    answers = labkit.generate(model, tokenizer, REQUESTS, EVERYDAY.system, max_new_tokens=LONGEST)
    return [
        {"system": EVERYDAY.system, "prompt": request, "completion": whole_sentences(answer)}
        for request, answer in zip(REQUESTS, answers)
    ]


if __name__ == "__main__":
    write_atomically(EVERYDAY.files["train"], "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()))
