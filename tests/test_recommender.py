"""FunkRecommender: scikit-learn's checks and tools, the bits of factorize, and an oracle."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from other_libraries import pandas, polars, pyarrow

pytest.importorskip("sklearn")

import sklearn
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_array, validate_data

import funkc
from funkc import FunkRecommender

# ---------------------------------------------------------------- scikit-learn's checks

# Most checks pass tables of numbers as X. Those fail here, and pass below.
NO_PAIRS = "X has other than two columns, and no ids"
FLOATS = "X has numbers with fractions, which are no ids"
TWICE = "X has the same pair more than once"
WORDS = "scikit-learn's words are expected for what funkc refuses in its own"
DIFFERENT = {
    "check_fit_score_takes_y": NO_PAIRS,
    "check_estimators_overwrite_params": TWICE,
    "check_dont_overwrite_parameters": NO_PAIRS,
    "check_estimators_fit_returns_self": TWICE,
    "check_readonly_memmap_input": TWICE,
    "check_n_features_in_after_fitting": NO_PAIRS,
    "check_positive_only_tag_during_fit": NO_PAIRS,
    "check_estimators_dtypes": NO_PAIRS,
    "check_sample_weights_list": NO_PAIRS,
    "check_all_zero_sample_weights_error": NO_PAIRS,
    "check_sample_weights_shape": TWICE,
    "check_sample_weights_not_overwritten": FLOATS,
    "check_sample_weight_equivalence_on_dense_data": NO_PAIRS,
    "check_complex_data": WORDS,
    "check_dtype_object": NO_PAIRS,
    "check_estimators_empty_data_messages": WORDS,
    "check_pipeline_consistency": NO_PAIRS,
    "check_estimators_nan_inf": WORDS,
    "check_estimators_pickle": NO_PAIRS,
    "check_f_contiguous_array_estimator": NO_PAIRS,
    "check_regressors_train": NO_PAIRS,
    "check_regressor_data_not_an_array": NO_PAIRS,
    "check_regressors_no_decision_function": NO_PAIRS,
    "check_supervised_y_2d": NO_PAIRS,
    "check_regressors_int": NO_PAIRS,
    "check_methods_sample_order_invariance": NO_PAIRS,
    "check_methods_subset_invariance": NO_PAIRS,
    "check_fit2d_1sample": WORDS,
    "check_fit2d_1feature": WORDS,
    "check_dict_unchanged": NO_PAIRS,
    "check_fit_idempotent": TWICE,
    "check_fit_check_is_fitted": TWICE,
    "check_n_features_in": TWICE,
    "check_fit2d_predict1d": NO_PAIRS,
}


class OfTables(FunkRecommender):
    """With the first and the last number of each line of a table as ids."""

    def _columns(self, X, y="no_validation", *, reset):
        table = check_array(X, ensure_min_features=2 if reset else 1)
        validate_data(self, X, y, reset=reset, skip_check_array=True)
        return [table[:, 0].astype(str), table[:, -1].astype(str)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = False  # or the numbers were rounded, and pairs the same
        return tags


DIFFERENT_OF_TABLES = {
    "check_positive_only_tag_during_fit": TWICE,
    "check_estimators_dtypes": TWICE,
    "check_sample_weights_shape": TWICE,
    "check_sample_weights_not_overwritten": TWICE,
    "check_sample_weight_equivalence_on_dense_data": TWICE,
    "check_regressors_train": "every id is new, so that a mean is all there is to predict",
}


def checks(estimator, different):
    # A list, for pytest 9 warns of the generator that older scikit-learn's own decorator passes.
    listed = []
    for number, (checked, check) in enumerate(estimator_checks_generator(estimator)):
        name = check.func.__name__
        marks = [pytest.mark.xfail(reason=different[name])] if name in different else []
        ident = f"{type(estimator).__name__}-{name}-{number}"
        listed.append(pytest.param(checked, check, id=ident, marks=marks))
    return listed


@pytest.mark.parametrize(
    "estimator, check",
    checks(FunkRecommender(), DIFFERENT) + checks(OfTables(), DIFFERENT_OF_TABLES),
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_tags_say_what_it_takes():
    tags = get_tags(FunkRecommender())
    assert tags.input_tags.string
    assert tags.input_tags.categorical
    assert not tags.input_tags.sparse
    assert tags.target_tags.required
    assert tags.estimator_type == "regressor"


# ---------------------------------------------------------------- the bits of factorize


def ratings_of(n=300, shape=(30, 20), seed=0, text=True):
    """Pairs, each once, and values of rank one."""
    rng = np.random.default_rng(seed)
    at = rng.permutation(shape[0] * shape[1])[:n]
    rows, cols = at // shape[1], at % shape[1]
    x, y = rng.normal(size=shape[0]), rng.normal(size=shape[1])
    values = 3 + x[rows] * y[cols] + 0.1 * rng.normal(size=n)
    users = [f"u{row}" for row in rows] if text else (rows * 7).tolist()
    return list(zip(users, (cols * 3 + 5).tolist(), strict=True)), values


def columns(pairs):
    return [list(side) for side in zip(*pairs, strict=True)]


def same_fit(found, expected):
    for name in ("row_factors", "col_factors", "row_bias", "col_bias", "row_ids", "col_ids"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.offset == expected.offset
    assert found.clip == expected.clip


OPTIONS = [
    {},
    {"learning_rate": 0.01},
    {"regularization": (0.1, 0.3)},
    {"n_epochs": 3},
    {"biases": False},
    {"members": 2},
    {"nonnegative": True},
    {"loss": "huber", "huber_delta": 0.5},
    {"loss": "absolute"},
    {"clip": "auto"},
    {"clip": (2, 4)},
    {"random_state": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("text", [True, False])
def test_it_is_the_fit_of_factorize(options, text):
    pairs, values = ratings_of(text=text)
    ratings = funkc.Ratings.from_arrays(*columns(pairs), values)
    expected = funkc.factorize(None, ratings, 4, **options)
    found = FunkRecommender(4, **options).fit(pairs, values)
    same_fit(found.factorization_, expected)
    assert found.factorization_.parameters == expected.parameters
    np.testing.assert_array_equal(found.row_ids_, ratings.row_ids)
    np.testing.assert_array_equal(found.col_ids_, ratings.col_ids)
    assert found.n_features_in_ == 2
    predicted = found.predict(pairs)
    np.testing.assert_array_equal(predicted, expected.predict(*columns(pairs)))
    assert predicted.dtype == np.float32
    assert found.score(pairs, values) == r2_score(values, predicted)
    if options:
        plain = FunkRecommender(4).fit(pairs, values)
        assert not np.array_equal(plain.predict(pairs), predicted)


def test_twenty_components_are_the_default():
    pairs, values = ratings_of()
    assert FunkRecommender().fit(pairs, values).factorization_.k == 20


def frames(pairs):
    """The same pairs in every form; as functions, for libraries that may be missing."""
    rows, cols = columns(pairs)
    table = {"user": rows, "item": cols}
    return {
        "list": lambda: pairs,
        "lists": lambda: [list(pair) for pair in pairs],
        "objects": lambda: np.array(pairs, object),
        "text": lambda: np.array(pairs).astype(str),
        "fortran": lambda: np.asfortranarray(np.array(pairs, object)),
        "pandas": lambda: pandas().DataFrame(table),
        "pandas, mixed index": lambda: pandas().DataFrame(table, index=range(9, 9 + len(rows))),
        "pandas, nullable": lambda: pandas().DataFrame(table).convert_dtypes(),
        "pandas, categories": lambda: pandas().DataFrame(table).astype("category"),
        "polars": lambda: polars().DataFrame(table),
        "pyarrow": lambda: pyarrow().table(table),
    }


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("form", frames(ratings_of()[0]))
def test_every_form_gives_the_same_bits(form, text):
    pairs, values = ratings_of(text=text)
    X = frames(pairs)[form]()
    expected = FunkRecommender(3).fit(pairs, values)
    found = FunkRecommender(3).fit(X, values)
    same_fit(found.factorization_, expected.factorization_)
    np.testing.assert_array_equal(found.predict(X), expected.predict(pairs))
    named = "pandas" in form or form in ("polars", "pyarrow")
    # scikit-learn knows the names of pandas and, from some version on, of others.
    assert hasattr(found, "feature_names_in_") <= named


def test_integers_in_an_array_are_ids():
    pairs, values = ratings_of(text=False)
    for dtype in ("i8", "u2", ">i4"):
        found = FunkRecommender(3).fit(np.array(pairs, dtype), values)
        assert found.row_ids_.dtype == np.int64
        same_fit(found.factorization_, FunkRecommender(3).fit(pairs, values).factorization_)


def test_values_and_weights_may_be_columns():
    pairs, values = ratings_of()
    weights = np.random.default_rng(1).random(len(pairs))
    expected = FunkRecommender(3).fit(pairs, values, weights)
    ratings = funkc.Ratings.from_arrays(*columns(pairs), values, weight=weights)
    same_fit(expected.factorization_, funkc.factorize(None, ratings, 3))
    assert not np.array_equal(
        expected.predict(pairs), FunkRecommender(3).fit(pairs, values).predict(pairs)
    )
    frame = pandas().DataFrame({"stars": values, "weight": weights})
    found = FunkRecommender(3).fit(pairs, frame["stars"], frame["weight"])
    same_fit(found.factorization_, expected.factorization_)
    found = FunkRecommender(3).fit(pairs, values.tolist(), sample_weight=weights.tolist())
    same_fit(found.factorization_, expected.factorization_)
    predicted = found.predict(pairs)
    assert found.score(pairs, values, sample_weight=weights) == r2_score(
        values, predicted, sample_weight=weights
    )


@pytest.mark.parametrize("duplicates", ["last", "mean", "sum"])
def test_duplicates_are_resolved_as_asked(duplicates):
    pairs, values = ratings_of()
    pairs, values = [*pairs, *pairs[:9]], np.append(values, values[:9] + 1)
    ratings = funkc.Ratings.from_arrays(*columns(pairs), values, duplicates=duplicates)
    found = FunkRecommender(3, duplicates=duplicates).fit(pairs, values)
    same_fit(found.factorization_, funkc.factorize(None, ratings, 3))


def test_threads_leave_no_trace():
    pairs, values = ratings_of()
    expected = FunkRecommender(3, n_jobs=1).fit(pairs, values)
    for n_jobs in (2, 3, -1, -2, None):
        found = FunkRecommender(3, n_jobs=n_jobs).fit(pairs, values)
        same_fit(found.factorization_, expected.factorization_)
        np.testing.assert_array_equal(found.predict(pairs), expected.predict(pairs))


def test_the_threads_of_a_call_are_those_of_its_parameter(monkeypatch):
    pairs, values = ratings_of()
    found = FunkRecommender(3, n_jobs=2).fit(pairs, values)
    assert found.factorization_.n_threads == 2
    seen = []
    predict = funkc.Factorization.predict
    monkeypatch.setattr(
        funkc.Factorization, "predict",
        lambda fit, *args, **given: (seen.append(fit.n_threads), predict(fit, *args, **given))[1],
    )  # fmt: skip
    found.set_params(n_jobs=1).predict(pairs)
    assert seen == [1]
    assert found.factorization_.n_threads == 2


# ---------------------------------------------------------------- unknown ids


@pytest.mark.parametrize("biases", [True, False])
def test_unknown_ids_are_predicted_by_the_mean(biases):
    pairs, values = ratings_of()
    found = FunkRecommender(3, biases=biases).fit(pairs, values)
    asked = [("u1", 8), ("nobody", 8), ("u1", 9), ("nobody", 9), (7, 8)]
    fit = found.factorization_
    expected = fit.predict(*columns(asked), unknown="baseline")
    np.testing.assert_array_equal(found.predict(asked), expected)
    assert expected[1] == expected[4]
    mean = fit.row_factors.astype(float).mean(axis=0)
    level = fit.offset + fit.col_factors[1].astype(float) @ mean
    if biases:
        level += fit.row_bias.astype(float).mean() + fit.col_bias[1]
    assert expected[1] == pytest.approx(level, rel=1e-5)


def test_unknown_ids_are_refused_where_asked():
    pairs, values = ratings_of()
    found = FunkRecommender(3, unknown="raise").fit(pairs, values)
    remedy = 'set unknown="baseline", or omit it'
    for call, text, strangers, axis in (
        (lambda: found.predict([("u1", 8), ("eve", 8), ("joe", 9)]),
         f"X[:, 0][1]: the id 'eve' is not known, nor 1 other; {remedy}", ["eve", "joe"], "rows"),
        (lambda: found.predict([("u1", 8), ("u2", 9)]),
         f"X[:, 1][1]: the id 9 is not known; {remedy}", [9], "cols"),
        (lambda: found.recommend("eve"),
         f"rows: the id 'eve' is not known; {remedy}", ["eve"], "rows"),
        (lambda: found.recommend("u1", only=[8, 9]),
         f"only[1]: the id 9 is not known; {remedy}", [9], "cols"),
        (lambda: found.recommend("u1", exclude=[9]),
         f"exclude[0]: the id 9 is not known; {remedy}", [9], "cols"),
        (lambda: found.score([("eve", 8)], [1.0]),
         f"X[:, 0][0]: the id 'eve' is not known; {remedy}", ["eve"], "rows"),
    ):  # fmt: skip
        with pytest.raises(funkc.UnknownIdError) as raised:
            call()
        assert str(raised.value) == text
        assert (raised.value.unknown, raised.value.axis) == (strangers, axis)
    np.testing.assert_array_equal(
        found.predict(pairs), FunkRecommender(3).fit(pairs, values).predict(pairs)
    )


# ---------------------------------------------------------------- recommendations


def best(found, pairs, row, n, exclude=(), only=None, exclude_trained=True):
    """By predictions of all columns, sorted."""
    had = {col for user, col in pairs if user == row} if exclude_trained else set()
    cols = found.col_ids_.tolist()
    left = [
        col
        for col in cols
        if col not in had and col not in exclude and (only is None or col in only)
    ]
    scores = found.predict([(row, col) for col in left]) if left else np.empty(0, "f4")
    order = np.argsort(-scores, kind="stable")[:n]
    padding = n - order.size
    return (
        [left[at] for at in order] + [-1] * padding,
        scores[order].tolist() + [-np.inf] * padding,
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_best_columns_are_those_of_the_highest_predictions(data):
    n_ratings, seed = data.draw(st.integers(2, 60)), data.draw(st.integers(0, 9))
    pairs, values = ratings_of(n_ratings, (8, 9), seed)
    biases = data.draw(st.booleans())
    found = FunkRecommender(2, n_epochs=5, biases=biases).fit(pairs, values)
    columns = st.lists(st.integers(0, 11).map(lambda at: 3 * at + 5), max_size=9)
    chosen = {
        "exclude": data.draw(st.none() | columns), "only": data.draw(st.none() | columns),
        "exclude_trained": data.draw(st.booleans()),
    }  # fmt: skip
    rows = data.draw(st.lists(st.integers(0, 10).map("u{}".format), max_size=5))
    n = data.draw(st.integers(1, 12))
    cols, scores = found.recommend(rows, n, **chosen)
    assert cols.shape == scores.shape == (len(rows), n)
    chosen["exclude"] = chosen["exclude"] or ()
    for row, of_row, its_scores in zip(rows, cols, scores, strict=True):
        expected = best(found, pairs, row, n, **chosen)
        assert its_scores.tolist() == expected[1]
        # Of equal scores, the order is that of positions, as in the oracle.
        assert of_row.tolist() == expected[0]
        one = found.recommend(row, n, **{**chosen, "exclude": chosen["exclude"] or None})
        assert one[0].tolist() == expected[0]


def test_what_was_trained_is_not_recommended_unless_asked():
    pairs, values = ratings_of()
    found = FunkRecommender(3).fit(pairs, values)
    had = [col for row, col in pairs if row == "u4"]
    assert not set(found.recommend("u4", 20)[0]) & set(had)
    again, _ = found.recommend("u4", 20, exclude_trained=False)
    assert set(again) == set(found.col_ids_.tolist())


def test_text_ids_are_padded_with_empty_text():
    pairs, values = ratings_of(40, (5, 9))
    found = FunkRecommender(2).fit([(col, row) for row, col in pairs], values)
    cols, scores = found.recommend(5, 9)
    assert cols.dtype.kind == "U"
    assert ((cols == "") == np.isneginf(scores)).all()
    assert (cols == "").any()


def test_probabilities_are_ranked():
    pairs, values = ratings_of()
    found = FunkRecommender(2, loss="logistic").fit(pairs, values > 3)
    _, scores = found.recommend(["u1", "nobody"], 3)
    assert ((scores > 0) & (scores < 1)).all()
    assert 0 <= found.predict(pairs).min() <= found.predict(pairs).max() <= 1


# ---------------------------------------------------------------- company


def rated(n=600):
    pairs, values = ratings_of(n, (40, 30))
    return pandas().DataFrame(pairs, columns=["user", "item"]), pandas().Series(values)


def test_clones_and_pickles():
    pairs, values = ratings_of()
    found = FunkRecommender(3, clip=(1, 5), random_state=4).fit(pairs, values)
    fresh = clone(found)
    assert fresh.get_params() == found.get_params()
    assert not hasattr(fresh, "factorization_")
    assert not hasattr(fresh, "row_ids_")
    np.testing.assert_array_equal(fresh.fit(pairs, values).predict(pairs), found.predict(pairs))
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict(pairs), found.predict(pairs))
    for of_one, of_other in zip(found.recommend("u4"), again.recommend("u4"), strict=True):
        np.testing.assert_array_equal(of_one, of_other)


def test_joblib_keeps_it(tmp_path):
    joblib = pytest.importorskip("joblib")
    pairs, values = ratings_of()
    found = FunkRecommender(3).fit(pairs, values)
    joblib.dump(found, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict(pairs), found.predict(pairs))


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_it_is_searched_in_grids(n_jobs):
    X, y = rated()
    grid = GridSearchCV(
        FunkRecommender(n_epochs=5),
        {"n_components": [1, 3], "regularization": [None, (0.1, 0.2)], "clip": ["auto"]},
        scoring="neg_root_mean_squared_error",
        cv=KFold(3, shuffle=True, random_state=0),
        n_jobs=n_jobs,
    ).fit(X, y)
    assert grid.best_params_["n_components"] in (1, 3)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert grid.best_estimator_.feature_names_in_.tolist() == ["user", "item"]
    np.testing.assert_array_equal(grid.predict(X), grid.best_estimator_.predict(X))


def test_it_is_searched_at_random():
    pairs, values = ratings_of()
    search = RandomizedSearchCV(
        FunkRecommender(n_epochs=3), {"n_components": range(1, 9), "loss": ["squared", "huber"]},
        n_iter=3, random_state=0, cv=3,
    ).fit(pairs, values)  # fmt: skip
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_it_is_cross_validated():
    """The structure is found, and folds of whole rows are predicted too."""
    X, y = rated()
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(FunkRecommender(2), X, y, cv=folds)
    assert scores.min() > 0.5
    cold = cross_val_score(FunkRecommender(2), X, y, cv=GroupKFold(3), groups=X["user"])
    assert cold.max() < scores.min()
    fitted = cross_validate(FunkRecommender(2), X, y, cv=folds, return_estimator=True)["estimator"]
    train, test = next(folds.split(X))
    expected = FunkRecommender(2).fit(X.iloc[train], y.iloc[train])
    np.testing.assert_array_equal(fitted[0].predict(X.iloc[test]), expected.predict(X.iloc[test]))


def test_it_ends_a_pipeline():
    X, y = rated()
    wide = X.assign(time=0)
    pipeline = make_pipeline(
        FunctionTransformer(lambda table: table[["user", "item"]]), FunkRecommender(2)
    )
    np.testing.assert_array_equal(
        pipeline.fit(wide, y).predict(wide), FunkRecommender(2).fit(X, y).predict(X)
    )


def test_weights_are_routed():
    pairs, values = ratings_of()
    weights = np.random.default_rng(1).random(len(pairs)) + 0.1
    expected = FunkRecommender(2).fit(pairs, values, weights)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = FunkRecommender(2).set_fit_request(sample_weight=True)
        routed = routed.set_score_request(sample_weight=True)
        pipeline = Pipeline([("recommender", routed)]).fit(pairs, values, sample_weight=weights)
        same_fit(pipeline[-1].factorization_, expected.factorization_)
        found = cross_validate(
            routed, pairs, values, cv=KFold(2), params={"sample_weight": weights}
        )["test_score"]
    for score, (train, test) in zip(found, KFold(2).split(pairs), strict=True):
        X, Y = [pairs[at] for at in train], [pairs[at] for at in test]
        one = FunkRecommender(2).fit(X, values[train], weights[train])
        assert score == one.score(Y, values[test], weights[test])


def test_swapped_columns_are_seen():
    X, y = rated()
    found = FunkRecommender(2).fit(X, y)
    with pytest.raises(ValueError, match="must be in the same order"):
        found.predict(X[["item", "user"]])


def test_input_is_left_alone():
    X, y = rated()
    before = X.copy(), y.copy()
    FunkRecommender(2).fit(X, y, np.ones(len(y))).predict(X)
    assert X.equals(before[0])
    assert y.equals(before[1])


# ---------------------------------------------------------------- bad input

GOOD = [("ann", 1), ("bob", 2), ("ann", 2)]
Y = [1.0, 2.0, 3.0]
PAIRS = "; pass pairs: two columns, of row ids and of column ids"


@pytest.mark.parametrize(
    "X, y, message",
    [
        (GOOD, None, "requires y to be passed, but the target y is None"),
        (GOOD, Y[:2], "X and y: row id, column id, y have shapes (3,), (3,), (2,); "),
        (GOOD, [1, np.nan, 2], "X and y, position 1: y is nan; "),
        (GOOD, [1, 2, "x"], "X and y: y has dtype"),
        (GOOD, [[1, 2]] * 3, "y should be a 1d array, got an array of shape (3, 2)"),
        (GOOD + GOOD[:1], [*Y, 1.0], "X and y, position 3: row id 'ann' and column id "
         "1 already occur in position 0; set duplicates to last, mean or sum to resolve them"),
        ([("ann", None)], [1], "X and y, position 0: column id is None; "),
        ([("ann", 1.5)], [1], "X and y, position 0: column id is 1.5 of type float; "),
        (np.eye(2), Y[:2], "X and y: row id has dtype float64; "),
        ([1, 2, 3], Y, "X: has shape (3,)" + PAIRS),
        ([(1, 2), (3,), (4, 5)], Y, "X: has shape (3,)"),
        (np.broadcast_to(1, (2, 2**40)), Y, "X: has shape (2, 1099511627776)" + PAIRS),
        (np.ones((3, 3), int), Y, "X: has shape (3, 3)" + PAIRS),
        (np.ones((3, 1), int), Y, "X: has shape (3, 1)" + PAIRS),
        (np.ones((3, 2, 1), int), Y, "X: has shape (3, 2, 1)"),
        ([], [], "X: has shape (0,)"),
        (np.ones((0, 2), int), [], "X and y: holds no ratings; pass at least one"),
        ({"a": [1], "b": [2]}, [1], "X: has shape ()"),
        (None, Y, "X: has shape ()"),
    ],
)  # fmt: skip
def test_bad_pairs(X, y, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FunkRecommender().fit(X, y)


def test_other_bad_tables():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="X: is a sparse array, or matrix; pass pairs"):
        FunkRecommender().fit(sparse.csr_array(np.eye(2)), Y[:2])
    frame = pandas().DataFrame(GOOD, columns=["user", "item"])
    with pytest.raises(ValueError, match=r"X: has (shape \(3, 3\)|3 columns); pass pairs"):
        FunkRecommender().fit(frame.assign(time=0), Y)
    found = FunkRecommender().fit(frame, Y)
    with pytest.raises(ValueError, match=r"X: has (shape \(3, 3\)|3 columns); pass pairs"):
        found.predict(frame.assign(time=0))
    with pytest.raises(TypeError, match="X: is a polars LazyFrame; pass the result of its"):
        found.predict(polars().DataFrame(frame.to_dict("list")).lazy())


@pytest.mark.parametrize(
    "weights, message",
    [
        ([1, 1, -1], "X and y, position 2: sample_weight is -1.0; "),
        ([1, 1, np.inf], "X and y, position 2: sample_weight is inf; "),
        ([1, 1], "X and y: row id, column id, y, sample_weight have shapes"),
        ([0, 0, 0], "sample_weight: is zero everywhere; give at least one rating more"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FunkRecommender().fit(GOOD, Y, weights)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_components": 0}, "n_components: got 0; pass an integer from 1"),
        ({"n_components": 2.5}, "n_components: got 2.5 of type float"),
        ({"unknown": "nan"}, "unknown: got 'nan'; pass one of 'baseline', 'raise'"),
        ({"unknown": None}, "unknown: got None"),
        ({"duplicates": "first"}, "duplicates: got 'first'"),
        ({"learning_rate": -1.0}, "learning_rate: got -1.0"),
        ({"regularization": -1.0}, "regularization: got -1.0"),
        ({"n_epochs": 0}, "n_epochs: got 0"),
        ({"biases": "no"}, "biases: got 'no'"),
        ({"members": 0}, "members: got 0"),
        ({"nonnegative": 2}, "nonnegative: got 2"),
        ({"loss": "hinge"}, "loss: got 'hinge'"),
        ({"huber_delta": 1.0}, "huber_delta: "),
        ({"clip": 3}, "clip: got 3"),
        ({"random_state": "x"}, "random_state: got 'x'"),
        ({"n_jobs": 0}, "n_jobs: got 0; pass a number of threads"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises((ValueError, TypeError)) as raised:
        FunkRecommender(**options).fit(GOOD, Y)
    assert message in str(raised.value)


def test_weights_do_not_go_with_duplicates():
    found = 'sample_weight: is given together with duplicates="mean"; resolve the duplicates first'
    with pytest.raises(ValueError, match=found):
        FunkRecommender(duplicates="mean").fit(GOOD, Y, [1, 1, 1])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"rows": {"ann"}}, "rows: is of type set; pass a list of ids"),
        ({"rows": [["ann"]]}, "rows: has 2 dimensions; pass one of the ids, or several"),
        ({"rows": 1.5}, "rows: the id has dtype float64"),
        ({"rows": "ann", "n": 0}, "n: got 0"),
        ({"rows": "ann", "exclude_trained": 1}, "exclude_trained: got 1; pass True or False"),
        ({"rows": "ann", "only": [[1], [2]]}, "only: has 2 dimensions"),
        ({"rows": "ann", "exclude": 1.5}, "exclude: the id has dtype float64"),
    ],
)
def test_bad_recommendations(given, message):
    found = FunkRecommender().fit(GOOD, Y)
    with pytest.raises((ValueError, TypeError)) as raised:
        found.recommend(**given)
    assert message in str(raised.value)


def test_before_fit_there_is_nothing():
    fresh = FunkRecommender()
    for call in (
        lambda: fresh.predict(GOOD), lambda: fresh.recommend("ann"), lambda: fresh.row_ids_,
        lambda: fresh.col_ids_,
    ):  # fmt: skip
        with pytest.raises(sklearn.exceptions.NotFittedError):
            call()


def test_a_parameter_may_be_set_after_fit():
    found = FunkRecommender().fit(GOOD, Y)
    with pytest.raises(ValueError, match="unknown: got 'x'"):
        found.set_params(unknown="x").predict(GOOD)
    with pytest.raises(funkc.UnknownIdError):
        found.set_params(unknown="raise").predict([("eve", 1)])
