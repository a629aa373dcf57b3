"""Take away, one at a time, each thing in labkit that says where a tensor is to be, and see whether a test fails.

``python tests/placement/mutants.py`` finds them all in the source and prints how the tests went without each; with a
word after it, only those in files whose path has that word in it. Each is tried in a process of its own, forked from
one that has imported the libraries, and nothing is written anywhere.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "labkit"
_DTYPE = re.compile(r"dtype|\btorch\.(b?float|u?int|complex|bool)\d*\b", re.IGNORECASE)

Place = tuple[ast.Call, ast.expr | ast.keyword | None]


def places(tree: ast.AST) -> Iterator[Place]:
    """Calls that say where a tensor is to be, each with the argument that says it; None for `.cpu()` and `.cuda()`.

    These are what `.to` is given besides a dtype, any `device=`, and any argument that ends in "device".
    """
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        if method in ("cpu", "cuda") and not call.args:
            yield call, None
        for argument in call.args:
            text = ast.unparse(argument)
            if not _DTYPE.search(text) if method == "to" else re.search(r"device(_of\(.*\))?$", text):
                yield call, argument
        yield from ((call, keyword) for keyword in call.keywords if keyword.arg in ("device", "map_location"))


class _Without(ast.NodeTransformer):
    def __init__(self, place: Place):
        self.call, self.argument = place

    def visit_Call(self, call: ast.Call) -> ast.expr:
        self.generic_visit(call)
        if call is not self.call:
            return call
        call.args = [argument for argument in call.args if argument is not self.argument]
        call.keywords = [keyword for keyword in call.keywords if keyword is not self.argument]
        moves = isinstance(call.func, ast.Attribute) and call.func.attr in ("to", "cpu", "cuda")
        return call.func.value if moves and not call.args and not call.keywords else call


def mutants(path: Path) -> Iterator[tuple[str, ast.Module]]:
    """For each place in the file: what was there, and the file without it."""
    source = path.read_text(encoding="utf-8")
    for number in range(len(list(places(ast.parse(source))))):
        tree = ast.parse(source)
        place = list(places(tree))[number]
        call, argument = place
        without = "" if argument is None else f" without {ast.unparse(argument)}"
        named = f"{path.relative_to(PACKAGE.parent)}:{call.lineno} {ast.unparse(call)}{without}"
        yield named, ast.fix_missing_locations(_Without(place).visit(tree))


def try_in_child(path: Path | None, tree: ast.Module | None) -> int:
    """Fork a process that runs the tests with `tree` in the place of the file, and exits as pytest does; its id."""
    if child := os.fork():
        return child
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    real = SourceFileLoader.get_code
    SourceFileLoader.get_code = lambda self, name: (
        compile(tree, self.path, "exec") if path and Path(self.path) == path else real(self, name)
    )
    import pytest

    os._exit(pytest.main([str(HERE / "on_second_device.py"), "-x", "-p", "no:cacheprovider"]))


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for library in "accelerate datasets hypothesis matplotlib.figure torch._dynamo transformers.generation".split():
        __import__(library)
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if "".join(sys.argv[1:]) in str(path)]
    waiting = [("nothing", None, None)]
    waiting += [(named, path, tree) for path in files for named, tree in mutants(path)]
    found, running, missed, sound = len(waiting) - 1, {}, 0, False
    while waiting or running:
        while waiting and len(running) < os.cpu_count():
            named, path, tree = waiting.pop(0)
            running[try_in_child(path, tree)] = named
        child, status = os.wait()
        named, code = running.pop(child), os.waitstatus_to_exitcode(status)
        print({0: "passed without", 1: "failed without"}.get(code, "broken off without"), named, flush=True)
        missed += named != "nothing" and code == 1
        sound |= named == "nothing" and code == 0
    print(f"{found} places, {missed} of them missed by a test")
    sys.exit(not sound or missed < found)


if __name__ == "__main__":
    main()
