"""What a Factorization answers: cells, the best columns, the most similar, filled matrices."""

import re
import tracemalloc

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from fits import DTYPES, KINDS, NAN, QUICK, SHAPE, THREADS, fitted, made, observed, rated
from hypothesis import given
from hypothesis import strategies as st

from funkc._input.cells import observed_by_blocks

# ---------------------------------------------------------------- predict and reconstruct

CHOICES = [
    (slice(None), slice(None)),
    (slice(3, 40, 7), slice(None, None, -2)),
    (5, slice(None)),
    (slice(None), 7),
    ([4, 4, 0], slice(10)),
    (slice(5, 5), slice(None)),
    (slice(-3, None), [[1, 2], [3, 4]]),
    (np.array([[1], [2]]), slice(3)),
    (slice(60, 99), slice(0)),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 7, 16, 33])
def test_slices_predict_where_rows_and_columns_meet(kind, dtype, k):
    fit = fitted(k=k, dtype=dtype, **KINDS[kind])
    product = fit.reconstruct()
    for rows, cols in CHOICES:
        expected = product[rows][..., cols]
        assert fit.predict(rows, cols).tobytes() == expected.tobytes(), (rows, cols)
        assert fit.predict(rows, cols).shape == expected.shape
        assert fit.predict(rows, cols).dtype == dtype
    assert np.array_equal(fit.predict([3, 1]), product[[3, 1]])  # whole rows
    exact = fit.offset + fit.row_factors.astype(float) @ fit.col_factors.astype(float).T
    if fit.row_bias is not None:
        assert np.ptp(fit.row_bias) > 0
        exact += fit.row_bias.astype(float)[:, None] + fit.col_bias.astype(float)
    assert np.allclose(product, exact, rtol=0, atol=1e3 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_unknown_is_predicted_as_the_mean(kind, dtype):
    fit = fitted(dtype=dtype, **KINDS[kind])
    x, y = fit.row_factors.astype(float), fit.col_factors.astype(float)
    if fit.row_bias is not None:
        x = np.column_stack([x, fit.row_bias, np.ones(len(x))])
        y = np.column_stack([y, np.ones(len(y)), fit.col_bias])
    x, y = np.vstack([x, x.mean(axis=0)]), np.vstack([y, y.mean(axis=0)])
    exact = fit.offset + x @ y.T
    rows = np.array([0, 67, -1, 3, 2**40, -(2**40)])
    cols = np.array([75, 0, -5, 4, 99, 2])
    at = np.where((rows < 0) | (rows > 66), 67, rows), np.where((cols < 0) | (cols > 74), 75, cols)
    close = {"rtol": 0, "atol": 1e3 * np.finfo(dtype).eps}
    assert np.allclose(fit.predict(rows, cols, unknown="baseline"), exact[at], **close)
    whole = fit.predict(rows, unknown="baseline")
    assert np.allclose(whole, exact[at[0], :75], **close)
    assert whole[3].tobytes() == fit.reconstruct()[3].tobytes()  # the known ones as ever
    assert np.allclose(
        fit.predict(slice(None), cols, unknown="baseline"), exact[:67][:, at[1]], **close
    )
    assert np.isclose(fit.predict(-1, -1, unknown="baseline"), exact[67, 75], **close)
    with pytest.raises(IndexError, match=r"^rows: rows\[1\] = 67 is not among the 67 that were"):
        fit.predict(rows)
    with pytest.raises(IndexError, match=r"^cols: cols\[0\] = 75 is not among the 75 that were"):
        fit.predict(slice(None), cols)
    with pytest.raises(ValueError, match=r"^unknown: got 'usual'; pass one of 'raise', 'base"):
        fit.predict(0, 0, unknown="usual")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [3, 16])
def test_reconstruct_fills_some_rows_and_an_array_of_ones_own(kind, k):
    fit = fitted(k=k, **KINDS[kind])
    product = fit.reconstruct()
    for rows in (slice(3, 9), slice(None, None, -1), [5, 5, 0], np.array([66]), slice(0, 0)):
        assert fit.reconstruct(rows).tobytes() == product[rows].tobytes()
        out = np.full((len(product[rows]), SHAPE[1]), 7, np.float32)
        assert fit.reconstruct(rows, out=out) is out
        assert out.tobytes() == product[rows].tobytes()
    out = np.empty(SHAPE, np.float32)
    assert fit.reconstruct(out=out) is out
    assert out.tobytes() == product.tobytes()


