"""Run a notebook and store what it shows: ``python -m labkit.lab.refresh 04``, or ``make refresh NB=04``.

A notebook is committed executed, so its outputs are part of every diff. `labkit.lab.outputs` keeps that diff to what a
reader could notice; nothing that belongs to one run or one machine (times, widget state, versions) is stored. A cell
that raises or writes to stderr stops everything, and the file stays as it was.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from labkit.errors import LabkitError
from labkit.lab.outputs import Change, keep_what_holds, normalise
from labkit.storage.writing import write_atomically

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CELL_TIMEOUT = 180  # seconds, the same as nbval's in the Makefile


class RefreshRefused(LabkitError):
    """A notebook that cannot be stored: a cell raised, timed out or wrote to stderr."""


def run(notebook: NotebookNode, folder: Path, timeout: float = CELL_TIMEOUT) -> NotebookNode:
    """Execute a copy of `notebook` in a fresh kernel of this very interpreter, offline, and return it normalised.

    Args:
        notebook: what to run; it is not changed.
        folder: where the kernel starts, as JupyterLab would start it: the notebook's own folder.
        timeout: seconds allowed to a cell.

    Raises:
        RefreshRefused: a cell raised, ran past `timeout`, took the kernel down, or wrote to stderr.
    """
    notebook = copy.deepcopy(notebook)
    normalise(notebook)
    started = []
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=_ThisInterpreter()),
        timeout=timeout,
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],  # or the kernel warns about its transport
        on_cell_start=lambda cell, cell_index: started.append(cell),
        resources={"metadata": {"path": str(folder)}},
    )
    with tempfile.TemporaryDirectory() as progress:
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONUTF8": "1", "LABKIT_DATA": progress}
        try:
            client.execute(env=os.environ | offline, cleanup_kc=True)
        except CellExecutionError as error:
            raise _refused(started[-1], f"raised {error.ename}: {error.evalue}", error.traceback) from error
        except CellTimeoutError as error:
            raise _refused(started[-1], f"ran longer than {timeout:g} seconds") from error
        except DeadKernelError as error:
            raise _refused(started[-1], "took the kernel down") from error
    normalise(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":  # the cell is tagged as raising, so that nbclient went on
                raise _refused(cell, f"raised {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                raise _refused(cell, "wrote to stderr; silence it where it comes from", output.text)
    return notebook


def refresh(path: Path, check: bool = False, timeout: float = CELL_TIMEOUT) -> list[Change]:
    """Run the notebook at `path`, print what changed, and store it unless `check` is set.

    Returns:
        The changes; pictures among them have ``exact=False``.

    Raises:
        RefreshRefused: it did not run cleanly; the file is as it was.
    """
    stored = nbformat.read(path, as_version=4)
    before = time.perf_counter()
    fresh = run(stored, path.parent, timeout)
    seconds = time.perf_counter() - before
    normalise(stored)
    new = not any(cell.get("outputs") for cell in stored.cells)
    changes = keep_what_holds(stored, fresh)

    budget = fresh.metadata.get("labkit", {}).get("budget_seconds")
    print(f"{path.name}: {seconds:.0f} s" + (f" of the {budget:g} s it states" if budget else ", and no budget stated"))
    if budget and seconds > budget:
        print(f"  over its budget: shorten it, or state more in metadata.labkit.budget_seconds (now {budget:g})")
    if new:
        print(f"  new: {sum(bool(cell.get('outputs')) for cell in fresh.cells)} cells have outputs now")
    else:
        print("\n".join(map(str, changes)) or "  every exact line and every picture is as it was")

    content = nbformat.writes(fresh).rstrip("\n") + "\n"
    if not check and content != path.read_text(encoding="utf-8"):
        write_atomically(path, content)
    return changes


class _ThisInterpreter(KernelSpecManager):
    """Whatever name is asked for: a kernel of the interpreter that runs this, not one the user installed elsewhere."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())


def _refused(cell: NotebookNode, problem: str, detail: str = "") -> RefreshRefused:
    source = "\n".join(f"    {line}" for line in cell.source.splitlines())
    return RefreshRefused(f"{cell.id} {problem}\n{source}\n{detail}".rstrip())


def main(arguments: list[str] | None = None) -> int:
    """Refresh the named notebooks. 0: done; 1: refused, or with ``--check`` an exact line differs."""
    parser = argparse.ArgumentParser(prog="python -m labkit.lab.refresh", description="Run notebooks, store outputs.")
    parser.add_argument("numbers", nargs="+", help="notebook numbers such as 04, or 'all'")
    parser.add_argument("--check", action="store_true", help="compare only; write nothing")
    parser.add_argument("--folder", type=Path, default=NOTEBOOKS, help="where the notebooks are")
    options = parser.parse_args(arguments)
    there = sorted(options.folder.glob("*.ipynb"))
    chosen = [path for path in there if "all" in options.numbers or path.name.split("_")[0] in options.numbers]
    if missing := set(options.numbers) - {"all"} - {path.name.split("_")[0] for path in there}:
        names = ", ".join(path.name for path in there) or "none"
        parser.error(f"no notebook {', '.join(sorted(missing))} in {options.folder.name}/; there: {names}")

    status = 0
    for path in chosen:
        try:
            changes = refresh(path.resolve(), check=options.check)
        except RefreshRefused as refusal:
            print(f"{path.name}: {refusal}\nNothing was written.", file=sys.stderr)
            status = 1
        else:
            if options.check and any(change.exact for change in changes):
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
