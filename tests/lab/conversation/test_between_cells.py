"""In a real kernel: where work is done that another thread asks for, and whether ■ reaches it."""

import threading
import time

import pytest
from jupyter_client.manager import start_new_kernel

from labkit.lab.conversation.between_cells import run_between_cells

PREPARE = """
import threading, time
from labkit.lab.conversation.between_cells import run_between_cells
cell_runs, seen = True, []

def where():
    seen.append((threading.current_thread() is threading.main_thread(), cell_runs))

def endless():
    try:
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        seen.append("stopped")

def from_a_click(work):
    threading.Thread(target=run_between_cells, args=[work]).start()
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def cell(client, code: str) -> str:
    """Run `code`; what it printed."""
    printed = []

    def listen(message):
        content = message["content"]
        assert message["msg_type"] != "error", content.get("traceback")
        printed.append(content.get("text", ""))

    client.execute_interactive(code, timeout=60, output_hook=listen)
    return "".join(printed)


def test_what_a_click_asks_for_waits_for_the_running_cell_and_is_done_in_the_main_thread(kernel):
    _, client = kernel
    cell(client, PREPARE)
    cell(client, "from_a_click(where)\ntime.sleep(0.5)\nassert not seen\ncell_runs = False")
    assert cell(client, "print(seen)") == "[(True, False)]\n"


def test_an_interrupt_reaches_the_work_and_the_kernel_lives_on(kernel):
    manager, client = kernel
    cell(client, PREPARE)
    cell(client, "from_a_click(endless)\ntime.sleep(0.2)")
    time.sleep(0.3)
    manager.interrupt_kernel()
    assert cell(client, "print(seen)") == "['stopped']\n"
    manager.interrupt_kernel()  # nothing runs: ignored, as before
    time.sleep(0.2)
    assert cell(client, "print(seen)") == "['stopped']\n"


def test_in_the_main_thread_it_is_done_at_once():
    seen = []
    run_between_cells(lambda: seen.append(threading.current_thread()))
    assert seen == [threading.main_thread()]


def test_what_the_work_raises_there_reaches_the_caller():
    def fail():
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        run_between_cells(fail)
