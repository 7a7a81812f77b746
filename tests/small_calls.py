"""A small matrix, and calls of factorize() that are served or refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import funkc

NAN, INF = np.nan, np.inf
QUICK = settings(
    deadline=None, database=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
MATRIX = np.array([[1.0, 2.0, NAN], [NAN, 4.0, 5.0]])
MASK = ~np.isnan(MATRIX)
FULL = np.where(MASK, MATRIX, 0.0)
PAIR = MASK.nonzero()
CELLS = MATRIX[MASK]


def refused(error, *fragments, mask=None, values=MATRIX, k=2, **options):
    """The call raises exactly `error`; its message begins with the first fragment ("argument:
    what was found") and holds the others (the offending value, the position, the remedy)."""
    with pytest.raises(error) as caught:
        funkc.factorize(mask, values, k, **options)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert message.startswith(fragments[0]), message
    for fragment in fragments[1:]:
        assert fragment in message, f"{fragment!r} is not in {message!r}"


def fitted(mask=None, values=MATRIX, k=2, **options):
    fit = funkc.factorize(mask, values, k, **({"n_epochs": 2, "n_threads": 1} | options))
    assert_finite(fit)
    return fit


def outcome(*arguments, **options):
    """The factorization or the refusal, and None for the other; other errors pass."""
    try:
        return funkc.factorize(*arguments, **options), None
    except (TypeError, ValueError, MemoryError) as error:
        return None, error


def assert_finite(fit):
    assert np.isfinite(fit.row_factors).all()
    assert np.isfinite(fit.col_factors).all()
    assert np.isfinite(fit.offset)


def assert_same_bits(one, other):
    assert one.row_factors.tobytes() == other.row_factors.tobytes()
    assert one.col_factors.tobytes() == other.col_factors.tobytes()
    assert one.offset == other.offset
