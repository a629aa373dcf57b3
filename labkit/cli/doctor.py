"""Is this machine ready for the course? Each check says what it found and, where needed, what to do."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit.errors import ConfigError
from labkit.storage.paths import cache_dir, user_data_dir
from labkit.storage.untrusted import plain
from labkit.storage.writing import write_atomically

# torch, transformers and jupyter are imported inside the checks: where they are missing, the doctor says so

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_INSTALL_ALL = "install the course's packages again: make lab"
_BROWSERS = ["firefox", "google-chrome", "chromium", "chromium-browser", "microsoft-edge", "brave-browser", "safari"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        name: of the thing checked.
        status: "ok", "warn" (the course works, with limits) or "fail" (it does not).
        detail: what was found.
        remedy: what to do about it; empty when it is ok.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return plain(f"[{self.status}] {self.name}: {self.detail}" + (f" → {self.remedy}" if self.remedy else ""), 2000)


def examine() -> list[Finding]:
    """Run every check. A check that breaks is a finding itself, with status "fail"."""
    return [finding for check in CHECKS for finding in _guarded(check)]


def report(findings: list[Finding], as_json: bool = False) -> str:
    """The findings as lines to read, or as JSON: ``{"findings": [...], "summary": {status: count}}``."""
    summary = {status: sum(f.status == status for f in findings) for status in ("ok", "warn", "fail")}
    if as_json:
        return json.dumps({"findings": [asdict(f) for f in findings], "summary": summary}, indent=2, ensure_ascii=False)
    closing = "This machine is ready." if not summary["fail"] else "Not ready yet: follow the arrows, then try again."
    return "\n".join([*map(str, findings), "", closing])


def exit_status(findings: list[Finding]) -> int:
    """1 if a check failed, else 0: a warning does not stop anybody."""
    return int(any(f.status == "fail" for f in findings))


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    name = check.__name__.removeprefix("check_")
    try:
        return list(check())
    except Exception as error:  # whatever is broken here, the other checks still have something to say
        return [Finding(name, "fail", f"{type(error).__name__}: {error}", _INSTALL_ALL)]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Finding]:
    """Python 3.11 or newer."""
    detail = ".".join(map(str, version))
    if version >= (3, 11):
        yield Finding("python", "ok", detail)
    else:
        yield Finding("python", "fail", detail, "install Python 3.11 or newer, and make the environment again with it")


def check_packages(constraints: Path = CONSTRAINTS) -> Iterator[Finding]:
    """Each package the course was tried with is there, in the same version."""
    if not constraints.exists():
        yield Finding("packages", "ok", "no constraints.txt beside labkit, so versions were not compared")
        return
    from packaging.requirements import Requirement

    lines = (line.split("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
    wanted = [package for package in wanted if package.marker is None or package.marker.evaluate()]
    good, elsewhere = 0, 0
    for package in wanted:
        remedy = f'pip install "{package.name}{package.specifier}"'
        try:
            found = importlib.metadata.version(package.name)
        except importlib.metadata.PackageNotFoundError:
            if _is_for_others(package.name):
                elsewhere += 1
                continue
            yield Finding("packages", "fail", f"{package.name} is missing", remedy)
            continue
        if package.specifier.contains(found, prereleases=True):
            good += 1
        else:
            detail = f"{package.name} is {found}; the course was tried with {package.specifier}"
            yield Finding("packages", "warn", detail, remedy)
    if good or not wanted:
        yield Finding("packages", "ok", f"{good} of {len(wanted) - elsewhere} as in {constraints.name}")


def _is_for_others(name: str) -> bool:
    """Whether those that need the package `name` need it on other Pythons or other systems only."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    asked = (Requirement(each) for found in importlib.metadata.distributions() for each in found.requires or ())
    markers = [each.marker for each in asked if canonicalize_name(each.name) == canonicalize_name(name)]
    return bool(markers) and not any(marker is None or marker.evaluate({"extra": "test"}) for marker in markers)


def check_cores(cores: int | None = None) -> Iterator[Finding]:
    """Two processor cores or more."""
    if cores is None:
        # a container may grant fewer than the machine has
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slow = cores < 2
    remedy = "expect training to take about twice the stated time" if slow else ""
    yield Finding("cores", "warn" if slow else "ok", f"{cores} for this process", remedy)


def check_memory(total: int | None = None) -> Iterator[Finding]:
    """Enough main memory, in bytes: notebooks 02, 08, 09 and 10 take up to 6 GB, the others less."""
    total = _memory_limit() if total is None else total
    detail = f"{total / 1e9:.1f} GB"
    if total < 4e9:
        yield Finding("memory", "fail", detail, "use a machine with 8 GB")
    elif total < 6.5e9:
        yield Finding("memory", "warn", detail, "expect notebooks 02, 08, 09 and 10 to run out of memory; 8 GB will do")
    elif total < 8e9:
        yield Finding("memory", "warn", detail, "close other programs, and run one notebook at a time")
    else:
        yield Finding("memory", "ok", detail)


