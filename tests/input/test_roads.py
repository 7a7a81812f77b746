"""One table of good forms and one of bad input, on every road by which entries come in."""

import re

import numpy as np
import pytest
import scipy.sparse
from draws import held_out
from other_libraries import Later, Tensor, dask, pandas, polars, pyarrow, xarray

import funkc
from funkc import Ratings
from funkc._input import cells

M, N, K = 6, 5, 2
RNG = np.random.default_rng(4)
MATRIX = np.round(3 + RNG.normal(size=(M, 1)) @ RNG.normal(size=(1, N)), 3)
MASK = RNG.random((M, N)) < 0.8
MASK[np.arange(M), np.arange(M) % N] = True  # every row and every column has an entry
ROWS, COLS = np.nonzero(MASK)
VALUES = MATRIX[MASK]
WEIGHTS = RNG.integers(1, 6, VALUES.size).astype(float)
SHUFFLE = RNG.permutation(VALUES.size)


def ratings(rows=ROWS, cols=COLS, values=VALUES, **weight):
    """The entries with their positions as ids, listed in another order."""
    order = np.random.default_rng(1).permutation(len(rows))
    weight = {name: np.asarray(part)[order] for name, part in weight.items()}
    rows, cols, values = (np.asarray(part)[order] for part in (rows, cols, values))
    return Ratings.from_arrays(rows, cols, values, **weight)


def known(ids):
    """The entries, with ids or without."""
    return (None, ratings()) if ids else ((ROWS, COLS), VALUES)


def base(ids=True):
    return funkc.factorize(*known(ids), K, n_epochs=3)


# ---------------------------------------------------------------- the roads

ROADS = {}


def road(function):
    ROADS[function.__name__] = function
    return function


@road
def factorize(mask, values, **options):
    return funkc.factorize(mask, values, K, n_epochs=3, **options).reconstruct()


@road
def resume(mask, values, *, tmp_path, ids=True, **options):
    path = tmp_path / "training"
    first = {name: part for name, part in options.items() if name == "weights"}
    weights = first.get("weights")
    if isinstance(values, Ratings) and values.weights is not None:
        begun = ratings(weight=WEIGHTS)
    else:
        begun = ratings() if weights is None else ratings(weight=WEIGHTS)
    begun = (None, begun) if ids else ((ROWS, COLS), VALUES)
    funkc.factorize(
        *begun, K, n_epochs=3, checkpoint=path, callback=lambda epoch, history: epoch == 1
    )
    return funkc.resume(path, mask, values, **options).reconstruct()


@road
def cross_validate(mask, values, **options):
    found = funkc.cross_validate(mask, values, K, n_epochs=3, cv=2, **options)
    return np.array([*found.table[0]["fold_rmse"], *found.fit.reconstruct().ravel()])


@road
def partial_fit(mask, values, **options):
    return base().partial_fit(mask, values, **options).reconstruct()


@road
def init(mask, values, ids=True, **options):
    return funkc.factorize(mask, values, K, n_epochs=3, init=base(ids), **options).reconstruct()


@road
def fold_in_rows(mask, values, **options):
    return base().fold_in_rows(mask, values, **options).reconstruct()


@road
def fold_in_cols(mask, values, **options):
    return base().fold_in_cols(mask, values, **options).reconstruct()


@road
def impute(mask, values, **options):
    found = base().impute(mask, values, **options)
    return found if isinstance(found, np.ndarray) else np.asarray(found, float)


@road
def validation(mask, values, ids=True, **options):
    fit = funkc.factorize(*known(ids), K, n_epochs=3, validation=(mask, values), **options)
    return np.array(fit.history["validation_rmse"])


# What is wrong as a position; as an id, it may be right.
POSITIONS = ["negative", "float rows", "a huge row", "nothing", "an unknown row",
             "an unknown column", "rows with NA", "a column that may be the matrix"]  # fmt: skip
WITH_WEIGHTS = ["factorize", "resume", "cross_validate", "partial_fit", "init", "fold_in_rows",
                "fold_in_cols"]  # fmt: skip
WITH_SHAPE = ["factorize", "cross_validate", "partial_fit", "init", "fold_in_rows", "fold_in_cols"]
KNOWN_ROWS = ["resume", "fold_in_cols", "impute", "validation"]
KNOWN_COLS = ["resume", "fold_in_rows", "impute", "validation"]
EMPTY_IS_FINE = ["fold_in_rows", "fold_in_cols", "impute"]


