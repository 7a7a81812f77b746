"""What the observed entries of a row contribute to a prediction."""

import numpy as np
import pytest
import scipy.sparse as sp
from fits import DTYPES, NAN, QUICK, fitted, observed, rated
from hypothesis import given
from hypothesis import strategies as st

import funkc

LOSSES = ("squared", "absolute", "huber", "logistic", "poisson")
made = funkc.Factorization.from_factors


def newton(fit, values, scores):
    """Weights and steps at the scores."""
    errors = values - scores
    if fit.loss == "squared":
        return np.ones_like(errors), errors
    if fit.loss in ("absolute", "huber"):
        noise = fit.noise or 0.0
        if fit.loss == "absolute":
            return 1 / np.maximum(abs(errors), 0.1 * noise**2 or 1.0), errors
        delta = fit.parameters["huber_delta"]
        delta = min(delta, 1.345 * noise) if noise else delta
        return delta / np.maximum(abs(errors), delta), errors
    means = 1 / (1 + np.exp(-scores)) if fit.loss == "logistic" else np.exp(scores)
    pulls = values - means
    curvatures = means * (1 - means) if fit.loss == "logistic" else means
    weights = np.maximum(np.maximum(curvatures, abs(pulls) / 2), 1e-9)
    return weights, pulls / weights


def regression(fit, i, j, cols, values, given_weights=None):
    """Of the docstring: the score, the baseline, what is left of each entry, and its influence."""
    X, Y = fit.row_factors.astype(float), fit.col_factors.astype(float)
    row_bias, col_bias = (
        np.zeros(n) if bias is None else bias.astype(float)
        for bias, n in zip((fit.row_bias, fit.col_bias), fit.shape, strict=True)
    )
    baselines = fit.offset + row_bias[i] + col_bias
    x, y = X[i], Y[cols]
    score = float(fit.reconstruct([i], link=False, ids=False)[0, j])
    w, steps = newton(fit, values, baselines[cols] + y @ x)
    e = y @ x + steps
    if given_weights is not None:
        w = w * given_weights / np.mean(given_weights)
    M = (w[:, None] * y).T @ y
    ridge = fit.parameters["regularization"]
    if ridge is None:
        M += 1e-3 * np.trace(M) / fit.k * np.eye(fit.k)
    else:
        M += ridge[0] / 2 ** (fit.stages - 1) * len(cols) * np.eye(fit.k)
    M += 1e-6 * np.trace(M) / fit.k * np.eye(fit.k)
    return score, baselines[j], e, w * (y @ np.linalg.solve(M, Y[j]))


def reference(*args):
    """The score, the baseline, and what each entry contributes."""
    score, baseline, e, g = regression(*args)
    left = score - baseline - g @ e
    return score, baseline, g * e + left * g**2 / (g @ g)


def in_order(cols, parts):
    order = sorted(range(len(cols)), key=lambda at: (-abs(parts[at]), cols[at]))
    return np.asarray(cols)[order], np.asarray(parts)[order]


def of_loss(loss, shape, rng):
    if loss == "logistic":
        return rng.integers(0, 2, shape).astype(float)
    if loss == "poisson":
        return rng.poisson(3.0, shape).astype(float)
    return rng.normal(2.0, 1.5, shape)


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    loss, shape = draw(st.sampled_from(LOSSES)), (draw(st.integers(2, 9)), draw(st.integers(2, 12)))
    seen = rng.random(shape) < draw(st.sampled_from([0.3, 0.8, 1.0]))
    seen[0, :2] = True
    rows, cols = np.nonzero(seen)
    names = np.array([f"r{i}" for i in range(shape[0])]), np.arange(shape[1]) * 5 - 3
    weights = rng.random(rows.size) + 0.1 if draw(st.booleans()) else None
    ratings = funkc.Ratings.from_arrays(
        names[0][rows], names[1][cols], of_loss(loss, rows.size, rng), weight=weights
    )
    options = {"loss": loss, "dtype": draw(st.sampled_from(DTYPES)), "n_threads": 1}
    options |= {"regularization": draw(st.sampled_from([None, (0.3, 0.01)]))}
    options |= {"biases": draw(st.booleans()), "stages": draw(st.integers(1, 2)), "n_epochs": 5}
    fit = funkc.factorize(None, ratings, draw(st.integers(1, 5)), **options)
    if draw(st.booleans()):  # of no training
        fit = made(
            fit.row_factors, fit.col_factors, row_bias=fit.row_bias, col_bias=fit.col_bias,
            offset=fit.offset, row_ids=fit.row_ids, col_ids=fit.col_ids, loss=loss,
            huber_delta=fit.parameters["huber_delta"], noise=draw(st.sampled_from([None, 0.3])),
        )  # fmt: skip
    i = int(draw(st.sampled_from(ratings.rows.tolist())))
    return fit, ratings, i, draw(st.integers(0, fit.shape[1] - 1))


