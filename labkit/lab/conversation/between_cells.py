"""Where a widget's work is done: in the kernel's main thread, when no cell is running."""

import signal
import sys
import threading
from collections.abc import Callable


def run_between_cells(work: Callable[[], None]) -> None:
    """Call ``work()`` in the main thread, now or as soon as the running cell has ended.

    JupyterLab (4.4 and later, with ipykernel 7) hands a widget's clicks to a thread of their own, while a cell may be
    running. What such a click did to a model would meet the training of the same model halfway. The main thread does
    one thing at a time, so there it meets nothing; and only there is ■ heard. Called in the main thread, by an older
    JupyterLab or another program, it is done at once.

    Args:
        work: what to do. It handles its own errors, and the KeyboardInterrupt that ■ raises in it.
    """
    if threading.current_thread() is threading.main_thread():
        work()
    else:
        # the event loop that runs the cells; safe to call from any thread
        sys.modules["IPython"].get_ipython().kernel.io_loop.add_callback(_interruptible, work)


def _interruptible(work: Callable[[], None]) -> None:
    """`work()`, with ■ heard as it is in a cell: between cells, the kernel is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work()
    except KeyboardInterrupt:  # just before `work` began, or just after it ended
        pass
    finally:
        signal.signal(signal.SIGINT, before)