@pytest.mark.parametrize(
    ("out", "error", "start"),
    [
        (np.empty((3, 75), np.float64), TypeError, "out: holds float64; pass an array of"),
        (np.empty((75, 3), np.float32).T, TypeError, "out: holds float32 and is not C-contiguous;"),
        (np.empty((3, 75), ">f4"), TypeError, "out: holds >f4"),
        (np.empty((2, 75), np.float32), ValueError, "out: has shape (2, 75); pass shape (3, 75)"),
        ([[1.0]], TypeError, "out: is of type list; pass a numpy.ndarray"),
        (np.ma.zeros((3, 75), np.float32), TypeError, "out: is of type MaskedArray; pass a"),
        (
            np.broadcast_to(np.float32(1), (3, 75)),
            TypeError,
            "out: holds float32 and is not C-contiguous",
        ),
        (memoryview(b"abc"), TypeError, "out: is of type memoryview"),
    ],
)
def test_an_array_that_can_not_hold_the_rows_is_refused(fit, out, error, start):
    with pytest.raises(error, match=f"^{re.escape(start)}"):
        fit.reconstruct([0, 1, 2], out=out)


def test_an_array_that_may_not_be_written_to_is_refused(fit):
    out = np.zeros(SHAPE, np.float32)
    out.flags.writeable = False
    for call in (lambda: fit.reconstruct(out=out), lambda: fit.impute(([0], [0]), [1], out=out)):
        with pytest.raises((ValueError, TypeError), match=r"^out: "):
            call()
    assert not out.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_unknown_positions_may_be_unsigned(dtype):
    fit = fitted(observed(), k=3)
    far = np.array([fit.shape[0] + 50], dtype)
    assert fit.predict(far, 0, unknown="baseline") == fit.predict(-1, 0, unknown="baseline")


# ---------------------------------------------------------------- top


@st.composite
def problems(draw):
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 1200)))
    return {
        "shape": shape,
        "k": draw(st.sampled_from([1, 7, 16, 33])),
        "dtype": draw(st.sampled_from(DTYPES)),
        "n": draw(st.one_of(st.integers(1, 12), st.integers(1, 1300))),
        "seed": draw(st.integers(0, 2**32)),
        "steps": draw(st.sampled_from([1, 3, 1000])),  # few: many ties
        "density": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "listed": draw(st.booleans()),
        "n_threads": draw(st.sampled_from(THREADS)),
    }


@QUICK
@given(problem=problems())
def test_top_is_a_stable_sort_of_the_predictions(problem):
    rng = np.random.default_rng(problem["seed"])
    (m, n_cols), k, steps = problem["shape"], problem["k"], problem["steps"]
    fit = made(
        rng.integers(-steps, steps + 1, (m, k)).astype(problem["dtype"]),
        rng.integers(-steps, steps + 1, (n_cols, k)).astype(problem["dtype"]),
        offset=0.5,
    )
    fit.n_threads = problem["n_threads"]
    hidden = rng.random((m, n_cols)) < problem["density"]
    rows = rng.integers(0, m, rng.integers(0, 50))
    exclude = hidden
    if problem["listed"]:
        exclude = [np.flatnonzero(hidden[row])[::-1] for row in rows]
    cols, scores = fit.top(rows, problem["n"], exclude=exclude)
    wanted = min(problem["n"], max(n_cols, 1000))
    expected = reference.top(fit.reconstruct(rows), wanted, hidden[rows])
    assert np.array_equal(cols, expected[0])
    assert scores.dtype == problem["dtype"]
    assert scores.tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_top_has_the_bits_of_predict_at_any_number_of_threads(kind, dtype):
    fit = fitted(k=7, dtype=dtype, **KINDS[kind])
    found = set()
    for n_threads in THREADS:
        fit.n_threads = n_threads
        cols, scores = fit.top(slice(None), 9)
        found.add((cols.tobytes(), scores.tobytes()))
        assert scores.tobytes() == fit.predict(np.arange(67)[:, None], cols).tobytes()
    assert len(found) == 1
    assert np.array_equal(cols, reference.top(fit.reconstruct(), 9, np.zeros(SHAPE, bool))[0])


