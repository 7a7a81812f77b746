"""Ratings: ids, their positions, and training on them."""

import copy
import math
import pickle
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_tables import NUMBERED, TRICKY, ids, same, triples_of

import funkc
from funkc import ratings

# ---------------------------------------------------------------- ids


def test_integers_are_sorted_as_numbers():
    found = ratings.Ratings.from_arrays(*zip(*NUMBERED, strict=True))
    assert found.row_ids.tolist() == [-1, 9, 10, 100]
    assert found.col_ids.tolist() == [3, 7, 20]
    assert found.row_ids.dtype == found.col_ids.dtype == np.int64
    assert found.values.dtype == np.float64
    assert triples_of(found) == set(NUMBERED)


def test_anything_else_is_sorted_as_text():
    found = ratings.Ratings.from_arrays(*zip(*TRICKY, strict=True))
    assert found.row_ids.tolist() == sorted({row for row, _, _ in TRICKY})
    assert {"007", "7"} <= set(found.row_ids.tolist())  # two ids
    assert triples_of(found) == set(TRICKY)


def test_cells_are_sorted_by_row_then_column():
    found = ratings.Ratings.from_arrays(*zip(*NUMBERED, strict=True))
    cells = list(zip(found.rows.tolist(), found.cols.tolist(), strict=True))
    assert cells == sorted(cells)


@pytest.mark.parametrize("kind", [list, np.array])
def test_bytes_are_refused(kind):
    with pytest.raises(ValueError, match=r"^ratings, position 0: .* is b'b' of .*\.hex\(\)"):
        ratings.Ratings.from_arrays(kind([b"b", "é".encode()]), [1, 2], [1, 2])


def test_encode():
    known = ratings.Ratings.from_arrays(["x", "10", "9"], [30, 1, 2], [1, 2, 3])
    np.testing.assert_array_equal(ratings.encode([["x"], ["9"]], known.row_ids), [[2], [1]])
    np.testing.assert_array_equal(ratings.encode([9, 10], known.row_ids), [1, 0])
    np.testing.assert_array_equal(ratings.encode(["2", "30"], known.col_ids), [1, 2])
    assert ratings.encode(np.array([], int), known.col_ids).shape == (0,)
    with pytest.raises(ValueError, match=r"ids\[1\]: the id 'y' is not known"):
        ratings.encode(["x", "y"], known.row_ids)
    with pytest.raises(ValueError, match=r"'02' is not known"):  # not the text of 2
        ratings.encode(["02"], known.col_ids)


# ---------------------------------------------------------------- arrays


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match=r"have shapes \(2,\), \(1,\), \(1,\)"):
        ratings.Ratings.from_arrays([1, 2], [1], [1])
    with pytest.raises(ValueError, match="ratings: row_ids has dtype float64; ids are"):
        ratings.Ratings.from_arrays(np.array([1.5]), [1], [1])


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([1, 0, 1], bool), [1, 0, 1]),  # as factorize takes them
        (np.array([1, 2, 255], np.uint8), [1, 2, 255]),
        (np.array([0.1, 2, 3], np.float16), [float(np.float16(0.1)), 2, 3]),
        ([Decimal("1.25"), Fraction(1, 2), True], [1.25, 0.5, 1]),
        (np.array([1, np.int8(2), np.float32(0.5)], object), [1, 2, 0.5]),
    ],
)
def test_values_of_any_real_dtype(values, wanted):
    found = ratings.Ratings.from_arrays([1, 2, 3], ["x"] * 3, values)
    assert found.values.dtype == np.float64
    assert found.values.tolist() == wanted


def test_what_is_missing_does_not_become_text():
    for gap in (None, math.nan):
        with pytest.raises(ValueError, match=r"position 1: row_ids is (None|nan); drop"):
            ratings.Ratings.from_arrays(["a", gap], [1, 2], [1, 2])
    with pytest.raises(ValueError, match=r"position 1: col_ids is 2.5 of type float"):
        ratings.Ratings.from_arrays(["a", "b"], ["a", 2.5], [1, 2])
    with pytest.raises(ValueError, match="position 1: values is inf; replace it"):
        ratings.Ratings.from_arrays(["a", "b"], ["a", "b"], [1, 10**400])
    with pytest.raises(ValueError, match=r"position 0: values is 1j, not a number"):
        ratings.Ratings.from_arrays(["a", "b"], ["a", "b"], [1j, 2])
    with pytest.raises(ValueError, match=r"have shapes \(1, 2\), \(1,\), \(1,\)"):
        ratings.Ratings.from_arrays([("a", "b")], [1], [1])
    with pytest.raises(TypeError, match="row_ids: is a masked array"):
        ratings.Ratings.from_arrays(np.ma.array([1]), [1], [1])
    with pytest.raises(ValueError, match="ratings: holds no ratings"):
        ratings.Ratings.from_arrays([], [], [])


