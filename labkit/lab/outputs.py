"""The outputs stored in a notebook: their one form in the repository, and what a new run changed.

A cell keeps the outputs it has unless something a reader could notice changed: an exact line, or a pixel of a
picture. Values marked ≈ differ from run to run and are bounded by claims, so a new ≈ value alone changes nothing. A
picture is never kept against the evidence: when its pixels differ, all of the cell's new outputs go in, so that text
and picture are of one run.
"""

import base64
import difflib
import io
import re
from dataclasses import dataclass

import nbformat
import numpy as np
from matplotlib.image import imread
from nbformat import NotebookNode

from labkit.lab.claims import APPROX_PATTERN, MARKS

_PICTURES = ("image/png", "image/jpeg")
_WIDGET = "application/vnd.jupyter.widget-view+json"  # an id that only the kernel of that run could resolve


@dataclass(frozen=True)
class Change:
    """One line of output, or one picture, that differs from what was stored.

    Args:
        cell: the cell's id.
        old: the stored line; empty when it is new.
        new: the line now; empty when it vanished.
        exact: False for a picture, which nbval does not compare.
    """

    cell: str
    old: str
    new: str
    exact: bool = True

    def __str__(self) -> str:
        claimed = (self.new or self.old).lstrip().startswith(tuple(MARKS))
        kind = "claim" if claimed else "output" if self.exact else "picture"
        what = "changed" if self.old and self.new else "appeared" if self.new else "vanished"
        lines = [f"{sign} {text}" for sign, text in (("-", self.old), ("+", self.new)) if text and self.exact]
        return "\n      ".join([f"  {self.cell}: {kind} {what}", *lines])


def normalise(notebook: NotebookNode) -> None:
    """Give `notebook`, in place, the one form it has in the repository: nothing in it of one run or one machine."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    kept = {"labkit": notebook.metadata["labkit"]} if "labkit" in notebook.metadata else {}
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **kept,
        }
    )
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02}"
        folded = {"jupyter": {"source_hidden": True}} if is_folded(cell) else {}
        tags = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        cell.metadata = nbformat.from_dict(tags | folded)
        if cell.cell_type == "code":
            cell.outputs = _merged_streams(cell.outputs)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_WIDGET, None)
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count


def is_folded(cell: NotebookNode) -> bool:
    """Whether JupyterLab hides the cell's code until the learner opens it, as for a solution below an exercise."""
    return cell.metadata.get("jupyter", {}).get("source_hidden") is True


def keep_what_holds(stored: NotebookNode, fresh: NotebookNode) -> list[Change]:
    """Put into `fresh`, cell by cell, the stored outputs that still hold, and return what did change.

    Both are the same notebook: `stored` with the outputs it had, `fresh` as `run` returned it.
    """
    changes = []
    for old, new in zip(stored.cells, fresh.cells):
        if new.cell_type != "code":
            continue
        found = _line_changes(new.id, _text_lines(old), _text_lines(new)) + _picture_changes(new.id, old, new)
        if not found and _kinds(old) == _kinds(new):
            new.outputs = old.outputs
        changes += found
    normalise(fresh)
    return changes


def _merged_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """One output for each stream: where a stream is cut into chunks is an accident of timing."""
    merged, streams = [], {}
    for output in outputs:
        if output.output_type != "stream":
            merged.append(output)
        elif output.name in streams:
            streams[output.name].text += output.text
        else:
            merged.append(output)
            streams[output.name] = output
    return merged


def _kinds(cell: NotebookNode) -> list[tuple]:
    """What each output is, and the words that stand for its picture."""
    return [(each.output_type, each.get("name"), sorted(each.get("data", {})), _alt(each)) for each in cell.outputs]


def _alt(output: NotebookNode) -> str:
    return _sanitized(output.get("metadata", {}).get("image/png", {}).get("alt", ""))


def _sanitized(text: str) -> str:
    return re.sub(APPROX_PATTERN, "≈", text)


def _text_lines(cell: NotebookNode) -> list[str]:
    """Everything nbval compares, in order, as lines."""
    lines = []
    for output in cell.outputs:
        if text := output.get("text", ""):
            lines += (text[:-1] if text.endswith("\n") else f"{text} (no line end)").split("\n")
        for kind, value in sorted(output.get("data", {}).items()):  # a file keeps them sorted
            if kind not in _PICTURES:
                lines += str(value).split("\n")
    return lines


def _line_changes(cell: str, old: list[str], new: list[str]) -> list[Change]:
    matcher = difflib.SequenceMatcher(a=list(map(_sanitized, old)), b=list(map(_sanitized, new)), autojunk=False)
    changes = []
    for operation, i, i_end, j, j_end in matcher.get_opcodes():
        if operation == "equal":
            continue
        gone, come = ([line or "(empty line)" for line in lines] for lines in (old[i:i_end], new[j:j_end]))
        height = max(len(gone), len(come))
        padded = zip(gone + [""] * (height - len(gone)), come + [""] * (height - len(come)))
        changes += [Change(cell, before, after) for before, after in padded]
    return changes


def _picture_changes(cell: str, old: NotebookNode, new: NotebookNode) -> list[Change]:
    before, after = _pictures(old), _pictures(new)
    if len(before) == len(after) and all(map(np.array_equal, before, after)):
        return []
    return [Change(cell, "picture" if before else "", "picture" if after else "", exact=False)]


def _pictures(cell: NotebookNode) -> list[np.ndarray]:
    """The pixels: the same picture has other bytes when another version of the plotting library wrote it."""
    encoded = [output.data[kind] for output in cell.outputs for kind in _PICTURES if kind in output.get("data", {})]
    return [imread(io.BytesIO(base64.b64decode(picture))) for picture in encoded]