def take(name, mask, values, tmp_path, **options):
    if name == "resume":
        options["tmp_path"] = tmp_path
    if name in ("factorize", "cross_validate"):  # which have no ids yet
        options.pop("ids", None)
    return ROADS[name](mask, values, **options)


# ---------------------------------------------------------------- good forms


def holed(dtype=float):
    return np.where(MASK, MATRIX, np.nan).astype(dtype)


def frame(make=holed):
    return pandas().DataFrame(make())


FORMS = {
    "NaN": lambda: (None, holed()),
    "lists": lambda: (None, holed().tolist()),
    "Fortran order": lambda: (None, np.asfortranarray(holed())),
    "frame": lambda: (None, frame()),
    "frames": lambda: (frame(lambda: MASK), frame(lambda: MATRIX)),
    "masked": lambda: (None, np.ma.masked_array(MATRIX, ~MASK)),
    "mask": lambda: (MASK, MATRIX),
    "mask, 1-D values": lambda: (MASK, VALUES),
    "mask, NaN elsewhere": lambda: (MASK, holed()),
    "pair": lambda: ((ROWS, COLS), VALUES),
    "pair, shuffled": lambda: ((ROWS[SHUFFLE], COLS[SHUFFLE]), VALUES[SHUFFLE]),
    "pair of lists": lambda: ((ROWS.tolist(), COLS.tolist()), VALUES.tolist()),
    "pair, uint8 and int16": lambda: ((ROWS.astype(np.uint8), COLS.astype(np.int16)), VALUES),
    "pair, matrix": lambda: ((ROWS, COLS), MATRIX),
    "long double": lambda: ((ROWS, COLS), VALUES.astype(np.longdouble)),
    "big-endian": lambda: ((ROWS.astype(">i4"), COLS.astype(">i8")), VALUES.astype(">f8")),
    "strided": lambda: ((np.repeat(ROWS, 2)[::2], COLS), np.repeat(VALUES, 3)[::3]),
    "COO": lambda: (None, scipy.sparse.coo_array((VALUES, (ROWS, COLS)), shape=(M, N))),
    "CSR": lambda: (None, scipy.sparse.csr_array((VALUES, (ROWS, COLS)), shape=(M, N))),
    "CSC": lambda: (None, scipy.sparse.csc_matrix((VALUES, (ROWS, COLS)), shape=(M, N))),
    "CSR, int64 indices": lambda: (None, wide_csr()),
    "Ratings": lambda: (None, ratings()),
    "mask of 0 and 1": lambda: (MASK.astype(np.uint8), MATRIX),
    "mask of 0.0 and 1.0": lambda: (MASK.astype(np.float32), holed()),
    "mask of 0 and 1, 1-D values": lambda: (MASK.astype(int), VALUES),
    "pair, a column": lambda: ((ROWS, COLS), VALUES[:, None]),
    "pair, a row": lambda: ((ROWS, COLS), VALUES[None]),
    "mask, a column": lambda: (MASK, VALUES[:, None]),
    "pair, a frame of one column": lambda: ((ROWS, COLS), frame(lambda: VALUES[:, None])),
    "pair, a masked column": lambda: ((ROWS, COLS), np.ma.masked_array(VALUES[:, None])),
    "nullable frame": lambda: (None, frame().astype("Float64")),
    "nullable frames": lambda: (frame(lambda: MASK).astype("boolean"), frame().astype("Float64")),
    "nullable series": lambda: (
        tuple(column(x, "Int64") for x in (ROWS, COLS)), column(VALUES, "Float64"),
    ),
    "Arrow-backed frame": lambda: (None, frame().astype(arrow_dtype())),
    "Arrow-backed series": lambda: ((ROWS, COLS), column(VALUES, arrow_dtype())),
    "polars": lambda: (None, polars().DataFrame(with_none())),
    "polars, mask": lambda: (polars().DataFrame(MASK), polars().DataFrame(holed())),
    "polars, mask of pandas": lambda: (frame(lambda: MASK), polars().DataFrame(MATRIX)),
    "polars series": lambda: (
        tuple(map(polars().Series, (ROWS, COLS))), polars().Series(VALUES),
    ),
    "pyarrow": lambda: (None, pyarrow().table(with_none())),
    "pyarrow batch": lambda: (None, pyarrow().record_batch(with_none())),
    "pyarrow arrays": lambda: (
        tuple(map(pyarrow().array, (ROWS, COLS))), pyarrow().chunked_array([VALUES[:3], VALUES[3:]])
    ),
    "DataArray": lambda: (None, data_array(holed())),
    "DataArrays": lambda: (data_array(MASK), data_array(MATRIX)),
    "tensor": lambda: (None, Tensor(holed())),
    "tensor, read-only": lambda: (None, Tensor(np.broadcast_to(holed(), (M, N)))),
    "tensors": lambda: ((Tensor(ROWS), Tensor(COLS)), Tensor(VALUES)),
    "tensors, mask": lambda: (Tensor(MASK), Tensor(MATRIX)),
}  # fmt: skip


