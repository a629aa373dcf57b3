import io
from functools import partial

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from labkit import ConfigError, cost_explorer, simulate
from labkit.lab.claims import approx
from labkit.lab.explorers import step_cost
from labkit.lab.explorers.step_cost import Choice, Run, caption, cost_picture, draw_phases
from labkit.simulation.ledger import PHASES
from labkit.simulation.tally import Tally
from tests.pace import quiet_seconds

pytestmark = pytest.mark.slow  # a simulation each

matplotlib.use("agg")

SMALL = Choice("smollm2-135m", r=8, sequence=256, checkpointing=False)


def picture(choice: Choice, **paid) -> np.ndarray:
    return imread(io.BytesIO(cost_picture(choice, Run(**paid))))[..., :3]


def counting(calls: list, method):
    def counted(*args, **kwargs):
        calls.append(1)
        return method(*args, **kwargs)

    return counted


def test_a_choice_is_a_simulated_step():
    cost = Choice("smollm2-135m", "qlora", 32, "MLP", 512, 2, True).cost()
    layers = ["gate_proj", "up_proj", "down_proj"]
    step = {"sequence": 512, "batch_size": 2, "labelled": 0.25, "checkpointing": True}
    assert cost == simulate("smollm2-135m", "qlora", r=32, target_modules=layers, **step)


def test_the_line_by_hand():
    cost, paid = SMALL.cost(), Run(examples=1000, utilization=0.5, price=3.0)
    hours = 1000 * cost.total_flops / (312e12 * 0.5) / 3600
    assert caption(SMALL, paid) == (
        f"{approx(cost.peak, 'GB')}; trains ≈1.8 %; file ≈9.8 MB; {approx(cost.total_flops / 1e12)} TFLOP per step; "
        f"{approx(hours)} hours of A100, {approx(3 * hours)} dollars"
    )


def test_the_bars_are_the_ledger():
    cost = SMALL.cost()
    ax = Figure().subplots()
    draw_phases(ax, cost)
    bars = ax.patches
    for place, phase in enumerate(PHASES):
        stack = [bar for bar in bars if round(bar.get_x() + bar.get_width() / 2) == place]
        assert sum(bar.get_height() for bar in stack) == pytest.approx(cost.total(phase) / 1e9)
        assert max(bar.get_y() + bar.get_height() for bar in stack) == pytest.approx(cost.total(phase) / 1e9)


def test_the_picture_is_as_wide_as_the_page_small_and_shows_the_choice():
    pictures = [picture(choice) for choice in (SMALL, Choice("smollm2-135m", "full", sequence=256))]
    assert len(cost_picture(SMALL, Run())) < 80_000
    assert all(each.shape == (360, 700, 3) for each in pictures)
    changed = (pictures[0] != pictures[1]).any(axis=2)
    assert changed[100:280, :160].mean() > 0.5, "all squares are coloured when everything is trained"
    assert changed[60:300, 230:500].any(), "the stack follows"


def test_a_price_changes_the_money_only():
    dear, cheap = picture(SMALL, price=40.0), picture(SMALL, price=4.0)
    rows = np.flatnonzero((dear != cheap).any(axis=(1, 2)))
    assert rows.size and rows.min() > 330


@pytest.mark.parametrize("checkpointing, seconds", [(False, 2), (True, 2.8)])
def test_a_move_is_answered_before_the_learner_loses_patience(checkpointing, seconds):
    """QLoRA of 70B takes longest: 1.25 to 1.4 seconds on a quiet machine, most of it torch's own bookkeeping.

    Checkpointing traces each layer's forward pass twice: 38 % more operations.
    """

    def move(sequence: int) -> None:  # a new length each, so that nothing of it is remembered
        choice = Choice("llama-3-70b", "qlora", sequence=sequence, batch_size=2, checkpointing=checkpointing)
        caption(choice, Run())
        cost_picture(choice, Run())

    assert quiet_seconds(partial(move, sequence) for sequence in (128, 512, 4096)) < seconds


@pytest.mark.parametrize("checkpointing, most", [(False, 15_000), (True, 20_000)])
def test_a_move_traces_seven_layers_however_many_the_model_has(monkeypatch, checkpointing, most):
    traced = []
    monkeypatch.setattr(Tally, "__torch_dispatch__", counting(traced, Tally.__torch_dispatch__))
    Choice("llama-3-70b", "qlora", sequence=384, checkpointing=checkpointing).cost()
    assert 5_000 < len(traced) < most, "operations; all 80 layers would be some 140,000 or more"


def test_moving_the_controls_changes_line_and_picture():
    box = step_cost._explorer_box(SMALL, Run())
    model, method, rank, targets, sequence, batch, checkpointing, price, line, image = box.children
    assert line.value == caption(SMALL, Run()) and image.value == cost_picture(SMALL, Run())
    seen = {image.value}
    for control, value in ((rank, 64), (targets, "q, v"), (batch, 2), (checkpointing, "on"), (price, 7.0)):
        control.value = value
        assert image.value not in seen
        seen.add(image.value)
    chosen = Choice("smollm2-135m", "lora", 64, "q, v", 256, 2, True)
    assert line.value == caption(chosen, Run(price=7.0))
    method.value = "full"
    assert rank.disabled and targets.disabled and "trains ≈100 %" in line.value


def test_a_row_longer_than_the_context_is_cut_and_drawn_once(monkeypatch):
    drawn = []
    box = step_cost._explorer_box(Choice("smollm2-135m", r=8, sequence=8192), Run())
    monkeypatch.setattr(step_cost, "cost_picture", lambda choice, paid: drawn.append(choice.sequence) or b"")
    box.children[0].value = "llama-2-7b"
    assert drawn == [4096] and box.children[4].value == 4096


def test_a_plain_run_prints_the_line(capsys):
    cost_explorer("smollm2-135m", "lora", price=3)
    said = capsys.readouterr().out
    assert said.startswith("smollm2-135m, lora with r = 16 on all linear, 1 × 1,024 tokens, with checkpointing: ≈")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "llama-9"}, "model is one of smollm2-135m.* not 'llama-9'"),
        ({"model": "smollm2-135m", "method": "dora"}, "method is one of full, lora, qlora, not 'dora'"),
        ({"model": "smollm2-135m", "utilization": 0.0}, "utilization must be above 0"),
        ({"model": "smollm2-135m", "examples": 0}, "examples must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        cost_explorer(**arguments)
