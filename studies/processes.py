"""A run in a process of its own, so that its memory is its own; and how much of that it takes."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from threading import Event, Thread

import psutil


class Died(Exception):
    """The process ended without a result; the argument is its exit code."""


def in_a_process(run: Callable[[dict], dict], setting: dict) -> dict:
    """`run(setting)` in a new process. `run` has to be a module's function.

    Raises:
        Died: it raised (its traceback is on stderr), was killed, or ran out of memory.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(run, setting, theirs))
    process.start()
    theirs.close()  # or recv would wait for ever for a process that's dead: this end would still be open
    try:
        return ours.recv()
    except (EOFError, OSError):
        process.join()
        raise Died(process.exitcode) from None
    finally:
        process.join()


def rows_of_a_process(run: Callable[[dict, Callable], None], setting: dict, seconds: float) -> Iterator[dict]:
    """What `run(setting, send)` sends, in a new process, each row as soon as it's there. `run` has to be a module's
    function.

    Raises:
        TimeoutError: it took more than so many seconds. It was ended, and all that it had started with it.
        Died: as for :func:`in_a_process`.
    """
    end, context = time.monotonic() + seconds, get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_rows, args=(run, setting, theirs))
    process.start()
    theirs.close()
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            if (row := ours.recv()) is None:
                return
            yield row
        raise TimeoutError(f"more than {seconds:.0f} seconds")
    except (EOFError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        process.join()
        raise Died(process.exitcode) from None
    finally:
        _end(process.pid)
        process.join()


def _end(pid: int) -> None:
    """A process and all that it has started; one that has ended by itself is left alone."""
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid)
        for each in (*started.children(recursive=True), started):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _send_rows(run: Callable[[dict, Callable], None], setting: dict, results) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    run(setting, results.send)
    results.send(None)


def _run(run: Callable[[dict], dict], setting: dict, results) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    results.send(run(setting))


def _end_with_parent() -> None:
    """An orphan's result would reach nobody, and its work would slow down the run that takes its place."""
    parent_process().join()
    os._exit(1)


def private_bytes() -> int:
    """Memory that is this process's alone."""
    return psutil.Process().memory_full_info().uss


@contextmanager
def peak_private_bytes(every: float = 0.1) -> Iterator[list[int]]:
    """A list of one number, the highest :func:`private_bytes` within the ``with`` block so far.

    Args:
        every: seconds between two looks.
    """
    peak, done = [0], Event()

    def watch():
        while not done.wait(every):
            peak[0] = max(peak[0], private_bytes())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
