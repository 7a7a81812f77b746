"""Runs everything of funkc that shares work among threads, on small problems, with four of them.

    python tools/exercise.py [REPEATS]

It checks nothing itself: sanitize.sh runs it under tools that watch memory and threads.  The
watch on threads was seen to work: with the wait for the column band taken out of `work` in
engine.pyx, ThreadSanitizer reports the first fit.
"""

import contextlib
import sys
import threading
import warnings

import numpy as np

import funkc

N_THREADS = 4
SHAPE = (400, 300)
N_CELLS = 40_000  # enough for eight bands, and for every worker of a cut


def make_cells(rng):
    """Distinct cells, half stars, and values no two of which are the same."""
    rows, cols = np.divmod(rng.choice(SHAPE[0] * SHAPE[1], N_CELLS, replace=False), SHAPE[1])
    stars = np.round(2 * rng.normal(3.5, 1.0, N_CELLS)) / 2
    return (rows, cols), stars, stars + rng.random(N_CELLS) / 10


def use(fit, cells, values):
    """All that is done with factors."""
    rows, cols = cells
    fit.predict(rows, cols)
    fit.reconstruct()
    fit.impute(cells, values)
    fit.top(np.arange(SHAPE[0]), 10, exclude=cells)
    fit.similar_rows(np.arange(SHAPE[0]), 5)
    fit.similar_cols(np.arange(SHAPE[1]), 5)
    fit.fold_in_rows(cells, values)
    fit.fold_in_cols(cells, values)


def ratings(seed):
    """Fits of all kinds, in both precisions, and what is done with them."""
    rng = np.random.default_rng(seed)
    cells, stars, values = make_cells(rng)
    weights = rng.random(N_CELLS) + 0.1
    for dtype in (np.float32, np.float64):
        for given, keywords in (
            (stars, {}),
            (values, {"group_size": 1}),
            (values, {"bands": (24, 8)}),
            (stars, {"biases": True, "validation": 0.5}),
            (values, {"weights": weights, "nonnegative": True}),
            (values, {"weights": weights, "biases": True, "validation": 0.5, "patience": 1}),
        ):
            fit = funkc.factorize(
                cells, given, 10, shape=SHAPE, n_epochs=3, n_threads=N_THREADS, dtype=dtype,
                **keywords,
            )  # fmt: skip
            use(fit, cells, given)
        fit.partial_fit(cells, given)
    with contextlib.suppress(funkc.DivergedError):
        funkc.factorize(cells, values, 10, learning_rate=1e6, n_threads=N_THREADS)
    funkc.cross_validate(cells, values, k=[2, 3], n_epochs=2, n_threads=N_THREADS)


def pictures(seed):
    """Every method, on pictures with scattered holes, strokes and a wide hole."""
    rng = np.random.default_rng(seed)
    i, j = np.indices((90, 70))
    gray = np.sin(i / 9) * np.cos(j / 7) / 2 + 0.5
    color = np.stack([gray, gray[::-1], gray[:, ::-1]], axis=-1)
    scattered = rng.random(gray.shape) < 0.5
    scattered[20:40, 30:50] = True
    strokes = (i % 19 < 2) | (j % 23 < 3)
    for method in ("patches", "tiles", "funk"):
        for image, missing, keywords in (
            (gray, scattered, {}),
            ((gray * 255).astype(np.uint8), strokes, {"return_generated": True}),
            (color, np.stack([scattered, strokes, scattered], axis=-1), {"channel_axis": -1}),
            (color, strokes, {"channel_axis": -1}),
            (gray, (i % 40 < 13) & (j % 30 < 14), {}),
            (np.stack([gray] * 5), np.stack([scattered, strokes] * 2 + [scattered]), {}),
        ):
            funkc.inpaint(image, missing, method=method, n_threads=N_THREADS, **keywords)


def main():
    """Each alone, and then side by side in two of Python's threads."""
    warnings.simplefilter("ignore", RuntimeWarning)
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        ratings(seed)
        pictures(seed)
        side_by_side = [threading.Thread(target=ratings, args=(seed,)) for _ in range(2)]
        for thread in side_by_side:
            thread.start()
        for thread in side_by_side:
            thread.join()
    print("done")


if __name__ == "__main__":
    main()
