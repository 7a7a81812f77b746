"""Tables with missing values, for the tests of FunkImputer."""

import numpy as np

THREADS = [1, 2, 3, 8]
UNITS = np.array([1.0, 1e-3, 50, 1e4, 1, 7, 1e-6, 300])
LEVELS = np.array([0, 5, -1000, 1e5, 1, 0, 1e-6, -3])


def table(n_rows=120, n_cols=8, rank=2, noise=0.1, holes=0.3, seed=0):
    """The whole table, in many units, and one with holes."""
    rng = np.random.default_rng(seed)
    whole = rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, n_cols))
    whole += noise * rng.normal(size=whole.shape)
    whole = whole * np.resize(UNITS, n_cols) + np.resize(LEVELS, n_cols)
    return whole, np.where(rng.random(whole.shape) < holes, np.nan, whole)


def as_sparse(holed, form="csr_array"):
    """What is not NaN, stored."""
    rows, cols = np.nonzero(~np.isnan(holed))
    from scipy import sparse

    coo = sparse.coo_array((holed[rows, cols], (rows, cols)), shape=holed.shape)
    return getattr(sparse, form)(coo)


def error(filled, whole, holed):
    """Of what was missing, in deviations of the columns."""
    return np.sqrt(np.mean((((filled - whole) / whole.std(axis=0))[np.isnan(holed)]) ** 2))
