"""The house stands: who may import whom, what importing costs, and what may never be used."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From the ground up. A module imports from the floors below, from its own package, and, on its own floor, from
# those named before it. `lora` and `quant` know each other only through `linear`.
FLOORS = [
    "errors storage lowrank linear casting model_facts",
    "lora quant",
    "base family tasks step",
    "simulation advice",
    "evaluation training forensics export",
    "lab",
    "course",
    "cli",
]
PLACE = {part: (floor, place) for floor, names in enumerate(FLOORS) for place, part in enumerate(names.split())}
STRANGERS = {"lora", "quant"}

SHOWING = {"matplotlib", "ipywidgets", "IPython"}
UNPICKLING = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}


def imported(source: str) -> set[str]:
    """Full names of the modules that `source` imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "labkit imports by full names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part_of(module: str) -> str | None:
    """The part of labkit (a word of FLOORS) that `module`, or a public name taken from it, belongs to."""
    if not module.startswith("labkit."):
        return None
    first = module.split(".")[1]
    return labkit._MODULE_OF.get(first, first).split(".")[0]


def wrong_imports(module: str, source: str) -> list[str]:
    part = part_of(module)
    wrong = []
    for target in sorted(imported(source)):
        other = part_of(target)
        if other and other != part and (PLACE[other] > PLACE[part] or {part, other} == STRANGERS):
            wrong.append(target)
        if target.split(".")[0] in SHOWING and PLACE[part] < PLACE["lab"]:
            wrong.append(target)
    return wrong


def dangerous(source: str) -> list[str]:
    """What would run code that came with data: unpickling, or a model's own code."""
    found = [name for name in sorted(imported(source)) if name.split(".")[0] in UNPICKLING or name == "torch.load"]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            found.append("torch.load")
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append(node.arg)
    return found


@pytest.mark.parametrize("module", [name for name in SOURCES if name != "labkit"])
def test_a_module_imports_only_from_below(module):
    assert part_of(module) in PLACE, "every part of labkit has its place in FLOORS"
    assert wrong_imports(module, SOURCES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", SOURCES)
def test_nothing_is_unpickled_and_no_remote_code_trusted(module):
    assert dangerous(SOURCES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "module, source",
    [
        ("labkit.lora.layer", "import labkit.training.loop"),
        ("labkit.lora.layer", "from labkit.quant.nf4 import dequantize_nf4"),
        ("labkit.quant.nf4", "def late():\n    from labkit.lora.layer import LoraLinear"),
        ("labkit.step.loss", "from labkit import train"),
        ("labkit.base.loading", "from labkit.tasks.rows import read_rows"),
        ("labkit.lab.quizzes", "import labkit.course.nb03"),
        ("labkit.training.loop", "import matplotlib.pyplot as plt"),
        ("labkit.lab.claims", "from labkit.cli import main"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(wrong_imports(module, source)) == 1


def imports_by_name(source: str) -> bool:
    """Whether `source` imports what only its run decides; `imported` cannot see that."""
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return any(call.split(".")[-1] in ("import_module", "__import__") for call in calls)


def test_what_is_imported_late_is_known():
    """One import runs up the house: the engine of the notebooks finds the course's content by its number."""
    late = {module for module, path in SOURCES.items() if imports_by_name(path.read_text(encoding="utf-8"))}
    assert late == {"labkit", "labkit.lab.content", "labkit.tasks"}
    assert set(re.findall(r'"(labkit[\w.]*)"', SOURCES["labkit.lab.content"].read_text(encoding="utf-8"))) == {
        "labkit.course"
    }
    assert imports_by_name("import importlib as i\ni.import_module('labkit.cli')")


@pytest.mark.parametrize(
    "module, source",
    [
        ("labkit.lora.layer", "from labkit.lora.config import LoraConfig\nfrom labkit.linear import is_linear"),
        ("labkit.tasks.tickets", "from labkit.tasks.rows import read_rows\nfrom labkit.tasks import Task"),
        ("labkit.lab.plots", "import matplotlib\nfrom labkit import truncated_svd"),
    ],
)
def test_a_right_import_is_left_alone(module, source):
    assert wrong_imports(module, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from torch import load",
        "def f(path):\n    return torch.load(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "numpy.load(path, allow_pickle=flag)",
    ],
)
def test_a_danger_is_found(source):
    assert len(dangerous(source)) == 1


def test_no_module_has_the_name_of_a_public_name():
    modules = {name.split(".")[-1] for name in SOURCES}
    assert modules & set(labkit.__all__) == set(), "the module would hide the function in `labkit`"


@pytest.mark.parametrize("name", labkit.__all__)
def test_a_public_name_is_there_and_documented(name):
    value = getattr(labkit, name)
    assert value.__doc__ and value.__doc__.strip(), f"labkit.{name} has no docstring"
    assert value.__module__.startswith("labkit."), f"labkit.{name} is somebody else's"


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'lorra'"):
        labkit.lorra  # noqa: B018


def test_importing_labkit_is_quick_and_brings_no_torch():
    program = (
        "import sys, time; before = time.perf_counter(); import labkit; print(time.perf_counter() - before); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True) for _ in range(5)]
    assert [run.returncode for run in runs] == [0] * 5, runs[0].stderr
    assert min(float(run.stdout) for run in runs) < 0.3


def leads_somewhere(reference: str) -> bool:
    """Whether ``labkit.lora.layer.LoraLinear`` and the like can be imported."""
    parts = reference.split(".")
    for known in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:known]))
        except ImportError:
            continue
        for name in parts[known:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("module", SOURCES)
def test_a_cross_reference_leads_somewhere(module):
    references = re.findall(r":(?:func|class|mod|data|meth|attr):`(labkit[\w.]*)`", SOURCES[module].read_text("utf-8"))
    assert [reference for reference in references if not leads_somewhere(reference)] == []


def test_a_reference_to_nowhere_is_found():
    assert leads_somewhere("labkit.train") and leads_somewhere("labkit.lora.layer.LoraLinear.merge")
    assert not leads_somewhere("labkit.optimizers.make_optimizer")


def test_every_home_is_a_module():
    missing = [home for home in labkit._HOME if importlib.util.find_spec(f"labkit.{home}") is None]
    assert missing == []
