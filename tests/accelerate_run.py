"""What each of several processes does in tests/training/test_accelerate.py.

python accelerate_run.py train OUT       train a tiny model on rows of very different lengths, and tell what was seen
python accelerate_run.py command OUT …   run the command labkit with what follows, and tell which files were written
"""

import json
import os
import sys
from pathlib import Path

import torch
from conftest import make_tiny_llama, make_tiny_tokenizer
from safetensors.torch import save_file

from labkit import CompletionLoss, LoraConfig, Task, TrainConfig, cli, inject_lora, quantize_model, train
from labkit.step.batch import collate, encode
from labkit.step.probing import refuse_unless_causal
from labkit.tasks import exact_match

# every other row counts thirty tokens and the others two, so that one of two processes has nearly all of them
ROWS = [{"prompt": f"Row {i}.", "completion": str(i % 10) * (1 + 28 * (i % 2))} for i in range(8)]
TASK = Task("uneven", "Go on.", exact_match, {})
CONFIG = TrainConfig(steps=5, batch_size=8, learning_rate=1e-2)
RANK = int(os.environ.get("RANK", 0))


def make_model(dropout: float = 0.0):
    model = make_tiny_llama(max_position_embeddings=256)
    torch.manual_seed(1)
    return inject_lora(model, LoraConfig(r=4, lora_dropout=dropout, target_modules="all-linear"))


def mean_of_means(parts: int) -> float:
    """The loss that comes of averaging the means of `parts` processes: the classic mistake."""
    tokenizer, loss = make_tiny_tokenizer(), CompletionLoss(make_model())
    examples = [encode(tokenizer, row, TASK.system) for row in ROWS]
    with torch.no_grad():
        sums = [loss(collate(examples[part::parts], tokenizer.pad_token_id)) for part in range(parts)]
    return sum(summed.item() / counted for summed, counted in sums) / parts


def told_by_training(out: Path, rows: list[dict] = ROWS) -> dict:
    model, reports = make_model(), []
    result = train(model, make_tiny_tokenizer(), TASK, CONFIG, rows=rows, on_step=reports.append)
    save_file({n: p.detach() for n, p in model.named_parameters() if p.requires_grad}, out / f"{RANK}.safetensors")

    dropping, masks = make_model(dropout=0.5), []
    for module in dropping.modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(lambda _, inputs, y: masks.append((y == 0).float().mean().item()))
    refuse_unless_causal(dropping)  # as `train` does before its first step
    probed = len(masks)
    config = TrainConfig(steps=1, batch_size=8, share_prefix=False)  # "auto" would look, too, whether it draws
    train(dropping, make_tiny_tokenizer(), TASK, config, rows=rows[:1] * 8, force=True)
    return told_by_qlora(out, rows) | {
        "losses": result.losses,
        "reports": len(reports),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        "dropped": masks[2 * probed :],
    }


def told_by_qlora(out: Path, rows: list[dict]) -> dict:
    """What goes over the wire, of a base in four bits with an expert for one of the processes and one for none."""
    model = quantize_model(make_tiny_llama(max_position_embeddings=256))
    torch.manual_seed(RANK)  # so that the adapters differ until they are handed out
    inject_lora(model, LoraConfig(r=4, target_modules="all-linear"))
    model.idle, model.second = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    forward = model.forward
    model.forward = lambda **given: with_expert(forward(**given), model.second if RANK else None)
    config = TrainConfig(steps=4, batch_size=8, gradient_accumulation=2, gradient_checkpointing=True)
    sent, steps = [], []  # (steps done, bytes)
    real = {name: getattr(torch.distributed, name) for name in ("broadcast", "all_reduce", "_broadcast_coalesced")}

    def watch(name):
        def watched(*given):
            tensors = next(value for value in given if isinstance(value, (list, torch.Tensor)))
            sent.append((len(steps), sum(t.nbytes for t in ([tensors] if torch.is_tensor(tensors) else tensors))))
            return real[name](*given)

        return watched

    try:
        for name in real:
            setattr(torch.distributed, name, watch(name))
        result = train(model, make_tiny_tokenizer(), TASK, config, rows=rows, force=True, on_step=steps.append)
    finally:
        for name, function in real.items():
            setattr(torch.distributed, name, function)
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    save_file(trained, out / f"qlora-{RANK}.safetensors")
    sizes = {"trained": sum(p.nbytes for p in trained.values()), "held": sum(b.nbytes for b in model.buffers())}
    return {"qlora": result.losses, "sent": sent, **sizes}


def with_expert(output, expert: torch.Tensor | None):
    if expert is not None:
        output.logits = output.logits * expert.square().mean()
    return output


def command(out: Path, arguments: list[str]) -> dict:
    written = []

    def watch(event: str, details: tuple) -> None:
        writes = event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+")
        if writes or event in ("os.mkdir", "os.rename", "os.remove"):
            written.append(str(details[0]))

    sys.addaudithook(watch)
    status = cli.main(arguments)
    return {"status": status, "written": [path for path in written if str(out / "run") in path]}


if __name__ == "__main__":
    what, out = sys.argv[1], Path(sys.argv[2])
    told = told_by_training(out) if what == "train" else command(out, sys.argv[3:])
    (out / f"{RANK}.json").write_text(json.dumps(told))