@pytest.mark.filterwarnings("ignore")
@QUICK
@given(problems())
def test_contributions_are_those_of_the_formula(problem):
    fit, ratings, i, j = problem
    own = ratings.rows == i
    weights = None if ratings.weights is None else ratings.weights[own]
    cols, values = ratings.cols[own], ratings.values[own]
    score, baseline, parts = reference(fit, i, j, cols, values, weights)
    found = fit.explain(i, j, 99, seen=ratings, ids=False)
    size = np.abs(parts).max() + abs(score) + abs(baseline)
    assert found.score == score
    assert found.baseline == pytest.approx(baseline, rel=1e-12, abs=1e-12 * size)
    assert found.contributions.sum() == pytest.approx(score - baseline, abs=1e-9 * size)
    order = np.argsort(found.columns)
    assert np.array_equal(found.columns[order], np.sort(cols))
    assert found.contributions[order] == pytest.approx(parts[np.argsort(cols)], abs=1e-8 * size)
    sizes = np.abs(found.contributions)
    assert (np.diff(sizes) <= 0).all()
    named = fit.explain(fit.row_ids[i], fit.col_ids[j], 2, seen=ratings)
    assert (named.score, named.baseline) == (found.score, found.baseline)
    assert np.array_equal(named.columns, fit.col_ids[found.columns[:2]])
    assert np.array_equal(named.contributions, found.contributions[:2])


def test_a_regression_is_explained_by_its_influences():
    """A value that is larger by h moves the prediction by g h, and no rest is shared."""
    rng = np.random.default_rng(0)
    Y, values, cols = rng.normal(size=(9, 3)), rng.normal(size=6), np.arange(6)
    M = Y[:6].T @ Y[:6]
    M = M + 1e-3 * np.trace(M) / 3 * np.eye(3)
    M += 1e-6 * np.trace(M) / 3 * np.eye(3)
    fit = made(np.linalg.solve(M, Y[:6].T @ values)[None], Y)
    found = fit.explain(0, 8, 6, seen=((np.zeros(6, int), cols), values))
    g = Y[:6] @ np.linalg.solve(M, Y[8])
    expected = in_order(cols, g * values)
    assert np.array_equal(found.columns, expected[0])
    assert found.contributions == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_comes_close_to_the_regression(loss):
    """So that the share of what is left is a correction."""
    rng = np.random.default_rng(0)
    scores = (rng.normal(size=(150, 4)) @ rng.normal(size=(4, 100))) / 2 + rng.normal(size=(150, 1))
    made_of = {"logistic": lambda s: s + rng.logistic(size=s.shape) > 0,
               "poisson": lambda s: rng.poisson(np.exp(np.minimum(s, 3)))}  # fmt: skip
    values = made_of.get(loss, lambda s: s + rng.normal(size=s.shape) / 4)(scores).astype(float)
    seen = rng.random(values.shape) < 0.5
    fit = funkc.factorize(seen, values, 4, loss=loss, n_threads=1)
    lefts, wholes = [], []
    for i in range(40):
        cols = np.flatnonzero(seen[i])
        score, baseline, e, g = regression(fit, i, 3, cols, values[i, cols])
        lefts.append(score - baseline - g @ e)
        wholes.append(score - baseline)
    assert np.linalg.norm(lefts) < 0.25 * np.linalg.norm(wholes)