# ---------------------------------------------------------------- ids back to positions


@settings(deadline=None, max_examples=150)
@given(known=st.sets(ids, min_size=1, max_size=12), wanted=st.lists(ids, max_size=12))
def test_lookup_finds_what_a_dictionary_finds(known, wanted):
    count = len(known)
    found = ratings.Ratings.from_arrays(sorted(known), range(count), range(count))
    position = {str(name): at for at, name in enumerate(found.row_ids.tolist())}
    for asked in (wanted, sorted(known)):
        expected = [position.get(name, -1) for name in asked]
        assert ratings.encode(asked, found.row_ids, unknown=-1).tolist() == expected
        numbers = [
            int(name) if re.fullmatch("0|-?[1-9][0-9]*", name, re.ASCII) else name for name in asked
        ]
        assert ratings.encode(numbers, found.row_ids, unknown=-1).tolist() == expected
    back = found.row_ids[ratings.encode(found.row_ids, found.row_ids)]
    np.testing.assert_array_equal(back, found.row_ids)


def test_unknown_ids():
    known = np.array(["a", "b"])
    found = ratings.encode([["a", "bb"], ["c", "b"]], known, unknown=-1)
    assert found.tolist() == [[0, -1], [-1, 1]]
    assert ratings.encode("b", known).shape == ()
    assert ratings.encode(np.array([2**64 - 1, 1], np.uint64), np.array([1]), unknown=-1)[0] == -1
    with pytest.raises(ValueError, match=r"rows\[1, 0\]: the id 'c' is not known"):
        ratings.encode([["a", "b"], ["c", "b"]], known, name="rows")
    with pytest.raises(ValueError, match=r"cols: the id 7 is not known"):
        ratings.encode(7, known, name="cols")
    with pytest.raises(ValueError, match=r"ids\[1\]: the id is None; drop"):  # not even unknown
        ratings.encode(["a", None], known, unknown=-1)
    with pytest.raises(ValueError, match="unknown: got 'baseline'; pass one of 'raise', -1"):
        ratings.encode(["a"], known, unknown="baseline")


@pytest.mark.parametrize(
    ("row_ids", "match"),
    [
        (np.array(["b", "a"]), r"row_ids\[1\] = 'a' does not come after"),
        (np.array([1, 1]), r"row_ids\[1\] = 1 does not come after"),
        (np.array([1.0, 2.0]), "row_ids: has dtype float64 and 1 dimensions"),
        (np.array([[1, 2]]), "row_ids: has dtype int64 and 2 dimensions"),
    ],
)
def test_ids_that_could_not_be_looked_up(row_ids, match):
    with pytest.raises(ValueError, match=match):
        ratings.Ratings(np.array([0]), np.array([0]), np.array([1.0]), row_ids, np.array([1]))


# ---------------------------------------------------------------- training on ratings


