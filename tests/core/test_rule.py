"""The default rule against the slow oracle: equal to the bit, with any number of threads."""

import numpy as np
import pytest
import reference
import reference_rule
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc

DTYPES = [np.float32, np.float64]
THREADS = [1, 2, 3, 8]


def compare(cells, values, shape, k, *, seed=0, group=8, threads=THREADS, **options):
    """Returns the fit."""
    wanted = reference_rule.factorize(*cells, values, shape, k, seed=seed, group=group, **options)
    if options.get("offset", 0.0) is None:
        del options["offset"]
    for n_threads in threads:
        fit = funkc.factorize(
            cells, values, k, shape=shape, random_state=seed, group_size=group,
            n_threads=n_threads, **options,
        )  # fmt: skip
        reference_rule.assert_equal(fit, wanted)
    return fit


def signal(rng, shape, noise=0.05):
    """What two factors and biases make, and some noise."""
    biases = rng.normal(size=shape[0])[:, None] + rng.normal(size=shape[1])
    products = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    return biases + products + noise * rng.normal(size=shape)


VALUES = {
    "numbers": lambda rng, shape: rng.normal(size=shape) * 100 - 40,
    "codes": lambda rng, shape: rng.integers(1, 6, shape) * 1.0,
    "signal": signal,
    "additive": lambda rng, shape: np.add.outer(*(np.arange(n) * 0.25 for n in shape)),
    "constant": lambda rng, shape: np.full(shape, 3.25),
    "zeros": lambda rng, shape: rng.choice([-0.0, 0.0, 1e-3], shape),
}


@st.composite
def problems(draw):
    """Entries of a small matrix of any density, with rows and columns that have none."""
    side = st.one_of(st.just(1), st.integers(1, 25))
    shape = draw(side), draw(side)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = rng.random(shape) < draw(st.sampled_from([0.05, 0.3, 1.0]))
    mask[rng.random(shape[0]) < 0.1] = False
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    values = VALUES[draw(st.sampled_from(sorted(VALUES)))](rng, shape)[mask]
    weights = draw(st.sampled_from([None, "near", "far"]))
    if weights is not None:
        weights = np.exp(rng.normal(0, 0.3 if weights == "near" else 2, values.size))
    nonnegative = draw(st.booleans())
    return np.nonzero(mask), np.abs(values) if nonnegative else values, shape, {
        "weights": weights,
        "nonnegative": nonnegative,
        "biases": True if nonnegative else draw(st.sampled_from([True, "auto"])),
        "offset": draw(st.sampled_from([None, None, 1.5])),
        "stages": draw(st.sampled_from([None, None, 3])),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    problem=problems(),
    k=st.sampled_from([1, 5, 9]),
    seed=st.integers(0, 2**64 - 1),
    group=st.sampled_from([1, 8]),
    n_threads=st.sampled_from(THREADS),
)
@settings(max_examples=40, deadline=None)
def test_any_problem_gives_the_oracles_bits(dtype, problem, k, seed, group, n_threads):
    *problem, options = problem
    compare(*problem, k, dtype=dtype, seed=seed, group=group, threads=[n_threads], **options)


