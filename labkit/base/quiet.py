"""Keeping transformers from talking, and from remembering where on a machine a file lay."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedTokenizerBase, modeling_gguf_pytorch_utils
from transformers.utils import logging


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Inside the ``with`` block transformers shows no bars and no warnings.

    What reaches stderr in a notebook becomes part of its output, and would differ from run to run.
    """
    # the GGUF reader takes tqdm itself; this is transformers' own, which can be switched off
    modeling_gguf_pytorch_utils.tqdm = logging.tqdm
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def forget_origin(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Make `tokenizer` go by `name`. What it saves then holds no path and no "local files only"."""
    for key in ("is_local", "local_files_only", "vocab_file"):
        tokenizer.init_kwargs.pop(key, None)
    tokenizer.init_kwargs["name_or_path"] = tokenizer.name_or_path = name
