"""``labkit train`` and ``labkit evaluate``: an adapter on a task of the course, or on rows of your own."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path

from labkit.cli.adapter_to_train import origin_of, put_adapter_on, targets
from labkit.cli.base_options import load_base_for, refuse_double_alone
from labkit.cli.messages import in_options
from labkit.errors import AdapterError, ConfigError


def train(options: argparse.Namespace) -> None:
    """Train an adapter, score it if asked, and save it; checkpoints go once it is saved."""
    refuse_double_alone(options)
    origin = origin_of(options)
    # with --task, --validation may be one of the task's splits
    task = task_of(options, train=options.data, test=options.test, validation=options.data and options.validation)
    out = Path(options.out or Path("runs") / task.name)
    main = os.environ.get("RANK", "0") == "0"  # of several processes, started by accelerate launch, all train
    with _alone_in(out) if main else nullcontext():  # ... and one reports and writes
        _train(options, task, origin, out, main)


def _train(options: argparse.Namespace, task, origin: dict, out: Path, main: bool) -> None:
    import labkit
    from labkit.lab.widgets import training_bar
    from labkit.lora.files import FILES, read_about
    from labkit.storage.writing import refuse_occupied, remove_folder, restored
    from labkit.tasks.conversations import has_several_turns
    from labkit.tasks.rows import STANDARD_INPUT
    from labkit.training.checkpoints import newest
    from labkit.training.history_file import as_file

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
        steps=50 if options.steps is None and options.epochs is None else options.steps,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.lr,
        seed=options.seed,
        checkpoint_every=options.checkpoint_every or None,
        optimizer=options.optimizer,
        gradient_accumulation=options.gradient_accumulation,
        gradient_checkpointing=options.gradient_checkpointing,
        share_prefix=options.share_prefix,
        validate_every=options.validate_every,
        score_rows=options.score_rows or 0,
        patience=options.patience,
        turns=options.turns,
    )
    validation = _validation(options, task)
    if options.epochs:
        config = config.for_rows(rows := len(task.rows("train")))
    targets(options)  # refused before a base is loaded
    model, tokenizer = load_base_for(options, read_about(options.continue_from) if origin else {})
    lora = put_adapter_on(model, options, origin)
    if main and options.epochs:
        rounds = f"{options.epochs} epoch{'s' * (options.epochs > 1)}"
        print(f"{rows:,} rows, {rounds}, {config.batch_size} rows per step: {config.steps:,} steps")
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
        validation=validation,
        output_dir=checkpoints,
        resume=options.resume,
        on_step=training_bar(),
        log=options.log,
        log_dir=out / "logs",
        force=options.force,
    )
    if not main:
        return
    about = {"task": task.name, "system": task.system, "recipe": {"training": asdict(config), "lora": asdict(lora)}}
    if options.data:
        if any(has_several_turns(row) for row in task.rows("train")):
            about["conversations"] = True  # so `labkit chat` gives it what was said before
        about["data"] = "<stdin>" if str(options.data) in STANDARD_INPUT else options.data.name
    if result.best:
        about["recipe"]["best"] = result.best
    if origin:
        about["continued_from"] = origin
    history = as_file(result)
    labkit.save_adapter(model, adapter, about, history)
    with suppress(OSError):  # the adapter is there, and that is what counts
        remove_folder(checkpoints)
    if options.evaluate:
        evaluation = labkit.evaluate(model, tokenizer, task, limit=options.evaluate)
        about["scores"] = {name: asdict(score) for name, score in evaluation.scores.items()}
        _print_scores(evaluation)
        labkit.save_adapter(model, adapter, about, history)
    _print_best(result, config.patience)
    if result.about_prefix:
        print(in_options(result.about_prefix, options.settings))
    if (out / "logs").exists():
        print(f"The log is in {out / 'logs'}")
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
    task = task_of(options, test=options.data)
    if options.max_new_tokens:
        task = replace(task, max_new_tokens=options.max_new_tokens)
    rows, examples = task.rows("test"), _examples(options, task)
    model, tokenizer = load_base_for(options, about)
    if options.adapter:
        labkit.load_adapter(model, options.adapter)
    evaluation = labkit.evaluate(model, tokenizer, task, rows, limit=options.limit, examples=examples)
    if options.json:
        scores = {name: asdict(score) for name, score in evaluation.scores.items()}
        found = {"task": task.name, "rows": len(evaluation.rows), "scores": scores}
        found |= {"shots": len(examples), "cut_off": evaluation.cut_off, "max_new_tokens": evaluation.max_new_tokens}
        print(json.dumps(found | {"answers": list(_answers(evaluation))}, indent=2))
    else:
        _print_scores(evaluation)
        _print_wrong(evaluation, options.wrong or 0)


def _validation(options: argparse.Namespace, task):
    """The split or the rows that ``--validation`` names; None without it."""
    from labkit.tasks.rows import read_rows

    if options.validation is None:
        return None
    split = "validation" if options.data else str(options.validation)
    return split if split in task.files else read_rows(options.validation, options.format)


def _examples(options: argparse.Namespace, task) -> list[dict]:
    """The rows that ``--shots`` shows before each question."""
    from labkit.tasks.rows import read_rows

    if options.shots is None:
        if options.shots_from is not None:
            raise ConfigError("--shots-from is where --shots come from: say --shots and how many")
        return []
    if options.shots_from is None and options.data:
        raise ConfigError("--shots needs rows that aren't scored: say --shots-from and a file, train.jsonl say")
    rows = read_rows(options.shots_from, options.format) if options.shots_from else task.rows("train")
    if options.shots > len(rows):
        raise ConfigError(f"--shots {options.shots} is more than the {len(rows)} rows to take them from")
    return rows.select(range(options.shots)).to_list()


def _print_best(result, patience: int | None) -> None:
    from labkit.cli.history_text import which_is_kept

    if result.best is None:
        return
    if result.stopped_early:
        print(f"Stopped after step {len(result.history)}: no lower validation loss in {patience} validations")
    before = f" (before the first step: {result.before['validation_loss']:.4f})" if result.best["step"] else ""
    print(f"{which_is_kept(result)}: {result.best['validation_loss']:.4f}{before}")


def _print_scores(evaluation) -> None:
    print(f"On {len(evaluation.rows)} rows, with 95 % intervals:")
    for name, score in evaluation.scores.items():
        print(f"  {name:<12} {score}")
    if evaluation.cut_off:
        print(f"{evaluation.about_cuts()}: some may have been right with more room")


def _answers(evaluation) -> Iterator[dict]:
    """Each answer, with where its row stands, what was expected, and its scores."""
    for row, answer, scores in zip(evaluation.rows, evaluation.predictions, evaluation.row_scores):
        yield {"source": row.get("source"), "answer": answer, "expected": row.get("completion"), "scores": scores}


def _print_wrong(evaluation, most: int) -> None:
    """The first answers that fall short in the first metric."""
    from labkit.errors import showable

    wrong = [given for given in _answers(evaluation) if next(iter(given["scores"].values())) < 1]
    for given in wrong[:most]:
        print(f"\n{given['source']}\n  expected  {showable(given['expected'] or '')}")
        print(f"  answered  {showable(given['answer'])}")
    if len(wrong) > most > 0:
        print(f"\n... and {len(wrong) - most} more")


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


def task_of(options: argparse.Namespace, **files):
    """The course's task, or one from the learner's own files."""
    from labkit.tasks import load_task, task_from_files

    given = {split: path for split, path in files.items() if path}
    if bool(options.task) == bool(given):
        raise ConfigError("give either --task (one of the course's) or --data (your own rows)")
    if options.task:
        task = load_task(options.task)
        return replace(task, system=options.system) if options.system else task
    return task_from_files(given, options.system, options.format)
