"""The command: the rates, then the curves of each task, as far as runs and minutes go."""

from collections.abc import Callable
from functools import partial

import studies.data_size
from studies.data_size import curves, rates
from studies.runner import Study, in_stages

STAGES: dict[str, Callable[..., Study]] = {"rates": rates.study} | {
    task: partial(curves.study, task) for task in curves.NAMES
}

if __name__ == "__main__":
    in_stages(STAGES, studies.data_size.__doc__)
