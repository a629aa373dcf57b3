"""``python -m labkit.cli``: the same as the command ``labkit``."""

import sys

from labkit.cli.parser import main

sys.exit(main())
