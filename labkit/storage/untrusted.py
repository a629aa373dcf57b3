"""Reading what a stranger wrote: files that may be anything, and regular expressions that may never end.

Whatever is wrong, the answer is one error that names the file and the cause, in one line that a terminal can print: a
:class:`labkit.AdapterError`, or of the kind that the caller asks for.
"""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from labkit.errors import AdapterError, LabkitError, printable

JSON_BYTES = 10_000_000  # an adapter's config with every layer of a large model by name stays far below
BOM = b"\xef\xbb\xbf"  # editors on Windows put it before a text, where it means nothing
PATTERN_SECONDS = 5.0  # an honest pattern takes milliseconds

_TRY_PATTERNS = """\
import json, re, sys
patterns, names = json.load(sys.stdin)
for function, pattern in patterns:
    matches = getattr(re.compile(pattern), function)
    for name in names:
        matches(name)
"""


def read_json(file: Path, kind: type[LabkitError] = AdapterError, longest: int | None = None) -> dict:
    """The JSON object in `file`, of at most `longest` bytes, :data:`JSON_BYTES` if nothing else is said.

    Raises:
        AdapterError: (or `kind`) the file is missing, is none to read, is too large, is no JSON object, or names a
            field twice.
    """
    _refuse_special(file, kind)
    longest = longest or JSON_BYTES
    try:
        with open(file, "rb") as opened:
            content = opened.read(longest + 1)
        if len(content) > longest:
            raise ValueError(f"more than {longest:,} bytes")
        found = json.loads(content.removeprefix(BOM).decode("utf-8"), object_pairs_hook=_without_doubles)
    except (OSError, ValueError, RecursionError) as error:
        raise kind(f"{file}: not readable as JSON ({plain(error)})") from None
    if not isinstance(found, dict):
        raise kind(f"{file}: expected a JSON object, found {type(found).__name__}")
    return found


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        AdapterError: the file is missing, is cut off, or is no safetensors file. Pickled weights
            (``adapter_model.bin``) are never opened, because unpickling runs code.
    """
    if not os.path.lexists(file) and os.path.lexists(file.with_suffix(".bin")):
        raise AdapterError(f"{file}: only pickled weights are here; they are never opened")
    _refuse_special(file)
    try:
        with safe_open(file, framework="pt") as handle:
            return {key: handle.get_tensor(key) for key in handle.keys()}
    # torch's own errors for shapes beyond all bounds are of many kinds
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise AdapterError(f"{file}: not a whole safetensors file ({plain(error)})") from None


def digest_of(file: Path) -> str:
    """The sha256 of a file's content, in hex; of a JSON file as it is with the line ends of Unix, and no BOM."""
    if file.suffix == ".json":  # git, for one, gives text other line ends on Windows
        return hashlib.sha256(file.read_bytes().removeprefix(BOM).replace(b"\r\n", b"\n")).hexdigest()
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def try_patterns(patterns: list[tuple[str, str]], names: list[str], where: Path | str) -> None:
    """Match each regular expression with each name once, in a process of its own that can be stopped.

    ``(.*)*x`` takes centuries on a name of sixty letters, and nothing inside Python interrupts it.
    What ends over there ends here as well, with the same names.

    Args:
        patterns: for each, which function of :mod:`re` is to match it, and the regular expression.
        names: of the layers.
        where: what a message begins with.

    Raises:
        AdapterError: beginning with `where`; they do not come to an end in time, or take all memory.
    """
    if not patterns:
        return
    try:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRY_PATTERNS],
            input=json.dumps([patterns, names]),
            text=True,
            capture_output=True,
            timeout=PATTERN_SECONDS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        raise AdapterError(
            f"{where}: a regular expression in it finds no end here: {plain(' or '.join(p for _, p in patterns))}. "
            "Name the layers in a list instead"
        ) from None


def plain(text: object, longest: int = 200) -> str:
    """`text` in one printable line: a stranger's names can be long, and can hold what moves a terminal's cursor."""
    line = printable(str(text)[: longest + 1], keep="")
    return line if len(line) <= longest else f"{line[:longest]} …"


def markdown(text: object) -> str:
    """`text` in one line of Markdown that shows it as it is: a stranger's is no markup."""
    return re.sub(r"([\\`*_~<>&|!#()\[\]])", r"\\\1", plain(text))


def _refuse_special(file: Path, kind: type[LabkitError] = AdapterError) -> None:
    """An error unless `file` is an ordinary file, or a link to one: reading a pipe waits, a device never ends."""
    try:
        mode = os.stat(file).st_mode
    except FileNotFoundError:
        why = "it is a link to nowhere" if os.path.lexists(file) else "the file is missing"
        raise kind(f"{file}: {why}") from None
    except (OSError, ValueError) as error:
        raise kind(f"{file}: not readable ({plain(error)})") from None
    if not stat.S_ISREG(mode):
        raise kind(f"{file}: not readable, it is not an ordinary file")


def _without_doubles(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        double, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{double!r} is given twice")
    return found
