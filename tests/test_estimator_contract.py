"""FunkImputer as an imputer of scikit-learn: columns by name, warnings, empty tables, sparse ones,
tags and score.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sparse = pytest.importorskip("scipy.sparse")
pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder  # noqa: E402
from sklearn.utils import get_tags  # noqa: E402
from tables import UNITS, as_sparse, error, table  # noqa: E402

from funkc import FunkImputer  # noqa: E402

QUICK = {"n_components": 2, "n_epochs": 5}


def frames(library, columns):
    """A data frame of the library."""
    module = pytest.importorskip(library)
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


# ---------------------------------------------------------------- columns by their names


LIBRARIES = ["pandas", "polars", "pyarrow"]
DAYS = np.array(["2020-01-01", "NaT", "2020-01-03"], "M8[ms]")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "column, error, words",
    [
        (["Rome", "Bonn", "Oslo"], ValueError, "^X: column 'it' has no number in row 0: could not"),
        (["1", "2", "three"], ValueError, "^X: column 'it' has no number in row 2: could not"),
        ([1.0, np.inf, 2.0], ValueError, "^X: has infinity in row 1 of column 'it'; pass"),
        (DAYS, TypeError, "^X: column 'it' has dates or times .*; convert them to numbers"),
        (DAYS - DAYS[0], TypeError, "^X: column 'it' has dates or times"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_what_a_column_may_not_hold_is_refused_by_its_name(library, column, error, words, alone):
    others = {} if alone else {"first": [1.0, 2.0, 3.0]}
    frame = frames(library, {**others, "it": column})
    for call in (FunkImputer().fit, FunkImputer().partial_fit, FunkImputer().fit_transform):
        with pytest.raises(error, match=words):
            call(frame)


@pytest.mark.parametrize(
    "column, words",
    [
        ([{}, 1.0, 2.0], "row 0: float.. argument must be a string or a real number, not 'dict'"),
        ([None, "x", 2.0], "row 1: could not convert string to float: 'x'"),
        ([None, 10**400, 2.0], "row 1: int(eger)? too large"),
        ([None, 1.0, np.inf], "has infinity in row 2 of column 'it'"),
    ],
)
def test_objects_are_refused_by_their_row(column, words):
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(column)
    with pytest.raises((TypeError, ValueError), match=words):
        FunkImputer().fit(pandas.DataFrame({"first": [1.0, 2.0, 3.0], "it": series}))
    with pytest.raises((TypeError, ValueError), match=words.replace("'it'", "1")):
        FunkImputer().fit(np.array([[1.0] * 3, column], object).T)


@pytest.mark.parametrize("form", [np.asarray, as_sparse])
def test_columns_without_names_are_counted(form):
    holed = table()[1]
    holed[3, 2] = np.inf
    with pytest.raises(ValueError, match=r"^X: has infinity in row 3 of column 2; pass"):
        FunkImputer(sparse_means="missing").fit(form(holed))
    with pytest.raises(TypeError, match=r"^X: column 0 has dates or times .datetime64"):
        FunkImputer().fit(DAYS[:, None])


def test_complex_numbers_are_refused_by_the_name_of_their_column():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [1j, 2.0]})
    with pytest.raises(ValueError, match="column 'b' has complex numbers"):
        FunkImputer().fit(frame)


def test_nan_is_refused_by_its_place_where_a_number_means_missing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 0.0], "b": [2.0, np.nan]})
    with pytest.raises(ValueError, match=r"^X: has NaN in row 1 of column 'b'"):
        FunkImputer(missing_values=0).fit(frame)


def test_other_columns_than_those_of_fit_are_refused_in_scikit_learns_words():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table()[1][:, :3], columns=list("abc"))
    imputer = FunkImputer(**QUICK).fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        imputer.transform(frame.assign(c="text").rename(columns={"a": "other"}))


def test_names_are_in_all_other_errors_about_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 0.0, 1.0], "b": [1.0, np.nan, 0.0]})
    imputer = FunkImputer(**QUICK, min_value=[0, 1], max_value=[1, 1])
    for call in (imputer.fit, imputer.partial_fit, FunkImputer(**QUICK).fit(frame).set_params(
        min_value=[0, 1], max_value=1).transform):  # fmt: skip
        with pytest.raises(ValueError, match="which is not below max_value 1, in column 'b'"):
            call(frame)
    frame.iloc[2, 1] = -1e200
    with pytest.raises(ValueError, match="the squares of column 'b' exceed"):
        FunkImputer().fit(frame)
    for options in ({"nonnegative": True}, {"loss": "poisson"}, {"loss": "logistic"}):
        with pytest.raises(ValueError, match=r"^X: got -1e\+200 in row 2 and column 'b', which"):
            FunkImputer(**options).fit(frame)


# ---------------------------------------------------------------- one warning


def dropped(caught):
    return [w for w in caught if "without any observed entry" in str(w.message)]


def test_a_search_warns_once():
    whole, holed = table(60)
    holed[:, 4] = np.nan
    pipeline = make_pipeline(FunkImputer(**QUICK), Ridge())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = GridSearchCV(pipeline, {"funkimputer__scale": [True, False]}, cv=5)
        search.fit(holed, whole[:, 0]).predict(holed)
    assert len(dropped(caught)) == 1


def test_another_estimator_and_other_columns_are_warned_of():
    holed = table(30)[1]
    holed[:, 4] = np.nan
    imputer = FunkImputer(**QUICK)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            imputer.fit(holed).transform(holed)
        FunkImputer(**QUICK).fit_transform(holed)
        holed[:, 2] = np.nan
        imputer.fit_transform(holed)
    assert len(dropped(caught)) == 3
    fresh = FunkImputer(**QUICK).fit(holed)
    for _ in range(2):  # as an error, it comes every time
        with pytest.raises(UserWarning, match="without any observed entry"):
            fresh.transform(holed)


# ---------------------------------------------------------------- nothing observed


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("form", [np.asarray, as_sparse])
@pytest.mark.filterwarnings("ignore:columns without any observed entry")
@pytest.mark.filterwarnings("ignore:Skipping features without any observed")
def test_a_table_without_any_value(form, keep):
    nothing, later = np.full((5, 3), np.nan), np.array([[1.0, np.nan, 2.0], [3.0, 4.0, np.nan]])
    imputer = FunkImputer(keep_empty_features=keep, sparse_means="missing", add_indicator=True)
    # Of SimpleImputer: KNNImputer would replace observed values, too, by 0.
    reference = SimpleImputer(keep_empty_features=keep, add_indicator=True).fit(nothing)
    for X in (nothing, later):
        found = imputer.fit(form(nothing)).transform(form(X))
        np.testing.assert_array_equal(found, reference.transform(X))
    names = reference.get_feature_names_out()
    assert list(imputer.get_feature_names_out()) == list(names)
    assert imputer.factorization_ is None
    with pytest.raises(ValueError, match="X: has no column whose values differ"):
        imputer.score(form(later))


def test_batches_may_begin_with_nothing():
    holed = table()[1]
    expected = FunkImputer(add_indicator=True).fit(holed)
    imputer = FunkImputer(add_indicator=True).partial_fit(np.full((7, 8), np.nan))
    imputer.partial_fit(np.full((2, 8), np.nan)).partial_fit(holed)
    assert imputer.n_samples_seen_ == len(holed) + 9
    assert np.array_equal(imputer.mean_, expected.mean_)
    assert np.array_equal(imputer.transform(holed), expected.transform(holed))
    again = imputer.fit(holed)  # forgets what was before
    assert again.n_samples_seen_ == len(holed)


def test_a_group_without_a_value_does_not_end_a_loop_over_groups():
    holed = table(20)[1]
    holed[:10] = np.nan
    imputer = FunkImputer(**QUICK, keep_empty_features=True)
    first, second = (clone(imputer).fit_transform(part) for part in np.split(holed, 2))
    assert not first.any()
    assert np.isfinite(second).all()


# ---------------------------------------------------------------- the indicator


@pytest.mark.parametrize("missing", [np.nan, 0, -1, None])
def test_the_indicator_is_that_of_scikit_learn(missing):
    pandas = pytest.importorskip("pandas")
    holed = table(30)[1]
    holed[:, 1], holed[:, 6] = 1.0, np.nan
    marker = np.nan if missing is None else missing
    frame = pandas.DataFrame(np.where(np.isnan(holed), marker, holed), columns=list("abcdefgh"))
    options = {"missing_values": missing, "keep_empty_features": True}
    imputer = FunkImputer(**QUICK, **options, add_indicator=True).fit(frame)
    reference = MissingIndicator(missing_values=marker, error_on_new=False).fit(frame)
    found = imputer.indicator_
    assert type(found) is MissingIndicator
    assert np.array_equal(found.features_, reference.features_)
    assert list(found.get_feature_names_out()) == list(reference.get_feature_names_out())
    assert np.array_equal(found.transform(frame), reference.transform(frame))
    assert np.array_equal(imputer.transform(frame)[:, 8:], reference.transform(frame))
    assert FunkImputer(**QUICK, **options).fit(frame).indicator_ is None


def test_the_indicator_follows_later_batches():
    holed = table(40)[1]
    first = np.nan_to_num(holed[:20], nan=1.0)
    imputer = FunkImputer(**QUICK, add_indicator=True).partial_fit(first)
    assert imputer.indicator_.features_.size == 0
    imputer.partial_fit(holed[20:])
    assert imputer.indicator_.features_.tolist() == list(range(8))


# ---------------------------------------------------------------- tags, dtypes, bounds of X


@pytest.mark.parametrize(
    "options, positive",
    [
        ({}, False),
        ({"nonnegative": True}, True),
        ({"nonnegative": True, "biases": True}, False),
        ({"nonnegative": True, "biases": False}, True),
        ({"loss": "poisson"}, True),
        ({"loss": "logistic"}, False),
    ],
)
def test_negative_values_are_refused_where_the_tag_says_so(options, positive):
    imputer = FunkImputer(**QUICK, **options)
    assert get_tags(imputer).input_tags.positive_only == positive
    values = [[0.0, 1.0], [1.0, np.nan], [1.0, 0.0]]
    imputer.fit(values)
    values[0][1] = -1.0
    for call in (imputer.fit, imputer.partial_fit, imputer.transform, imputer.score):
        if positive or options.get("loss") == "logistic":
            with pytest.raises(ValueError, match=r"^X: got -1 in row 0 and column 1, which is"):
                call(values)
        else:
            call(values)


def test_tags():
    tags = get_tags(FunkImputer())
    assert tags.input_tags.sparse
    assert tags.input_tags.allow_nan
    assert not get_tags(FunkImputer(missing_values=0)).input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32", "float16"]


@pytest.mark.parametrize("scale", [True, False])
def test_float16_is_kept(scale):
    holed = (table()[1] / UNITS).astype(np.float16)
    holed = np.where(np.isfinite(holed), holed, np.float16("nan"))
    imputer = FunkImputer(scale=scale).fit(holed)
    filled = imputer.transform(holed)
    assert filled.dtype == np.float16
    assert imputer.factorization_.dtype == np.float32
    observed = ~np.isnan(holed)
    assert np.array_equal(filled[observed], holed[observed])
    wider = imputer.transform(holed.astype(np.float32))
    assert np.array_equal(filled, wider.astype(np.float16))
    assert KNNImputer().fit_transform(holed).dtype == np.float16


# ---------------------------------------------------------------- score


def score_by_hand(imputer, X):
    """By `transform`, one pass after the other; in float64, so that a score can be compared."""
    counted = imputer.n_observed_ > 0
    seen = ~np.isnan(X) & counted
    place = np.cumsum(~np.isnan(X), axis=1) - 1
    errors = np.zeros(X.shape)
    for turn in range(10):
        hidden = ~np.isnan(X) & (place % 10 == turn)
        made = imputer.transform(np.where(hidden, np.nan, X))
        errors[hidden] = (made - X)[hidden]
    deviations = np.array([np.std(X[s, j]) if s.any() else 0 for j, s in enumerate(seen.T)])
    counts = deviations > 1e-12
    squares = (errors[:, counts] / deviations[counts])[seen[:, counts]] ** 2
    return 1 - squares.sum() / seen[:, counts].sum()


@settings(max_examples=25, deadline=None)
@given(
    n_cols=st.integers(2, 25),
    holes=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 99),
    options=st.sampled_from(
        [{}, {"scale": False}, {"loss": "huber"}, {"max_value": 0.5}, {"n_components": 7}]
    ),
)
def test_score_hides_each_entry_once(n_cols, holes, seed, options):
    _, holed = table(60, n_cols, holes=holes, seed=seed)
    holed = holed / np.resize(UNITS, n_cols)
    imputer = FunkImputer(**{**QUICK, **options, "keep_empty_features": True}).fit(holed[:40])
    score = imputer.score(holed[40:])
    assert score == pytest.approx(score_by_hand(imputer, holed[40:]), rel=1e-6, abs=1e-9)
    assert score == imputer.score(holed[40:])
    assert score == imputer.set_params(sparse_means="missing").score(as_sparse(holed[40:]))


def test_score_in_blocks_and_of_columns_that_do_not_count(monkeypatch):
    holed = table(60)[1]
    holed[:, 3] = 7.0
    imputer = FunkImputer(**QUICK, keep_empty_features=True)
    expected = imputer.fit(holed).score(holed)
    assert expected == pytest.approx(score_by_hand(imputer, holed), rel=1e-6)
    holed[:, 5] = np.nan
    imputer.fit(holed)
    holed[:, 5] = np.arange(60) * 1e3  # which fit did not see
    assert imputer.score(holed) == pytest.approx(score_by_hand(imputer, holed), rel=1e-6)
    monkeypatch.setattr("funkc._table.ENTRIES_AT_ONCE", 80)
    assert imputer.score(holed) == pytest.approx(score_by_hand(imputer, holed), rel=1e-6)


def test_score_tells_better_imputers_from_worse():
    holed = table(300, 8, 2)[1]
    options = [{}, {"n_components": 1, "n_epochs": 1}, {"min_value": 1e9, "max_value": 2e9}]
    scores = [FunkImputer(**o).fit(holed[:200]).score(holed[200:]) for o in options]
    assert 1 > scores[0] > 0.5 > scores[1] > scores[2]
    mean = table(300, 8, 0, noise=1.0)[1]  # nothing to be found
    assert abs(FunkImputer().fit(mean[:200]).score(mean[200:])) < 0.15


def test_score_does_not_depend_on_units():
    holed = table(200)[1]
    units = 2.0 ** np.arange(8)
    one, other = (FunkImputer(**QUICK).fit(x).score(x) for x in (holed, holed * units))
    assert one == other


def test_a_search_needs_no_target():
    holed = table(200, 8, 3)[1]
    search = GridSearchCV(FunkImputer(), {"n_components": [1, 8], "scale": [True, False]}, cv=3)
    search.fit(holed)
    assert search.best_params_ == {"n_components": 8, "scale": True}
    assert make_pipeline(FunkImputer()).fit(holed).score(holed) > 0


@pytest.mark.parametrize("X", [[[1.0, 2.0]], [[1.0, 2.0], [1.0, np.nan]], [[np.nan, np.nan]]])
def test_without_values_that_differ_there_is_no_score(X):
    imputer = FunkImputer(**QUICK).fit(np.arange(12.0).reshape(6, 2))
    with pytest.raises(ValueError, match=r"^X: has no column whose values differ; pass more rows"):
        imputer.score(X)


# ---------------------------------------------------------------- sparse tables


def ones_in_groups(n_rows=80):
    """A category that determines two numbers, of which some are missing."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 12, n_rows)
    numbers = np.column_stack([kind * 2.0, 5.0 - kind]) + rng.normal(size=(n_rows, 2))
    numbers[rng.random(numbers.shape) < 0.2] = np.nan
    return pandas.DataFrame({"kind": kind, "one": numbers[:, 0], "two": numbers[:, 1]})


