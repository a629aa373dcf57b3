import importlib.metadata
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from labkit.base import DEFAULT_BASE, fetch_base
from labkit.cli import doctor
from labkit.cli.doctor import Finding, examine, exit_status, report


def only(findings):
    (finding,) = findings
    return finding


@pytest.fixture(scope="module")
def examined():
    """A real examination of this machine, base and all."""
    fetch_base()
    return subprocess.run([sys.executable, "-m", "labkit.cli", "doctor", "--json"], capture_output=True, text=True)


@pytest.fixture(scope="module")
def findings(examined):
    return [Finding(**entry) for entry in json.loads(examined.stdout)["findings"]]


def test_a_device_that_is_not_there_is_found(monkeypatch):
    monkeypatch.setenv("LABKIT_DEVICE", "gpu")
    *_, found = doctor.check_gpu()
    assert (found.status, found.detail) == ("fail", "LABKIT_DEVICE=gpu: there's no such device")


@pytest.mark.slow
def test_this_machine_is_ready(findings):
    names = {check.__name__.removeprefix("check_") for check in doctor.CHECKS}
    assert {f.name for f in findings} == names and len(names) == 12
    assert [f for f in findings if f.status == "fail"] == [] and exit_status(findings) == 0
    for finding in findings:
        assert finding.detail and bool(finding.remedy) == (finding.status != "ok")
    assert any(f.name == "base" and DEFAULT_BASE in f.detail for f in findings)


@pytest.mark.slow
def test_examining_says_nothing_else_and_json_goes_round(examined, findings):
    assert (examined.returncode, examined.stdout, examined.stderr) == (0, f"{report(findings, as_json=True)}\n", "")
    summary = json.loads(examined.stdout)["summary"]
    assert sum(summary.values()) == len(findings) and summary["fail"] == 0


def test_lines():
    text = report(
        [Finding("a", "ok", "fine"), Finding("b", "warn", "odd", "look"), Finding("c", "fail", "bad", "mend")]
    )
    assert text.splitlines()[:3] == ["[ok] a: fine", "[warn] b: odd → look", "[fail] c: bad → mend"]
    assert str(Finding("d", "fail", "a\nb\x1b[2J\u202e")) == r"[fail] d: a\nb\x1b[2J\u202e"
    assert "Not ready yet" in text and "is ready" in report([Finding("b", "warn", "odd", "look")])


@pytest.mark.parametrize(("statuses", "expected"), [([], 0), (["ok", "warn"], 0), (["ok", "fail", "warn"], 1)])
def test_exit_status(statuses, expected):
    assert exit_status([Finding("x", status, "") for status in statuses]) == expected


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def check_luck():
        raise ZeroDivisionError("out of luck")

    monkeypatch.setattr(doctor, "CHECKS", [check_luck, doctor.check_python])
    broken, python = examine()
    assert (broken.name, broken.status, broken.detail) == ("luck", "fail", "ZeroDivisionError: out of luck")
    assert python.status == "ok"


def test_old_python():
    assert only(doctor.check_python((3, 10, 14))).status == "fail"
    assert only(doctor.check_python((3, 11, 0))).status == "ok"


@pytest.mark.parametrize(("gigabytes", "status"), [(3.9, "fail"), (5, "warn"), (7, "warn"), (8.2, "ok")])
def test_memory(gigabytes, status):
    assert only(doctor.check_memory(int(gigabytes * 1e9))).status == status


def test_cores_and_disk():
    assert only(doctor.check_cores(1)).status == "warn" and only(doctor.check_cores(2)).status == "ok"
    assert only(doctor.check_disk(10**9)).status == "warn" and only(doctor.check_disk(3 * 10**9)).status == "ok"


def test_packages_against_constraints(tmp_path):
    constraints = tmp_path / "constraints.txt"
    torch_version = importlib.metadata.version("torch").split("+")[0]
    constraints.write_text(
        "# tried together\n"
        f"torch=={torch_version}  # a local label such as +cpu does not matter\n"
        "numpy==0.0.1\n"
        "no-such-package-at-all==1.0\n"
        "not-for-us==1.0 ; python_version < '3'\n"
    )
    differs, missing, good = doctor.check_packages(constraints)
    assert differs.status == "warn" and differs.detail.startswith("numpy is ")
    assert differs.remedy == 'pip install "numpy==0.0.1"'
    assert (missing.status, missing.detail) == ("fail", "no-such-package-at-all is missing")
    assert (good.status, good.detail) == ("ok", "1 of 3 as in constraints.txt")
    assert only(doctor.check_packages(tmp_path / "none.txt")).status == "ok"


def test_a_package_that_only_other_pythons_need_is_not_missed(tmp_path, monkeypatch):
    """overrides is in constraints.txt for Python 3.11; jupyter_server asks for it before 3.12 only."""
    asks = [SimpleNamespace(requires=["for-others>=1; python_version < '3'", "Wanted.Here; extra == 'test'"])]
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda: asks)
    (tmp_path / "constraints.txt").write_text("for_others==1.0\nwanted-here==1.0\n")
    finding = only(doctor.check_packages(tmp_path / "constraints.txt"))
    assert finding.detail == "wanted-here is missing"


def test_base_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    finding = only(doctor.check_base())
    assert (finding.status, finding.remedy) == ("fail", "labkit fetch")
    assert finding.detail == f"{DEFAULT_BASE} has not been fetched yet"


def test_base_cut_short(monkeypatch, tmp_path):
    folder = tmp_path / "bases" / DEFAULT_BASE
    shutil.copytree(fetch_base(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with open(fetch_base() / "model.safetensors", "rb") as whole:
        (folder / "model.safetensors").write_bytes(whole.read(1_000_000))
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    finding = only(doctor.check_base())
    assert (finding.status, finding.remedy) == ("fail", "labkit fetch")
    assert "model.safetensors has 1,000,000 bytes instead of 538," in finding.detail


def test_another_base(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_BASE", str(tmp_path))
    assert only(doctor.check_base()).status == "fail"
    monkeypatch.setenv("LABKIT_BASE", str(fetch_base()))
    assert only(doctor.check_base()).status == "ok"


def test_progress_folder(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "file"))
    assert only(doctor.check_progress()).status == "fail"
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "folder"))
    assert only(doctor.check_progress()).status == "ok"
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("program", "status"), [("python", "ok"), (sys.executable, "ok"), ("/opt/other/python", "fail")]
)
def test_kernel_runs_here(monkeypatch, tmp_path, program, status):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": [program, "-m", "ipykernel_launcher"], "display_name": "Python", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = only(doctor.check_kernel())
    assert finding.status == status
    assert ("ipykernel install" in finding.remedy) == (status == "fail")


def test_browser(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "firefox").write_text("#!/bin/sh\n")
    (tmp_path / "firefox").chmod(0o755)
    finding = only(doctor.check_browser())
    assert (finding.status, finding.detail) == ("ok", "firefox")


def test_bitsandbytes_that_cannot_be_imported(monkeypatch, tmp_path):
    (tmp_path / "bitsandbytes.py").write_text("import os; os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = only(doctor.check_bitsandbytes())
    assert finding.status == "warn" and "pip install bitsandbytes" in finding.remedy
