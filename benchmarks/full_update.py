"""What full fine-tuning changes: the update of every matrix of the base, looked at by its singular values.

    python benchmarks/full_update.py        # about ten minutes on two cores

Fine-tunes the whole base on `tickets`, then writes, for notebook 01,

- ``data/updates/tickets_full.safetensors``: W_after - W_before of three matrices (SHIPPED, chosen before the run);
- ``data/results/full_update.json``: the spectrum of all 210, so that anybody can see whether those three are
  special; and what is left of the task when every update is cut to its first r directions.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

import torch
from provenance import provenance
from safetensors.torch import save
from torch import Tensor, nn

import labkit
from labkit.step.batch import collate, encode
from labkit.step.loss import CompletionLoss
from labkit.storage.places import course_data_dir
from labkit.storage.writing import write_atomically

SEED = 0
TRAINING = labkit.TrainConfig(steps=40, batch_size=4, learning_rate=5e-5)
SHIPPED = [f"model.layers.14.{name}" for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj")]
SHIPPED_DTYPE = torch.bfloat16
RANKS = (1, 2, 4, 8, 16, 32)
TEST_ROWS = 128


def fine_tune() -> tuple[nn.Module, object, dict[str, Tensor], list[float]]:
    """The fine-tuned model, its tokenizer, all its parameters as they were before, and the loss of each step."""
    model, tokenizer = labkit.load_base(device="cpu")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    torch.manual_seed(SEED)
    model.requires_grad_(True)
    result = labkit.train(model, tokenizer, labkit.load_task("tickets"), TRAINING)
    model.requires_grad_(False)
    return model, tokenizer, before, result.losses


def matrices(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the linear layers, seven in each of the 30 blocks, by the layer's name."""
    found = {name: module.weight for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {name: weight for name, weight in found.items() if name.startswith("model.layers.")}


def about() -> dict:
    """Where and with what this was run."""
    return {
        **provenance("transformers"),
    }


def recipe() -> dict:
    return {"task": "tickets", "method": "full", "seed": SEED, "training": asdict(TRAINING)}


def shipped_file(model: nn.Module, updates: dict[str, Tensor]) -> bytes:
    """The updates of the SHIPPED matrices as a safetensors file that says where they come from."""
    metadata = {"recipe": json.dumps(recipe()), "base_fingerprint": model.labkit.fingerprint}
    metadata |= {"about": json.dumps(about()), "made_by": "python benchmarks/full_update.py"}
    return save({name: updates[name].to(SHIPPED_DTYPE) for name in SHIPPED}, metadata=metadata)


def spectrum(name: str, weight: Tensor, update: Tensor) -> dict:
    """What the singular values of a weight and of its update say; for the shipped ones, also as shipped."""
    row = {"name": name, "shape": list(weight.shape)}
    for kind, matrix in (("weight", weight), ("update", update)):
        row[kind] = {
            "energy_8": labkit.energy(matrix, 8),
            "rank_for_90": labkit.rank_for_energy(matrix, 0.9),
            "effective_rank": labkit.effective_rank(matrix),
            "stable_rank": labkit.stable_rank(matrix),
        }
    row["relative_size"] = (update.norm() / weight.norm()).item()
    if name in SHIPPED:
        shipped = update.to(SHIPPED_DTYPE).float()
        row["rounding"] = ((shipped - update).norm() / update.norm()).item()
        row["update_as_shipped"] = {"energy_8": labkit.energy(shipped, 8)}
    return row


@torch.no_grad()
def what_is_left(model: nn.Module, tokenizer) -> dict:
    """Loss on the validation rows (nats a token) and exact match on the test rows, of the model as it is."""
    task, loss = labkit.load_task("tickets"), CompletionLoss(model)
    examples = [encode(tokenizer, row, task.system) for row in task.rows("validation")]
    parts = [loss(collate(examples[i : i + 16], tokenizer.pad_token_id)) for i in range(0, len(examples), 16)]
    scores = labkit.evaluate(model, tokenizer, task, limit=TEST_ROWS).scores
    return {
        "validation_loss": (sum(part[0] for part in parts) / sum(part[1] for part in parts)).item(),
        "exact": asdict(scores["exact"]),
    }


@torch.no_grad()
def cut_study(model: nn.Module, before: dict[str, Tensor], measure: Callable[[], dict]) -> Iterator[dict]:
    """Measure the model with every update cut to r directions, and with what that is to be compared with.

    Args:
        model: fine-tuned; it ends as the base.
        before: its parameters as they were.
        measure: what is noted of the model as it is at that moment.
    """
    weights = matrices(model)
    yield {"kept": "everything", **measure()}
    svd = {name: torch.linalg.svd(w - before[f"{name}.weight"], full_matrices=False) for name, w in weights.items()}

    def put(update_of: Callable[[str], Tensor]) -> dict:
        """Base plus `update_of` in the 210 matrices; embeddings and norms go back to the base's."""
        for name, parameter in model.named_parameters():
            matrix = name.removesuffix(".weight")
            parameter.copy_(before[name] + update_of(matrix) if matrix in weights else before[name])
        return measure()

    def pieces(name: str, chosen) -> Tensor:
        U, S, Vh = svd[name]
        return U[:, chosen] * S[chosen] @ Vh[chosen]

    yield {"kept": "the update of all matrices", **put(lambda name: pieces(name, slice(None)))}
    for rank in RANKS:
        yield {"kept": f"first {rank}", "rank": rank, **put(lambda name, r=rank: pieces(name, slice(r)))}
    draw = torch.Generator().manual_seed(SEED)
    drawn = {name: torch.randperm(len(S), generator=draw)[:8] for name, (_, S, _) in svd.items()}
    yield {"kept": "8 at random", **put(lambda name: pieces(name, drawn[name]))}
    yield {"kept": "all but the first 8", **put(lambda name: pieces(name, slice(8, None)))}
    yield {"kept": "none: the base", **put(lambda name: torch.zeros(()))}


def main() -> None:
    model, tokenizer, before, losses = fine_tune()
    updates = {name: (weight - before[f"{name}.weight"]).detach() for name, weight in matrices(model).items()}
    write_atomically(course_data_dir() / "updates" / "tickets_full.safetensors", shipped_file(model, updates))
    spectra = [spectrum(name, before[f"{name}.weight"], update) for name, update in updates.items()]
    cuts = []
    for cut in cut_study(model, before, lambda: what_is_left(model, tokenizer)):
        cuts.append(cut)
        print(cut, flush=True)
    content = {"recipe": recipe(), **about(), "base_fingerprint": model.labkit.fingerprint, "test_rows": TEST_ROWS}
    content |= {"losses": losses, "spectra": spectra, "cuts": cuts}
    write_atomically(course_data_dir() / "results" / "full_update.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
