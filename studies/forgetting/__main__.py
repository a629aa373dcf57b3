"""The command: stage after stage, as far as runs and minutes go."""

import studies.forgetting
from studies.forgetting import cost, remedies, sequence
from studies.runner import in_stages

STAGES = {"remedies": remedies.study, "sequence": sequence.study, "cost": cost.study}

if __name__ == "__main__":
    in_stages(STAGES, studies.forgetting.__doc__)
