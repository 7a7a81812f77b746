"""Peak memory of `factorize` and `FunkImputer`, beside the input and the factors.

    python -m benchmarks.memory                  # every case, in a process of its own
    python -m benchmarks.memory --cells 1000000 pair

In bytes an observed entry; of the imputer, in times the size of the table.  The entries are half
stars of a matrix of 20,000 x 5,000, and k = 16.  Linux only: the peak is VmHWM.
"""

from __future__ import annotations

import argparse
import ctypes
from typing import Any

import numpy as np

import funkc
from benchmarks.peers import in_child, peak_of

SHAPE = (20_000, 5_000)
K = 16
CASES: dict[str, dict[str, Any]] = {
    "pair int64 float64": {},
    "pair int32 float32": {"index": "i4", "dtype": "f4"},
    "pair int32 uint16": {"index": "i4", "dtype": "u2"},
    "pair int64 float64, validation": {"validation": 0.1},
    "pair int32 float32, validation": {"index": "i4", "dtype": "f4", "validation": 0.1},
    "dense float32": {"form": "dense", "dtype": "f4"},
    "dense float32, validation": {"form": "dense", "dtype": "f4", "validation": 0.1},
    "csr float64": {"form": "csr"},
    "ratings": {"form": "ratings"},
    "imputer float32": {"form": "imputer", "dtype": "f4"},
    "imputer float64": {"form": "imputer"},
}


def measured(
    n_cells: int, form: str = "pair", index: str = "i8", dtype: str = "f8", validation: Any = None
) -> float:
    """Bytes an entry, or times a table; to be run in a process of its own."""
    rng = np.random.default_rng(0)
    shape = SHAPE if form != "imputer" else (n_cells // 100, 100)
    factors = 4 * K * sum(shape)
    mask: Any = None
    if form in ("dense", "imputer"):
        values: Any = np.empty(shape, dtype)
        for row in values:
            row[:] = rng.integers(1, 11, row.size) if form == "dense" else rng.normal(size=row.size)
            missing = 1 - n_cells / values.size if form == "dense" else 0.2
            row[rng.random(row.size) < missing] = np.nan
    else:
        at = np.unique(rng.integers(0, shape[0] * shape[1], n_cells))
        rows, cols = (part.astype(index) for part in np.divmod(at, shape[1]))
        values = rng.integers(1, 11, at.size).astype(dtype)
        n_cells, mask = at.size, (rows, cols)
        if form == "csr":
            import scipy.sparse

            mask, values = None, scipy.sparse.csr_array((values, (rows, cols)), shape=shape)
        elif form == "ratings":
            mask, values = None, funkc.Ratings.from_arrays(rows, cols, values)
        del at, rows, cols
    # Threads, and what is imported late, cost the same for ten entries.
    funkc.factorize((np.arange(10),) * 2, np.arange(10.0), 1)
    ctypes.CDLL(None).malloc_trim(0)  # memory that was given back could be taken again unseen
    if form == "imputer":
        small = np.where(rng.random((50, 5)) < 0.2, np.nan, rng.random((50, 5)))
        funkc.FunkImputer(2, n_epochs=1).fit_transform(small)
        imputer = funkc.FunkImputer(n_epochs=1)
        return peak_of(lambda: imputer.fit_transform(values)) / values.nbytes
    options: Any = {} if validation is None else {"validation": validation}
    peak = peak_of(lambda: funkc.factorize(mask, values, K, n_epochs=1, **options))
    return (peak - factors) / n_cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="parts of their names; all by default")
    parser.add_argument("--cells", type=int, default=10_000_000)
    options = parser.parse_args()
    for name, case in CASES.items():
        if not options.cases or any(part in name for part in options.cases):
            peak = in_child(None, measured, options.cells, *with_defaults(case))
            print(f"{name:34}{peak:6.1f}", flush=True)


def with_defaults(case: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of `measured` in order."""
    usual = {"form": "pair", "index": "i8", "dtype": "f8", "validation": None}
    return tuple((usual | case).values())


if __name__ == "__main__":
    main()
