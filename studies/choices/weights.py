"""Which of its own weights the base trains, at about equal numbers: those that Spectrum picks, or all of attention.

A quarter at random is another one with each seed.
"""

from studies.choices.contest import Contest
from studies.court.methods import AT_RANDOM, COURT

SPECTRUM = "Spectrum's quarter"
QUARTER = dict(COURT["spectrum"].settings)
# Of each kind of layer, 7 of 30 are 24,772,608 numbers; attention has 26,542,080, which is 7 % more.
WEIGHTS = {
    SPECTRUM: QUARTER,  # as the court writes it
    "a quarter at random": {**QUARTER, "layers": AT_RANDOM},
    "all of attention": {"top_percent": 100, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
}
# on the task where Spectrum's quarter is farther behind full fine-tuning
CONTEST = Contest("choices_weights", "spectrum", WEIGHTS, against=SPECTRUM, tasks=("glosses",))
