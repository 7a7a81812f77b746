"""Scores of held-out entries, against plain loops and scikit-learn."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import evaluation as ev

PREDICTIONS = ["rmse", "mae", "r2"]
PROBABILITIES = ["log_loss", "auc", "brier"]
RANKINGS = ["precision", "recall", "hit_rate", "ndcg", "map", "mrr", "coverage", "popularity"]


def problem(seed, m=25, n=18, k=3):
    """Entries to train on and to test with, and a model with random factors."""
    rng = np.random.default_rng(seed)
    kind = rng.random((m, n))
    values = rng.integers(1, 6, (m, n)).astype(float)
    train, test = kind < 0.3, kind > 0.75
    test[rng.integers(m)] = False  # a row without any
    train[rng.integers(m)] = False
    fit = funkc.Factorization.from_factors(
        rng.normal(size=(m, k)), rng.normal(size=(n, k)),
        row_bias=rng.normal(size=m), col_bias=rng.normal(size=n), offset=3.0,
    )  # fmt: skip
    return fit, pair(test, values), pair(train, values)


def pair(mask, values):
    return np.nonzero(mask), values[mask]


def slow_rankings(scores, test, train, n, relevant, only=None):
    """Per row, in loops; by name, and the columns recommended."""
    (rows, cols), values = test
    out, shown = {name: {} for name in RANKINGS}, []
    counts = np.bincount(train[0][1], minlength=scores.shape[1])
    for row in np.unique(rows):
        gains = {c: v for r, c, v in zip(rows, cols, values, strict=True)
                 if r == row and v >= relevant}  # fmt: skip
        if not gains:
            continue
        seen = set(train[0][1][train[0][0] == row])
        may = [c for c in range(scores.shape[1]) if c not in seen and (only is None or c in only)]
        best = sorted(may, key=lambda c: (-scores[row, c], c))[:n]
        shown.append(best)
        hits = [c in gains for c in best]
        precise = [sum(hits[: at + 1]) / (at + 1) for at in range(len(best))]
        out["precision"][row] = sum(hits) / n
        out["recall"][row] = sum(hits) / len(gains)
        out["hit_rate"][row] = float(any(hits))
        out["mrr"][row] = 1 / (1 + hits.index(True)) if any(hits) else 0.0
        out["map"][row] = sum(p for p, h in zip(precise, hits, strict=True) if h) / min(
            n, len(gains)
        )
        gained = sum(gains.get(c, 0) / math.log2(at + 2) for at, c in enumerate(best))
        ideal = sorted(gains.values(), reverse=True)[:n]
        out["ndcg"][row] = gained / sum(g / math.log2(at + 2) for at, g in enumerate(ideal))
        if best:
            out["popularity"][row] = np.mean(counts[best])
    return out, shown


def mean_and_error(of_rows):
    numbers = np.array(list(of_rows.values()))
    return numbers.mean(), numbers.std(ddof=1) / math.sqrt(numbers.size)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 25), st.integers(1, 5))
def test_rankings_against_loops(seed, n, relevant):
    fit, test, train = problem(seed)
    found = ev.evaluate(fit, test, train=train, scoring=RANKINGS, n=n, relevant=relevant)
    slow, shown = slow_rankings(fit.reconstruct(), test, train, n, relevant)
    for name in RANKINGS:
        if name != "coverage":
            both = mean_and_error(slow[name])
            assert np.allclose((found[name], found.standard_errors[name]), both, rtol=1e-12), name
    assert found["coverage"] == len(set().union(*map(set, shown))) / 18
    without = np.array([len(set().union(*map(set, shown[:at] + shown[at + 1 :]))) / 18
                        for at in range(len(shown))])  # fmt: skip
    r = len(shown)
    error = math.sqrt((r - 1) / r * np.sum((without - without.mean()) ** 2))
    assert math.isclose(found.standard_errors["coverage"], error, abs_tol=1e-12)
    assert (found.n_ranked, found.n_left_out) == (r, np.unique(test[0][0]).size - r)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_rankings_against_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    fit, test, train = problem(seed)
    scores = fit.reconstruct()
    scores[train[0]] = -1e9
    relevant = np.zeros(scores.shape)
    relevant[test[0]] = test[1]
    rows = np.unique(test[0][0])
    found = ev.evaluate(fit, test, train=train, scoring=["ndcg", "map"], n=18)
    assert math.isclose(found["ndcg"], metrics.ndcg_score(relevant[rows], scores[rows]))
    found = ev.evaluate(fit, test, train=train, scoring="ndcg", n=5)
    assert math.isclose(found["ndcg"], metrics.ndcg_score(relevant[rows], scores[rows], k=5))
    several = [metrics.average_precision_score(relevant[row] > 0, scores[row]) for row in rows]
    both = ev.evaluate(fit, test, train=train, scoring="map", n=18)["map"]
    assert math.isclose(both, np.mean(several))


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_predictions_against_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    fit, test, _ = problem(seed)
    made, values = fit.predict(*test[0]), test[1]
    found = ev.evaluate(fit, test, scoring=PREDICTIONS)
    assert math.isclose(found["rmse"], metrics.root_mean_squared_error(values, made))
    assert math.isclose(found["mae"], metrics.mean_absolute_error(values, made))
    assert math.isclose(found["r2"], metrics.r2_score(values, made))
    fit = funkc.Factorization.from_factors(fit.row_factors, fit.col_factors, loss="logistic")
    made, liked = fit.predict(*test[0]).astype(float), values >= 4
    found = ev.evaluate(fit, test, scoring=PROBABILITIES, relevant=4)
    assert math.isclose(found["log_loss"], metrics.log_loss(liked, made))
    assert math.isclose(found["auc"], metrics.roc_auc_score(liked, made))
    assert math.isclose(found["brier"], metrics.brier_score_loss(liked, made))
    assert (
        found.scores
        == ev.evaluate(fit, (test[0], liked.astype(float)), scoring=PROBABILITIES).scores
    )
    fit = funkc.Factorization.from_factors(fit.row_factors, fit.col_factors, loss="poisson")
    made = fit.predict(*test[0]).astype(float)
    counts = values - 1
    found = ev.evaluate(fit, (test[0], counts), scoring="poisson")
    assert math.isclose(found["poisson"], metrics.mean_poisson_deviance(counts, made))


@pytest.mark.parametrize("name", [*PREDICTIONS, "auc", "brier"])
def test_standard_errors_are_those_of_repeated_tests(name):
    """Of many tests with other rows, scores spread as the standard errors say."""
    rng = np.random.default_rng(0)
    scores, errors = [], []
    for _ in range(200):
        m, n = 200, 12
        bias = rng.normal(size=(m, 1))  # which rows share
        truth = rng.random((m, n)) < 1 / (1 + np.exp(-bias))
        rows, cols = np.nonzero(rng.random((m, n)) < rng.random((m, 1)))
        values = truth[rows, cols] + (0 if name in ("auc", "brier") else bias[rows, 0])
        made = rng.random((m, n))[rows, cols] * 0.5 + 0.5 * truth[rows, cols] * (cols > 4)
        found = ev.evaluate(made, ((rows, cols), values.astype(float)), scoring=name)
        scores.append(found[name])
        errors.append(found.standard_errors[name])
    assert 0.8 < np.mean(errors) / np.std(scores) < 1.2


def test_groups_are_rows_by_training_entries():
    fit, test, train = problem(5, 60, 40)
    found = ev.evaluate(fit, test, train=train, scoring=["mae", "recall"], n=4, relevant=3)
    size = np.bincount(train[0][0], minlength=60)
    assert [line["group"] for line in found.table] == ["all", "0", "1-9", "10-29"]
    for line, (low, high) in zip(found.table[1:], [(0, 1), (1, 10), (10, 30)], strict=True):
        some = (size[test[0][0]] >= low) & (size[test[0][0]] < high)
        part = ((test[0][0][some], test[0][1][some]), test[1][some])
        alone = ev.evaluate(fit, part, train=train, scoring=["mae", "recall"], n=4, relevant=3)
        assert line["entries"] == alone.n_entries
        assert line["rows"] == alone.n_rows
        for name in ("mae", "recall", "mae_standard_error", "recall_standard_error"):
            assert np.isclose(line[name], alone.table[0][name], rtol=1e-12, equal_nan=True)
    assert sum(line["entries"] for line in found.table[1:]) == found.n_entries


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_and_order_leave_the_bits_alone(threads):
    fit, test, train = problem(1, 200, 90)
    order = np.random.default_rng(0).permutation(test[1].size)
    turned = (tuple(part[order] for part in test[0]), test[1][order])
    every = PREDICTIONS + RANKINGS
    one = ev.evaluate(fit, test, train=train, scoring=every, relevant=4)
    fit.n_threads = threads
    two = ev.evaluate(fit, turned, train=train, scoring=every, relevant=4)
    assert str(one.table) == str(two.table)  # NaN equals itself there


def test_unknown_rows_and_columns_are_predicted_as_the_mean_ones():
    ratings = funkc.Ratings.from_arrays(list("aabbcc"), [1, 2, 1, 3, 2, 3], [5.0, 3, 4, 1, 2, 5])
    fit = funkc.factorize(None, ratings, 2)
    test = funkc.Ratings.from_arrays(list("azz"), [3, 1, 9], [4.0, 5.0, 3.0])
    found = ev.evaluate(fit, test, train=ratings, scoring=["mae", "recall", "ndcg"], n=1)
    made = fit.predict(["a", "z", "z"], [3, 1, 9], unknown="baseline")
    assert math.isclose(found["mae"], np.abs(made - [4, 5, 3]).mean())
    assert (found.n_unknown, found.n_rows) == (2, 2)
    best = fit.col_ids[np.argmax(fit.predict(["z"] * 3, [1, 2, 3], unknown="baseline"))]
    assert found["recall"] == (1 + (0.5 if best == 1 else 0)) / 2
    assert "2 test entries in unknown rows or columns" in repr(found)


@pytest.mark.parametrize("form", ["list", "ids", "mask", "sparse", "pair", "ratings"])
def test_only(form):
    rng = np.random.default_rng(3)
    ratings = funkc.Ratings.from_arrays(
        *np.divmod(rng.permutation(600)[:300], 20), rng.integers(1, 6, 300).astype(float)
    )
    split = ev.split_random(ratings, 0.4)
    fit = funkc.factorize(None, split.train_data, 2)
    m, n = fit.shape
    some = {"list": [3, 4, 5, 6, 7], "ids": list(ratings.col_ids[:5])}
    rows, cols = np.nonzero(rng.random((m, n)) < 0.5)
    some["mask"] = np.zeros((m, n), bool)
    some["mask"][rows, cols] = True
    some["sparse"] = sp.csr_array(some["mask"])
    some["pair"] = (ratings.row_ids[rows], ratings.col_ids[cols])
    some["ratings"] = funkc.Ratings.from_arrays(*some["pair"], np.ones(rows.size))
    options = {"train": split.train_data, "scoring": "recall", "n": 5, "only": some[form]}
    found = ev.evaluate(fit, split.test_data, **options)
    test = split.test_data
    of_rows = []
    for row in np.unique(test.rows):
        liked = test.cols[test.rows == row]
        allowed = {"list": [3, 4, 5, 6, 7], "ids": range(5)}.get(form, cols[rows == row])
        seen = split.train_data.cols[split.train_data.rows == row]
        may = np.setdiff1d(fit.col_ids.searchsorted(allowed) if form == "list" else allowed, seen)
        best = may[np.argsort(-fit.predict(row, may, ids=False), kind="stable")][:5]
        of_rows.append(np.isin(liked, best).mean())
    assert math.isclose(found["recall"], np.mean(of_rows))


def test_gains_of_a_function():
    fit, test, train = problem(2)
    options = {"train": train, "scoring": ["ndcg", "precision"], "n": 6}
    threshold = ev.evaluate(fit, test, relevant=3, **options)
    assert threshold.scores == ev.evaluate(fit, test, relevant=lambda v: v >= 3, **options).scores
    gains = ev.evaluate(fit, test, relevant=lambda v: np.where(v >= 3, 2**v - 1, 0), **options)
    assert gains["precision"] == threshold["precision"]
    assert gains["ndcg"] != threshold["ndcg"]
    signed = (test[0], test[1] - 3)  # by default, what is above 0
    assert (
        ev.evaluate(fit, signed, **options)["precision"]
        == ev.evaluate(fit, test, relevant=4, **options)["precision"]
    )


def test_models_of_other_libraries():
    fit, test, train = problem(9)
    made = fit.predict(*test[0])
    order = np.random.default_rng(0).permutation(made.size)
    turned = (tuple(part[order] for part in test[0]), test[1][order])
    assert str(ev.evaluate(made[order], turned)) == str(ev.evaluate(fit, test))
    top = fit.top(np.arange(25), 10, exclude=train[0])[0]
    options = {"train": train, "scoring": RANKINGS, "relevant": 4}
    assert str(ev.evaluate(top, test, **options)) == str(ev.evaluate(fit, test, **options))


def test_baselines():
    rng = np.random.default_rng(0)
    mask = rng.random((50, 30)) < 0.4
    values = np.add.outer(rng.normal(size=50), rng.normal(size=30)) + 7
    values = values + 0.1 * rng.normal(size=values.shape)
    simple = ev.baselines((mask, values))
    assert math.isclose(simple["mean"].predict(3, 4), values[mask].mean(), rel_tol=1e-6)
    fit = funkc.factorize(mask, values, 1, validation=(~mask, values))
    held = pair(~mask, values)
    for name in ("mean", "biases"):
        found = ev.evaluate(simple[name], held)["rmse"]
        assert math.isclose(found, fit.baseline_rmse[name], rel_tol=1e-5)
    counts = mask.sum(axis=0)
    assert (
        simple["popularity"].top(0, 30)[0].tolist() == np.argsort(-counts, kind="stable").tolist()
    )
    ratings = funkc.Ratings.from_arrays(list("aab"), [1, 2, 1], [1.0, 0, 1])
    simple = ev.baselines(ratings, loss="logistic")
    assert simple["popularity"].top("b", 1)[0].tolist() == [1]
    assert math.isclose(simple["mean"].predict("a", 1), 2 / 3, rel_tol=1e-5)


FIT, TEST, TRAIN = problem(4)
LIKED = (TEST[0], (TEST[1] >= 4).astype(float))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ev.evaluate(FIT, TEST, scoring="rsme"), "scoring: got 'rsme'; choose among rmse"),
        (lambda: ev.evaluate(FIT, TEST, scoring=["rmse", 3]), r"scoring\[1\]: got 3"),
        (lambda: ev.evaluate(FIT, TEST, scoring=[]), "scoring: names none"),
        (lambda: ev.evaluate(FIT, TEST, scoring=["mae", "mae"]), "scoring: names none, or one twi"),
        (lambda: ev.evaluate(FIT, TEST, scoring=7), "scoring: got 7"),
        (lambda: ev.evaluate(FIT, TEST, n=0), "n: got 0"),
        (lambda: ev.evaluate(FIT, None), "test, values"),
        (lambda: ev.evaluate(FIT, (TEST[0], TEST[1][:-1])), "test, "),
        (lambda: ev.evaluate(FIT, TEST, train=np.ones(3)), "train, "),
        (lambda: ev.evaluate(FIT, TEST, train=TEST, scoring="ndcg"), "test: has the entry in row"),
        (lambda: ev.evaluate(FIT, TEST, scoring="popularity"), "train: is not given"),
        (lambda: ev.evaluate(FIT, TEST, scoring="ndcg", relevant=9), "test: has no relevant"),
        (lambda: ev.evaluate(FIT, TEST, scoring="ndcg", relevant="4"), "relevant: got '4'"),
        (
            lambda: ev.evaluate(FIT, TEST, scoring="ndcg", relevant=lambda v: v[:1]),
            "returned shape",
        ),
        (lambda: ev.evaluate(FIT, TEST, scoring="ndcg", relevant=lambda v: v * np.nan), "NaN"),
        (lambda: ev.evaluate(FIT, (TEST[0], -TEST[1]), scoring="ndcg", relevant=-9), "no gain"),
        (lambda: ev.evaluate(FIT, TEST, scoring="auc"), "a test value is .*; pass relevant="),
        (lambda: ev.evaluate(FIT, TEST, scoring="auc", relevant=0), "needs test values of both"),
        (lambda: ev.evaluate(FIT, LIKED, scoring="brier"), "'brier': a prediction is"),
        (lambda: ev.evaluate(FIT, LIKED, scoring="poisson"), "'poisson': a prediction is"),
        (lambda: ev.evaluate("model", TEST), "fit"),
        (lambda: ev.evaluate(np.zeros(3), TEST), "has 3 predictions for"),
        (lambda: ev.evaluate(np.full(TEST[1].size, np.nan), TEST), r"fit\[0\] = nan"),
        (lambda: ev.evaluate(np.zeros(TEST[1].size), TEST, scoring="ndcg"), "no score of predict"),
        (lambda: ev.evaluate(np.zeros((25, 10), int), TEST), "'rmse' is no score of recommended"),
        (lambda: ev.evaluate(np.zeros((25, 9), int), TEST, scoring="ndcg"), "at least n = 10"),
        (
            lambda: ev.evaluate(np.tile(np.arange(10), (2, 1)), TEST, scoring="ndcg"),
            "has 2 rows, but",
        ),
        (
            lambda: ev.evaluate(np.zeros((25, 10), int), TEST, scoring="ndcg"),
            "a column twice to row 0",
        ),
        (lambda: ev.evaluate(np.full((25, 10), -2), TEST, scoring="ndcg"), r"fit\[0, 0\] = -2"),
        (
            lambda: ev.evaluate(np.full((25, 10), 2**40), TEST, scoring="ndcg"),
            r"fit\[0, 0\] = 1099",
        ),
        (lambda: ev.evaluate(np.ma.zeros(TEST[1].size), TEST), "fit: is a masked array"),
        (lambda: ev.evaluate(np.ma.zeros((25, 10), int), TEST, scoring="map"), "is a masked array"),
        (lambda: ev.evaluate(FIT, TEST, only=["x"]), "only: is given, but no score of rankings"),
        (lambda: ev.evaluate(FIT, TEST, scoring="map", only=[]), "only: is empty"),
        (lambda: ev.evaluate(FIT, (([0, 0], [1, 1]), [1.0, 2.0])), "test, .*row 0, column 1"),
        (lambda: ev.evaluate(FIT, TEST, scoring="ndcg", only=[99]), r"only\[0\] = 99"),
        (lambda: ev.baselines(None), "values"),
        (lambda: ev.baselines(np.ones((2, 2)), loss="hinge"), "loss: got 'hinge'"),
    ],
)
def test_errors(call, text):
    with pytest.raises((TypeError, ValueError, IndexError), match=text):
        call()


def test_large_and_tiny_errors_do_not_overflow():
    pair_of = (([0, 0, 1], [0, 1, 0]), np.array([1.0, 2.0, 4.0]))
    fit = np.array([1.5, 2.0, 3.0])
    usual = ev.evaluate(fit, pair_of, scoring=PREDICTIONS)
    for scale in (2.0**600, 2.0**-600):
        found = ev.evaluate(fit * scale, (pair_of[0], pair_of[1] * scale), scoring=PREDICTIONS)
        assert found["r2"] == usual["r2"]
        for name in ("rmse", "mae"):
            assert found[name] == usual[name] * scale
            assert found.standard_errors[name] == usual.standard_errors[name] * scale


def test_the_table_and_its_text():
    found = ev.evaluate(FIT, TEST, train=TRAIN, scoring=["rmse", "ndcg"], relevant=5)
    frame = found.to_pandas()
    assert frame.index.tolist() == [line["group"] for line in found.table]
    assert frame.loc["all", "rmse"] == found["rmse"] == found.scores["rmse"]
    lines = repr(found).splitlines()
    assert lines[1].split() == ["all", "0", "1-9"]
    assert f"{found['rmse']:.4g} ± {found.standard_errors['rmse']:.2g}" in repr(found)


def test_progress_is_shown(capfd):
    pytest.importorskip("tqdm")
    ev.evaluate(FIT, TEST, train=TRAIN, scoring="ndcg", verbose=True)
    assert "ranking" in capfd.readouterr().err


def test_what_is_not_defined_is_nan():
    constant = (([0, 1, 2], [0, 1, 2]), [0.1, 0.1, 0.1])
    found = ev.evaluate(np.array([0.1, 0.2, 0.3]), constant, scoring=["r2", "mae"])
    assert math.isnan(found["r2"])
    assert math.isclose(found["mae"], 0.1)
    wild = ev.evaluate(np.array([1e200, 2.0]), (([0, 1], [0, 1]), [1.0, 2.0]), scoring="r2")
    assert wild["r2"] < -1e300


def test_memory_does_not_follow_numbers():
    far = 2**31 - 2
    test, train = (([0], [1]), [5.0]), (([1], [far]), [1.0])
    found = ev.evaluate(
        np.array([[0, 1]], np.uint8), test, train=train, scoring=["recall", "popularity"], n=2
    )
    assert found["recall"] == 1
    assert found["popularity"] == 0
    fit, test, train = problem(1)
    many = ev.evaluate(fit, test, train=train, scoring=RANKINGS, n=2**31 - 1)
    few = ev.evaluate(fit, test, train=train, scoring=RANKINGS, n=18)
    for name in RANKINGS[1:]:
        assert many[name] == few[name]
    assert math.isclose(many["precision"] * (2**31 - 1), few["precision"] * 18)
    split = ev.split_rows((([0, far, far], [0, 1, 2]), [1.0, 2.0, 3.0]), 0.5, given=1)
    assert split.shape == (far + 1, 3)


def test_ids_that_are_all_unknown_are_told():
    ratings = funkc.Ratings.from_arrays(["a", "a", "b"], ["x", "y", "x"], [1.0, 2.0, 3.0])
    fit = funkc.factorize(None, ratings, 1)
    with pytest.warns(
        funkc.UnknownIdWarning, match="test: all of its rows and columns are unknown"
    ):
        ev.evaluate(fit, (([0, 0, 1], [0, 1, 0]), [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("form", ["ratings", "pair", "list"])
def test_only_holds_for_unknown_rows(form):
    ratings = funkc.Ratings.from_arrays(["a", "a", "b"], ["x", "y", "x"], [1.0, 2.0, 3.0])
    fit = funkc.factorize(None, ratings, 1)
    test = funkc.Ratings.from_arrays(["new"], ["x"], [5.0])
    only = {"ratings": test, "pair": (["new"], ["x"]), "list": ["x"]}[form]
    assert ev.evaluate(fit, test, scoring="recall", n=1, only=only)["recall"] == 1
    other = {"ratings": funkc.Ratings.from_arrays(["new"], ["y"], [1.0]), "list": ["y"],
             "pair": (["new"], ["y"])}[form]  # fmt: skip
    assert ev.evaluate(fit, test, scoring="recall", n=1, only=other)["recall"] == 0


def test_positions_of_other_ids_are_refused():
    train = funkc.Ratings.from_arrays(["a", "b", "b"], ["x", "x", "y"], [5.0, 5.0, 5.0])
    test = funkc.Ratings.from_arrays(["b"], ["y"], [5.0])
    with pytest.raises(ValueError, match="train: has other row_ids than test"):
        ev.evaluate(np.array([[1], [1]]), test, train=train, scoring="recall", n=1)


def test_an_estimator_is_no_factorization():
    pytest.importorskip("sklearn")
    made = funkc.FunkRecommender(1).fit([("a", 1), ("b", 2)], [1.0, 2.0])
    with pytest.raises(TypeError, match="fit: is a FunkRecommender; pass its factorization_"):
        ev.evaluate(made, TEST)


def test_errors_of_rows_of_one_size_are_those_of_a_mean():
    rng = np.random.default_rng(0)
    rows, cols = np.divmod(np.arange(7 * 5), 5)
    values, made = rng.normal(size=(2, 35))
    found = ev.evaluate(made, ((rows, cols), values), scoring="mae")
    of_rows = np.abs(values - made).reshape(7, 5).mean(axis=1)
    wanted = of_rows.std(ddof=1) / math.sqrt(7)
    assert math.isclose(found.standard_errors["mae"], wanted, rel_tol=1e-12)


def test_weights_of_the_test_are_ignored():
    columns = [0, 0, 1], [0, 1, 0], [1.0, 2.0, 5.0]
    fit = funkc.factorize(None, funkc.Ratings.from_arrays(*columns), 1)
    weighed = funkc.Ratings.from_arrays(*columns, weight=[0.0, 1.0, 3.0])
    plain = ev.evaluate(fit, funkc.Ratings.from_arrays(*columns))
    assert ev.evaluate(fit, weighed).scores == plain.scores
    assert ev.evaluate(fit, weighed).n_entries == 3


def test_baselines_know_their_error_and_fold_in():
    rng = np.random.default_rng(0)
    values = np.add.outer(rng.normal(size=50), rng.normal(size=30)) + rng.normal(size=(50, 30)) / 9
    mask = rng.random(values.shape) < 0.5
    simple = ev.baselines((mask, values))
    for name in ("mean", "biases"):
        own = ev.evaluate(simple[name], pair(mask, values))["rmse"]
        assert math.isclose(simple[name].noise, own, rel_tol=1e-3)
    new = simple["biases"].fold_in_rows(None, values[:1] + 5)
    assert abs(new.predict(0) - values[0] - 5).mean() < 0.5
