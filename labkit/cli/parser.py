"""The command ``labkit``: what the notebooks do, without a notebook.

Exit status: 0 done, 1 the doctor found a failure, 2 the command or its data were not as they should be: then one line
on stderr says what is wrong, in the words of the command line.
"""

import argparse
import os
import re
import sys
import warnings
from functools import partial

from labkit.cli import commands, planning, training
from labkit.cli.base_options import add_base_options, add_device_option, add_quantize_options
from labkit.cli.messages import in_options, refused, settings_of, show_warning
from labkit.cli.preview import preview
from labkit.cli.values import number, path, share_or_count, text, whole
from labkit.errors import LabkitError, system_error


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✔ shows a ? in its place
    try:
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            raise _WrongUsage(options.prog, f"unrecognized arguments: {' '.join(unknown)}")
    except _WrongUsage as error:
        return refused("", str(error))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(show_warning, options, warnings.showwarning)
            return options.run(options) or 0
    except BrokenPipeError:  # the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except LabkitError as error:
        return refused(options.prog, in_options(str(error), options.settings))
    except OSError as error:
        return refused(options.prog, system_error(error))
    except (MemoryError, RuntimeError) as error:
        # torch has several errors for it
        if isinstance(error, MemoryError) or re.search("allocate|(enough|out of) memory", str(error)):
            what = str(error).strip().split("\n")[0] or "none is left"
            return refused(
                options.prog, f"there isn't enough memory ({what}). Try a smaller batch, fewer rows or a smaller model"
            )
        raise
    except KeyboardInterrupt:
        print(f"\n{options.prog}: stopped", file=sys.stderr)
        return 130


