"""TensorBoard, Weights & Biases and others are told how a run goes, through Accelerate's own trackers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, filter_trackers, get_available_trackers
from accelerate.utils import LoggerType

from labkit.errors import ConfigError, warn
from labkit.storage.untrusted import plain

Log = str | GeneralTracker | Sequence[str | GeneralTracker] | None  # what `log` in labkit.train may be


def refuse_trackers(log: Log, folder: Path | str | None) -> None:
    """ConfigError where `log` names what Accelerate has no tracker for, or what isn't installed; or needs a folder."""
    known = sorted(map(str, LOGGER_TYPE_TO_CLASS))
    for tracker in _listed(log):
        if isinstance(tracker, GeneralTracker):
            continue
        if not isinstance(tracker, str) or tracker not in known:
            raise ConfigError(f"log must be one of {', '.join(known)}, got {plain(repr(tracker))}")
        if tracker in LoggerType.list() and LoggerType(tracker) not in get_available_trackers():
            raise ConfigError(f'log="{tracker}" needs a package that is not installed here: pip install {tracker}')
        if folder is None and LOGGER_TYPE_TO_CLASS[tracker].requires_logging_directory:
            raise ConfigError(f'log="{tracker}" writes files: pass log_dir, a folder for them')


@contextmanager
def told_to_trackers(
    accelerator: Accelerator, log: Log, folder: Path | str | None, project: str, settings: dict, start: int
) -> Iterator[Callable[[dict], None]]:
    """Inside the ``with`` block, what is called with an entry of the history passes it on.

    A tracker that fails on the way is left out from then on, with a :class:`labkit.LabkitWarning`: the training is
    worth more than its log.

    Args:
        log, folder: which trackers, and where those that write files write them.
        project: how the run is called there.
        settings: of the run; numbers, words, True and False are passed on.
        start: how many steps were done before: what a killed run had logged beyond them is hidden.

    Raises:
        ConfigError: a tracker can't begin.
    """
    if not (names := _listed(log)) or not accelerator.is_main_process:
        yield lambda entry: None
        return
    if folder is not None:
        accelerator.project_configuration.set_directories(str(folder))
    try:
        accelerator.log_with = filter_trackers(names, accelerator.logging_dir)
        simple = {name: value for name, value in settings.items() if isinstance(value, (bool, int, float, str))}
        purge = {"tensorboard": {"purge_step": start + 1}}
        accelerator.init_trackers(project, config=simple, init_kwargs=purge)
    except Exception as error:  # each package has errors of its own: no login, no network, a name it doesn't take
        raise ConfigError(f"the log can't begin ({plain(error)}). Train without log, or set it up first") from None
    left = list(accelerator.trackers)

    def call(tracker: GeneralTracker, what: str, *given, **named) -> None:
        try:
            getattr(tracker, what)(*given, **named)
        except Exception as error:
            left.remove(tracker)
            name = plain(tracker.name)
            warn(f"{name} fails and is told no more: {plain(error)}")

    def tell(entry: dict) -> None:
        for tracker in list(left):
            call(tracker, "log", _flat(entry), step=entry["step"])

    try:
        yield tell
    finally:
        for tracker in list(left):  # Accelerator.end_training would end the process group as well
            call(tracker, "finish")


def _listed(log: Log) -> list[str | GeneralTracker]:
    return [] if log is None else list(log) if isinstance(log, (list, tuple)) else [log]


def _flat(entry: dict) -> dict[str, float]:
    """An entry of the history without its step, and its scores beside its losses: ``validation_exact``."""
    scores = entry.get("validation_scores", {})
    flat = {name: value for name, value in entry.items() if name not in ("step", "validation_scores")}
    return flat | {f"validation_{metric}": mean for metric, mean in scores.items()}
