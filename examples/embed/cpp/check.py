"""Compare the result of embedded.cpp with Python's funkc, bit by bit."""

import embedded
import numpy as np

import funkc

rng = np.random.default_rng(0)
rows, cols = np.nonzero(rng.random((300, 200)) < 0.1)
values = rng.normal(size=rows.size)
x, y, errors, offset = embedded.train(
    rows.astype(np.int64), cols.astype(np.int64), values, 300, 200, 7
)
x, y = np.frombuffer(x).reshape(300, 9), np.frombuffer(y).reshape(200, 9)

fit = funkc.factorize(
    (rows, cols), values, 7, shape=(300, 200), stages=1, dtype=np.float64, random_state=0
)
assert np.array_equal(x[:, :7], fit.row_factors)
assert np.array_equal(x[:, 7], fit.row_bias)
assert np.array_equal(y[:, :7], fit.col_factors)
assert np.array_equal(y[:, 8], fit.col_bias)
assert offset == fit.offset
assert np.array_equal(np.frombuffer(errors), fit.history["train_rmse"])
try:
    embedded.train(rows[[0, 0]], cols[[0, 0]], values[:2], 300, 200, 7)
except ValueError as error:
    print(error)
print("factors and errors: bit-for-bit equal")