def data_array(array):
    return xarray().DataArray(array, dims=("user", "film"))


def chunked():
    dask()
    return data_array(MATRIX).chunk()


def column(numbers, dtype):
    return pandas().Series(numbers, dtype=dtype)


def arrow_dtype():
    return pandas().ArrowDtype(pyarrow().float64())


def with_none():
    """The columns, with None for what is missing."""
    return {
        f"film {col}": [None if x != x else float(x) for x in numbers]
        for col, numbers in enumerate(holed().T)
    }


def wide_csr():
    found = scipy.sparse.csr_array((VALUES, (ROWS, COLS)), shape=(M, N))
    found.indices, found.indptr = found.indices.astype(np.int64), found.indptr.astype(np.int64)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ROADS)
def test_every_form_gives_the_same_bits_on_every_road(name, form, tmp_path):
    expected = take(name, (ROWS, COLS), VALUES, tmp_path)
    assert np.isfinite(expected).all()
    found = take(name, *FORMS[form](), tmp_path)
    np.testing.assert_array_equal(found, expected)


# ---------------------------------------------------------------- weights


def weight_matrix():
    out = np.ones((M, N))
    out[MASK] = WEIGHTS
    return out


WEIGHTED = {
    "pair": lambda: ((ROWS, COLS), VALUES, {"weights": WEIGHTS}),
    "pair, shuffled": lambda: (
        (ROWS[SHUFFLE], COLS[SHUFFLE]), VALUES[SHUFFLE], {"weights": WEIGHTS[SHUFFLE]},
    ),
    "pair, matrix of weights": lambda: ((ROWS, COLS), VALUES, {"weights": weight_matrix()}),
    "pair, a column of weights": lambda: ((ROWS, COLS), VALUES, {"weights": WEIGHTS[:, None]}),
    "pair, a nullable column": lambda: (
        (ROWS, COLS), VALUES, {"weights": column(WEIGHTS, "Int64").to_frame()},
    ),
    "polars": lambda: (
        MASK, polars().DataFrame(MATRIX), {"weights": polars().DataFrame(weight_matrix())},
    ),
    "mask": lambda: (MASK, MATRIX, {"weights": weight_matrix()}),
    "mask, 1-D weights": lambda: (MASK, MATRIX, {"weights": WEIGHTS}),
    "NaN": lambda: (None, holed(), {"weights": weight_matrix()}),
    "frames": lambda: (None, frame(), {"weights": frame(weight_matrix)}),
    "CSR": lambda: (
        None,
        scipy.sparse.csr_array((VALUES, (ROWS, COLS)), shape=(M, N)),
        {"weights": WEIGHTS},
    ),
    "Ratings": lambda: (None, ratings(weight=WEIGHTS), {}),
}  # fmt: skip


@pytest.mark.parametrize("form", WEIGHTED)
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_weights_weigh_the_right_entries_on_every_road(name, form, tmp_path):
    expected = take(name, (ROWS, COLS), VALUES, tmp_path, weights=WEIGHTS)
    assert not np.array_equal(expected, take(name, (ROWS, COLS), VALUES, tmp_path))
    mask, values, options = WEIGHTED[form]()
    np.testing.assert_array_equal(take(name, mask, values, tmp_path, **options), expected)