def made(seed=5, count=600):
    rng = np.random.default_rng(seed)
    cells = rng.choice(40 * 30, count, replace=False)
    names = np.array([f"u{n}" for n in range(40)])[cells // 30]
    return ratings.Ratings.from_arrays(names, cells % 30 + 100, rng.integers(1, 6, count))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_factorize_takes_ratings(dtype, n_threads):
    found = made()
    options = dict(k=3, dtype=dtype, n_epochs=5, biases=True)
    wanted = funkc.factorize(
        (found.rows, found.cols), found.values, shape=found.shape, n_threads=1, **options
    )
    fit = funkc.factorize(None, found, n_threads=n_threads, **options)
    for name in ("row_factors", "col_factors", "row_bias", "col_bias"):
        np.testing.assert_array_equal(getattr(fit, name), getattr(wanted, name))
    assert fit.offset == wanted.offset
    filled = fit.impute(None, found)
    np.testing.assert_array_equal(filled[found.rows, found.cols], found.values)


def test_ratings_keep_ids_without_a_value():
    found = made()
    part = replace(found, rows=found.rows[:9], cols=found.cols[:9], values=found.values[:9])
    assert funkc.factorize(None, part, k=1).shape == found.shape == (40, 30)
    assert funkc.factorize(None, part, k=1, shape=(40, 30)).shape == (40, 30)


def test_ratings_that_cannot_be_trained_on():
    found = made()
    with pytest.raises(TypeError, match="values: is a Ratings together"):
        funkc.factorize((found.rows, found.cols), found, k=1)
    with pytest.raises(TypeError, match="mask: is a Ratings; pass mask=None"):
        funkc.factorize(found, None, k=1)
    with pytest.raises(ValueError, match=r"of shape \(40, 30\) where \(40, 31\) is expected"):
        funkc.factorize(None, found, k=1, shape=(40, 31))
    nothing = replace(found, rows=found.rows[:0], cols=found.cols[:0], values=found.values[:0])
    with pytest.raises(ValueError, match="marks no entry"):
        funkc.factorize(None, nothing, k=1)
    with pytest.raises(ValueError, match=r"rows\[0\] = 40 is outside shape"):
        funkc.factorize(None, replace(found, rows=found.rows[::-1] + 1), k=1)


def test_a_frame_with_such_columns_is_no_ratings():
    pd = pytest.importorskip("pandas")
    columns = np.ones((2, 5))
    names = ["rows", "cols", "values", "row_ids", "col_ids"]
    assert funkc.factorize(None, pd.DataFrame(columns, columns=names), k=1).shape == (2, 5)


def test_ratings_survive_pickle_and_copy():
    found = made()
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        same(twin, found)
        assert twin.names == found.names


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": [0, 0, 1]}, r"rows: got \[0, 0, 1\], no 1-D array; use Ratings.from_arrays"),
        ({"row_ids": ["a", "b"]}, r"row_ids: got \['a', 'b'\], no 1-D array"),
        ({"values": np.ones((3, 1))}, r"values: got [^;]*, no 1-D array"),
        ({"weights": 1.0}, r"weights: got 1.0, no 1-D array"),
        ({"cols": np.array([0, 1])}, r"cols: has 2 entries where rows has 3"),
        ({"weights": np.ones(4)}, r"weights: has 4 entries where rows has 3"),
        ({"rows": np.array([0, 0, -1])}, r"rows: rows\[2\] = -1 is negative"),
        ({"rows": np.array([0, 0, 2])}, r"rows: rows\[2\] = 2 is outside shape"),
        ({"cols": np.array([0, 1, 7])}, r"cols: cols\[2\] = 7 is outside shape"),
        ({"cols": np.array([0.0, 1, 1])}, r"cols: has dtype float64"),
        ({"cols": np.array([1, 0, 1])}, r"rows: are not sorted with cols, each pair once"),
        ({"cols": np.array([0, 0, 1])}, r"rows: are not sorted with cols, each pair once"),
        ({"values": np.array([1, np.nan, 2])}, r"values: is NaN at row 0, column 1"),
        ({"values": np.array(["a", "b", "c"])}, r"values: has dtype"),
        ({"row_ids": np.array(["b", "a"])}, r"row_ids: row_ids\[1\] = 'a' does not come after"),
    ],
)
def test_ratings_by_hand_are_checked(change, message):
    ratings = funkc.Ratings.from_arrays(["ann", "ann", "bob"], [20, 100, 100], [5.0, 4.0, 3.0])
    parts = {
        name: getattr(ratings, name) for name in ("rows", "cols", "values", "row_ids", "col_ids")
    }
    assert funkc.Ratings(**parts).shape == (2, 2)
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        funkc.Ratings(**(parts | change))


def test_ratings_that_were_written_to_are_checked_again():
    """A row of more entries than columns had the core write before its room."""
    rows, cols = np.repeat(np.arange(80), 5), np.tile(np.arange(5), 80)
    known = funkc.Ratings.from_arrays(rows, cols, np.ones(400))
    known.rows[:] = np.repeat(np.arange(80), np.tile([9, 1], 40))
    with pytest.raises(ValueError, match=r"^rows: are not sorted with cols, each pair once; use"):
        ratings.sample_unobserved(known, per_row=4)
    for weights, at in (([1.0, math.nan, 1.0], 1), ([1.0, 1.0, -1.0], 2)):
        with pytest.raises(ValueError, match=rf"^weights: weights\[{at}\] = "):
            funkc.Ratings(
                np.arange(3), np.arange(3), np.ones(3), np.arange(3), np.arange(3),
                weights=np.array(weights),
            )  # fmt: skip


def test_ratings_are_shown_in_one_line():
    table = funkc.Ratings.from_arrays(["a", "b"], [1, 2], [1.0, 2.0], weight=[1, 2], time=[3, 4])
    assert repr(table) == (
        "Ratings(shape=(2, 2), entries=2, names=('row', 'column', 'value'), weights, times)"
    )
