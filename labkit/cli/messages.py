"""What goes wrong is said in one line on stderr, in the words of the command line."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from labkit.storage.untrusted import plain

# What Python calls the settings of options that have another name
_SETTINGS = {
    "--rank": "r",
    "--alpha": "lora_alpha",
    "--dropout": "lora_dropout",
    "--rslora": "use_rslora",
    "--targets": "target_modules",
    "--lr": "learning_rate",
    "--seq": "sequence",
    "--price": "price_per_hour",
}


def settings_of(command: argparse.ArgumentParser) -> dict[str, tuple[str, bool]]:
    """For what Python calls a setting, the option of `command`, and whether that stands alone."""
    options = {action.option_strings[0]: action for action in command._actions if action.option_strings}
    return {_SETTINGS.get(name, action.dest): (name, action.nargs == 0) for name, action in options.items()}


def refused(prog: str, message: str) -> int:
    """Say it, and give the exit status that goes with it."""
    _say(prog, message)
    return 2


def _say(prog: str, message: str) -> None:
    line = " ".join(filter(None, map(str.strip, message.splitlines())))
    print(plain(f"{prog}: {line}" if prog else line, 2000), file=sys.stderr)


def show_warning(
    options: argparse.Namespace,
    otherwise: Callable,
    message: Warning,
    category: type[Warning],
    file: str,
    *where,
    **more,
) -> None:
    """A warning of labkit's own in one line, without the place in its source; all others as they were shown before."""
    ours = issubclass(category, UserWarning) and Path(file).is_relative_to(Path(__file__).parents[1])
    if ours or category.__module__.startswith("labkit."):
        _say(options.prog, in_options(str(message), options.settings))
    else:
        otherwise(message, category, file, *where, **more)


def in_options(message: str, settings: dict[str, tuple[str, bool]]) -> str:
    """`message`, which names settings as Python has them, in the options of the command.

    Args:
        settings: for what Python calls a setting, the option, and whether that stands alone.
    """
    for setting, (option, alone) in settings.items():
        if alone:
            message = re.sub(rf"(?<![\w./\\-]){setting}=True\b", option, message)
        # steps, seed and r are words, too
        after = r"(?![\w/\\-]|\.\w)" if "_" in setting else r"(?= must\b|=)"
        message = re.sub(rf"(?<![\w./\\-])(?<!the ){setting}{after}", option, message)
    return re.sub(r'(--[a-z-]+)="(\w+)"', r"\1 \2", message)  # a shell needs no quotes here