def test_a_heavy_rating_draws_its_own_prediction_only():
    films = ["a", "a", "b", "b"]
    numbers = [2, 1, 1, 2]
    stars = [1.0, 5.0, 5.0, 3.0]
    fit = funkc.factorize(None, Ratings.from_arrays(films, numbers, stars), 2, n_epochs=50)
    heavy = Ratings.from_arrays(["z", "z"], [2, 1], [1.0, 5.0], weight=[1000.0, 1.0])
    light = Ratings.from_arrays(["z", "z"], [2, 1], [1.0, 5.0], weight=[1.0, 1000.0])
    errors = [abs(fit.fold_in_rows(None, each).predict("z", 2, ids=True) - 1) for each in
              (heavy, light)]  # fmt: skip
    assert errors[0] < errors[1]


def test_a_frame_carries_its_weights():
    columns = {"u": ROWS[SHUFFLE], "i": COLS[SHUFFLE], "r": VALUES[SHUFFLE], "w": WEIGHTS[SHUFFLE]}
    named = {"row": "u", "col": "i", "value": "r", "weight": "w"}
    for df in (columns, pytest.importorskip("pandas").DataFrame(columns)):
        found = Ratings.from_dataframe(df, **named)
        np.testing.assert_array_equal(found.weights, WEIGHTS)
        np.testing.assert_array_equal(found.values, VALUES)


@pytest.mark.parametrize("name", ["impute", "validation"])
def test_a_rating_of_weight_zero_is_not_observed(name, tmp_path):
    some = WEIGHTS > 2
    weighted = ratings(weight=np.where(some, WEIGHTS, 0))
    found = take(name, None, weighted, tmp_path)
    np.testing.assert_array_equal(
        found, take(name, (ROWS[some], COLS[some]), VALUES[some], tmp_path)
    )


# ---------------------------------------------------------------- bad input


def changed(part, at, value):
    part = np.array(part)
    part[at] = value
    return part


def sparse_mask():
    return scipy.sparse.csr_array(MASK)


def weighted(weights, **options):
    return (ROWS, COLS), VALUES, {"weights": weights, **options}


