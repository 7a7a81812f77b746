"""Fixtures of the tests of the core."""

import numpy as np
import pytest
from capi_table import cells_of, model_of, options_of, problem, train

import funkc
import funkc.capi


@pytest.fixture(scope="module", params=[(np.float32, False), (np.float64, True)])
def fitted(request):
    dtype, biases = request.param
    rows, cols, values, shape = problem()
    fit = funkc.factorize((rows, cols), values, 6, shape=shape, biases=biases, dtype=dtype)
    cells = cells_of(rows, cols, values, shape)
    x, y, *_ = train(cells, options_of(6, dtype, biases=biases))
    return fit, model_of(x, y, 6, fit.offset, biases, noise=fit.noise), cells, dtype
