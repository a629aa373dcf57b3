"""What the commands of ``labkit`` do; training and scoring are in :mod:`labkit.cli.training`, prices in
:mod:`labkit.cli.planning`.

Options come from :mod:`labkit.cli.parser`; errors are LabkitErrors.
torch and transformers take seconds to import, so each command imports what it needs: ``--help`` answers at once.
"""

import argparse
import io
import json
import shlex
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from labkit.cli.base_options import load_base_for, refuse_double_alone
from labkit.errors import ConfigError, showable


def fetch(options: argparse.Namespace) -> None:
    """Fetch the base model, once."""
    from labkit.base import DEFAULT_BASE, fetch_base

    print(f"The base model is in {fetch_base(options.base or DEFAULT_BASE)}")


def doctor(options: argparse.Namespace) -> int:
    """Say whether this machine is ready; status 1 when it is not."""
    from labkit.cli.doctor import examine, exit_status, report

    findings = examine()
    print(report(findings, as_json=options.json))
    return exit_status(findings)


def merge(options: argparse.Namespace) -> None:
    """Merge an adapter into its base, and write an ordinary model that transformers loads without labkit."""
    import torch

    import labkit
    from labkit.lora.files import read_about, read_config
    from labkit.storage.writing import refuse_occupied

    refuse_double_alone(options)
    refuse_occupied(options.out, ConfigError)
    read_config(options.adapter)  # refused before a base is loaded
    about = read_about(options.adapter)
    quantize = None if options.quantize == "none" else options.quantize
    model, tokenizer = labkit.load_base(
        options.base, dtype="float32", device=options.device, quantize=quantize, double=options.double
    )
    labkit.load_adapter(model, options.adapter)
    folder = labkit.save_merged(model, tokenizer, options.out, getattr(torch, options.dtype), about)
    size = sum(file.stat().st_size for file in folder.iterdir())
    base_name = model.labkit.base_name
    into = f"{base_name}, dequantized from NF4," if quantize else base_name
    print(f"{into} and its adapter are one model in {options.dtype} ({size / 1e6:.0f} MB), in {options.out}")
    print("Load it with transformers: AutoModelForCausalLM.from_pretrained. Its README.md shows how.")


def export(options: argparse.Namespace) -> None:
    """Write an adapter for llama.cpp, and a Modelfile for Ollama beside it."""
    import labkit
    from labkit.export.modelfile import MODELFILE
    from labkit.lora.files import read_about
    from labkit.storage.untrusted import plain

    out = labkit.export_gguf(
        options.adapter,
        options.out,
        options.base,
        from_base=options.from_base,
        with_base=options.with_base,
        overwrite=options.overwrite,
    )
    recipe, system = out.with_name(MODELFILE), read_about(options.adapter).get("system") or ""
    print(f"The adapter is in {out} ({out.stat().st_size / 1e6:.1f} MB), with {recipe} beside it.")
    base = recipe.read_text("utf-8").partition("\nFROM ")[2].partition("\n")[0]
    file = options.from_base or out.parent / base
    if options.from_base is None and not file.exists():
        print(f"They need the base as {file}: --with-base fetches the course's own, --from names another.")
    print(f"  Ollama:     ollama create {out.stem} -f {recipe}")
    print(f"  llama.cpp:  llama-cli -m {file} --lora {out} --temp 0 -sys {plain(shlex.quote(system))}")


def push(options: argparse.Namespace) -> None:
    """Put an adapter on the Hugging Face hub, or say what would go there."""
    from labkit.export.hub import CARD_FILE, push_adapter, upload_of

    upload = upload_of(options.adapter, options.repo)
    if not options.dry_run:
        print(f"The adapter is at {push_adapter(options.adapter, options.repo, public=options.public)}")
        return
    print(f"To {options.repo}, {'public' if options.public else 'private'}; nothing is sent now:")
    for name, size in upload.sizes().items():
        print(f"  {name:<28} {size:>12,} bytes")
    print(f"\n{CARD_FILE}:\n\n{showable(upload.files[CARD_FILE].decode())}")