# What is passed; the error; the roads on which it is one.
BAD = {
    "NaN": (lambda: (MASK, changed(MATRIX, (0, 0), np.nan), {}), "values: is NaN at row 0"),
    "infinite": (lambda: ((ROWS, COLS), changed(VALUES, 3, -np.inf), {}), "values: is infinite"),
    "too large": (
        lambda: ((ROWS, COLS), changed(VALUES.astype(np.longdouble), 3, np.longdouble("1e400")),
                 {}),
        "values: is infinite",
    ),
    "complex": (lambda: ((ROWS, COLS), VALUES + 0j, {}), "values: has dtype complex128"),
    "text": (lambda: ((ROWS, COLS), VALUES.astype(str), {}), "values: has dtype <U"),
    "objects": (lambda: (None, holed().astype(object), {}), "values: has dtype object"),
    "ragged": (lambda: (None, [[1.0], [1.0, 2.0]], {}), "values: the rows differ in length"),
    "three dimensions": (lambda: (None, np.ones((2, 2, 2)), {}), r"values: has shape \(2, 2, 2\)"),
    "mask of text": (lambda: (MASK.astype(str), MATRIX, {}), "mask: has dtype <U"),
    "mask of 0 and 255": (
        lambda: (MASK * np.uint8(255), MATRIX, {}),
        r"mask: mask\[0, 0\] = 255, of uint8, is neither 0 nor 1; .* mask > 0",
    ),
    "mask of other numbers": (
        lambda: (changed(MASK.astype(float), (1, 1), -1), MATRIX, {}),
        r"mask: mask\[1, 1\] = -1.0, of float64",
    ),
    "mask with NA": (
        lambda: (frame(lambda: changed(MASK.astype(object), (2, 1), None)).astype("boolean"),
                 MATRIX, {}),
        r"mask: mask\[2, 1\] = nan",
    ),
    "values with NA": (
        lambda: ((ROWS, COLS), column(changed(VALUES, 3, np.nan), "Float64"), {}),
        "values: is NaN at row",
    ),
    "rows with NA": (
        lambda: ((column([None, *ROWS[1:]], "Int64"), COLS), VALUES, {}),
        r"rows: rows\[0\] is missing",
    ),
    "Dask values": (lambda: (None, Later(), {}), r"values: is a Dask collection.*\.compute\(\)"),
    "Dask values and mask": (lambda: (Later(), Later(), {}), "values: is a Dask collection"),
    "Dask mask": (lambda: (Later(), MATRIX, {}), "mask: is a Dask collection"),
    "Dask mask and frame": (lambda: (Later(), frame(), {}), "mask: is a Dask collection"),
    "Dask rows": (lambda: ((Later(), COLS), VALUES, {}), "rows: is a Dask collection"),
    "Dask cols": (lambda: ((ROWS, Later()), VALUES, {}), "cols: is a Dask collection"),
    "DataArray of Dask": (lambda: (None, chunked(), {}), "values: is a Dask collection"),
    "Dataset": (
        lambda: (None, data_array(MATRIX).to_dataset(name="data"), {}), "values: is an xarray Data"
    ),
    "LazyFrame": (
        lambda: (None, polars().DataFrame(MATRIX).lazy(), {}), r"values: is a polars LazyFrame",
    ),
    "another device": (
        lambda: (None, Tensor(MATRIX, (2, 0)), {}),
        r"values: is in the memory of .* type 2.*\.cpu\(\)",
    ),
    "a gradient": (
        lambda: (None, Tensor(MATRIX, error=BufferError("requires gradient")), {}),
        r"values: can't be exported .*requires gradient.*\.detach\(\)",
    ),
    "polars columns": (
        lambda: (polars().DataFrame(MASK).rename({"column_0": "x"}), polars().DataFrame(MATRIX),
                 {}),
        "mask: has other columns than values",
    ),
    "pyarrow columns": (
        lambda: (pyarrow().table(dict(zip("abcde", MASK.T, strict=True))),
                 pyarrow().table(with_none()), {}),
        "mask: has other columns than values",
    ),
    "other dimensions": (
        lambda: (data_array(MASK).rename(user="x"), data_array(MATRIX), {}),
        "mask: has other rows than values",
    ),
    "other coordinates": (
        lambda: (data_array(MASK).assign_coords(film=range(N)),
                 data_array(MATRIX).assign_coords(film=range(N)[::-1]), {}),
        "mask: has other columns than values",
    ),
    "masked mask": (
        lambda: (np.ma.masked_array(MASK, False), MATRIX, {}), "mask: is itself a masked array",
    ),
    "masked values": (
        lambda: (MASK, np.ma.masked_array(MATRIX, MASK), {}), "values: is masked at row",
    ),
    "sparse mask": (lambda: (sparse_mask(), MATRIX, {}), "mask: is a sparse array"),
    "Ratings as mask": (lambda: (ratings(), VALUES, {}), "mask: is a Ratings"),
    "Ratings as mask of a matrix": (lambda: (ratings(), MATRIX, {}), "mask: is a Ratings"),
    "a fit as values": (lambda: (None, base(), {}), "values: is a Factorization, .* basis"),
    "a fit as values of a mask": (lambda: (MASK, base(), {}), "values: is a Factorization"),
    "a fit as values of a pair": (lambda: ((ROWS, COLS), base(), {}), "values: is a Factorization"),
    "a fit as mask": (lambda: (base(), MATRIX, {}), "mask: is a Factorization"),
    "a fit as mask of CSR": (
        lambda: (base(), scipy.sparse.csr_array(MATRIX), {}), "mask: is a Factorization",
    ),
    "a fit as mask of Ratings": (lambda: (base(), ratings(), {}), "mask: is a Factorization"),
    "text mask of another shape": (
        lambda: (np.full((M, N + 1), "1"), MATRIX, {}), "mask: has dtype <U",
    ),
    "complex CSR": (
        lambda: (None, scipy.sparse.csr_array(MATRIX + 0j), {}), "values: has dtype complex128",
    ),
    "CSR with an entry twice": (lambda: (None, twice(), {}), "mask: row 0, column 0 is listed"),
    "Ratings and mask": (lambda: (MASK, ratings(), {}), "values: is a Ratings together"),
    "sparse and mask": (
        lambda: (MASK, scipy.sparse.csr_array(MATRIX), {}), "values: is a sparse array together",
    ),
    "mask and values differ": (lambda: (MASK, VALUES[1:], {}), "values: has shape"),
    "pair and values differ": (lambda: ((ROWS, COLS), VALUES[1:], {}), "values: has shape"),
    "rows and cols differ": (lambda: ((ROWS[1:], COLS), VALUES, {}), "mask: has .* rows and"),
    "a triple": (lambda: ((ROWS, COLS, COLS), VALUES, {}), "mask: is a tuple of 3"),
    "negative": (lambda: ((changed(ROWS, 2, -1), COLS), VALUES, {}), r"rows: rows\[2\] = -1 is"),
    "float rows": (lambda: ((ROWS.astype(float), COLS), VALUES, {}), "rows: has dtype float64"),
    "a huge row": (
        lambda: ((changed(ROWS, 2, 2**40), COLS), VALUES, {}), r"rows: rows\[2\] = 1099511627776",
    ),
    "twice": (
        lambda: ((np.append(ROWS, ROWS[0]), np.append(COLS, COLS[0])), np.append(VALUES, 1), {}),
        "mask: row 0, column 0 is listed more than once",
    ),
    "duplicates": (
        lambda: ((ROWS, COLS), VALUES, {"duplicates": "first"}), "duplicates: got 'first'",
    ),
    "labels": (
        lambda: (frame(lambda: MASK).iloc[::-1], frame(), {}), "mask: has other rows than values",
    ),
    "column labels": (
        lambda: (frame(lambda: MASK).rename(columns={0: "x"}), frame(), {}),
        "mask: has other columns than values",
    ),
    "a damaged sparse array": (
        lambda: (None, damaged(), {}), "values: is not a valid sparse array",
    ),
    "nothing": (lambda: (np.zeros((M, N), bool), MATRIX, {}), "mask: marks no entry as observed"),
}  # fmt: skip
BAD_FOR_SOME = {
    "a column that may be the matrix": (
        lambda: ((np.arange(M)[::-1], np.zeros(M, int)), MATRIX[:, :1], {}),
        r"values: has shape \(6, 1\): the matrix, or one number.*values.ravel\(\)",
        ["factorize", "cross_validate", "partial_fit", "init", "fold_in_cols"],
    ),
    "an unknown row": (
        lambda: ((changed(ROWS, 0, M), COLS), VALUES, {}), "is outside shape", KNOWN_ROWS,
    ),
    "an unknown column": (
        lambda: ((ROWS, changed(COLS, 0, N)), VALUES, {}), "is outside shape", KNOWN_COLS,
    ),
    "too many rows": (
        lambda: (None, np.ones((M + 1, N)), {}), r"values: has shape \(7, 5\) where", KNOWN_ROWS,
    ),
    "too few columns": (
        lambda: (None, np.ones((M, N - 1)), {}), r"values: has shape \(6, 4\) where", KNOWN_COLS,
    ),
    "a new matrix with too few columns": (
        lambda: (None, np.ones((M, N - 1)), {}), "values: has 4 columns where 5 were trained",
        ["partial_fit", "init"],
    ),
    "more rows than ids": (
        lambda: (None, np.ones((M + 1, N)), {}), "values: has 7 rows where 6 have ids",
        ["partial_fit", "init"],
    ),
    "an unknown row id": (
        lambda: (None, ratings(changed(ROWS, ROWS == 2, 77)), {}),
        r"values.row_ids\[5\]: the id 77 is not known", KNOWN_ROWS,
    ),
    "an unknown column id": (
        lambda: (None, ratings(ROWS, changed(COLS, COLS == 2, 77)), {}),
        r"values.col_ids\[4\]: the id 77 is not known", KNOWN_COLS,
    ),
    "shape": (
        lambda: ((ROWS, COLS), VALUES, {"shape": "nonsense"}), "shape: got 'nonsense'", WITH_SHAPE,
    ),
    "shape beside Ratings": (
        lambda: (None, ratings(), {"shape": "nonsense"}), "shape: got 'nonsense'", WITH_SHAPE,
    ),
    "another shape beside Ratings": (
        lambda: (None, ratings(), {"shape": (M + 1, N + 1)}),
        "values: are Ratings of shape|shape: got", WITH_SHAPE,
    ),
    "a small shape": (
        lambda: ((ROWS, COLS), VALUES, {"shape": (M - 1, N - 1)}),
        "is outside shape|shape: got .* were trained", WITH_SHAPE,
    ),
    "weights beside Ratings": (
        lambda: (None, ratings(), {"weights": WEIGHTS}),
        "weights: are given together with Ratings.*pass them as weight=", WITH_WEIGHTS,
    ),
    "a matrix of weights beside Ratings": (
        lambda: (None, ratings(), {"weights": weight_matrix()}),
        "weights: are given together with Ratings", WITH_WEIGHTS,
    ),
    "weights and duplicates": (
        lambda: weighted(WEIGHTS, duplicates="mean"),
        'weights: are given together with duplicates="mean"', WITH_WEIGHTS,
    ),
    "too few weights": (lambda: weighted(WEIGHTS[1:]), "weights: has shape", WITH_WEIGHTS),
    "a NaN weight": (
        lambda: weighted(changed(WEIGHTS, 4, np.nan)), "weights: is nan at row", WITH_WEIGHTS,
    ),
    "a negative weight": (
        lambda: weighted(changed(WEIGHTS, 4, -1)), r"weights: is -1\.0 at row", WITH_WEIGHTS,
    ),
    "no weight": (lambda: weighted(0 * WEIGHTS), "weights: is 0 everywhere", WITH_WEIGHTS),
    "sparse weights": (
        lambda: weighted(scipy.sparse.csr_array(weight_matrix())), "weights: is a sparse array",
        WITH_WEIGHTS,
    ),
    "Ratings as weights": (lambda: weighted(ratings()), "weights: is a Ratings", WITH_WEIGHTS),
    "text weights": (
        lambda: weighted(WEIGHTS.astype(str)), "weights: has dtype <U", WITH_WEIGHTS,
    ),
    "masked weights": (
        lambda: weighted(np.ma.masked_array(WEIGHTS)), "weights: is a masked array", WITH_WEIGHTS,
    ),
    "weights with NA": (
        lambda: weighted(column(changed(WEIGHTS, 4, np.nan), "Int64")), "weights: is nan at row",
        WITH_WEIGHTS,
    ),
    "Dask weights": (lambda: weighted(Later()), "weights: is a Dask collection", WITH_WEIGHTS),
    "weights with other labels": (
        lambda: (None, frame(), {"weights": frame(weight_matrix).iloc[::-1]}),
        "weights: has other rows than values", WITH_WEIGHTS,
    ),
}  # fmt: skip