def entries(shape, share=0.6, seed=1):
    """A mask, with a row and a column that have no entry."""
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < share
    mask[3] = mask[:, 2] = False
    return mask, rng


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "k, weighted, options, stages",
    [
        (1, True, {}, 1),
        (9, True, {"offset": 0.5, "biases": True}, 10),
        (5, False, {"nonnegative": True, "biases": True}, 1),
        (5, False, {"stages": 2, "n_epochs": 7}, 2),
        (5, False, {"n_epochs": 9}, 1),
        (9, False, {}, 9),
    ],
)
def test_stages_are_searched_for_where_the_signal_is_strong(dtype, k, weighted, options, stages):
    mask, rng = entries((30, 25))
    values = signal(rng, mask.shape)[mask]
    if options.get("nonnegative"):
        values = np.abs(values)
    weights = rng.exponential(size=values.size) + 0.01 if weighted else None
    fit = compare(np.nonzero(mask), values, mask.shape, k, dtype=dtype, weights=weights, **options)
    assert fit.stages == stages
    assert fit.n_seen == (29, 24)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_several_bands_and_waves(dtype, weighted):
    """Rows, columns and bands without entries, and runs of more targets than are made at once."""
    shape = (60, 700)
    rng = np.random.default_rng(7)
    mask = np.zeros(shape, bool)
    mask[:20:2] = True
    mask[20:, ::7] = rng.random((40, 100)) < 0.3
    values = rng.integers(1, 11, shape)[mask] / 2
    weights = rng.exponential(size=values.size) + 0.01 if weighted else None
    compare(np.nonzero(mask), values, shape, 5, dtype=dtype, weights=weights, stages=2, n_epochs=2)
    assert reference.bands_of(shape, values.size, 5, np.dtype(dtype).itemsize) == (4, 4)


def test_columns_beyond_sixteen_bits_have_biases_of_their_own():
    rng = np.random.default_rng(3)
    cells = rng.integers(0, 5, 60), np.sort(rng.permutation(200_000)[:60])
    compare(cells, rng.normal(size=60), (5, 200_000), 2, n_epochs=1, threads=[2])


def test_more_threads_than_one_add_up_the_biases():
    """From 16,384 entries on, whatever the number of threads."""
    cells = np.nonzero(np.ones((130, 131), bool))
    values = np.random.default_rng(2).normal(size=cells[0].size)
    compare(cells, values, (130, 131), 1, n_epochs=1)


def test_a_column_beyond_the_first_page_has_a_bias():
    rng = np.random.default_rng(3)
    cols = np.sort(rng.permutation(140_000)[:400])
    compare((rng.integers(0, 2, 400), cols), rng.normal(size=400), (2, 140_000), 2, n_epochs=2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("asked", [3.0, (0.5, 12.0), 0.0])
def test_biases_are_drawn_to_0_as_asked(asked, weighted):
    """Against the normal equations."""
    rng = np.random.default_rng(0)
    mask = rng.random((12, 9)) < 0.6
    rows, cols = np.nonzero(mask)
    values = rng.normal(size=rows.size) + rng.normal(size=12)[rows] + 5
    weights = rng.exponential(size=rows.size) if weighted else np.ones(rows.size)
    fit = funkc.factorize(
        (rows, cols), values, 1, shape=(12, 9), bias_regularization=asked, n_epochs=1,
        learning_rate=1e-12, dtype=np.float64, weights=weights,
    )  # fmt: skip
    ridges = np.broadcast_to(asked, 2)
    w = weights / weights.mean()
    design = np.zeros((rows.size, 22))
    design[:, 0] = 1
    design[np.arange(rows.size), 1 + rows] = 1
    design[np.arange(rows.size), 13 + cols] = 1
    penalty = np.diag([0.0, *[ridges[0]] * 12, *[ridges[1]] * 9])
    best = np.linalg.pinv((design.T * w) @ design + penalty) @ (design.T @ (w * values))
    made = fit.predict(rows, cols)
    # The factors begin with noise that hardly moves.
    np.testing.assert_allclose(made, design @ best, atol=2e-2)
    usual = funkc.factorize((rows, cols), values, 1, shape=(12, 9), n_epochs=1, learning_rate=1e-12)
    assert np.abs(usual.predict(rows, cols) - made).max() > 3e-2


def test_biases_drawn_hard_vanish():
    values = np.add.outer(np.arange(9.0), np.arange(8.0))
    for loss in ("squared", "huber"):
        fit = funkc.factorize(None, values, 1, bias_regularization=(1e9, 0.1), loss=loss)
        assert np.abs(fit.row_bias).max() < 1e-5
        assert np.abs(fit.col_bias).max() > 1


def test_no_biases_no_regularization_of_them():
    with pytest.raises(ValueError, match="bias_regularization"):
        funkc.factorize(None, np.eye(3), 1, biases=False, bias_regularization=1.0)
