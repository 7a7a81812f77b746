"""Compare the result of embedded.c with Python's funkc, bit by bit."""

import embedded
import numpy as np

import funkc

rows, cols, values, models = embedded.train_all()
rows, cols = np.frombuffer(rows, np.int32), np.frombuffer(cols, np.int32)
values = np.frombuffer(values, np.float32)
for seed, (x, y, offset) in enumerate(models):
    x = np.frombuffer(x, np.float32).reshape(200, 10)  # factors, bias, 1
    y = np.frombuffer(y, np.float32).reshape(150, 10)  # factors, 1, bias
    fit = funkc.factorize((rows, cols), values, 8, shape=(200, 150), random_state=seed)
    assert np.array_equal(x[:, :8], fit.row_factors)
    assert np.array_equal(y[:, :8], fit.col_factors)
    assert np.array_equal(x[:, 8], fit.row_bias)
    assert np.array_equal(y[:, 9], fit.col_bias)
    assert offset == fit.offset
print(len(models), "models: bit-for-bit equal")