def forms_of(hidden, rows):
    of, cols = np.nonzero(hidden)
    back = slice(None, None, -1)
    return {
        "mask": hidden,
        "csr": sp.csr_array(hidden),
        "csc of zeros": sp.csc_matrix((np.zeros(of.size), (of, cols)), hidden.shape),
        "coo twice": sp.coo_array((np.ones(2 * of.size), np.tile([of, cols], 2)), hidden.shape),
        "pair": (of, cols),
        "pair backward": (of[back], cols[back].astype(np.int32)),
        "pair of lists": (of.tolist(), cols.tolist()),
        "pair twice": (np.r_[of, of], np.r_[cols, cols]),
        "list": [np.flatnonzero(hidden[row]) for row in rows],
        "list of lists, backward": [np.flatnonzero(hidden[row])[back].tolist() for row in rows],
        "list twice": [np.repeat(np.flatnonzero(hidden[row]), 2) for row in rows],
    }


def test_every_form_of_exclude_says_the_same(fit):
    hidden = np.random.default_rng(3).random(SHAPE) < 0.5
    hidden[4], hidden[5] = True, False
    rows = np.array([4, 66, 5, 66, 0])
    expected = reference.top(fit.reconstruct(rows), 40, hidden[rows])
    for name, form in forms_of(hidden, rows).items():
        cols, scores = fit.top(rows, 40, exclude=form)
        assert np.array_equal(cols, expected[0]), name
        assert scores.tobytes() == expected[1].tobytes(), name
    assert (expected[0][0] == -1).all()
    assert np.isneginf(fit.top(4, 3, exclude=hidden)[1]).all()


def test_top_of_one_row_and_of_none(fit):
    cols, scores = fit.top(5, 3)
    assert cols.shape == scores.shape == (3,)
    assert np.array_equal(cols, fit.top([5], 3)[0][0])
    assert np.array_equal(cols, fit.top(5, 3, exclude=[[]])[0])
    assert fit.top([], 3)[0].shape == (0, 3)
    assert fit.top(slice(9, 9), 3, exclude=[])[1].shape == (0, 3)
    assert fit.top(5)[0].shape == (10,)
    everything, scores = fit.top(5, 80)
    assert sorted(everything[:75]) == list(range(75))
    assert (everything[75:] == -1).all()
    assert np.isneginf(scores[75:]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "start"),
    [
        ({"rows": 67}, IndexError, "rows: rows = 67 is not among the 67 that were trained;"),
        ({"rows": [0, -1]}, IndexError, "rows: rows[1] = -1 is not among the 67"),
        ({"rows": [[0]]}, ValueError, "rows: has 2 dimensions; pass one of the integers"),
        ({"rows": 0.5}, TypeError, "rows: has dtype float64; pass integers"),
        ({"n": 0}, ValueError, "n: got 0; pass an integer from 1 to"),
        ({"n": True}, TypeError, "n: got True; pass an integer"),
        ({"n": 2.0}, TypeError, "n: got 2.0 of type float; pass an integer"),
        ({"ids": 1}, TypeError, "ids: got 1; pass True or False"),
        ({"ids": True}, ValueError, "ids: got True, but the rows have no ids; pass positions"),
        ({"exclude": np.ones((2, 2), bool)}, ValueError, "exclude: has shape (2, 2) where (67, 75"),
        ({"exclude": np.ones(SHAPE)}, ValueError, "exclude: has dtype float64 and 2 dimensions;"),
        ({"exclude": np.ma.ones(SHAPE, bool)}, TypeError, "exclude: is a masked array; pass a"),
        ({"exclude": sp.csr_array((2, 2))}, ValueError, "exclude: has shape (2, 2) where (67, 75)"),
        ({"exclude": [[1], [2]]}, ValueError, "exclude: has lists for 2 rows where 1 are"),
        ({"exclude": [[1, 75]]}, IndexError, "exclude[0]: exclude[0][1] = 75 is not among the 75"),
        ({"exclude": [[-1]]}, IndexError, "exclude[0]: exclude[0][0] = -1 is not among the 75"),
        ({"exclude": [[0.5]]}, TypeError, "exclude[0]: has dtype float64; pass integers"),
        ({"exclude": ([1],)}, TypeError, "exclude: got ([1],); pass a list, or a pair of arrays"),
        ({"exclude": ([1], [2, 3])}, ValueError, "exclude: has 1 rows and 2 columns; pass one row"),
        ({"exclude": ([67], [2])}, IndexError, "exclude[0]: exclude[0][0] = 67 is not among"),
        ({"exclude": rated()}, ValueError, "exclude: is Ratings, but the rows have no ids; train"),
    ],
    ids=str,
)  # fmt: skip
def test_top_refuses_what_it_can_not_serve(fit, arguments, error, start):
    with pytest.raises(error, match=f"^{re.escape(start)}") as caught:
        fit.top(**({"rows": 0, "n": 2} | arguments))
    assert "; " in str(caught.value)


