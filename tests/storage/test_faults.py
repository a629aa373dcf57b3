"""Every call of the operating system that a write makes fails once, and is once the last: the old or the new, whole."""

import errno
import itertools
import os

import pytest
from faults import Calls, Killed
from kinds_of_write import KINDS

from labkit.errors import LabkitError

FAULTS = {"full": errno.ENOSPC, "denied": errno.EACCES, "io": errno.EIO, "kill": None}
# a sample for the quick lane; what takes longest has one for the slow one
QUICK = {("file", fault) for fault in FAULTS} | {("learner's record", "full"), ("result", "denied")}
QUICK |= {("a study's line", "kill"), ("a study's line", "io"), ("folder", "kill")}
SLOW = {(kind, fault) for kind in KINDS for fault in FAULTS if kind not in ("merged", "exported", "fetched")}
SLOW |= {("merged", "kill"), ("fetched", "full")}


def _mark(case):
    return () if case in QUICK else pytest.mark.slow if case in SLOW else pytest.mark.long


@pytest.mark.parametrize(
    ("name", "fault"), [pytest.param(*case, marks=_mark(case)) for case in itertools.product(KINDS, FAULTS)]
)
def test_the_old_or_the_new_whole(name, fault, tmp_path, monkeypatch):
    kind, error, seen = KINDS[name](), FAULTS[fault], set()
    for variable in ("LABKIT_DATA", "LABKIT_CACHE"):
        monkeypatch.setenv(variable, "")  # a kind sets it, and this puts it back

    monkeypatch.setattr(os, "fsync", lambda handle: None)  # takes long, and a test needs no disk

    def write(folder, version, nth):
        with monkeypatch.context() as patch, Calls(patch, folder, nth, error) as calls:
            try:
                failed = kind.write(folder, version) is False
            except (OSError, LabkitError, Killed) as caught:
                failed = caught
        return calls, failed

    for before in kind.befores:
        for nth in itertools.count(1):
            folder = tmp_path / f"{before}{nth}"
            folder.mkdir()
            if before:
                kind.write(folder, 1)
            calls, failed = write(folder, 2, nth)
            if not calls.struck:
                assert not failed and kind.read(folder) == 2
                break
            seen.add(calls.names[nth - 1])
            found, told = kind.read(folder), (nth, calls.names, failed)
            assert found in (1 if before else None, 2), told
            if fault != "kill":
                assert found == 2 or failed, told
                assert found != 2 or not failed or name == "a study's line", told  # of which the last step may fail
            kind.write(folder, 3)
            assert kind.read(folder) == (2 if name == "fetched" else 3), told  # what's whole isn't fetched again
            assert {*os.listdir(folder)} == {entry.format(3) for entry in kind.names}, told
    assert {"open"} < seen