def test_a_column_transformer_that_turns_sparse_changes_nothing():
    filled, seen = [], []
    for threshold in (0.0, 1.0):
        steps = ColumnTransformer(
            [("kind", OneHotEncoder(), ["kind"]), ("rest", "passthrough", ["one", "two"])],
            sparse_threshold=threshold,
        )
        frame = ones_in_groups()
        seen.append(sparse.issparse(steps.fit_transform(frame)))
        imputer = FunkImputer(sparse_means="zero")
        filled.append(make_pipeline(steps, imputer).fit_transform(frame))
    assert seen == [False, True]
    assert np.array_equal(*filled)
    assert (filled[0][:, :12].sum(axis=1) == 1).all()


def test_it_warns_where_nothing_says_what_is_not_stored():
    stored = as_sparse(table()[1])
    imputer = FunkImputer(**QUICK)
    with pytest.warns(UserWarning, match='^X: entries that are not .* sparse_means="zero"'):
        made = imputer.fit_transform(stored)  # once for all methods
    told = clone(imputer).set_params(sparse_means="missing")
    assert np.array_equal(told.fit_transform(stored), made)
    whole = sparse.csr_array(np.ones((5, 3)))
    FunkImputer(**QUICK).fit(whole)  # nothing is left out
    zeros = sparse.csr_array(np.eye(5) + np.eye(5)[::-1])
    FunkImputer(**QUICK, missing_values=0).fit(zeros)  # missing either way


