"""The choice of layers, at equal numbers of trained parameters: fewer layers get a higher rank."""

from studies.choices.contest import Contest
from studies.court.training import TASKS

ALL = "all-linear"
# The ranks that come nearest to all-linear's 2,442,240 trained numbers: 0.9 % fewer, 0.9 % fewer, 1.2 % more.
LAYERS = {
    "q, v": {"r": 42, "lora_alpha": 84, "target_modules": ["q_proj", "v_proj"]},
    "q, k, v, o": {"r": 21, "lora_alpha": 42, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "MLP": {"r": 13, "lora_alpha": 26, "target_modules": ["gate_proj", "up_proj", "down_proj"]},
    ALL: {"r": 8, "lora_alpha": 16},  # as the court writes it
}
CONTEST = Contest("choices_targets", "lora", LAYERS, against=ALL, tasks=TASKS)
