import matplotlib.pyplot as plt
import pytest

import labkit
from labkit.training.reports import TrainResult


def run_with(validations: dict[int, float]) -> TrainResult:
    entries = [{"step": i, "loss": 3.0 / i, "learning_rate": 1e-3, "tokens": 9} for i in range(1, 9)]
    for step, loss in validations.items():
        entries[step - 1]["validation_loss"] = loss
    return TrainResult(entries, 8.0, 9.0, [float(i) for i in range(1, 9)])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_figure_has_the_numbers_of_the_run():
    ax = labkit.plot_history(run_with({2: 2.0, 4: 1.5, 8: 1.75}))
    training, validation, lowest = ax.get_lines()
    assert training.get_xydata().tolist() == [[i, 3.0 / i] for i in range(1, 9)]
    assert validation.get_xydata().tolist() == [[2, 2.0], [4, 1.5], [8, 1.75]]
    assert lowest.get_xydata().tolist() == [[4, 1.5]] and "lowest: 1.5 at step 4" in lowest.get_label()
    assert ax.get_xlabel() == "step" and "nats" in ax.get_ylabel()


def test_the_model_as_it_came_is_step_0():
    run = run_with({4: 1.5})
    run.before = {"step": 0, "validation_loss": 1.25}
    _, validation, lowest = labkit.plot_history(run).get_lines()
    assert validation.get_xydata().tolist() == [[0, 1.25], [4, 1.5]] and lowest.get_xydata().tolist() == [[0, 1.25]]


def test_without_validation_there_is_one_line():
    assert len(labkit.plot_history(run_with({})).get_lines()) == 1


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(labkit.ConfigError, match="the run has no step"):
        labkit.plot_history(TrainResult())
    with pytest.raises(labkit.AdapterError, match="history.json: the file is missing"):
        labkit.plot_history(tmp_path / "nowhere")