def twice():
    found = scipy.sparse.csr_array((VALUES, (ROWS, COLS)), shape=(M, N))
    found.indices[1] = found.indices[0]
    return found


def damaged():
    found = scipy.sparse.csr_array((VALUES, (ROWS, COLS)), shape=(M, N))
    found.indices[0] = 99
    return found


def refused(name, make, words, tmp_path, **more):
    mask, values, options = make()
    options |= more
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        take(name, mask, values, tmp_path, **options)
    remedy = str(caught.value).rpartition("; ")[2]
    assert re.match(r"[a-z]", remedy), caught.value
    if name == "validation" and "duplicates" not in options:
        assert str(caught.value).startswith("validation, "), caught.value


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", ROADS)
def test_bad_input_is_refused_on_every_road(name, case, tmp_path):
    if case == "nothing" and name in EMPTY_IS_FINE:
        nothing = (np.empty(0, int), np.empty(0, int)), np.empty(0)
        forms = [(np.zeros((M, N), bool), MATRIX), nothing]
        shape = {"shape": (M, N)} if name in WITH_SHAPE else {}
        shape["ids"] = False
        one, other = (take(name, *form, tmp_path, **shape) for form in forms)
        np.testing.assert_array_equal(one, other)
        return
    if case == "too large" and name == "impute":  # which keeps the dtype
        assert take(name, *BAD[case][0]()[:2], tmp_path).dtype == np.longdouble
        return
    refused(name, *BAD[case], tmp_path, **by_position(case))