def _memory_limit() -> int:
    """Bytes of memory this process may use: the machine's, or the container's where that is less."""
    import psutil

    total = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return total if text == "max" else min(total, int(text))


def check_disk(free: int | None = None) -> Iterator[Finding]:
    """Room for the base model, in bytes, where it is kept."""
    if free is None:
        place = cache_dir().absolute()
        there = next((folder for folder in (place, *place.parents) if folder.exists()), None)
        if there is None:  # a drive of Windows that is not plugged in
            yield Finding("disk", "fail", f"{place} is nowhere", "set LABKIT_CACHE to a folder on another disk")
            return
        free = shutil.disk_usage(there).free
    detail = f"{free / 1e9:.1f} GB free for {cache_dir()}"
    if free < 2e9:
        yield Finding("disk", "warn", detail, "make room, or set LABKIT_CACHE to a folder on another disk")
    else:
        yield Finding("disk", "ok", detail)


def check_cpu() -> Iterator[Finding]:
    """The instructions that decide how fast training is."""
    import torch

    used = torch.backends.cpu.get_cpu_capability()
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = {"avx2": "AVX2", "avx512_f": "AVX-512", "avx512_bf16": "AVX-512 bf16", "amx_bf16": "AMX bf16"}
    features = ", ".join(label for key, label in names.items() if has.get(key)) or "none of AVX2, AVX-512, AMX"
    detail = f"{has.get('cpu_name') or platform.machine()}; has {features}; torch uses {used}"
    if used == "DEFAULT" and platform.machine().lower() in ("x86_64", "amd64"):
        yield Finding("cpu", "warn", detail, "expect training to take several times the stated time")
    else:
        yield Finding("cpu", "ok", detail)


def check_gpu() -> Iterator[Finding]:
    """A GPU is welcome and not needed."""
    import torch

    from labkit.base.placing import chosen_device

    if not torch.cuda.is_available():
        yield Finding("gpu", "ok", "none, and none is needed")
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        yield Finding("gpu", "ok", f"{card.name}, {card.total_memory / 1e9:.0f} GB")
    try:
        chosen_device()
    except ConfigError as error:
        detail, _, remedy = str(error).rpartition(". ")
        yield Finding("gpu", "fail", detail, remedy)


def check_bitsandbytes() -> Iterator[Finding]:
    """bitsandbytes, against which NF4 is compared and which has the 8-bit AdamW, can be imported."""
    # in a process of its own: its native code may crash, and it logs about an optional package
    code = "import bitsandbytes; print(bitsandbytes.__version__)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", errors="replace", timeout=120
    )
    if result.returncode == 0:
        yield Finding("bitsandbytes", "ok", result.stdout.strip().splitlines()[-1])
    else:
        reason = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
        remedy = "pip install bitsandbytes; without it, the comparisons with it are left out"
        yield Finding("bitsandbytes", "warn", reason, remedy)


def check_base() -> Iterator[Finding]:
    """The base model is here and whole."""
    from labkit.base import DEFAULT_BASE, find_base
    from labkit.errors import BaseModelError

    name = os.environ.get("LABKIT_BASE") or DEFAULT_BASE
    try:
        yield Finding("base", "ok", f"{name}, in {find_base(name)}")
    except BaseModelError as error:
        detail, _, remedy = str(error).rpartition(". ")
        yield Finding("base", "fail", detail, remedy.removeprefix("Run: "))


def check_kernel() -> Iterator[Finding]:
    """Notebooks run in this very environment."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    remedy = f'"{sys.executable}" -m ipykernel install --sys-prefix --name python3'
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding("kernel", "fail", "Jupyter knows no kernel python3", remedy)
        return
    # Jupyter replaces a bare "python" by the interpreter it runs in; a link must not be followed out of a venv
    bare = Path(program).name == program and program.startswith("python")
    if bare or Path(os.path.abspath(program)).parent == Path(os.path.abspath(sys.executable)).parent:
        yield Finding("kernel", "ok", "python3 runs in this environment")
    else:
        yield Finding("kernel", "fail", f"python3 runs {program}, another environment", remedy)


def check_browser() -> Iterator[Finding]:
    """Something to show JupyterLab in."""
    found = next(filter(shutil.which, _BROWSERS), None)
    try:
        yield Finding("browser", "ok", found or webbrowser.get().name)
    except webbrowser.Error:
        remedy = "install Firefox or Chromium; or run make lab BROWSER=no and open the address it prints"
        yield Finding("browser", "warn", "none found", remedy)


def check_progress() -> Iterator[Finding]:
    """The learner's progress can be kept."""
    probe = user_data_dir() / ".probe"
    try:
        write_atomically(probe, "")
        probe.unlink()
        yield Finding("progress", "ok", str(user_data_dir()))
    except OSError as error:
        remedy = "make that folder writable, or set LABKIT_DATA to one that is"
        yield Finding("progress", "fail", f"cannot write to {user_data_dir()}: {error.strerror}", remedy)


CHECKS = [check_python, check_packages, check_cores, check_memory, check_disk, check_cpu, check_gpu]
CHECKS += [check_bitsandbytes, check_base, check_kernel, check_browser, check_progress]
