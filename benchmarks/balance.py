"""How well the blocks of a plan would keep many threads busy: a simulation.

    python -m benchmarks.balance                      # a million generated ratings
    python -m benchmarks.balance ratings.csv --k 64 --threads 4 8 16 32 64 128
    python -m benchmarks.balance --bands 16 32 64     # and with other numbers of bands

The data are cut as `funkc.factorize` cuts them, and the workers of a call go through the real
blocks by the engine's rule (`claim` and `work` in engine.pyx), event by event over several
epochs. Beside it stands a plain barrier a wave: whoever is free takes the next block of the
wave, and all wait for its last one. With `--bands` the same rows and columns, in the same seeded
order, are cut into other numbers of bands; cut like that into the plan's own number, they must
give the plan's blocks, which is checked.

A block costs its cells and an overhead, which counts in cells. Efficiency is
work / (threads × time), where work is what all blocks cost. More threads than bands can't help:
a wave has one block a band, and the engine uses no more workers than bands.

This is a model without caches, memory bandwidth or a busy system. It says what the sizes and
the order of the blocks allow, not what a machine makes of them. All epochs are one call here;
a real call ends after about 50 ms (after every epoch, when training is watched) in a barrier.
"""

from __future__ import annotations

import argparse
import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks import data
from funkc import _schedule
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Blocks(NamedTuple):
    """The number of cells of every block; block b is of wave b // n_bands."""

    n_row_bands: int
    n_bands: int
    sizes: NDArray[np.int64]


def cut(split: data.Split, k: int, bands: int | None = None) -> Blocks:
    """The plan that `funkc.factorize` would make."""
    problem = observed_cells((split.rows, split.cols), split.values, shape=split.shape)
    schedule = _schedule.cut(problem, checked_options(k, bands=bands))
    sizes = np.bincount(schedule.cells()["block"], minlength=schedule.n_blocks)
    return Blocks(schedule.n_row_bands, schedule.n_bands, sizes)