@pytest.mark.parametrize("missing", [np.nan, 0, -1])
@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "coo_array", "bsr_array"])
def test_zeros_that_are_not_stored_are_observed(form, missing):
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.7, (60, 6)) * rng.integers(1, 4, (60, 6)) * 1.0
    dense[rng.random(dense.shape) < 0.2] = missing
    given = getattr(sparse, form)(dense)
    assert given.nnz < dense.size
    imputer = FunkImputer(missing_values=missing, sparse_means="zero", **QUICK).fit(given)
    expected = FunkImputer(missing_values=missing, **QUICK).fit(dense)
    assert np.array_equal(imputer.transform(given), expected.transform(dense))
    assert np.array_equal(imputer.partial_fit(given).transform(given),
                          expected.partial_fit(dense).transform(dense))  # fmt: skip
    assert imputer.score(given) == expected.score(dense)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"add_indicator": True}, {"nonnegative": True}])
def test_sparse_output_has_the_same_values(monkeypatch, dtype, options):
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.7, (60, 6)).astype(dtype)
    dense[rng.random(dense.shape) < 0.2] = np.nan
    imputer = FunkImputer(**QUICK, **options, sparse_means="zero", sparse_output=True)
    monkeypatch.setattr("funkc._table.ENTRIES_AT_ONCE", 120)
    wider = np.float64 if dtype == np.float64 else np.float32
    inputs = [dense] if dtype == np.float16 else [dense, sparse.csr_array(dense)]
    expected = FunkImputer(**QUICK, **options).fit_transform(dense)
    for X in inputs:
        found = imputer.fit_transform(X)
        assert type(found) is sparse.csr_array
        assert found.dtype == wider
        assert found.nnz == np.count_nonzero(expected)
        assert np.array_equal(found.toarray(), expected)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sparse_means": "zeros"}, "^sparse_means: got 'zeros'; pass one of 'missing', 'zero'"),
        ({"sparse_means": 0}, "^sparse_means: got 0"),
        ({"sparse_output": 1}, "^sparse_output: got 1; pass True or False"),
    ],
)
def test_bad_options_for_sparse_tables(options, message):
    for form in (np.asarray, as_sparse):
        with pytest.raises((TypeError, ValueError), match=message):
            FunkImputer(**options).fit(form(table()[1]))


