"""The mean of several fits with k factors again, against NumPy's SVD of the mean itself."""

import hashlib
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funkc import _core
from funkc._average import averaged
from funkc._schedule import padded

DTYPES = [np.float32, np.float64]


def members(rng, shape, k, n, dtype, scale=1.0):
    """Random factors of n members, with something behind the k that is not theirs."""
    return tuple(
        np.concatenate(
            [rng.normal(size=(n, size, k)) * scale, np.full((n, size, padded(k) - k), 9.0)], axis=2
        ).astype(dtype)
        for size in shape
    )


def mean_of(x, y, k):
    x, y = x[..., :k].astype(float), y[..., :k].astype(float)
    return np.mean(x @ y.transpose(0, 2, 1), axis=0)


def weights_of(rng, shape):
    return tuple(rng.integers(0, 500, size).astype(float) for size in shape)


def errors(x, y, k, counts, made):
    """The weighted error of what was made, the least possible one, and what rounding scales with:
    the norms of all factors, whose products may cancel."""
    w = np.sqrt(counts[0] + 1)[:, None] * np.sqrt(counts[1] + 1)
    mean = mean_of(x, y, k)
    values = np.linalg.svd(w * mean, compute_uv=False)
    product = made[0].astype(float) @ made[1].astype(float).T
    return (
        np.linalg.norm(w * (mean - product)),
        np.sqrt(np.sum(values[k:] ** 2)),
        np.prod(
            [
                np.linalg.norm(np.sqrt(n + 1)[:, None] * z[..., :k])
                for z, n in zip((x, y), counts, strict=True)
            ]
        )
        / len(x),
    )


