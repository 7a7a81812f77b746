"""The imputer tests of scikit-learn, run on FunkImputer: README.md in this folder says how."""

import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="FunkImputer needs scikit-learn")

import sklearn.impute
from scipy.sparse import issparse
from sklearn.experimental import enable_iterative_imputer  # noqa: F401

from funkc import FunkImputer

# The warnings of scikit-learn, and about the small tables of its tests, are none of these.
pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = Path(sklearn.impute.__file__).parent / "tests"
VERSION = "1.9."
SUITES = [FOLDER / f"test_{name}.py" for name in ("common", "impute", "knn")]
if not all(path.is_file() for path in SUITES):
    pytest.skip("this scikit-learn came without its tests", allow_module_level=True)
if not sklearn.__version__.startswith(VERSION):
    pytest.skip(f"the list below is for scikit-learn {VERSION}", allow_module_level=True)

# README.md has the reasons; for all cases of a test, or those named in brackets.
DIFFERENT = {
    "the values of another method": """
        test_imputation_most_frequent test_imputation_constant_integer
        test_imputation_constant_float test_iterative_imputer_transform_recovery[5]
        test_iterative_imputer_additive_matrix test_iterative_imputer_skip_non_missing
        test_iterative_imputer_min_max_value_remove_empty
        test_simple_imputation_add_indicator_sparse_matrix
        test_iterative_imputer_constant_fill_value test_imputation_custom
        test_simple_imputer_constant_fill_value_casting test_knn_imputer_zero_nan_imputes_the_same
        test_knn_imputer_verify test_knn_imputer_one_n_neighbors
        test_knn_imputer_all_samples_are_neighbors test_knn_imputer_weight_uniform
        test_knn_imputer_weight_distance test_knn_imputer_callable_metric
        test_knn_imputer_with_simple_example test_knn_imputer_not_enough_valid_distances
        test_knn_imputer_nan_distance test_knn_imputer_distance_weighted_not_enough_neighbors
        """,
    "text and objects": """
        test_imputation_const_mostf_error_invalid_types test_imputation_most_frequent_objects
        test_imputation_most_frequent_pandas test_imputation_constant_error_invalid_type
        test_imputation_constant_object test_imputation_constant_pandas
        test_missing_indicator_with_imputer[X0-a-X_trans_exp0]
        test_missing_indicator_with_imputer[X2-nan-X_trans_exp2]
        test_missing_indicator_with_imputer[X3-None-X_trans_exp3]
        test_simple_imputation_string_list test_simple_impute_pd_na
        test_imputer_lists_fit_transform
        """,
    "parameters and attributes of another method": """
        test_iterative_imputer_one_feature test_imputation_copy test_iterative_imputer_zero_iters
        test_iterative_imputer_all_missing test_iterative_imputer_imputation_order
        test_iterative_imputer_estimators test_iterative_imputer_truncated_normal_posterior
        test_iterative_imputer_transform_stochasticity test_iterative_imputer_early_stopping
        test_iterative_imputer_min_max_array_like test_imputation_order
        """,
    "other messages": """
        test_imputation_deletion_warning test_imputation_deletion_warning_feature_names
        test_imputation_mean_median_error_invalid_type
        test_imputation_mean_median_error_invalid_type_list_pandas
        test_iterative_imputer_catch_min_max_error test_inconsistent_dtype_X_missing_values
        test_knn_imputer_default_with_invalid_input
        """,
    "sparse tables where 0 means missing": "test_imputation_error_sparse_0",
    "inverse_transform": """
        test_simple_imputation_inverse_transform test_simple_imputation_inverse_transform_exceptions
        """,
}


def standing_in_for(name):
    """FunkImputer, with the parameters of that imputer; those that it does not have do nothing."""
    original = getattr(sklearn.impute, name)
    theirs = inspect.signature(original.__init__)

    def __init__(self, *args, **options):
        given = theirs.bind(self, *args, **options)
        given.apply_defaults()
        vars(self).update({k: v for k, v in given.arguments.items() if k != "self"})
        if vars(self).get("random_state", 0) is None:
            self.random_state = 0

    def transform(self, X):
        self.sparse_output = issparse(X)
        return FunkImputer.transform(self, X)

    __init__.__signature__ = theirs
    ours = {k: v.default for k, v in inspect.signature(FunkImputer).parameters.items()}
    # What is no parameter of theirs is an attribute of the class, and remains as it is.
    body = {**ours, "sparse_means": "zero", "__init__": __init__, "transform": transform}
    return type(name, (FunkImputer,), body)


def imputer_tests(path):
    """Those that use an imputer, whose names in scikit-learn mean FunkImputer meanwhile."""
    spec = importlib.util.spec_from_file_location(f"sklearn_imputers_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    names = ("SimpleImputer", "KNNImputer", "IterativeImputer")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(sklearn.impute, name, STAND_INS[name])
        spec.loader.exec_module(module)
    for name, test in vars(module).items():
        if name.startswith("test_") and re.search("imputer", inspect.getsource(test), re.I):
            yield name, test


# The marks are strict: a test that comes to pass has to be taken from the list.
@pytest.fixture(autouse=True)
def expect_what_differs(request):
    for reason, names in DIFFERENT.items():
        if {request.node.name, request.node.name.partition("[")[0]} & set(names.split()):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


STAND_INS = {
    name: standing_in_for(name) for name in ("SimpleImputer", "KNNImputer", "IterativeImputer")
}
for suite in SUITES:
    globals().update(imputer_tests(suite))


# What holds in place of the tests that differ.


@pytest.mark.parametrize("form", ["csr_array", "csc_array", "coo_array"])
def test_sparse_tables_where_zero_means_missing_are_imputed(form):
    import scipy.sparse

    dense = np.array([[3.0, 0, 5], [2, 4, 0], [0, 3, 7], [1, 2, 9]])
    given = getattr(scipy.sparse, form)(dense)
    for means in ("missing", "zero"):
        imputer = FunkImputer(missing_values=0, sparse_means=means)
        filled = imputer.fit_transform(given)
        np.testing.assert_array_equal(filled, imputer.fit_transform(dense))
        assert (filled != 0).all()


def test_nothing_of_the_input_is_ever_changed():
    given = np.array([[1.0, np.nan], [2.0, 4.0], [3.0, 6.0]])
    before = given.copy()
    made = FunkImputer().fit_transform(given)
    made[:] = -1
    np.testing.assert_array_equal(given, before)


def test_columns_are_dropped_with_a_warning_of_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [np.nan, 4.0], "b": [np.nan, np.nan], "c": [1.0, 2.0]})
    with pytest.warns(UserWarning, match="without any observed entry in fit are dropped: 'b'"):
        FunkImputer().fit_transform(frame)


@pytest.mark.parametrize("ends", [(100, 0), (np.inf, -np.inf), ([-5, 5, 10], [100, 200, 0])])
def test_wrong_ranges_are_refused_in_fit(ends):
    imputer = FunkImputer(min_value=ends[0], max_value=ends[1])
    with pytest.raises(ValueError, match=r"min_value: got .* not below max_value"):
        imputer.fit(np.random.default_rng(0).random((10, 3)))


def test_a_column_that_was_complete_in_fit_is_imputed():
    whole = np.outer(np.arange(1.0, 31), [1.0, 2.0, 3.0])
    made = FunkImputer().fit(whole).transform([[np.nan, 20.0, 30.0]])
    assert made[0, 0] == pytest.approx(10, abs=0.2)