def test_zeros_that_no_memory_holds_are_refused():
    endless = sparse.csr_array((np.ones(2), ([0, 1], [0, 1])), shape=(10**8, 10**5))
    with pytest.raises(MemoryError, match="pass fewer rows at a time"):
        FunkImputer(sparse_means="zero").fit(endless)


# ---------------------------------------------------------------- all inputs, all methods


def whole_numbers(holed):
    return np.nan_to_num(np.round(10 * holed), nan=-999).astype(np.int64)


INPUTS = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype("f4"),
    "float16": lambda x: x.astype("f2"),
    "big-endian": lambda x: x.astype(">f8"),
    "Fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "list": lambda x: x.tolist(),
    "objects with None": lambda x: np.where(np.isnan(x), None, x.astype(object)),
    "integers": whole_numbers,
    "booleans": lambda x: x > 0,
    "pandas": lambda x: frames("pandas", {f"c{j}": x[:, j] for j in range(6)}),
    "pandas nullable": lambda x: INPUTS["pandas"](x).convert_dtypes(),
    "polars": lambda x: frames("polars", {f"c{j}": x[:, j] for j in range(6)}),
    "pyarrow": lambda x: frames("pyarrow", {f"c{j}": x[:, j] for j in range(6)}),
    "csr": as_sparse,
    "csc": lambda x: as_sparse(x, "csc_array"),
    "coo matrix": lambda x: as_sparse(x, "coo_matrix"),
    "one column": lambda x: x[:, :1],
    "one row": lambda x: x[:1],
    "empty column": lambda x: np.where(np.arange(6) == 2, np.nan, x),
    "nothing missing": lambda x: np.nan_to_num(x),
    "nothing observed": lambda x: np.full_like(x, np.nan),
    "constant": lambda x: np.where(np.isnan(x), np.nan, 3.0),
}