def test_top_never_holds_the_product():
    fit = made(np.ones((3000, 16), np.float32), np.ones((3000, 16), np.float32))
    fit.top(0)
    tracemalloc.start()
    try:
        fit.top(slice(None), 5)
        assert tracemalloc.get_traced_memory()[1] < 3000 * 3000 * 4 / 20
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------- similar


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 7, 16, 33])
def test_similar_are_those_at_the_least_angle(kind, dtype, k):
    fit = fitted(k=k, dtype=dtype, **KINDS[kind])
    for factors, similar in (
        (fit.row_factors, fit.similar_rows), (fit.col_factors, fit.similar_cols)
    ):  # fmt: skip
        centred = factors - factors.astype(float).mean(axis=0)
        cosines = centred @ centred.T
        lengths = np.linalg.norm(centred, axis=1)
        cosines /= lengths[:, None] * lengths
        np.fill_diagonal(cosines, -np.inf)
        found, scores = similar(slice(None), 6)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        best = -np.sort(-cosines, axis=1)[:, :6]
        assert np.allclose(scores, best, rtol=0, atol=tolerance)
        assert np.allclose(np.take_along_axis(cosines, found, 1), best, rtol=0, atol=tolerance)
        assert (found != np.arange(len(factors))[:, None]).all()
        assert found.dtype == np.int64
        again = set()
        for fit.n_threads in THREADS:
            again.add(b"".join(part.tobytes() for part in similar([9, 3, 9], 5)))
        assert again == {found[[9, 3, 9], :5].tobytes() + scores[[9, 3, 9], :5].tobytes()}
        assert np.array_equal(similar(4, 6)[0], found[4])


def test_a_row_without_direction_is_like_none():
    fit = made(np.array([[1.0, 2.0], [0, 0], [2, 4]]), np.ones((2, 2)))
    found, scores = fit.similar_rows([0, 1], 4)
    assert np.allclose(scores, [[0, 0, -np.inf, -np.inf], [0, -1, -np.inf, -np.inf]])
    assert found.tolist() == [[1, 2, -1, -1], [0, 2, -1, -1]]
    assert np.array_equal(fit.similar_cols(0, 1)[1], [0.0])  # all alike: no direction either
    with pytest.raises(IndexError, match=r"^cols: cols = 2 is not among the 2"):
        fit.similar_cols(2)
    with pytest.raises(IndexError, match=r"^rows: rows\[1\] = 3 is not among the 3"):
        fit.similar_rows([0, 3])


# ---------------------------------------------------------------- impute


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_impute_by_blocks_equals_the_product_with_the_cells_put_in(monkeypatch, dtype, given):
    fit = fitted(k=7, dtype=dtype, biases=True)
    table = observed(seed=2).astype(given)
    mask = ~np.isnan(table)
    expected = np.where(mask, table, fit.reconstruct().astype(given))
    pair = np.nonzero(mask)
    for at_once, rows in ((1, 1), (75 * 4, 75 * 3), (1 << 20, 1 << 20)):
        monkeypatch.setattr("funkc._input.cells.CELLS_AT_ONCE", at_once)
        monkeypatch.setattr("funkc._answers.NUMBERS_AT_ONCE", rows)
        for cells, values in (
            (None, table),
            (mask, table),
            (pair, table[mask]),
            (mask, table[mask]),
        ):
            assert fit.impute(cells, values).tobytes() == expected.tobytes()
        for out in (
            np.full(SHAPE, 7, given), np.full(SHAPE[::-1], 7, given).T, table.copy(),
            np.full((134, 75), 7, given)[::2],
        ):  # fmt: skip
            source = out if np.isnan(out).any() else table
            assert fit.impute(None, source, out=out) is out
            assert np.array_equal(out, expected)
        wide = np.empty(SHAPE, np.longdouble)
        assert np.array_equal(
            fit.impute(mask, table, out=wide), np.where(mask, table, fit.reconstruct())
        )


def test_impute_of_a_table_with_nothing_observed(fit):
    assert np.array_equal(fit.impute(None, np.full(SHAPE, NAN, np.float32)), fit.reconstruct())
    assert np.array_equal(fit.impute(np.zeros(SHAPE, bool), np.zeros(SHAPE, np.float32)),
                          fit.reconstruct())  # fmt: skip


