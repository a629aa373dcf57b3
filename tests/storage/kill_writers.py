"""Kill writers: python kill_writers.py KIND FOLDER KILLS SEED

Forks a process that writes one version after the other, kills it at some moment, and looks: what is there must be the
last version that was finished, or the one that was begun, and after one more write nothing else. Prints how often it
died where, as JSON.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from kinds_of_write import KINDS


def linger_after_renames() -> None:
    """Between two renames is a moment too short to be met by chance: make it longer."""
    rename = os.replace

    def slowly(source, target):
        rename(source, target)
        time.sleep(0.02)

    os.replace = slowly


def main(name: str, folder: str, kills: str, seed: str) -> None:
    kind, place, draw = KINDS[name](), Path(folder), random.Random(int(seed))
    version, died = 1, Counter()
    kind.write(place, version)
    for _ in range(int(kills)):
        ours, theirs = os.pipe()
        lingers, child = draw.random() < 0.5, os.fork()
        if child == 0:
            if lingers:
                linger_after_renames()
            while True:
                version += 1
                kind.write(place, version)
                os.write(theirs, b"x")
        os.close(theirs)
        os.read(ours, 1)  # it's at work
        version += 1
        time.sleep(draw.expovariate(50))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(ours, "rb") as rest:
            version += len(rest.read())
        beside = {Path(entry).suffix for entry in os.listdir(place) if entry.startswith(".")}
        where = "within a write" if ".tmp" in beside else "before or after"
        died["between renames" if ".old" in beside else where] += 1
        found = kind.read(place)
        wanted = [version, version + 1] + [None] * (True not in kind.befores)
        assert found in wanted, (found, wanted)
        version = (found or version) + 1
        kind.write(place, version)
        assert kind.read(place) == version
        left = {*os.listdir(place)}
        assert left == {entry.format(version) for entry in kind.names}, left
    print(json.dumps(died))


if __name__ == "__main__":
    main(*sys.argv[1:])
