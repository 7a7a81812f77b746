"""Factorizations to ask, and all that they answer."""

import numpy as np
from hypothesis import settings

import funkc

QUICK = settings(deadline=None, database=None, max_examples=30)
THREADS = (1, 2, 3, 8)
DTYPES = [np.float32, np.float64]
NAN = np.nan
SHAPE = (67, 75)
KINDS = {
    "plain": {"biases": False},
    "biases": {"biases": True},
    "nonnegative": {"biases": False, "nonnegative": True},
    "both": {"biases": True, "nonnegative": True},
}


def observed(shape=SHAPE, density=0.6, seed=0):
    """A matrix of quarters above 0 with NaN in its holes."""
    rng = np.random.default_rng(seed)
    full = rng.integers(1, 80, shape) / 4
    return np.where(rng.random(shape) < density, full, NAN)


def fitted(values=None, k=3, **options):
    values = observed() if values is None else values
    return funkc.factorize(None, values, k, **({"n_epochs": 3, "n_threads": 1} | options))


def made(rows, cols, offset=0.0, n_seen=None, **parts):
    """A factorization of given factors, as if they had been trained."""
    made = funkc.Factorization.from_factors(rows, cols, offset=offset, **parts)
    made._rows.n_seen, made._cols.n_seen = n_seen or made.shape
    made.parameters |= fitted().parameters
    made.n_threads = 1
    return made


def rated(seed=0, n_rows=40, n_cols=30, text=True, n=500):
    rng = np.random.default_rng(seed)
    places = np.sort(rng.permutation(n_rows * n_cols)[:n])
    rows, cols = places // n_cols, places % n_cols
    names = np.array([f"r{i:03}" for i in range(n_rows)]) if text else np.arange(n_rows) * 10
    return funkc.Ratings.from_arrays(
        names[rows], np.arange(n_cols)[cols] * 7, rng.integers(1, 9, n) / 2
    )


def bits(fit):
    parts = (fit.row_factors, fit.col_factors, fit.row_bias, fit.col_bias)
    return [None if part is None else (part.dtype, part.shape, part.tobytes()) for part in parts]


def own_side(fit, by_col):
    factors, bias = (fit.col_factors, fit.col_bias) if by_col else (fit.row_factors, fit.row_bias)
    return factors if bias is None else np.column_stack([factors, bias])


def everything(fit, table):
    """What all methods that only read answer, as bytes."""
    parts = [
        fit.predict(np.arange(9), np.arange(9)), fit.predict(3), fit.reconstruct(slice(5)),
        *fit.top(slice(None), 6), *fit.similar_rows(slice(9), 4), *fit.similar_cols(3, 4),
        fit.impute(None, table), fit.predict(-1, 4, unknown="baseline"),
        *(part for kind in (fit.fold_in_rows(None, table), fit.fold_in_cols(None, table))
          for part in (kind.row_factors, kind.col_factors)),
    ]  # fmt: skip
    return b"".join(np.asarray(part).tobytes() for part in parts)