def by_position(case):
    return {"ids": False} if case in POSITIONS else {}


@pytest.mark.parametrize(
    "name, case", [(name, case) for case, part in BAD_FOR_SOME.items() for name in part[2]]
)
def test_bad_input_is_refused_on_the_roads_that_know_better(name, case, tmp_path):
    make, words, _ = BAD_FOR_SOME[case]
    refused(name, make, words, tmp_path, **by_position(case))


def test_ratings_need_ids_in_the_model(tmp_path):
    fit = funkc.factorize(MASK, MATRIX, K, n_epochs=3)
    for call in (
        lambda: fit.partial_fit(None, ratings()),
        lambda: fit.fold_in_rows(None, ratings()),
        lambda: fit.fold_in_cols(None, ratings()),
        lambda: fit.impute(None, ratings()),
        lambda: funkc.factorize(None, ratings(), K, init=fit),
        lambda: funkc.factorize(MASK, MATRIX, K, validation=ratings()),
    ):
        with pytest.raises(ValueError, match="this factorization has no ids"):
            call()


# ---------------------------------------------------------------- validation


def test_ratings_for_validation_are_matched_by_their_ids():
    names = np.array(["d", "a", "f", "b", "e", "c"])
    train = Ratings.from_arrays(names[ROWS], COLS, VALUES)
    some = (ROWS == 1) | (ROWS == 4)  # other positions among fewer ids
    held = Ratings.from_arrays(names[ROWS[some]], COLS[some], VALUES[some] + 1)
    fit = funkc.factorize(None, train, K, n_epochs=3, validation=held)
    wanted = fit.predict(names[ROWS[some]], COLS[some], ids=True) - (VALUES[some] + 1)
    assert fit.validation_rmse == pytest.approx(
        np.sqrt(np.mean(wanted.astype(float) ** 2)), rel=1e-5
    )
    pair = funkc.factorize(None, train, K, n_epochs=3, validation=(None, held))
    assert pair.history["validation_rmse"] == fit.history["validation_rmse"]