def check(x, y, k, counts, tolerance, n_threads=1):
    """All that is promised of the result, which is returned."""
    made = averaged(x, y, k, *counts, n_threads)
    assert all(z.dtype == x.dtype and z.shape[1] == padded(k) for z in made)
    assert all(np.isfinite(z).all() and not z[:, k:].any() for z in made)
    error, least, norms = errors(x, y, k, counts, made)
    assert error <= (1 + 1e-6) * least + tolerance * norms
    grams = [
        (z[:, :k].T * (n + 1)) @ z[:, :k].astype(float) for z, n in zip(made, counts, strict=True)
    ]
    for gram in grams:  # principal axes, in descending order, equal in both
        size = np.diag(gram)
        np.testing.assert_allclose(gram, np.diag(size), atol=1e-6 * size.max())
        assert (np.diff(size) <= 1e-6 * size.max()).all()
    np.testing.assert_allclose(*grams, atol=1e-6 * grams[0].max())
    return made


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    k=st.integers(1, 18),
    n=st.integers(1, 5),
    dtype=st.sampled_from(DTYPES),
    decades=st.integers(0, 6),
    decay=st.sampled_from([1.0, 0.7, 0.1]),
    rank=st.integers(0, 18),
)
@settings(max_examples=150, deadline=None)
def test_nothing_comes_nearer_to_the_mean(seed, shape, k, n, dtype, decades, decay, rank):
    rng = np.random.default_rng(seed)
    x, y = members(rng, shape, k, n, dtype, decay ** np.arange(k))
    x *= (10.0 ** rng.uniform(-decades, decades, shape[0])).astype(dtype)[:, None]
    x[:, :, rank:k] = 0
    check(x, y, k, weights_of(rng, shape), 5e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("noise", [0.01, 0.3, 10.0])  # the axes: well separated, and flat
def test_members_that_differ_by_rotations_and_noise(dtype, noise):
    rng = np.random.default_rng(0)
    k, n, shape = 20, 6, (900, 300)
    x, y = members(rng, shape, k, 1, float)
    turns = [np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(n)]
    x, y = (np.array([z[0, :, :k] @ turn for turn in turns]) for z in (x, y))
    x, y = ((z + noise * rng.normal(size=z.shape)).astype(dtype) for z in (x, y))
    made = check(x, y, k, weights_of(rng, shape), 1e-7, n_threads=2)
    assert all(z[:, :k].any(axis=0).all() for z in made)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_member_keeps_its_product(dtype):
    rng = np.random.default_rng(1)
    x, y = members(rng, (300, 50), 10, 1, dtype)
    made = averaged(x, y, 10, *weights_of(rng, (300, 50)), 1)
    np.testing.assert_allclose(
        made[0] @ made[1].T, mean_of(x, y, 10), atol=100 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_axes_that_are_not_there_are_zero(dtype):
    rng = np.random.default_rng(2)
    shape, k = (70, 40), 7
    counts = weights_of(rng, shape)
    x, y = members(rng, shape, k, 3, dtype)
    x[:, :, 4:k] = 0
    x[1:], y[1:] = x[0], y[0]
    made = check(x, y, k, counts, 2e-7)
    assert all(z[:, :4].any(axis=0).all() and not z[:, 4:].any() for z in made)
    x[0] = 0  # a member that says nothing, before those that do
    assert check(x, y, k, counts, 2e-7)[0].any()
    y[:] = 0
    assert not any(z.any() for z in check(x, y, k, counts, 0))
    x[:] = 0
    assert not any(z.any() for z in check(x, y, k, counts, 0))


def test_more_factors_than_rows():
    rng = np.random.default_rng(3)
    for shape in ((1, 30), (30, 1), (1, 1), (5, 5)):
        x, y = members(rng, shape, 9, 4, np.float64)
        made = check(x, y, 9, weights_of(rng, shape), 1e-12)
        assert all(not z[:, min(shape) :].any() for z in made)


def test_members_on_separate_axes_share_the_result():
    """The largest are not the first, and all are orthogonal without rounding."""
    x, y = np.zeros((2, 5, 6, 2))
    sizes = np.array([1.0, 4, 2, 5, 3])
    for e, size in enumerate(sizes):
        x[e, e, 0], y[e, 5 - e, 0] = size, 1
    made = averaged(x, y, 2, np.zeros(6), np.zeros(6), 1)
    expected = np.zeros((6, 6))
    expected[1, 4], expected[3, 2] = 4 / 5, 5 / 5
    np.testing.assert_allclose(made[0] @ made[1].T, expected, atol=1e-15)
    assert made[0][3, 0] == pytest.approx(1)
    assert made[0][1, 1] == pytest.approx(np.sqrt(4 / 5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_instruction_sets_leave_no_trace(dtype):
    rng = np.random.default_rng(4)
    shape, k = (5000, 700), 21
    x, y = members(rng, shape, k, 4, dtype)
    counts = weights_of(rng, shape)
    found = {
        tuple(z.tobytes() for z in averaged(x, y, k, *counts, threads)) for threads in (1, 2, 3, 8)
    }
    for level in _core._usable():
        core = import_module(f"funkc._core.average_{level}")
        made = tuple(np.empty_like(z[0]) for z in (x, y))
        assert core.cut(x, y, k, counts[0] + 1, counts[1] + 1, *made, 2) == 0
        found.add(tuple(z.tobytes() for z in made))
    assert len(found) == 1


# One digest for every machine: it changes only with the arithmetic, and then on purpose.
GOLDEN = {"float32": "6dab4c4b6352fbd6", "float64": "4fe05bd183276982"}


@pytest.mark.parametrize("dtype", GOLDEN)
def test_the_bits_are_those_of_every_other_machine(dtype):
    x, y = (
        (np.arange(3 * size * 5) ** 2 % prime / 16 - 2).reshape(3, size, 5).astype(dtype)
        for size, prime in ((700, 61), (40, 53))
    )
    made = averaged(x, y, 5, np.arange(700.0), np.arange(40.0), 2)
    parts = [z.astype(z.dtype.newbyteorder("<")).tobytes() for z in made]
    assert hashlib.sha256(b"".join(parts)).hexdigest()[:16] == GOLDEN[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_result_may_take_the_place_of_the_first_member(dtype):
    rng = np.random.default_rng(5)
    shape, k = (90, 80), 6
    x, y = members(rng, shape, k, 3, dtype)
    counts = weights_of(rng, shape)
    apart = averaged(x, y, k, *counts, 1)
    status = _core.average.cut(x, y, k, counts[0] + 1, counts[1] + 1, x[0], y[0], 2)
    assert status == 0
    assert x[0].tobytes() == apart[0].tobytes()
    assert y[0].tobytes() == apart[1].tobytes()


def test_factors_whose_squares_overflow_are_refused():
    x, y = np.full((2, 2, 3, 4), 1e160)
    for factors in ((x, y), (np.ones_like(x), y), (np.full_like(x, 1e80), np.full_like(y, 1e80))):
        with pytest.raises(ValueError, match="exceeds what the dtype"):
            averaged(*factors, 4, np.zeros(3), np.zeros(3), 1)