class Claims:
    """What is left to claim, by the rule of `claim` in engine.pyx: a step of the lowest wave
    that has any, at the worker's own places, else of the next worker's, and so on.
    """

    def __init__(self, n_bands: int, workers: int, n_waves: int) -> None:
        self.homes = [n_bands * worker // workers for worker in range(workers + 1)]
        self.sizes = [end - begin for begin, end in zip(self.homes, self.homes[1:], strict=False)]
        self.waves_left = n_waves
        self.wave = -1
        # No step is claimed while a wave before has one left, so every home stands at the same
        # wave or is through with it: what is left of one wave is all there is to know.
        self.left = [0] * workers
        self.steps_left = 0

    def take(self, worker: int) -> tuple[int, int] | None:
        """Wave and place of the next step for a worker; None when there are none left."""
        if not self.steps_left:
            if not self.waves_left:
                return None
            self.waves_left -= 1
            self.wave += 1
            self.left = list(self.sizes)
            self.steps_left = self.homes[-1]
        while not self.left[worker]:
            worker = (worker + 1) % len(self.left)
        place = self.homes[worker + 1] - self.left[worker]
        self.left[worker] -= 1
        self.steps_left -= 1
        return self.wave, place


def engine_time(costs: list[int], n_bands: int, threads: int, n_epochs: int) -> int:
    """When the last epoch ends, by the rule of `work` and `close_epoch` in engine.pyx: who has
    claimed a step waits for it, until its epoch is open and its place and that of its column band
    in the wave before, the next one, are through with the waves before.
    """
    workers = min(threads, n_bands)
    n_waves = len(costs) // n_bands
    claims = Claims(n_bands, workers, n_epochs * n_waves)
    done = [0] * n_bands  # waves that a place is through
    finished = epoch = now = 0
    working: list[tuple[int, int, int, int]] = []  # (end, worker, wave, place), a heap
    waiting: list[list[tuple[int, int]]] = [[] for _ in done]  # (wave, worker) by place

    def begin(wave: int, place: int, worker: int) -> bool:
        if epoch < wave // n_waves or min(done[place], done[(place + 1) % n_bands]) < wave:
            return False
        end = now + costs[wave % n_waves * n_bands + place]
        heapq.heappush(working, (end, worker, wave, place))
        return True

    def claim(worker: int) -> None:
        step = claims.take(worker)
        if step is not None and not begin(*step, worker):
            waiting[step[1]].append((step[0], worker))

    for worker in range(workers):
        claim(worker)
    while working:
        now, free, wave, place = heapq.heappop(working)
        done[place] = wave + 1
        finished += 1
        touched = [place, (place - 1) % n_bands] if n_bands > 1 else [place]
        if finished == len(costs):
            finished = 0
            epoch += 1
            touched = list(range(n_bands))
        for band in touched:
            if waiting[band]:
                waiting[band] = [w for w in waiting[band] if not begin(w[0], band, w[1])]
        claim(free)
    assert epoch == n_epochs, "a worker waits for ever"
    return now


def barrier_time(costs: list[int], n_bands: int, threads: int) -> int:
    """When an epoch ends if all wait for the last block of every wave."""
    total = 0
    for first in range(0, len(costs), n_bands):
        free_at = [0] * min(threads, n_bands)
        for cost in costs[first : first + n_bands]:
            heapq.heapreplace(free_at, free_at[0] + cost)
        total += max(free_at)
    return total


def lines_of(blocks: Blocks, name: str, options: argparse.Namespace) -> list[str]:
    """Two lines of the table."""
    _, n_bands, sizes = blocks
    costs = [int(size) + options.overhead for size in sizes]
    work = sum(costs)
    engine = barrier = ""
    for threads in options.threads:
        mark = "*" if threads > n_bands else " "
        epoch = engine_time(costs, n_bands, threads, options.epochs) / options.epochs
        engine += f"{work / (threads * epoch):6.0%}{mark}"
        epoch = barrier_time(costs, n_bands, threads)
        barrier += f"{work / (threads * epoch):6.0%}{mark}"
    numbers = (
        f"{sizes.mean():12,.0f}{sizes.max() / sizes.mean():10.2f}"
        f"{options.overhead * sizes.size / work:10.0%}"
    )
    return [f"{name:10}{numbers}  engine {engine}", f"{'':10}{'':32}  barrier{barrier}"]


def at_least(least: int) -> Any:
    """A type of argument: a whole number that is large enough."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="ratings, as `python -m funkc ratings` reads them")
    parser.add_argument("--generate", type=int, nargs=3, default=[6000, 3700, 1_000_000],
                        metavar=("ROWS", "COLS", "CELLS"))  # fmt: skip
    parser.add_argument("--k", type=at_least(1), default=32,
                        help="decides, with the data, how many bands the plan has")  # fmt: skip
    parser.add_argument("--threads", type=at_least(1), nargs="+", default=[4, 8, 16, 32, 64, 128])
    parser.add_argument("--epochs", type=at_least(1), default=5)
    parser.add_argument("--overhead", type=at_least(0), default=100, metavar="CELLS",
                        help="what a block costs beside its cells")  # fmt: skip
    parser.add_argument("--bands", type=at_least(1), nargs="+", default=[], metavar="B",
                        help="other numbers of bands to look at")  # fmt: skip
    options = parser.parse_args()
    split = data.read(options.file) if options.file else data.generate(*options.generate)
    plan = cut(split, options.k)
    print(f"{split.name}: {split.values.size:,} to train on, k = {options.k}")
    print(f"Efficiency = work / (threads × time), over {options.epochs} epochs; a block costs its")
    print(f"cells + {options.overhead}. engine: the engine's rule; barrier: one after every wave.")
    print(f"{'':54}threads")
    heads = "".join(f"{threads:6d} " for threads in options.threads)
    print(f"{'bands':10}{'cells/block':>12}{'max/mean':>10}{'overhead':>10}  {'':7}{heads}")
    name = f"{plan.n_row_bands} x {plan.n_bands}"
    print(*lines_of(plan, name, options), sep="\n", flush=True)
    for bands in options.bands:
        print(*lines_of(cut(split, options.k, bands), str(bands), options), sep="\n", flush=True)
    print("* More threads than bands can't help: a wave has one block a band.")
    print("This is a model without caches or memory bandwidth: it says what the sizes and the")
    print("order of the blocks allow, not how fast a machine is.")


if __name__ == "__main__":
    main()
