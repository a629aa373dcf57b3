"""TRL without the bars and lines it writes into a notebook, and its losses: before training, and of each step.

``from labkit.lab.experiments.quiet_trl import SFTConfig, SFTTrainer``
"""

import gc
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import datasets
from transformers import PrinterCallback
from transformers.utils import logging

from labkit.base.chat_format import prompt_text
from labkit.base.fetching import DEFAULT_BASE
from labkit.base.locating import find_base
from labkit.lab.experiments.quiet_peft import peft  # noqa: F401

datasets.disable_progress_bars()
logging.disable_progress_bar()
warnings.filterwarnings("ignore", message=".gradient_checkpointing")  # transformers' new name for it

from trl import SFTConfig, SFTTrainer  # noqa: E402, F401

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


def base_folder() -> Path:
    """Where the course's base lies, for transformers to load it without labkit."""
    return find_base(os.environ.get("LABKIT_BASE") or DEFAULT_BASE)


def first_loss_of(trainer: SFTTrainer) -> float:
    """The loss of the first batch before anything is learned: forward only, a quarter of what a step costs or less.

    Args:
        trainer: which takes the rows in their order.
    """
    trainer.remove_callback(PrinterCallback)
    gc.collect()  # a trainer and its model refer to each other, so the one before may still be there
    first = range(trainer.args.per_device_train_batch_size)
    return trainer.evaluate(trainer.train_dataset.select(first))["eval_loss"]


def losses_of(trainer: SFTTrainer) -> list[float]:
    """Train with an optimizer that remembers nothing, and return the loss of each step.

    Args:
        trainer: whose settings have ``logging_steps=1``, as in :data:`QUIETLY`.
    """
    trainer.remove_callback(PrinterCallback)
    gc.collect()
    trainer.optimizer = None
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