def history(options: argparse.Namespace) -> None:
    """How an adapter's training went, as a curve in the terminal, or as a figure."""
    import labkit
    from labkit.cli.history_text import history_text
    from labkit.storage.writing import write_atomically
    from labkit.training.history_file import as_file

    run = labkit.history(options.adapter)
    print(json.dumps(as_file(run)) if options.json else history_text(run, shutil.get_terminal_size().columns))
    if options.png:
        drawn = io.BytesIO()
        labkit.plot_history(run).figure.savefig(drawn, format="png")
        write_atomically(options.png, drawn.getvalue())


def chat(options: argparse.Namespace) -> None:
    """Talk to the base and to its adapters, chosen and blended on the way."""
    from labkit.cli.chat import SYSTEM, Chat, adapter_folder
    from labkit.lora.base_form import form_of
    from labkit.lora.files import read_about

    about = read_about(adapter_folder(options.adapter)) if options.adapter else {}
    with suppress(ImportError):  # not on Windows
        import readline  # noqa: F401  it gives input() its arrow keys and its memory
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")  # bytes that are no text are a bad line, not the end
    model, tokenizer = load_base_for(options, about)
    partner = Chat(model, tokenizer, options.system or SYSTEM, options.max_new_tokens)
    held = f", held {form_of(model)}," if model.labkit.quantization else ""
    print(f"{model.labkit.base_name}{held} listens. /help lists the commands, /quit leaves.")
    if options.adapter:
        partner.use(options.adapter)
    partner.talk()


def progress(options: argparse.Namespace) -> None:
    """The map of the course, with what this learner has done."""
    from labkit.lab.checking.form import known_ids
    from labkit.lab.learner_record import read_record
    from labkit.lab.progress_map import map_data, map_text

    record, ids = read_record(), known_ids()
    print(json.dumps(map_data(record, ids), indent=2, ensure_ascii=False) if options.json else map_text(record, ids))


def demo(options: argparse.Namespace) -> None:
    """The base's answers, a minute of training, the adapter's answers."""
    import torch

    import labkit
    from labkit.lab.widgets import training_bar

    task = labkit.load_task("tickets")
    model, tokenizer = labkit.load_base(options.base)
    rows = list(task.rows("test"))[:32]
    print(f"The base, {model.labkit.base_name}, is asked to turn messages into tickets:", flush=True)
    before = labkit.evaluate(model, tokenizer, task, rows)
    _show(before)
    torch.manual_seed(0)
    labkit.inject_lora(model, labkit.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    trained, total = labkit.trainable_parameters(model)
    print(f"\nNow LoRA trains {trained:,} of {total:,} parameters ({trained / total:.2%}):", flush=True)
    result = labkit.train(
        model, tokenizer, task, labkit.TrainConfig(steps=40, batch_size=4, learning_rate=2e-3), on_step=training_bar()
    )
    print(f"\nThe base with its adapter, after {result.seconds:.0f} s:", flush=True)
    after = labkit.evaluate(model, tokenizer, task, rows)
    _show(after)
    with tempfile.TemporaryDirectory() as folder:
        path = labkit.save_adapter(model, Path(folder) / "adapter")
        adapter_size = (path / "adapter_model.safetensors").stat().st_size
    base_size = sum(p.numel() * p.element_size() for p in model.parameters()) - adapter_size
    print(f"\nThe adapter is a file of {adapter_size / 1e6:.1f} MB; the base it sits on has {base_size / 1e6:.0f} MB.")
    print("Every line of this is explained, and built by hand, in the notebooks: make lab")


def _show(evaluation, examples: int = 3) -> None:
    for row, answer in list(zip(evaluation.rows, evaluation.predictions))[:examples]:
        mark = "✔" if answer.strip() == row["completion"] else "✗"
        print(f"  {row['prompt']}\n    {mark} {' '.join(answer.split())[:110]}")
    exact = sum(scores["exact"] for scores in evaluation.row_scores)
    print(f"  right to the letter: {exact:.0f} of {len(evaluation.rows)} messages it has never seen")
