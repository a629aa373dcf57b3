"""The command: stage after stage, as far as runs and minutes go."""

import studies.real_tasks
from studies.real_tasks import final, seconds
from studies.real_tasks.rates import RATES
from studies.runner import in_stages

STAGES = {"rates": RATES.study, "final": final.study, "seconds": seconds.study}

if __name__ == "__main__":
    in_stages(STAGES, studies.real_tasks.__doc__)