FORMS = {
    "nan": lambda table: (None, table),
    "list": lambda table: [None, table],
    "bool": lambda table: (~np.isnan(table), table),
    "pair": lambda table: (np.nonzero(~np.isnan(table)), table[~np.isnan(table)]),
    "sparse": lambda table: (None, sp.csr_array(np.nan_to_num(table))),
    "one row": lambda table: (
        (np.full(np.count_nonzero(~np.isnan(table[4])), 4), np.flatnonzero(~np.isnan(table[4]))),
        table[4][~np.isnan(table[4])],
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms_and_other_rows_change_nothing(form):
    fit, table = fitted(), observed()
    expected = fit.explain(4, 7, 99, seen=(None, table))
    assert expected.columns.dtype == np.int64
    for n_threads in (1, 3):
        fit.n_threads = n_threads
        found = fit.explain(4, np.int32(7), 99, seen=form(table))
        assert (found.score, found.baseline) == (expected.score, expected.baseline)
        assert found.columns.tolist() == expected.columns.tolist()
        assert found.contributions.tobytes() == expected.contributions.tobytes()
    assert len(fit.explain(4, 7, seen=form(table)).columns) == 5
    assert (found.baseline, found.score) == (
        pytest.approx(fit.offset + float(fit.row_bias[4]) + float(fit.col_bias[7])),
        float(fit.reconstruct(link=False)[4, 7]),
    )


def test_ids_of_one_side():
    """New rows have indices, the columns of Ratings ids."""
    fit = funkc.factorize(None, rated(), 4, n_epochs=3, n_threads=1)
    seen = (([1, 1], [2, 5]), [3.0, 4.0])
    new = fit.fold_in_rows(*seen, ids=False)
    found = new.explain(1, 7 * 9, seen=(([1, 1], [14, 35]), [3.0, 4.0]))
    assert sorted(found.columns) == [14, 35]
    by_position = new.explain(1, 9, seen=seen, ids=False)
    assert sorted(by_position.columns) == [2, 5]
    assert found.contributions.tobytes() == by_position.contributions.tobytes()
    with pytest.raises(ValueError, match=r"^ids: got True, but the rows have no ids"):
        new.explain(1, 63, seen=seen, ids=True)


def test_equal_contributions_are_in_order_of_columns():
    fit = made([[1.0]], [[1.0], [1.0], [1.0], [2.0]])
    found = fit.explain(0, 3, 2, seen=(([0, 0, 0], [2, 0, 1]), [1.0, 1.0, 1.0]))
    assert found.columns.tolist() == [0, 1]
    assert found.contributions == pytest.approx([2 / 3, 2 / 3], rel=1e-12)


def test_entries_without_influence_share_evenly():
    fit = made([[1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])
    found = fit.explain(0, 2, seen=(([0, 0], [1, 0]), [5.0, -5.0]))
    assert (found.columns.tolist(), found.contributions.tolist()) == ([0, 1], [5.5, 5.5])


@pytest.mark.parametrize("unit", [1e-190, 1e-100, 1e100, 1e190])
def test_the_unit_of_factors_changes_nothing(unit):
    rng = np.random.default_rng(1)
    X, Y, seen = rng.normal(size=(2, 3)), rng.normal(size=(5, 3)), (None, rng.normal(size=(2, 5)))
    expected = made(X, Y).explain(1, 2, seen=seen)
    found = made(X / unit, Y * unit).explain(1, 2, seen=seen)
    assert found.columns.tolist() == expected.columns.tolist()
    assert found.contributions == pytest.approx(expected.contributions, rel=1e-9)


@pytest.mark.parametrize("value", [1e308, 1.7e306])
def test_what_is_too_large_is_refused(value):
    seen = (([0, 0], [0, 1]), [value, value])
    with pytest.raises(ValueError, match=r"^seen: .* exceed the range of float64; divide"):
        made([[1.0]], [[1.0], [1.0], [100.0]]).explain(0, 2, seen=seen)


def test_influences_whose_squares_are_0():
    fit = made([[1.0]], [[1e-170], [3e-170], [1.0]])
    fit.parameters["regularization"] = (0.5, 0.5)
    found = fit.explain(0, 2, seen=(([0, 0], [0, 1]), [0.0, 0.0]))
    assert found.columns.tolist() == [1, 0]
    assert found.contributions == pytest.approx([0.9, 0.1], rel=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "poisson"])
@pytest.mark.parametrize("values", [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
def test_scores_far_from_0(loss, values):
    fit = made([[1.0]], [[3.0], [25.0], [-28.0], [1.0]], loss=loss)
    score, baseline, parts = reference(fit, 0, 3, [0, 1, 2], np.array(values))
    found = fit.explain(0, 3, seen=(([0, 0, 0], [0, 1, 2]), values))
    cols, expected = in_order([0, 1, 2], parts)
    assert (found.score, found.baseline, found.columns.tolist()) == (score, baseline, cols.tolist())
    assert found.contributions == pytest.approx(expected, rel=1e-9)


TABLE = np.array([[1.0, 2.0, NAN], [NAN, NAN, NAN], [2.0, 1.0, 3.0]])
WRONG = {
    "empty row": ((1, 0), {}, ValueError, r"^seen: has no observed entry of row 1; pass entries"),
    "row": ((3, 0), {}, IndexError, r"^row: row = 3 is not among the 3"),
    "col": ((0, -1), {}, IndexError, r"^col: col = -1 is not among the 3"),
    "rows": (([0], 0), {}, ValueError, r"^row: has shape \(1,\); pass one row"),
    "ragged": (([0, [1]], 0), {}, ValueError, r"^row: the rows differ in length"),
    "slice": ((0, slice(1)), {}, ValueError, r"^col: has shape \(1,\); pass one col"),
    "real": ((0.0, 0), {}, TypeError, r"^row: has dtype float64; pass integers"),
    "n": ((0, 0, 0), {}, ValueError, r"^n: got 0"),
    "ids": ((0, 0), {"ids": True}, ValueError, r"^ids: got True, but the rows have no"),
    "no flag": ((0, 0), {"ids": 1}, TypeError, r"^ids: got 1; pass True or False"),
    "seen": ((0, 0), {"seen": TABLE}, TypeError, r"^seen: is of type ndarray; pass a pair"),
    "parts": ((0, 0), {"seen": (None, TABLE, None)}, ValueError, r"^seen: has 3 parts; pass"),
    "shape": ((0, 0), {"seen": (None, TABLE[:2])}, ValueError, r"^values: has shape \(2, 3\)"),
    "value": ((0, 0), {"seen": (([0], [0]), [NAN])}, ValueError, r"^values: is NaN at row 0"),
    "twice": ((2, 0), {"seen": (([2, 2], [1, 1]), [1, 2])}, ValueError, r"^mask: row 2, column 1"),
}  # fmt: skip


@pytest.mark.parametrize(("places", "given", "error", "text"), WRONG.values(), ids=WRONG)
def test_refused(places, given, error, text):
    fit = fitted(TABLE[[0, 2, 2]], k=1)
    with pytest.raises(error, match=text):
        fit.explain(*places, **{"seen": (None, TABLE)} | given)


def test_factors_of_another_training_are_no_entries():
    fit = fitted(k=1)
    for call in (lambda: fit.explain(0, 0, seen=(None, fit)), lambda: fit.score(None, fit)):
        with pytest.raises(TypeError, match=r"^values: is a Factorization, .*; pass the observed"):
            call()


def test_values_that_the_loss_refuses():
    fit = fitted(np.array([[0.0, 1.0], [1.0, 0.0]]), k=1, loss="logistic")
    with pytest.raises(ValueError, match=r"got 3 in row 1 and column 0, which is not 0 or 1"):
        fit.explain(1, 0, seen=(([0, 1], [0, 0]), [1.0, 3.0]))


def test_a_row_is_called_by_its_id():
    ratings = rated()
    fit = funkc.factorize(None, ratings, 2, n_epochs=2, n_threads=1)
    others = funkc.Ratings.from_arrays(["r001"], [7], [2.0])
    with pytest.raises(ValueError, match=r"^seen: has no observed entry of row 'r002'; pass"):
        fit.explain("r002", 7, seen=others)
    with pytest.raises(ValueError, match=r"^row: the id 'nobody' is not known"):
        fit.explain("nobody", 7, seen=ratings)
