"""How long a signal waits until its handler runs, in calls on large models, images and files.

    python -m benchmarks.interrupts [--small] [--only NAME]

A timer fires every 10 ms; a handler of Ctrl-C or SIGTERM would run where this one does. The
longest time between two of its runs is told, and how long the call took; after half a minute the
handler ends it by an exception.
"""

import argparse
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import funkc

EVERY = 0.01
ENOUGH = 30.0  # seconds of a call


class Enough(BaseException):
    """The call has been watched for long enough."""


def longest_wait(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds without a run of the handler, and of the call."""
    runs: list[float] = []

    def handle(*_: object) -> None:
        runs.append(time.perf_counter())
        if runs[-1] - began > ENOUGH:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Enough

    signal.signal(signal.SIGALRM, handle)
    began = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
    try:
        call()
    except Enough:
        pass
    finally:
        ended = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, 0)
    return float(np.diff([began, *runs, ended]).max()), ended - began


def model(n: int, k: int, **options: object) -> funkc.Factorization:
    rng = np.random.default_rng(0)
    x, y = (rng.normal(0, k**-0.5, (n, k)).astype(np.float32) for _ in range(2))
    biases = {"row_bias": np.zeros(n), "col_bias": np.zeros(n)}
    if options.get("loss") == "logistic":
        biases = {name: bias.astype(np.float32) for name, bias in biases.items()}
    return funkc.Factorization.from_factors(x, y, noise=0.5, **biases, **options)


def of_models(n: int, k: int, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    fit = model(n, k)
    rng = np.random.default_rng(1)
    cells = 20 * n
    rows, cols = rng.integers(0, n, cells), rng.integers(0, n, cells)
    at, values = np.unique(rows * n + cols), rng.normal(size=cells)
    rows, cols = np.divmod(at, n)
    values = values[: at.size]
    yield "top, all rows", lambda: fit.top(slice(None), 10)
    yield "top, excluding entries", lambda: fit.top(slice(0, 500), 10, exclude=(rows, cols))
    yield "similar_rows, all", lambda: fit.similar_rows(slice(None), 10)
    yield "reconstruct", fit.reconstruct
    yield "predict, a million", lambda: fit.predict(np.resize(rows, 10**6), np.resize(cols, 10**6))
    yield "predict, a block", lambda: fit.predict(slice(0, 5000))
    yield "score", lambda: fit.score((rows, cols), values)
    yield "impute", lambda: fit.impute((rows, cols), values)
    yield "fold_in_rows", lambda: fit.fold_in_rows((rows, cols), values, shape=(n, n))
    wide = min(n, 200)
    full = np.arange(wide * n) // n, np.arange(wide * n) % n
    numbers = rng.normal(size=wide * n)
    yield "fold_in_rows, full rows", lambda: fit.fold_in_rows(full, numbers)
    binary = model(n, k, loss="logistic")
    yield (
        "fold_in_rows, full rows, logistic",
        lambda: binary.fold_in_rows((full[0][: 4 * n], full[1][: 4 * n]), numbers[: 4 * n] > 0),
    )
    few = slice(0, 10**5)
    yield (
        "partial_fit",
        lambda: fit.partial_fit(
            (rows[few], cols[few]), values[few], learning_rate=1e-3, regularization=0.1
        ),
    )
    yield "factorize", lambda: funkc.factorize((rows, cols), values, k, n_epochs=2)
    yield (
        "cross_validate",
        lambda: funkc.cross_validate((rows[few], cols[few]), values[few], k, cv=2, n_epochs=1),
    )
    yield "save", lambda: fit.save(folder / "model")
    yield "load", lambda: funkc.load(folder / "model")
    yield "Ratings.from_arrays", lambda: funkc.Ratings.from_arrays(rows, cols, values)
    text = folder / "ratings.csv"
    with text.open("w") as file:
        file.writelines(f"{a},{b},{c:.2f}\n" for a, b, c in zip(rows, cols, values, strict=True))
    yield "reading ratings", lambda: funkc.ratings.read(text)


def of_images(height: int, width: int) -> Iterator[tuple[str, Callable[[], object]]]:
    rng = np.random.default_rng(2)
    image = rng.random((height, width)).astype(np.float32)
    scattered = rng.random(image.shape) < 0.5
    blocks = np.zeros(image.shape, bool)
    for top, left in zip(*(rng.integers(0, n - 40, 60) for n in image.shape), strict=True):
        blocks[top : top + 32, left : left + 32] = True
    dead = rng.random(image.shape) < 1e-5
    for name, missing in (("scattered", scattered), ("blocks", blocks), ("dead", dead)):
        yield f"inpaint, {name}", lambda missing=missing: funkc.inpaint(image, missing)
    yield "inpaint, tiles", lambda: funkc.inpaint(image, scattered, method="tiles")
    yield "inpaint, funk", lambda: funkc.inpaint(image, scattered, method="funk", n_epochs=2)
    wide, holes = image.reshape(-1, 4 * width), scattered.reshape(-1, 4 * width)
    yield f"inpaint, {4 * width} columns", lambda: funkc.inpaint(wide, holes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'call':36}  longest wait      call")
    with tempfile.TemporaryDirectory() as folder:
        for name, call in (
            *of_models(*((2000, 32) if given.small else (14_000, 256)), Path(folder)),
            *of_images(*((600, 500) if given.small else (4000, 3000))),
        ):
            if given.only in name:
                wait, spent = longest_wait(call)
                print(f"{name:36}  {1000 * wait:9.0f} ms  {spent:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
