"""Accelerate's trackers are told of every step, and no tracker can spoil a training."""

import warnings

import pytest
import torch
from accelerate import tracking
from accelerate.tracking import GeneralTracker
from accelerate.utils import LoggerType
from training_run import ROWS, TASK, VALIDATION, make_model, weights_of

from labkit import ConfigError, LabkitWarning, TrainConfig, train

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = TrainConfig(steps=5, batch_size=4, learning_rate=1e-2, validate_every=2, score_rows=1)


class Notebook(GeneralTracker):
    """A tracker of one's own, as Accelerate's documentation has it."""

    name, requires_logging_directory = "notebook", False

    def __init__(self, fails_at: int | None = None):
        super().__init__()
        self.said, self.settings, self.ends, self.fails_at = [], {}, 0, fails_at

    @property
    def tracker(self):
        return self.said

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None, **_):
        if step == self.fails_at:
            raise ConnectionError("the server \x1b[2Jis gone")
        self.said.append((step, values))

    def finish(self):
        self.ends += 1


@pytest.fixture
def run(tiny_tokenizer):
    def run(log=None, config=CONFIG, **options):
        model = make_model()
        given = {"rows": ROWS, "validation": VALIDATION} | options
        return train(model, tiny_tokenizer, TASK, config, log=log, **given), model

    return run


def test_a_tracker_is_told_what_stands_in_the_history(run):
    tracker = Notebook()
    result, model = run(tracker)
    without, other = run()
    assert result.history == without.history
    assert all(weights_of(model)[name].equal(weight) for name, weight in weights_of(other).items())
    assert [step for step, _ in tracker.said] == [0, 1, 2, 3, 4, 5] and tracker.ends == 1
    for entry, (_, values) in zip([result.before, *result.history], tracker.said, strict=True):
        scores = {f"validation_{name}": mean for name, mean in entry.get("validation_scores", {}).items()}
        plain = {name: value for name, value in entry.items() if name not in ("step", "validation_scores")}
        assert values == plain | scores
    assert set(tracker.said[2][1]) > {"loss", "learning_rate", "validation_loss", "validation_exact"}
    assert tracker.settings["learning_rate"] == 1e-2 and tracker.settings["steps"] == 5
    assert {type(value) for value in tracker.settings.values()} <= {bool, int, float, str}


def test_a_tracker_that_fails_is_left_out_and_the_training_goes_on(run):
    failing, other = Notebook(fails_at=3), Notebook()
    with pytest.warns(LabkitWarning, match=r"^notebook fails and is told no more: the server \\x1b\[2Jis gone$"):
        result, _ = run([failing, other])
    assert len(result.history) == 5 and len(failing.said) == 3 and len(other.said) == 6
    assert (failing.ends, other.ends) == (0, 1)


def test_a_tracker_is_ended_also_when_the_training_fails(run):
    tracker = Notebook()

    def stop(report):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tracker, on_step=stop)
    assert tracker.ends == 1


def test_what_cannot_be_logged_is_refused_before_the_training(run, monkeypatch):
    for log in ("tensorbord", 5, ["all"], [None]):
        with pytest.raises(ConfigError, match="^log must be one of aim, .*tensorboard.*, got "):
            run(log)
    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(ConfigError, match='log="wandb" needs a package that is not installed here: pip install wandb'):
        run("wandb")
    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.TENSORBOARD])
    with pytest.raises(ConfigError, match='log="tensorboard" writes files: pass log_dir'):
        run("tensorboard")


def test_a_tracker_that_cannot_begin_is_one_sentence(run):
    class NoLogin(Notebook):
        def start(self):
            raise RuntimeError("no API key\nlog in first")

    with pytest.raises(ConfigError, match=r"the log can't begin \(no API key\\nlog in first\)"):
        run(NoLogin())


def test_tensorboard_gets_every_step_and_a_resumed_run_hides_what_a_killed_one_logged_beyond(run, tmp_path):
    """Accelerate's own tracker and torch's writer; with tensorboard installed, read back by tensorboard itself."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = TrainConfig(steps=6, batch_size=4, checkpoint_every=2, learning_rate=1e-2)
    folders = {"output_dir": tmp_path / "run", "log_dir": tmp_path / "logs", "validation": None}

    def stop(report):
        if report.step == 5:
            raise InterruptedError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(InterruptedError):
            run("tensorboard", config, on_step=stop, **folders)
        result, _ = run("tensorboard", config, resume=True, **folders)
        read = EventAccumulator(str(tmp_path / "logs" / TASK.name))
        read.Reload()
    scalars = {tag: read.Scalars(tag) for tag in ("loss", "learning_rate")}
    assert [scalar.step for scalar in scalars["loss"]] == [1, 2, 3, 4, 5, 6]
    torch.testing.assert_close(
        torch.tensor([scalar.value for scalar in scalars["loss"]]), torch.tensor(result.losses), rtol=1e-6, atol=0
    )
