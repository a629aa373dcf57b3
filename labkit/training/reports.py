"""What a training run tells: after each step, and at its end."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepReport:
    """What is known after a step.

    Attributes:
        step, steps: steps done, and steps in all. A run that ends early has no more steps than are done.
        loss: of this step, in nats per token.
        learning_rate: of this step.
        tokens: that went through the model so far, prompts included, since the start of this call of train.
        seconds: since then; seconds_left: what is likely still to come.
        tokens_per_second: over that time.
        validation_loss: the newest of this call, in nats per token; None before there is one.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float
    tokens_per_second: float
    seconds_left: float
    validation_loss: float | None = None


@dataclass
class TrainResult:
    """A run: what :func:`labkit.train` returns, and what :func:`labkit.history` finds in an adapter's folder.

    Attributes:
        history: one entry per step: step, loss (nats per token), learning_rate, tokens; after a validation, also
            validation_loss (nats per token) and validation_scores (a mean for each metric); where `train` was given an
            extra loss, and the step had one, extra_loss.
        seconds: wall time of this call.
        tokens_per_second: all tokens that went through the model, over that time.
        clock: for each entry, the seconds since the run began, over all its calls. It is kept apart from the history,
            which is the same for every run with the same settings.
        before: the model as it came, as an entry of step 0: validation_loss and validation_scores; None without
            validation.
        stopped_early: whether patience ended the run before its last step.
        about_prefix: whether `share_prefix` was on, in a sentence, and why not.
    """

    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    clock: list[float] = field(default_factory=list)
    stopped_early: bool = False
    before: dict | None = None
    about_prefix: str = ""

    @property
    def losses(self) -> list[float]:
        return [entry["loss"] for entry in self.history]

    @property
    def validations(self) -> list[dict]:
        """The entries of those steps after which there was a validation, and first what was `before` them all."""
        return [*filter(None, [self.before]), *(entry for entry in self.history if "validation_loss" in entry)]

    @property
    def best(self) -> dict | None:
        """The entry with the lowest validation loss, the first of equals; None without validation. It's step 0 where
        training made it no lower."""
        return min(self.validations, key=lambda entry: entry["validation_loss"], default=None)

    def is_out_of(self, patience: int | None) -> bool:
        """Whether the newest `patience` validations brought no lower loss than there was before."""
        if patience is None or not self.history or "validation_loss" not in self.history[-1]:
            return False
        return len(self.validations) - 1 - self.validations.index(self.best) >= patience


def report_on(result: TrainResult, start: int, steps: int, validation_loss: float | None = None) -> StepReport:
    """What is known after the newest step of a run that began, or was resumed, at step `start`."""
    newest, done = result.history[-1], len(result.history)
    tokens = sum(entry["tokens"] for entry in result.history[start:])
    return StepReport(
        step=done,
        steps=steps,
        loss=newest["loss"],
        learning_rate=newest["learning_rate"],
        tokens=tokens,
        seconds=result.seconds,
        tokens_per_second=tokens / result.seconds,
        seconds_left=result.seconds / (done - start) * (steps - done),
        validation_loss=validation_loss,
    )
