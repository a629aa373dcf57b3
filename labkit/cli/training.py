"""``labkit train`` and ``labkit evaluate``: an adapter on a task of the course, or on rows of your own."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path

from labkit.cli.base_options import load_base_for, refuse_double_alone
from labkit.errors import AdapterError, ConfigError


def train(options: argparse.Namespace) -> None:
    """Train an adapter, score it if asked, and save it; checkpoints go once it is saved."""
    refuse_double_alone(options)
    task = _task(options, train=options.data, test=options.test)
    out = Path(options.out or Path("runs") / task.name)
    main = os.environ.get("RANK", "0") == "0"  # of several processes, started by accelerate launch, all train
    with _alone_in(out) if main else nullcontext():  # ... and one reports and writes
        _train(options, task, out, main)


def _train(options: argparse.Namespace, task, out: Path, main: bool) -> None:
    import torch

    import labkit
    from labkit.lab.widgets import training_bar
    from labkit.lora.files import FILES
    from labkit.storage.writing import refuse_occupied, remove_folder, restored
    from labkit.tasks.rows import STANDARD_INPUT
    from labkit.training.checkpoints import newest

    adapter, checkpoints = out / "adapter", out / "checkpoints"
    if not options.overwrite:
        if restored(adapter).exists():
            raise ConfigError(f"{adapter} holds an adapter already. Choose another --out, or say --overwrite")
        if newest(checkpoints) and not options.resume:
            raise ConfigError(f"{checkpoints} is of an earlier run: go on from it with --resume, or say --overwrite")
    # what would fail at the end is refused at the beginning
    refuse_occupied(adapter, AdapterError, besides=FILES)
    if options.evaluate is not None:
        task.rows("test")
    config = labkit.TrainConfig(
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.lr,
        seed=options.seed,
        checkpoint_every=options.checkpoint_every or None,
        optimizer=options.optimizer,
        gradient_accumulation=options.gradient_accumulation,
        gradient_checkpointing=options.gradient_checkpointing,
        share_prefix=options.share_prefix,
    )
    lora = labkit.LoraConfig(
        r=options.rank,
        lora_alpha=2 * options.rank if options.alpha is None else options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets(options),
        use_rslora=options.rslora,
    )
    model, tokenizer = load_base_for(options)
    _refuse_typos(model, lora.target_modules)
    torch.manual_seed(options.seed)
    try:
        labkit.inject_lora(model, lora)
    except ConfigError as error:
        raise ConfigError(f"--targets {options.targets}: {error}") from None
    trained, total = labkit.trainable_parameters(model)
    if main:
        print(f"Training {trained:,} of {total:,} parameters ({trained / total:.2%}) on {task.name}", flush=True)
    if not options.resume:
        remove_folder(checkpoints)
    result = labkit.train(
        model,
        tokenizer,
        task,
        config,
        output_dir=checkpoints,
        resume=options.resume,
        on_step=training_bar(),
        force=options.force,
    )
    if not main:
        return
    about = {"task": task.name, "system": task.system, "recipe": {"training": asdict(config), "lora": asdict(lora)}}
    if options.data:
        about["data"] = "<stdin>" if str(options.data) in STANDARD_INPUT else options.data.name
    labkit.save_adapter(model, adapter, about)
    with suppress(OSError):  # the adapter is there, and that is what counts
        remove_folder(checkpoints)
    if options.evaluate:
        evaluation = labkit.evaluate(model, tokenizer, task, limit=options.evaluate)
        about["scores"] = {name: asdict(score) for name, score in evaluation.scores.items()}
        _print_scores(evaluation)
        labkit.save_adapter(model, adapter, about)
    size = sum(file.stat().st_size for file in adapter.iterdir())
    print(f"Trained in {result.seconds:.0f} s. The adapter is in {adapter} ({size / 1e6:.1f} MB)")


def evaluate(options: argparse.Namespace) -> None:
    """Score a base, or a base with an adapter, on test rows."""
    import labkit
    from labkit.lora.files import read_about, read_config

    refuse_double_alone(options)
    if options.adapter:
        read_config(options.adapter)  # refused before a base is loaded
    about = read_about(options.adapter) if options.adapter else {}
    if options.data is None and options.task is None:
        if "data" in about:  # its file may have the name of one of the course's tasks
            raise ConfigError(f"this adapter was trained on rows of your own ({about['data']}): say --data and a file")
        options.task = about.get("task")
    options.system = options.system or about.get("system")
    task = _task(options, test=options.data)
    rows = task.rows("test")
    model, tokenizer = load_base_for(options, about)
    if options.adapter:
        labkit.load_adapter(model, options.adapter)
    evaluation = labkit.evaluate(model, tokenizer, task, rows, limit=options.limit)
    if options.json:
        scores = {name: asdict(score) for name, score in evaluation.scores.items()}
        found = {"task": task.name, "rows": len(evaluation.rows), "scores": scores}
        found |= {"cut_off": evaluation.cut_off, "max_new_tokens": evaluation.max_new_tokens}
        print(json.dumps(found, indent=2))
    else:
        _print_scores(evaluation)


def _refuse_typos(model, targets: str | list[str]) -> None:
    """ConfigError where one of several names that were typed is no layer's: what the others match would be trained."""
    from labkit.lora.patterns import endings

    there = {ending for name, _ in model.named_modules() for ending in endings(name)}
    if isinstance(targets, list) and (missed := [name for name in targets if name not in there]):
        raise ConfigError(f"--targets: no layer of this base is called {missed[0]}")


def _print_scores(evaluation) -> None:
    print(f"On {len(evaluation.rows)} rows, with 95 % intervals:")
    for name, score in evaluation.scores.items():
        print(f"  {name:<12} {score}")
    if evaluation.cut_off:
        print(f"{evaluation.about_cuts()}: some may have been right with more room")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """ConfigError where `folder` can't be made or written to, or another run is in it. Empty folders don't stay."""
    from labkit.storage.writing import alone_at

    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    with ExitStack() as held:
        held.callback(_remove_empty, made)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(alone_at(folder / "run", patience=0))
        except TimeoutError:
            raise ConfigError(f"another run trains into {folder}. Wait for its end, or choose another --out") from None
        except OSError as error:
            raise ConfigError(f"can't write to {folder} ({error.strerror}). Choose another --out") from None
        yield


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def targets(options: argparse.Namespace) -> str | list[str]:
    """What ``--targets`` names, as :class:`labkit.LoraConfig` takes it: ``"all-linear"``, or a list of names."""
    if options.targets == "all-linear":
        return options.targets
    names = [name.strip() for name in options.targets.split(",")]
    if not all(names):
        raise ConfigError(f"--targets takes names with a comma between them, got {options.targets!r}")
    return names


def _task(options: argparse.Namespace, **files):
    """The course's task, or one from the learner's own files."""
    from labkit.tasks import load_task, task_from_files

    given = {split: path for split, path in files.items() if path}
    if bool(options.task) == bool(given):
        raise ConfigError("give either --task (one of the course's) or --data (your own JSONL)")
    if options.task:
        task = load_task(options.task)
        return replace(task, system=options.system) if options.system else task
    return task_from_files(given, options.system)
