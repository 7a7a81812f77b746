"""Time, peak memory and error of funkc from commit to commit, measured by asv.

    python -m pip install "asv[virtualenv]"
    cd benchmarks
    asv machine --yes                   # once on every machine
    asv run main^!                      # the newest commit of main; main~5..main: the last five
    asv compare main~1 main             # two commits that were measured
    asv publish && asv preview          # plots of all that were

asv builds commits, never what is not committed, and measures them with the benchmarks as they
stand in this folder; that takes about a minute for each, beside the building. For the funkc that
is installed beside asv, every benchmark once, without keeping the numbers:

    asv run --quick --python same

All data are generated, and always the same. asv imports every module of this folder, and takes
what is named time_..., peakmem_..., mem_... or track_... in any of them for a benchmark. It
notices when the code of a benchmark changes, but not when that of a function it calls does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import funkc
from benchmarks import data
from funkc import _schedule
from funkc._core import plan as core_plan
from funkc._input.cells import observed_cells
from funkc._input.options import checked_options

PAIRS = 1_000_000
K = 32


def factorize(split: data.Split, k: int, n_epochs: int | None = None) -> funkc.Factorization:
    return funkc.factorize(
        (split.rows, split.cols), split.values, k, shape=split.shape, n_epochs=n_epochs
    )


def rmse(predicted: Any, true: Any) -> float:
    return float(np.sqrt(np.mean((predicted.astype(float) - true) ** 2)))


class Sampling:
    """How often asv calls what it times: in two processes, from three to five times each."""

    number = 1
    repeat = (3, 5, 1.5)  # at most so many seconds beyond the third
    rounds = 2
    warmup_time = 0.0


class Ratings(Sampling):
    """A million ratings, a tenth of them held out. asv keeps them for all that inherit."""

    def setup_cache(self) -> data.Split:
        return data.generate(6000, 3700, 1_000_000)


class Factorize(Ratings):
    """Whole calls with nothing but k."""

    params = (16, 32, 64, 128)
    param_names = ("k",)
    unit = "stars"

    def time_factorize(self, split: data.Split, k: int) -> None:
        factorize(split, k)

    def peakmem_factorize(self, split: data.Split, k: int) -> None:
        factorize(split, k)

    def track_held_out_rmse(self, split: data.Split, k: int) -> float:
        fit = factorize(split, k)
        return rmse(fit.predict(split.held_rows, split.held_cols), split.held_values)


class Plan(Ratings):  # not SetUp: asv takes any "setup", in letters of any size, for its hook
    """From three arrays to the blocks that are trained on."""

    unit = "bytes"

    def set_up(self, split: data.Split) -> _schedule.Schedule:
        problem = observed_cells((split.rows, split.cols), split.values, shape=split.shape)
        return _schedule.cut(problem, checked_options(K))

    def time_set_up(self, split: data.Split) -> None:
        self.set_up(split)

    def peakmem_set_up(self, split: data.Split) -> None:
        self.set_up(split)

    def track_bytes_per_rating(self, split: data.Split) -> float:
        schedule = self.set_up(split)
        return core_plan.describe(schedule.plan)["cell_bytes"] / schedule.n_cells


class Predict(Ratings):
    """A million pairs, in no order."""

    def setup(self, split: data.Split) -> None:
        self.fit = factorize(split, K, n_epochs=1)
        rng = np.random.default_rng(0)
        self.rows, self.cols = (rng.integers(n, size=PAIRS) for n in split.shape)

    def time_predict(self, split: data.Split) -> None:
        self.fit.predict(self.rows, self.cols)


class Inpaint(Sampling):
    """A picture of waves, an edge and grain, half of whose pixels are missing."""

    unit = "grey levels"

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        down, across = np.mgrid[:256, :256] / 256
        waves = np.sin(9 * down + 4 * across) + np.sin(23 * across * down) + (down > across)
        grey = 128 + 40 * waves + rng.normal(0, 3, waves.shape)
        self.picture = np.clip(grey, 0, 255).astype(np.uint8)
        self.missing = rng.random(self.picture.shape) < 0.5

    def inpaint(self) -> Any:
        return funkc.inpaint(self.picture, self.missing)

    def time_inpaint(self) -> None:
        self.inpaint()

    def track_inpaint_rmse(self) -> float:
        return rmse(self.inpaint()[self.missing], self.picture[self.missing])