def test_an_entry_twice_is_refused_whether_it_is_held_out_or_not():
    for at in range(VALUES.size):
        rows, cols, values = (np.append(part, part[at]) for part in (ROWS, COLS, VALUES))
        with pytest.raises(ValueError, match=f"row {ROWS[at]}, column {COLS[at]} is listed more"):
            funkc.factorize((rows, cols), values, K, n_epochs=1, validation=0.4)


def test_cells_that_change_while_rows_are_folded_in_are_refused(monkeypatch):
    fit, cols = base(), COLS.copy()
    expected = fit.fold_in_rows((ROWS, COLS), VALUES, ids=False).row_factors

    def in_order(*arguments):
        cols[0] = 10**12  # as another thread might
        return original(*arguments)

    original = cells.in_order
    monkeypatch.setattr(cells, "in_order", in_order)
    np.testing.assert_array_equal(
        fit.fold_in_rows((ROWS, cols), VALUES, ids=False).row_factors, expected
    )

    def listed(self):
        cols[0] = 10**12
        return self

    cols[:] = COLS
    monkeypatch.setattr(cells.Cells, "listed", listed)
    with pytest.raises(ValueError, match="changed while they were read"):
        fit.fold_in_rows((ROWS, cols), VALUES, ids=False)


def test_duplicates_in_validation_are_settled_as_in_training():
    twice = (np.array([0, 0, 1]), np.array([1, 1, 1])), np.array([1.0, 3.0, 2.0])
    once = (np.array([0, 1]), np.array([1, 1])), np.array([2.0, 2.0])
    found = [
        funkc.factorize(MASK, MATRIX, K, n_epochs=3, duplicates="mean", validation=held).history
        for held in (twice, once)
    ]
    assert found[0]["validation_rmse"] == found[1]["validation_rmse"]


@pytest.mark.parametrize("given", [(None, None), (np.ones((M, K)), None), (None, np.ones((N, K)))])
def test_init_without_factors_is_refused_in_words(given):
    with pytest.raises(TypeError, match=r"^init (row|col)_factors: got None; pass an array"):
        funkc.factorize(MASK, MATRIX, K, init=given)


def test_new_rows_see_nothing_that_is_held_out():
    """In pure noise nothing can be predicted: a lower error would be one of training."""
    rng = np.random.default_rng(0)
    old = funkc.factorize(None, rng.normal(size=(300, 40)), 8, n_epochs=10)
    table = rng.normal(size=(600, 40))
    fit = funkc.factorize(None, table, 8, n_epochs=10, init=old, validation=0.3)
    first = fit.history["validation_rmse"][0]

    rows, cols = (part.ravel() for part in np.indices(table.shape))
    held = held_out(rows, cols, table.shape, 0.3)
    by_hand = funkc.factorize(
        (rows[~held], cols[~held]), table.ravel()[~held], 8, n_epochs=10, init=old,
        shape=table.shape, validation=((rows[held], cols[held]), table.ravel()[held]),
    )  # fmt: skip
    assert by_hand.history["validation_rmse"] == fit.history["validation_rmse"]
    assert first > 0.97 * table.std()
