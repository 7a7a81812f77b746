"""Prints a digest of the factors of each of many fits, and one of all.

    python tools/digest.py [--tiny] N_THREADS

Whatever built funkc and whatever it runs on, the lines are the same; FUNKC_ISA and the number
of threads leave no trace.  The data are made of integers, so NumPy's version leaves none either.
"""

import argparse
import hashlib
import itertools
import warnings

import numpy as np

import funkc

FACTORS = (5, 16, 32, 64, 128, 200)
GROUPS = (1, 8)
SHAPES = {"tall": (1500, 400), "wide": (400, 1500)}  # with enough cells for eight bands
DRAWS = 40_000
TINY_SHAPES = {"tall": (100, 60), "wide": (60, 100)}
TINY_DRAWS = 3000


def random_bits(seed, n):
    """SplitMix64."""
    z = np.uint64(seed << 32) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(seed, n):
    """From 0 up to 1, without rounding."""
    return (random_bits(seed, n) >> np.uint64(11)) * 2.0**-53


def draw_cells(shape, draws):
    """Distinct cells, about as many as draws."""
    at = np.unique(random_bits(1, draws) % np.uint64(shape[0] * shape[1])).astype(np.int64)
    return np.divmod(at, shape[1])


def continuous(rows, cols, shape):
    """Rank two and noise, with no value twice."""
    signal = uniform(2, shape[0])[rows] * uniform(3, shape[1])[cols]
    signal += uniform(4, shape[0])[rows] * uniform(5, shape[1])[cols]
    return 3.0 + signal + uniform(6, len(rows)) / 2


def kinds(rows, cols, shape):
    """What is asked of factorize() in each kind of fit: values, and keywords."""
    values = continuous(rows, cols, shape)
    ratings = np.floor(2 * values) / 2  # half stars, which are held as codes
    weights = 0.25 + uniform(7, len(rows))
    return {
        "ratings": (ratings, {}),
        "values": (values, {}),
        "ratings, weights": (ratings, {"weights": weights}),
        "values, weights": (values, {"weights": weights}),
        "ratings, biases": (ratings, {"biases": True}),
        "ratings, nonnegative": (ratings, {"nonnegative": True}),
        "values, all of it": (values, {"weights": weights, "biases": True, "nonnegative": True}),
    }


def digest(fit, rows, cols):
    """Of factors, biases, errors and predictions, in one order of bytes."""
    parts = [fit.row_factors, fit.col_factors, fit.row_bias, fit.col_bias]
    parts += [np.array(fit.history["train_rmse"]), fit.predict(rows[:1000], cols[:1000])]
    sha = hashlib.sha256()
    for part in parts:
        if part is not None:
            sha.update(part.astype(part.dtype.newbyteorder("<")).tobytes())
    return sha.hexdigest()[:16]


def fits(tiny):
    """A name, cells, values, and keywords of every fit."""
    draws = TINY_DRAWS if tiny else DRAWS
    for side, shape in (TINY_SHAPES if tiny else SHAPES).items():
        rows, cols = draw_cells(shape, draws)
        for kind, (values, keywords) in kinds(rows, cols, shape).items():
            for k, group_size in itertools.product(FACTORS, GROUPS):
                name = f"{side}, {kind}, k = {k}, group_size = {group_size}"
                yield name, (rows, cols), values, {**keywords, "shape": shape, "k": k,
                                                   "group_size": group_size}  # fmt: skip
    if tiny:
        return
    # More columns than eight bands hold in the cache, and more than a page holds in a band.
    for name, shape, draws, k in (
        ("bands", (300, 50_000), 60_000, 200),
        ("pages", (50, 200_000), 2000, 16),
        ("groups", (1500, 400), 40_000, 32),
    ):
        rows, cols = draw_cells(shape, draws)
        bands = {"bands": (24, 8)} if name == "groups" else {}
        yield name, (rows, cols), continuous(rows, cols, shape), {"shape": shape, "k": k, **bands}


def pictures(tiny, n_threads):
    """A name and a digest of every filled picture."""
    i, j = np.indices((41, 53) if tiny else (137, 181))
    gray = (i * i * 7 + i * j * 11 + j * j * 5) // 64 % 251 / 250
    holes = (i * 37 + j * 101) % 97 < 55
    holes[20:38, 30:48] = True  # too wide for patches
    color = np.stack([gray, gray[::-1], gray[:, ::-1]], axis=-1)
    each = np.stack([holes, holes[::-1], holes[:, ::-1]], axis=-1)
    strokes = (i % 19 < 2) | (j % 23 < 3)
    lines = (i % 19 < 2) | (j % 23 < 2)
    squares = (i % 23 < 11) & (j % 29 < 12)
    film = np.stack([np.roll(gray, 2 * t, axis=1) for t in range(5)])[:, :60]
    warnings.simplefilter("ignore", RuntimeWarning)
    for name, image, missing, keywords in (
        ("patches", gray, holes, {}),
        ("strokes", gray, strokes, {"k": 9}),
        ("squares", gray, squares, {"quality": "fine"}),
        ("joint", color, each, {"channel_axis": -1}),
        ("lines", color, lines, {"channel_axis": -1}),
        ("film", film, np.stack([np.roll(holes, 3 * t, axis=0) for t in range(5)])[:, :60], {}),
        ("film, lines", film, lines[:60], {}),
        ("tiles", gray, holes, {"method": "tiles"}),
        ("tiles, squares", gray, squares, {"method": "tiles"}),
        ("tiles, k = 5", gray, holes, {"method": "tiles", "k": 5}),
    ):
        made = funkc.inpaint(image, missing, n_threads=n_threads, return_generated=True, **keywords)
        sha = hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in made))
        yield name, sha.hexdigest()[:16]


def main():
    """Fit and print."""
    parser = argparse.ArgumentParser(description="Digests of the factors of many fits.")
    parser.add_argument("n_threads", type=int)
    parser.add_argument("--tiny", action="store_true", help="small matrices, for emulators")
    wanted = parser.parse_args()
    for dtype in ("float32", "float64"):
        whole = hashlib.sha256()
        for name, cells, values, keywords in fits(wanted.tiny):
            fit = funkc.factorize(
                cells,
                values,
                **keywords,
                dtype=dtype,
                n_threads=wanted.n_threads,
                n_epochs=1 if wanted.tiny else 3,
            )
            one = digest(fit, *cells)
            whole.update(one.encode())
            print(f"{dtype}, {name}: {one}")
        print(f"{dtype}, all: {whole.hexdigest()[:16]}")
    whole = hashlib.sha256()
    for name, one in pictures(wanted.tiny, wanted.n_threads):
        whole.update(one.encode())
        print(f"pixels, {name}: {one}")
    print(f"pixels, all: {whole.hexdigest()[:16]}")


if __name__ == "__main__":
    main()
