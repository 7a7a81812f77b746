"""Call funkc from a loop compiled by numba, through a function pointer, without the GIL.

Run it: ``python embedded.py`` (needs numba; compares its result with Python's funkc).
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

import funkc
import funkc.capi

# struct funkc_model of funkc.h.
MODEL = np.dtype(
    [
        ("size", np.uintp),
        ("row_factors", np.uintp),
        ("col_factors", np.uintp),
        ("n_rows", np.int64),
        ("n_cols", np.int64),
        ("offset", np.float64),
        ("k", np.int32),
        ("real_bytes", np.int32),
        ("biases", np.int32),
        ("nonnegative", np.int32),
        ("memory", np.uintp),
    ]
)
POINTER = ctypes.c_void_p
predict = ctypes.CFUNCTYPE(
    ctypes.c_int, POINTER, POINTER, POINTER, ctypes.c_int64, POINTER, ctypes.c_int
)(funkc.capi.addresses()["predict"])


@numba.njit(nogil=True)
def best_sums(model, first, last, n_cols, sums):
    """Sum the positive predictions of every row; return 0 or an error status."""
    cols = np.arange(n_cols)
    rows = np.empty(n_cols, np.int64)
    made = np.empty(n_cols, np.float32)
    for i in range(first, last):
        rows[:] = i
        status = predict(
            model.ctypes.data, rows.ctypes.data, cols.ctypes.data, n_cols, made.ctypes.data, 1
        )
        if status != 0:
            return status
        for value in made:
            if value > 0:
                sums[i] += value
    return 0


rng = np.random.default_rng(0)
mask = rng.random((300, 200)) < 0.2
fit = funkc.factorize(mask, rng.normal(size=mask.shape), 16, biases=False)
x, y = fit.row_factors, fit.col_factors
model = np.array(
    [(MODEL.itemsize, x.ctypes.data, y.ctypes.data, *fit.shape, fit.offset, 16, 4, 0, 0, 0)], MODEL
)
sums = np.zeros(300)
with ThreadPoolExecutor() as pool:  # its threads run in parallel
    parts = [(model, i, i + 100, 200, sums) for i in (0, 100, 200)]
    assert list(pool.map(best_sums, *zip(*parts, strict=True))) == [0, 0, 0]

expected = np.zeros(300)
for i, row in enumerate(fit.reconstruct()):
    for value in row[row > 0]:
        expected[i] += value
assert np.array_equal(sums, expected)
print("sums of predictions: bit-for-bit equal")
