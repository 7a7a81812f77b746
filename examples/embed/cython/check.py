"""Compare the predictions of stage.pyx with Python's funkc, bit by bit."""

import numpy as np
import stage

import funkc

rng = np.random.default_rng(0)
chosen = rng.permutation(300 * 200)[:9000]
rows, cols = (chosen // 200).astype(np.int32), (chosen % 200).astype(np.int32)
values = rng.normal(size=9000).astype(np.float32)
other_rows, other_cols = rng.integers(300, size=500), rng.integers(200, size=500)
out = np.empty(500, np.float32)
stage.fill(rows, cols, values, (300, 200), other_rows, other_cols, out, 16, 2)

fit = funkc.factorize((rows, cols), values, 16, shape=(300, 200), random_state=0)
assert np.array_equal(out, fit.predict(other_rows, other_cols))
try:
    rows[3] = 300
    stage.fill(rows, cols, values, (300, 200), other_rows, other_cols, out, 16, 2)
except ValueError as error:
    print(error)
print(out.size, "predictions: bit-for-bit equal")
