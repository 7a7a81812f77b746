"""Compare the result of embedded.c, which knows no biases, with Python's funkc, bit by bit."""

import embedded
import numpy as np

import funkc

rows, cols, values, models = embedded.train_all()
rows, cols = np.frombuffer(rows, np.int32), np.frombuffer(cols, np.int32)
values = np.frombuffer(values, np.float32)
for seed, (row_factors, col_factors) in enumerate(models):
    fit = funkc.factorize(
        (rows, cols), values, 8, shape=(200, 150), biases=False, random_state=seed
    )
    assert row_factors == fit.row_factors.tobytes()
    assert col_factors == fit.col_factors.tobytes()
print(len(models), "models: bit-for-bit equal")
