"""QLoRA on the shape of an 8B Llama with random weights, on a GPU: memory and speed of a training step.

    python -m studies.qlora_8b            # a few minutes on one GPU with 16 GB or more

Neither depends on what the weights are, so no model is fetched. The blocks are made and quantized one after the other.
Stored for notebook 08; without a GPU the script says so and stores nothing.
"""

import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import labkit
from labkit.step.batch import IGNORED, Batch
from labkit.step.loss import CompletionLoss
from labkit.training.optimizers import make_optimizer
from studies.runner import Study, StudyError, main

SHAPE = {  # of Llama 3.1 8B
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "tie_word_embeddings": False,
}
STEP = {"rows": 4, "tokens": 512, "labelled": 128}  # labelled: of each row, at its end
LORA = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
OPTIMIZER = "paged_adamw8bit"


def quantized_shape(shape: dict, device: torch.device) -> LlamaForCausalLM:
    """A Llama with random weights in bfloat16 and its linear layers in doubled NF4, never dense as a whole."""

    def one_block(**changes):
        with torch.device(device):
            model = LlamaForCausalLM(LlamaConfig(**shape | {"num_hidden_layers": 1} | changes))
        return labkit.quantize_model(model.bfloat16(), double=True)

    model = one_block()
    for index in range(1, shape["num_hidden_layers"]):
        block = one_block(vocab_size=8).model.layers[0]
        block.self_attn.layer_idx = index
        model.model.layers.append(block)
    model.config.num_hidden_layers = shape["num_hidden_layers"]
    return model


def measure(shape: dict, step: dict, device: torch.device, optimizer: str, steps: int = 8) -> dict:
    """Bytes and seconds of a training step with gradient checkpointing."""
    torch.manual_seed(0)
    model = quantized_shape(shape, device)
    labkit.inject_lora(model, labkit.LoraConfig(**LORA))
    model.gradient_checkpointing_enable({"use_reentrant": False})
    trained = [p for p in model.train().parameters() if p.requires_grad]
    adamw = make_optimizer(optimizer, trained, 1e-4, 0.0)
    ids = torch.randint(shape["vocab_size"], (step["rows"], step["tokens"]), device=device)
    labels = ids.clone()
    labels[:, : -step["labelled"]] = IGNORED
    loss, seconds, losses = CompletionLoss(model), [], []
    for _ in range(steps):
        began = time.perf_counter()
        summed, count = loss(Batch(ids, labels))
        (summed / count).backward()
        adamw.step()
        adamw.zero_grad()
        losses.append(summed.item() / count)  # item() waits for the GPU
        seconds.append(time.perf_counter() - began)
    middle = statistics.median(seconds[2:])
    return {
        "linear_bytes": sum(m.quantized.nbytes for m in model.modules() if hasattr(m, "quantized")),
        "trainable": sum(p.numel() for p in trained),
        "seconds_a_step": middle,
        "tokens_per_second": ids.numel() / middle,
        "losses": losses,
    }


def run(setting: dict) -> dict:
    if not torch.cuda.is_available():
        raise StudyError("This needs a CUDA GPU, and this machine has none. Nothing was measured.")
    measured = measure(SHAPE, STEP, torch.device("cuda"), OPTIMIZER)
    return {"card": torch.cuda.get_device_name(), **measured, "peak_bytes": torch.cuda.max_memory_allocated()}


STUDY = Study(
    "qlora_8b",
    {"shape": SHAPE, "step": STEP, "lora": LORA, "optimizer": OPTIMIZER, "checkpointing": True},
    [{}],
    run,
    packages=("transformers", "bitsandbytes"),
    tidy=lambda runs: runs[0],
)

if __name__ == "__main__":
    main(STUDY, __doc__)
