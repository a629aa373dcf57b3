"""TRL without the bars and lines it writes into a notebook, and the loss of each step it takes.

``from labkit.lab.experiments.quiet_trl import SFTConfig, SFTTrainer``
"""

import tempfile
from collections.abc import Mapping

import datasets
from transformers import PrinterCallback

from labkit.base.chat_format import prompt_text
from labkit.lab.experiments.quiet_peft import peft  # noqa: F401

datasets.disable_progress_bars()

from trl import SFTConfig, SFTTrainer  # noqa: E402

# Settings of SFTConfig that change nothing but what it shows and stores: the loss of each step, and nothing else
QUIETLY = {
    "output_dir": tempfile.gettempdir(),
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
}


def as_text(tokenizer, row: Mapping[str, str], system: str) -> dict[str, str]:
    """A row for TRL, as ``{"prompt": …, "completion": …}``: the prompt is the text that labkit's loss doesn't count.

    TRL puts the tokenizer's end of text behind the completion, which in most chat models is what ends an answer.

    Args:
        tokenizer: of the base model, with a chat template.
        row: with ``prompt`` and ``completion``.
        system: the system prompt.
    """
    return {"prompt": prompt_text(tokenizer, row["prompt"], system), "completion": row["completion"]}


def losses_of(trainer: SFTTrainer) -> list[float]:
    """Train, and return the loss of each step; ``SFTConfig`` needs ``logging_steps=1``."""
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
