"""A program that gets Ctrl-C while it trains, in a process of its own."""

import subprocess
import sys

# Another thread sends the signal once an epoch has ended, so during the next one.
BEGINNING = """
import signal, threading, time
import numpy as np
import funkc
from funkc import _train

# A job in the background of a shell begins with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sent, begun = [], threading.Event()
record = _train.Training._record

def tell(training, *arguments):
    record(training, *arguments)
    if training.history["epoch"]:
        begun.set()

def interrupt():
    begun.wait()
    sent.append(time.perf_counter())
    signal.raise_signal(signal.SIGINT)

_train.Training._record = tell
threading.Thread(target=interrupt, daemon=True).start()
rng = np.random.default_rng(0)
cells = rng.integers(0, 3000, {n}), rng.integers(0, 2000, {n})
values = rng.normal(size={n})
"""


def interrupted(n, call):
    """Run statements that train on n `cells` and `values`, and get Ctrl-C meanwhile."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGINNING.format(n=n) + call],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
