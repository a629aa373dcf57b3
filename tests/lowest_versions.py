"""The oldest versions that pyproject.toml allows, as constraints for pip (see ``make test-lowest``).

PyTorch stays at the version in constraints.txt: an older one comes with gigabytes of GPU libraries, so its lower
bound isn't tested.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lowest() -> list[str]:
    """``name==version`` for each lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = project["dependencies"] + project["optional-dependencies"]["test"]
    bounds = [re.fullmatch(r"([\w.-]+)>=([\d.]+)", each).groups() for each in ranges]
    tested = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [f"{name}=={bound}" for name, bound in bounds if name != "torch"] + [
        line for line in tested if line.startswith("torch==")
    ]


if __name__ == "__main__":
    print(*lowest(), sep="\n")