class _WrongUsage(Exception):
    """What argparse has to say of a command line."""

    def __str__(self) -> str:
        prog, message = self.args
        return f"{prog}: {message}. {prog} --help lists what there is"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise _WrongUsage(self.prog, message.removeprefix("argument ").replace(": must", " must"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="labkit", description="LoRA Lab's companion, on the command line.")
    named = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(run, does: str) -> argparse.ArgumentParser:
        sub = named.add_parser(run.__name__, help=does, description=does)
        sub.set_defaults(run=run, prog=sub.prog)
        return sub

    sub = command(commands.doctor, "check whether this machine is ready for the course")
    sub.add_argument("--json", action="store_true", help="the findings as JSON")

    sub = command(commands.fetch, "fetch the base model, once")
    sub.add_argument("base", nargs="?", type=text, help="which base (the course's own when left out)")

    sub = command(training.train, "train an adapter on a task of the course or on your own rows")
    _data_options(sub, "train on this file of rows; - is standard input")
    add_base_options(sub, "none, or as the base of --continue-from was")
    sub.add_argument("--test", type=path, help="test rows, for --evaluate with --data")
    sub.add_argument("--out", type=path, help="folder for the adapter and its checkpoints (runs/<task>)")
    sub.add_argument("--overwrite", action="store_true", help="replace an adapter that is there already")
    sub.add_argument("--continue-from", type=path, help="go on training this adapter, as it is, on other rows")
    sub.add_argument("--rank", type=whole(1, 16_384), help="r, the rank of the update (8)")
    sub.add_argument("--alpha", type=number(0), help="α; the update is scaled by α/r (2r)")
    sub.add_argument("--dropout", type=number(0, 1), help="dropout before A (0)")
    sub.add_argument("--rslora", action="store_true", help="scale by α/√r")
    sub.add_argument("--targets", type=text, help="layers to adapt, q_proj,v_proj say (all-linear)")
    sub.add_argument("--steps", type=whole(1, 1_000_000), help="optimizer steps (50)")
    sub.add_argument("--epochs", type=whole(1, 1_000_000), help="how often each row is seen, in the place of --steps")
    sub.add_argument("--batch-size", type=whole(1, 65_536), default=4, help="rows per step (%(default)s)")
    sub.add_argument("--lr", type=number(0), default=2e-3, help="highest learning rate (%(default)s)")
    sub.add_argument(
        "--optimizer", type=text, default="adamw", help="adamw, adamw8bit or paged_adamw8bit (%(default)s)"
    )
    sub.add_argument("--gradient-accumulation", type=whole(1), default=1, help="parts of a step's rows, to save memory")
    sub.add_argument("--gradient-checkpointing", action="store_true", help="compute the layers again on the way back")
    _turns_option(sub)
    sub.add_argument(
        "--share-prefix",
        action=argparse.BooleanOptionalAction,
        default="auto",
        help="compute what all prompts begin with only once (on wherever that's exact)",
    )
    sub.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, help="of A, of the rows' order, of dropout (%(default)s)"
    )
    sub.add_argument(
        "--checkpoint-every", type=whole(0), default=10, help="steps between checkpoints, 0 for none (%(default)s)"
    )
    sub.add_argument(
        "--validation", type=path, help="measure the loss on this file, or split of --task; the best step is kept"
    )
    sub.add_argument("--validate-every", type=whole(1), help="steps between validations (a tenth of them all)")
    sub.add_argument("--score-rows", type=whole(1), metavar="N", help="also score the first N of its rows each time")
    sub.add_argument("--patience", type=whole(1), metavar="N", help="stop after N validations without a lower loss")
    sub.add_argument(
        "--log", type=text, action="append", help="also tell tensorboard, wandb or another of Accelerate's trackers"
    )
    sub.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    sub.add_argument("--evaluate", type=whole(1), metavar="N", help="score the first N test rows afterwards")
    sub.add_argument("--force", action="store_true", help="begin even where a step does not seem to fit into memory")

    sub = command(training.evaluate, "score a base, or a base with an adapter, on test rows")
    _data_options(sub, "score on this file of rows by exact match; - is standard input")
    add_base_options(sub, "as the adapter's base was")
    sub.add_argument("--adapter", type=path, help="an adapter's folder; its task and system prompt are used")
    sub.add_argument("--limit", type=whole(1), help="only the first so many rows")
    sub.add_argument(
        "--shots", type=whole(1), metavar="N", help="show N answered rows before each question: a few-shot prompt"
    )
    sub.add_argument(
        "--shots-from", type=path, help="take them from the top of this file (the training rows of --task)"
    )
    sub.add_argument("--wrong", type=whole(1), metavar="N", help="show the first N answers that aren't right")
    sub.add_argument(
        "--max-new-tokens", type=whole(1), help="where an answer is cut off (a quarter beyond the longest expected)"
    )
    sub.add_argument("--json", action="store_true", help="the scores and all answers as JSON")

    sub = command(preview, "show rows as the model gets them, what the loss doesn't count in gray")
    _data_options(sub, "this file of rows; - is standard input")
    sub.add_argument("--base", type=text, help="another base: a model's folder or hub id")
    _turns_option(sub)
    sub.add_argument("--rows", type=whole(1), default=1, help="how many, from the top (%(default)s)")

    sub = command(commands.history, "draw how the training of an adapter went")
    sub.add_argument("adapter", type=path, help="the adapter's folder")
    sub.add_argument("--png", type=path, help="also write it as a figure, to this file")
    sub.add_argument("--json", action="store_true", help="step by step as JSON")

    sub = command(commands.chat, "talk to the base and to its adapters, switched and blended on the way")
    add_base_options(sub, "as the base of --adapter was")
    sub.add_argument("--adapter", type=text, help="who answers at first: an adapter's folder, or one of the course's")
    sub.add_argument("--system", type=text, help="the base's system prompt; each adapter brings its own")
    sub.add_argument("--max-new-tokens", type=whole(1), help="where an answer is cut off (256)")

    sub = command(commands.merge, "merge an adapter into its base: one ordinary model, for plain transformers")
    sub.add_argument("adapter", type=path, help="the adapter's folder")
    sub.add_argument("out", type=path, help="a new folder for the model")
    sub.add_argument("--base", type=text, help="another base: a model's folder or hub id")
    sub.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the weights (%(default)s)")
    add_quantize_options(sub, "none; say nf4 where the adapter was trained so")
    add_device_option(sub)

    sub = command(commands.export, "write an adapter for llama.cpp (GGUF), and a Modelfile for Ollama beside it")
    sub.add_argument("adapter", type=path, help="the adapter's folder")
    sub.add_argument("out", type=path, help="a new file, such as out/tickets.gguf; the Modelfile goes beside it")
    sub.add_argument("--base", type=text, help="another base: a model's folder or hub id")
    sub.add_argument("--with-base", action="store_true", help="fetch the course's base as GGUF (98 MB), beside it")
    sub.add_argument(
        "--from", dest="from_base", type=text, help="the base for the Modelfile: a GGUF file, or its name in Ollama"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace a file and a Modelfile that are there already")

    sub = command(commands.push, "put an adapter on the Hugging Face hub, with a card of its recipe and scores")
    sub.add_argument("adapter", type=path, help="the adapter's folder")
    sub.add_argument("repo", type=text, help="where to: user/name; a new one is private")
    sub.add_argument("--public", action="store_true", help="let everybody read it")
    sub.add_argument("--dry-run", action="store_true", help="send nothing; list the files, and show the card")

    sub = command(planning.advise, "which method, rank, rate and so on to begin with, and where each comes from")
    sub.epilog = "example: labkit advise llama-3-8b --card 'RTX 4090' --task chat --rows 5000"
    sub.add_argument(
        "model",
        type=text,
        nargs="?",
        default="smollm2-135m",
        help="a preset (a name that labkit knows, such as llama-3-8b), a config.json, its folder, or a hub id "
        "(%(default)s, the course's base)",
    )
    sub.add_argument(
        "--card", type=text, default="cpu", help="a GPU, such as 'RTX 4090', or this machine's cpu (%(default)s)"
    )
    sub.add_argument(
        "--task",
        type=text,
        default="extract",
        help="classify (a label for each text), extract (text into a fixed format), style (a style or a voice), code "
        "(questions into SQL or other code), chat (conversations) or facts (facts to be known) (%(default)s)",
    )
    sub.add_argument("--rows", type=whole(1), help="training rows; needed, unless there's --data (those of --data)")
    sub.add_argument("--data", type=path, help="your own rows: sets --rows, --seq and --labelled to what they take")
    _row_options(sub)
    _turns_option(sub)
    sub.add_argument("--seq", type=whole(2), help="tokens per row (512, or the longest of --data)")
    sub.add_argument(
        "--labelled", type=share_or_count, help="tokens per row that the loss counts (all, or the most of --data)"
    )
    sub.add_argument(
        "--swappable", action="store_true", help="the adapter stays apart, to be swapped; not with --merged"
    )
    sub.add_argument("--merged", action="store_true", help="the adapter will be merged; not with --swappable")
    sub.add_argument("--json", action="store_true", help="every line with its source as JSON")

    sub = command(planning.plan, "what a fine-tune of any model would cost: memory, cards, time, money")
    sub.add_argument(
        "model",
        help="a preset (llama-3-70b; the course's base is smollm2-135m), a config.json, its folder, or a hub id",
    )
    sub.add_argument("--method", default="lora", help="full, lora or qlora (%(default)s)")
    add_quantize_options(sub, "none; qlora is lora with nf4 and --double")
    sub.add_argument("--rank", type=whole(1, 16_384), default=8, help="r, the rank of the update (%(default)s)")
    sub.add_argument(
        "--targets", type=text, default="all-linear", help="layers to adapt, q_proj,v_proj say (%(default)s)"
    )
    sub.add_argument("--batch-size", type=whole(1, 65_536), default=1, help="rows per step (%(default)s)")
    sub.add_argument("--data", type=path, help="your own rows: sets --examples, --seq and --labelled to what they take")
    _row_options(sub)
    _turns_option(sub)
    sub.add_argument("--seq", type=whole(1), help="tokens per row (512, or the longest of --data)")
    sub.add_argument(
        "--labelled",
        type=share_or_count,
        help="tokens per row that the loss counts: 0.25 is a share, 1 or 256 a number (all, or the most of --data)",
    )
    sub.add_argument("--dtype", help="of the base (bfloat16; float32 on a CPU)")
    sub.add_argument("--adapter-dtype", default="float32", help="of the adapters (%(default)s)")
    sub.add_argument("--optimizer", type=text, default="adamw", help="adamw, adamw8bit or sgd (%(default)s)")
    sub.add_argument("--checkpointing", action="store_true", help="compute the layers again on the way back")
    sub.add_argument(
        "--device",
        choices=["cuda", "cpu"],
        default="cuda",
        help="what a GPU takes, or this machine's CPU (%(default)s)",
    )
    sub.add_argument("--card", help="also estimate the time on this card, such as 'A100, 80' or 'RTX 4090'")
    sub.add_argument("--examples", type=whole(1), help="training rows, for the time (5000, or those of --data)")
    sub.add_argument("--epochs", type=whole(1), default=1, help="passes over the rows, for the time (%(default)s)")
    sub.add_argument("--utilization", type=float, default=0.3, help="share of the card's peak (%(default)s, a guess)")
    sub.add_argument("--price", type=number(0), help="per hour of that card, in your currency")
    sub.add_argument("--json", action="store_true", help="everything as JSON")

    sub = command(commands.progress, "the map of the course, and how far you are")
    sub.add_argument("--json", action="store_true", help="every notebook and exercise as JSON")

    sub = command(commands.demo, "the whole idea in a terminal, in about a minute")
    sub.add_argument("--base", type=text, help="another base: a model's folder or hub id")
    for sub in named.choices.values():
        sub.set_defaults(settings=settings_of(sub))
    return parser


def _data_options(sub: argparse.ArgumentParser, data_help: str) -> None:
    sub.add_argument("--task", type=text, help="a task of the course, such as tickets")
    sub.add_argument("--data", type=path, help=data_help)
    _row_options(sub)


def _row_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--format",
        choices=["auto", "prompt", "messages", "alpaca", "sharegpt"],
        default="auto",
        help="the fields of its rows, in JSON lines, a JSON array or CSV (auto: each row's own)",
    )
    sub.add_argument("--system", type=text, help="system prompt for --data")


def _turns_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--turns", choices=["all", "last"], default="all", help="answers of a conversation that count (%(default)s)"
    )
