"""What more threads than processors cost, what a busy machine costs, what processors gain.

    python -m benchmarks.contention                   # a million generated ratings
    python -m benchmarks.contention ratings.csv --k 64 --pairs 11

All numbers are ratios of the times of whole `funkc.factorize` calls. The two calls of a ratio
run one after the other, pair by pair, so that a machine that changes its pace changes both.

Scaling
    one thread against 2, 4, ... and as many as there are processors.
Too many threads
    four times as many threads as processors against as many: at most 1.3 is the target.
Foreign load
    a call beside one busy process per processor against the same call without. As many threads
    as busy processes get half of the machine when the system is fair, and half of the machine
    takes twice the time: at most 2 is the target for the time beyond that, measured / fair.

Run it on a quiet machine. The processors are those that this process may use (affinity, control
group).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import funkc
from benchmarks import data
from benchmarks.ratings import shown
from funkc._core import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# libgomp ends the whole process when the system refuses it a thread. Therefore funkc counts more
# than four times the processors as that many (_input/scalars.py), which is as far as we go here.
TIMES_TOO_MANY = 4
MOST_FOR_THREADS = 1.3
MOST_FOR_LOAD = 2.0
LEAST_SECONDS = 0.2  # of a call: what is over within a few time slices is not shared fairly

# Ends by itself if its parent was killed without a chance to end it.
BUSY = """
import os
parent = os.getppid()
print("busy", flush=True)
while os.getppid() == parent:
    for _ in range(1000000):
        pass
"""


def seconds(split: data.Split, k: int, n_threads: int, n_epochs: int) -> float:
    started = time.perf_counter()
    funkc.factorize(
        (split.rows, split.cols), split.values, k, shape=split.shape, n_epochs=n_epochs,
        n_threads=n_threads,
    )  # fmt: skip
    return time.perf_counter() - started


@contextmanager
def foreign_load(n_processes: int) -> Iterator[None]:
    """Other processes that do nothing but compute, while the block runs."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(n_processes):
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", BUSY], stdout=subprocess.PIPE, text=True
                )
            )
        for process in processes:
            if process.stdout is None or process.stdout.readline() != "busy\n":
                raise RuntimeError("a busy process did not start")
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()


def under_load(run: Callable[[], float], n_processes: int) -> float:
    with foreign_load(n_processes):
        return run()


def ratios(over: Callable[[], float], under: Callable[[], float], pairs: int) -> list[float]:
    """Time by time, after a call of each that does not count."""
    over(), under()
    return [over() / under() for _ in range(pairs)]


def report(what: str, numbers: list[float], most: float | None = None) -> None:
    line = f"{what:56}{shown(numbers, 2)}"
    if most is not None:
        met = statistics.median(numbers) <= most
        line += f"  target: at most {most:g}, {'met' if met else 'missed'}"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    parser.add_argument("--generate", type=int, nargs=3, default=[6000, 3700, 1_000_000],
                        metavar=("ROWS", "COLS", "CELLS"))  # fmt: skip
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=200,
                        help="enough for calls of many time slices")  # fmt: skip
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    if not funkc.openmp_enabled():
        parser.error("this funkc is built without OpenMP and runs on one thread")
    if "OMP_NUM_THREADS" in os.environ:
        parser.error("unset OMP_NUM_THREADS, which hides processors that a busy process would use")
    split = data.read(options.file) if options.file else data.generate(*options.generate)
    processors = threads.default_threads()
    print(f"{split.name}: {len(split.values):,} to train on; load {os.getloadavg()[0]:.1f}")
    print(f"k = {options.k}, {options.epochs} epochs, {processors} processors")
    print(f"Ratios of the times of whole calls: median (smallest - largest) of {options.pairs}")

    def call(n_threads: int) -> Callable[[], float]:
        return partial(seconds, split, options.k, n_threads, options.epochs)

    if min(call(processors)() for _ in range(3)) < LEAST_SECONDS:
        print(f"Calls are shorter than {LEAST_SECONDS} s: too short to tell, raise --epochs")

    n_threads = 1
    while n_threads < processors:
        n_threads = min(2 * n_threads, processors)
        faster = ratios(call(1), call(n_threads), options.pairs)
        report(f"speed-up, 1 thread / {n_threads} threads", faster)

    many = TIMES_TOO_MANY * processors
    slower = ratios(call(many), call(processors), options.pairs)
    report(f"time, {many} threads / {processors}", slower, MOST_FOR_THREADS)

    loaded = partial(under_load, call(processors), processors)
    slower = ratios(loaded, call(processors), options.pairs)
    report(f"time, {processors} threads beside {processors} busy processes / alone", slower)
    fair = 2.0  # as many threads as busy processes: half of the machine
    report("time, the same / a fair share of the machine", [r / fair for r in slower],
           MOST_FOR_LOAD)  # fmt: skip


if __name__ == "__main__":
    main()