@pytest.mark.filterwarnings("ignore:columns without any observed entry")
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", INPUTS)
def test_every_input_passes_through_every_method(name, keep):
    whole = table(40, 6, 2)[1] / UNITS[:6]
    X = INPUTS[name](whole)
    imputer = FunkImputer(
        **QUICK, add_indicator=True, keep_empty_features=keep, sparse_means="missing",
        missing_values=-999 if name == "integers" else np.nan,
    )  # fmt: skip
    made = imputer.fit_transform(X)
    assert np.array_equal(imputer.fit(X).transform(X), made)
    assert np.array_equal(clone(imputer).partial_fit(X).transform(X), made)
    assert made.shape == (len(imputer.transform(X)), len(imputer.get_feature_names_out()))
    assert np.isfinite(made.astype(float)).all()
    assert made.dtype == {"float32": np.float32, "float16": np.float16}.get(name, np.float64)
    if name in ("one row", "nothing observed", "constant"):
        with pytest.raises(ValueError, match="has no column whose values differ"):
            imputer.score(X)
    else:
        assert imputer.score(X) <= 1


def test_inverse_transform_is_left_out():
    assert not hasattr(FunkImputer(), "inverse_transform")
    assert "inverse_transform" in FunkImputer.__doc__


def test_imputed_values_are_about_as_good_whatever_the_dtype():
    whole, holed = table(200)
    whole, holed = whole / UNITS, holed / UNITS
    holed -= np.nanmean(holed, axis=0)
    whole -= whole.mean(axis=0)
    errors = [error(FunkImputer().fit_transform(holed.astype(d)), whole, holed)
              for d in ("f2", "f4", "f8")]  # fmt: skip
    assert max(errors) < 1.1 * min(errors)
