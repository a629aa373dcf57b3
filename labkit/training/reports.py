"""What a training run tells: after each step, and at its end."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepReport:
    """What is known after a step.

    Attributes:
        step, steps: steps done, and steps in all.
        loss: of this step, in nats per token.
        learning_rate: of this step.
        tokens: that went through the model so far, prompts included, since the start of this call of train.
        seconds: since then; seconds_left: what is likely still to come.
        tokens_per_second: over that time.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float
    tokens_per_second: float
    seconds_left: float


@dataclass
class TrainResult:
    """A finished run.

    Attributes:
        history: one entry per step: step, loss (nats per token), learning_rate, tokens.
        seconds: wall time of this call.
        tokens_per_second: all tokens that went through the model, over that time.
    """

    history: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    tokens_per_second: float = 0.0

    @property
    def losses(self) -> list[float]:
        return [entry["loss"] for entry in self.history]


def report_on(result: TrainResult, start: int, steps: int) -> StepReport:
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
    )
