"""The command."""

import studies.row_quality
from studies.row_quality.files import study
from studies.runner import main

if __name__ == "__main__":
    main(study(), studies.row_quality.__doc__)
