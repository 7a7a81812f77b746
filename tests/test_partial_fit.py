"""Training goes on: partial_fit, and factorize(init=...)."""

import copy
import re

import numpy as np
import pytest
import scipy.sparse as sp
from fits import DTYPES, KINDS, NAN, SHAPE, bits, fitted, observed, own_side, rated

import funkc

# ---------------------------------------------------------------- learning on


def test_partial_fit_trains_on_what_is_passed():
    table = observed()
    rows, cols = np.nonzero(~np.isnan(table))
    for options in KINDS.values():
        fit = fitted(table, k=7, n_epochs=20, **options)
        before = copy.deepcopy(fit)
        shifted = table + 3
        wrong = np.sqrt(np.nanmean((fit.reconstruct() - shifted) ** 2))
        assert fit.partial_fit((rows, cols), shifted[rows, cols], n_epochs=10) is fit
        assert np.sqrt(np.nanmean((fit.reconstruct() - shifted) ** 2)) < 0.99 * wrong
        assert fit.history["epoch"] == list(range(1, 11))
        assert fit.parameters == before.parameters
        rate = fit.history["learning_rate"][0]
        assert rate <= before.parameters["learning_rate"] * 10 / 20 / 3 * (1 + 1e-12)
        assert np.allclose(fit.history["learning_rate"], rate * np.arange(10, 0, -1) / 10)
        # The same as training from there, but biases are then fitted towards what they were.
        again = funkc.factorize(
            (rows, cols), shifted[rows, cols], 7, init=before, n_epochs=10, n_threads=3,
            learning_rate=rate, regularization=before.parameters["regularization"], **options,
        )  # fmt: skip
        assert np.allclose(again.row_factors, fit.row_factors, rtol=1e-3, atol=1e-4)
        assert options["biases"] or bits(again) == bits(fit)
        if options.get("nonnegative"):
            assert (fit.row_factors >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_columns_that_are_new_begin_where_they_are_folded_in(kind, dtype):
    options = KINDS[kind]
    table = observed((80, 90), density=0.3)
    table[79], table[:, 88] = NAN, NAN  # new, and without observations
    fit = fitted(table[:67, :75], k=7, dtype=dtype, **options)
    rate = 1e-30  # training leaves everything where it begins
    grown = copy.copy(fit).partial_fit(None, table, learning_rate=rate, n_epochs=1)
    assert grown.shape == (80, 90)
    assert fit.shape == (67, 75)
    new_rows = fit.fold_in_rows(None, table[67:, :75])
    same = options | {"regularization": fit.parameters["regularization"], "dtype": dtype}
    still = {"learning_rate": rate, "n_epochs": 1}
    taller = funkc.factorize(None, table[:, :75], 7, init=fit, **same, **still)
    taller.noise = fit.noise  # partial_fit takes both sides' from before the training
    new_cols = taller.fold_in_cols(None, table[:, 75:])
    # Biases are fitted again, and the columns' come after those of the rows.
    close = {"rtol": 1e-6, "atol": 0.1 if options["biases"] else 1e-6}
    for by_col, new in ((False, new_rows), (True, new_cols)):
        own = own_side(grown, by_col)[:, :7]
        assert np.allclose(own[: fit.shape[by_col]], own_side(fit, by_col)[:, :7], **close)
        assert np.allclose(own[fit.shape[by_col] :], own_side(new, by_col)[:, :7], **close)
    again = funkc.factorize(None, table, 7, init=fit, **same, **still)
    assert options["biases"] or bits(again) == bits(grown)


def test_partial_fit_leaves_no_trace_of_threads_forms_and_order():
    table = observed((80, 90), density=0.3)
    mask = ~np.isnan(table)
    rows, cols = np.nonzero(mask)
    mixed = np.random.default_rng(1).permutation(rows.size)
    found = set()
    for n_threads, cells, values in (
        (1, None, table),
        (2, (rows, cols), table[mask]),
        (3, (rows[mixed], cols[mixed]), table[mask][mixed]),
        (8, mask, table),
        (1, None, sp.csc_array((table[mask], (rows, cols)), table.shape)),
    ):
        fit = fitted(observed(), n_threads=n_threads)
        found.add(str(bits(fit.partial_fit(cells, values))))
    assert len(found) == 1


def test_partial_fit_takes_a_few_cells_and_keeps_the_rest():
    fit = fitted(biases=True)
    before = copy.copy(fit)
    fit.partial_fit(([3], [4]), [9.0], callback=lambda epoch, history: epoch == 2)
    assert fit.stopped_by == "callback"
    assert fit.history["epoch"] == [1, 2]
    assert fit.shape == SHAPE
    changed = (fit.row_factors != before.row_factors).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [3]
    assert np.flatnonzero((fit.col_factors != before.col_factors).any(axis=1)).tolist() == [4]
    assert abs(fit.predict(3, 4) - 9) < abs(before.predict(3, 4) - 9)
    grown = copy.copy(fit).partial_fit(([3], [4]), [9.0], shape=(70, 80))
    assert grown.shape == (70, 80)
    assert np.allclose(grown.row_factors[68], fit.row_factors.mean(axis=0), atol=1e-6)
    weighted = copy.copy(fit).partial_fit(([3, 5], [4, 5]), [9.0, 1.0], weights=[1, 0])
    assert bits(weighted) == bits(copy.copy(fit).partial_fit(([3], [4]), [9.0]))
    assert fit.partial_fit(([3, 3], [4, 4]), [9.0, 1.0], duplicates="mean").shape == SHAPE


@pytest.mark.parametrize(
    ("arguments", "options", "error", "start"),
    [
        ((None, np.ones((66, 75))), {}, ValueError, "values: has 66 rows where 67 were trained;"),
        ((None, np.ones((67, 9))), {}, ValueError, "values: has 9 columns where 75 were trained"),
        (
            (([0], [0]), [1.0]),
            {"shape": (3, 75)},
            ValueError,
            "shape: got (3, 75) where 67 rows",
        ),
        ((([70, 0, 70], [1, 0, 1]), [1, 2, 3]), {}, ValueError, "mask: row 70, column 1 is listed"),
        ((([1, 0, 1], [80, 0, 80]), [1, 2, 3]), {}, ValueError, "mask: row 1, column 80 is listed"),
        ((([1, 0, 1], [5, 0, 5]), [1, 2, 3]), {}, ValueError, "mask: row 1, column 5 is listed"),
        ((([70, 0], [1, 0]), [1e300, 2]), {}, ValueError, "values: the factors of row 70 exceed"),
        (
            (([1, 0], [80, 0]), [1e300, 2]),
            {},
            ValueError,
            "values: the factors of column 80 exceed",
        ),
        ((([0], [0]), [NAN]), {}, ValueError, "values: is NaN at row 0, column 0"),
        ((([0], [0]), [1.0]), {"n_epochs": 0}, ValueError, "n_epochs: got 0; pass an integer"),
        ((([0], [0]), [1.0]), {"learning_rate": 0}, ValueError, "learning_rate: got 0.0; pass"),
        ((([0], [0]), [1.0]), {"regularization": [1]}, ValueError, "regularization: got 1 numbers"),
        ((([0], [0]), [1.0]), {"verbose": 1}, TypeError, "verbose: got 1; pass True or False"),
        ((([0], [0]), [1.0]), {"callback": 3}, TypeError, "callback: got 3, which can't be"),
        ((None, rated()), {}, ValueError, "values: are Ratings, but this factorization has no"),
        ((None, np.full(SHAPE, NAN)), {}, ValueError, "mask: marks no entry as observed"),
    ],
)
def test_partial_fit_that_is_refused_changes_nothing(arguments, options, error, start):
    fit = fitted()
    before = bits(fit), dict(fit.history)
    with np.errstate(over="ignore"), pytest.raises(error, match=f"^{re.escape(start)}"):
        fit.partial_fit(*arguments, **options)
    assert (bits(fit), fit.history) == before
    with pytest.raises(LookupError):
        fit.partial_fit(([0], [0]), [1.0], callback=lambda *_: {}["mine"])
    assert (bits(fit), fit.history) == before


def test_partial_fit_bears_values_far_from_those_before():
    fit = funkc.factorize(None, np.ones((50, 40)), 4)
    other = np.random.default_rng(0).normal(size=(50, 40))
    fit.partial_fit(None, other)
    assert np.isfinite(fit.reconstruct()).all()


# ---------------------------------------------------------------- warm start


def test_a_warm_start_goes_on_where_a_fit_ended():
    table = observed()
    fit = fitted(table, n_epochs=20, biases=True)
    cold = funkc.factorize(None, table, 3, n_epochs=1, biases=True)
    gentle = {"n_epochs": 1, "learning_rate": 1e-4, "biases": True, "n_threads": 1}
    warm = funkc.factorize(None, table, 3, init=fit, **gentle)
    assert warm.history["train_rmse"][0] < 0.95 * cold.history["train_rmse"][0]
    assert warm.offset == pytest.approx(fit.offset, abs=0.1)
    named = funkc.factorize(None, rated(), 4, n_epochs=2)
    for init in (named, funkc.factorize(None, rated(), 4, n_epochs=1)):
        grown = funkc.factorize(None, rated(1, 50, 35), 4, init=init, n_epochs=1)
        assert grown.row_ids.tolist()[:40] == named.row_ids.tolist()
        assert grown.shape == (50, 35)
    with pytest.raises(ValueError, match=r"^values: has 10 rows where 67 were trained; pass all"):
        funkc.factorize(None, table[:10], 3, init=fit, biases=True)
    with pytest.raises(ValueError, match=r"^init row_factors: has shape \(67, 3\); pass shape"):
        funkc.factorize(None, table, 4, init=fit, biases=True)
    with pytest.raises(ValueError, match=r"^init: has biases; pass biases=True"):
        funkc.factorize(None, table, 3, init=fit, biases=False)
    with pytest.raises(ValueError, match=r"^values: are Ratings, but this factorization has no"):
        funkc.factorize(None, rated(), 3, init=fit)
    assert funkc.factorize(None, table, 3, init=fitted(table), biases=True).row_bias is not None


def test_the_form_and_the_order_of_the_entries_leave_no_trace():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table, start = 10 * rng.random((20, 15)), rng.random((20, 15))
        rows, cols = (side.ravel() for side in np.indices(table.shape))
        order = rng.permutation(table.size)
        one, other = (
            funkc.factorize(None, start, 2, dtype=np.float64, n_epochs=3) for _ in range(2)
        )
        one.partial_fit(None, table)
        other.partial_fit((rows[order], cols[order]), table.ravel()[order])
        np.testing.assert_array_equal(one.row_factors, other.row_factors)
        assert one.history["learning_rate"] == other.history["learning_rate"]


def test_the_bias_of_a_single_row_stands_for_all_its_entries():
    row = observed((1, 75))
    assert fitted(row, biases=True)._bias_ridges()[0] == 1 + np.isfinite(row).sum()


def test_larger_values_than_before_are_learned_at_a_lower_rate():
    fit = fitted(biases=False)
    values = fit.offset + 1000 * np.array([1, -1, 1, -1])
    fit.partial_fit(([0, 1, 2, 3], [4, 5, 6, 7]), values)
    assert fit.history["learning_rate"][0] == pytest.approx(0.12 / 2000)
