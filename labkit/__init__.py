"""labkit: the companion package of LoRA Lab.

Importing it is cheap: torch and friends are loaded only when a name that needs them is first used.
"""

import importlib
import os

# OpenMP's threads wait for each other by spinning, which takes the core from the thread they wait for. Two programs
# generating at once on two cores were three times slower for it; alone, waiting passively costs a few percent at
# most. It counts only if torch is not loaded yet.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# public name -> the module that defines it; a test checks that each is there and documented
_HOME = {
    "errors": "AdapterError BaseModelError ClaimFailed ConfigError DataError LabkitError LabkitWarning TrainingError",
    "lowrank": "truncated_svd low_rank_approx energy rank_for_energy effective_rank stable_rank subspace_overlap",
    "lora.config": "LoraConfig",
    "lora.layer": "LoraLinear",
    "lora.inject": "inject_lora lora_layers mark_only_lora_as_trainable trainable_parameters disable_adapter",
    "lora.merging": "merge unmerge merge_and_unload merge_into_dense",
    "lora.bank": "AdapterBank",
    "lora.files": "save_adapter load_adapter",
    "family.registry": "adapt",
    "base": "fetch_base load_base",
    "base.saving": "save_merged",
    "quant.codebooks": "nf4_codebook",
    "quant.nf4": "quantize_nf4 dequantize_nf4",
    "quant.linear4bit": "NF4Linear",
    "quant.convert": "quantize_model",
    "tasks": "load_task Task",
    "tasks.rows": "read_rows",
    "step.batch": "encode render_masked",
    "step.loss": "CompletionLoss",
    "simulation.simulating": "simulate",
    "simulation.measuring": "measure",
    "advice.advising": "advise",
    "evaluation.generation": "generate",
    "evaluation.scoring": "evaluate bootstrap_interval",
    "evaluation.general_text": "perplexity",
    "training.config": "TrainConfig",
    "training.loop": "train",
    "training.straight_through": "merge_aware",
    "training.history_file": "history",
    "export.gguf": "export_gguf",
    "export.hub": "push_adapter",
    "lab.claims": "claim approx",
    "lab.checking": "check hint solution yours",
    "lab.predictions": "predict reveal surprises show_surprises",
    "lab.quizzes": "quiz Question",
    "lab.progress_map": "progress",
    "lab.experiments.stored_update": "load_update",
    "lab.conversation.playground_box": "playground",
    "lab.plots": "use_style axes show",
    "lab.history_plots": "plot_history",
    "lab.explorers.adapter_mix": "adapter_mixer",
    "lab.explorers.advice": "advice_explorer",
    "lab.explorers.rank": "rank_slider",
    "lab.explorers.quantization_error": "error_explorer",
    "lab.explorers.step_cost": "cost_explorer",
    "lab.widgets": "training_bar",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"labkit.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