@pytest.mark.parametrize("policy", ["error", "last", "mean", "sum"])
def test_a_table_has_no_duplicates_to_settle(fit, policy):
    table = observed().astype(np.float32)
    filled = fit.impute(None, table, duplicates=policy)
    assert filled.dtype == np.float32
    assert np.array_equal(filled, np.where(np.isnan(table), fit.reconstruct(), table))
    with pytest.raises(ValueError, match=r"^duplicates: got 'first'; pass one of"):
        fit.impute(None, table, duplicates="first")


def test_impute_into_what_is_too_narrow_is_refused():
    table = observed()
    fit = fitted(table)
    for out, error in (
        (np.empty(SHAPE, np.float32), r"^out: holds float32; pass an array of float64"),
        (np.empty(SHAPE, int), r"^out: holds int64; pass an array of float64"),
    ):
        with pytest.raises(TypeError, match=error):
            fit.impute(None, table, out=out)
    with pytest.raises(ValueError, match=r"^out: has shape \(3, 3\); pass shape \(67, 75\)"):
        fit.impute(None, table, out=np.empty((3, 3)))
    large = fitted(np.array([[1e6, 2e6], [3e6, 4e6]]))
    small = np.array([[1, NAN], [2, 3]], np.float16)
    with pytest.raises(TypeError, match=r"^out: holds float16; pass an array of float32"):
        large.impute(None, small, out=np.empty((2, 2), np.float16))


def test_impute_names_the_row_of_the_whole_table(monkeypatch, fit):
    monkeypatch.setattr("funkc._input.cells.CELLS_AT_ONCE", 75 * 4)
    table = observed()
    table[50, 3] = np.inf
    with pytest.raises(ValueError, match=r"^values: is infinite at row 50, column 3"):
        fit.impute(None, table)
    mask = ~np.isnan(table)
    table[50, 3], table[60, 7] = 1, NAN
    mask[60, 7] = True
    with pytest.raises(ValueError, match=r"^values: is NaN at row 60, column 7"):
        fit.impute(mask, table)
    hidden = np.zeros(SHAPE, bool)
    hidden[61, 8] = mask[61, 8] = True
    with pytest.raises(ValueError, match=r"^values: is masked at row 61, column 8"):
        fit.impute(mask, np.ma.array(np.nan_to_num(table), mask=hidden))


@pytest.mark.parametrize("form", ["NaN", "mask", "pair"])
def test_impute_needs_little_beside_its_result(form):
    shape = (3000, 4000)
    fit = made(np.ones((3000, 3), np.float32), np.ones((4000, 3), np.float32))
    table = np.full(shape, NAN, np.float32)
    table[::3, ::2] = 5
    if form == "pair":
        rows = np.arange(300_000) // 100
        mask, values = (rows, np.arange(300_000) % 100), np.full(300_000, 5, np.float32)
    else:
        mask, values = (None, table) if form == "NaN" else (~np.isnan(table), table)
    fit.impute(([0], [0]), [1.0])
    tracemalloc.start()
    try:
        filled = fit.impute(mask, values)
        assert tracemalloc.get_traced_memory()[1] - filled.nbytes < 60 << 20
    finally:
        tracemalloc.stop()
    assert filled.dtype == np.float32
    assert (filled == 5).sum() == (300_000 if form == "pair" else 1000 * 2000)


def test_out_may_be_the_values_but_not_overlap_them():
    fit = fitted(observed(), k=3)
    m, n = fit.shape
    room = np.full((m + 1, n), np.nan, np.float64)
    room[:m] = observed()
    expected = fit.impute(None, room[:m].copy())
    with pytest.raises(ValueError, match=r"^out: overlaps values or mask"):
        fit.impute(None, room[:m], out=room[1:])
    assert np.array_equal(fit.impute(None, room[:m], out=room[:m]), expected)


def test_a_table_is_looked_through_by_blocks(fit, monkeypatch):
    monkeypatch.setattr("funkc._input.cells.CELLS_AT_ONCE", 20 * SHAPE[1] + 3)
    _, blocks = observed_by_blocks(None, observed(), matrix=fit._matrix(), duplicates="error")
    assert [block[:2] for block in blocks] == [(0, 20), (20, 40), (40, 60), (60, 67)]


def test_out_may_not_overlap_the_mask():
    fit = fitted(observed(), k=3)
    out = np.zeros(fit.shape)
    mask = out.view(bool)[:, : fit.shape[1]]
    with pytest.raises(ValueError, match=r"^out: overlaps values or mask"):
        fit.impute(mask, observed(), out=out)
