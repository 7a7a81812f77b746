"""Data frames of every library give the same ratings."""

import math
import sys
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_tables import NUMBERED, TRICKY, ids, same, triples_of

from funkc import ratings

WANTED = {"row": "user", "col": "film", "value": "stars"}


class Stream:
    """A table of some other library: of all that a data frame has, the Arrow stream alone."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def frame_of(library, columns):
    """The columns as a data frame of the library, with another one before them."""
    columns = {"year": list(range(len(columns["user"]))), **columns}
    if library == "dict":
        return columns
    if library == "pandas":
        pd = pytest.importorskip("pandas")
        length = len(columns["year"])
        return pd.DataFrame(columns, index=np.arange(length)[::-1] % 2)
    if library == "polars":
        return polars().DataFrame(columns, strict=False)
    pa = pytest.importorskip("pyarrow")
    if library == "batch":
        return pa.record_batch(columns)
    table = pa.concat_tables([pa.table(columns).slice(0, 2), pa.table(columns).slice(2)])
    return Stream(table) if library == "stream" else table


def polars():
    reason = "polars is no part of the extra test: it has no wheel for Python without the GIL"
    return pytest.importorskip("polars", reason=reason)


LIBRARIES = ["dict", "pandas", "polars", "arrow", "batch", "stream"]
every_library = pytest.mark.parametrize("library", LIBRARIES)


def columns_of(triples):
    return dict(zip(WANTED.values(), map(list, zip(*triples, strict=True)), strict=True))


@every_library
@pytest.mark.parametrize("triples", [TRICKY, NUMBERED])
def test_frames(library, triples):
    df = frame_of(library, columns_of(triples))
    found = ratings.Ratings.from_dataframe(df, **WANTED)
    assert triples_of(found) == set(triples)
    assert found.names == ("user", "film", "stars")
    same(found, ratings.Ratings.from_arrays(*zip(*triples, strict=True)))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.one_of(ids, st.integers(-(2**63), 2**64)), ids, st.floats(-1e6, 1e6)),
        min_size=1,
        max_size=12,
        unique_by=lambda triple: (str(triple[0]), triple[1]),
    )
)
def test_integers_among_text_are_their_text(triples):
    found = ratings.Ratings.from_dataframe(columns_of(triples), **WANTED)
    as_texts = {(str(row), col, value) for row, col, value in triples}
    back = {(str(row), str(col), value) for row, col, value in triples_of(found)}
    assert back == as_texts
    same(found, ratings.Ratings.from_arrays(*zip(*as_texts, strict=True)))


@pytest.mark.parametrize(
    "dtype",
    ["int8", "uint64", "Int16", "category", "object", "int64[pyarrow]"],
)
def test_integer_columns_of_pandas(dtype):
    pd = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    triples = [(abs(row), col, value) for row, col, value in NUMBERED]
    df = pd.DataFrame(columns_of(triples)).astype({"user": dtype})
    found = ratings.Ratings.from_dataframe(df, **WANTED)
    assert found.row_ids.dtype == np.int64
    assert triples_of(found) == set(triples)


@pytest.mark.parametrize(
    "dtype",
    ["object", "str", "string", "category", "string[pyarrow]", "large_string[pyarrow]"],
)
def test_text_columns_of_pandas(dtype):
    pd = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        dtype = pd.ArrowDtype(getattr(pytest.importorskip("pyarrow"), dtype.split("[")[0])())
    df = pd.DataFrame(columns_of([*TRICKY, ("nobody", "a", 1.0)])).astype({"user": dtype})
    found = ratings.Ratings.from_dataframe(df[:-1], **WANTED)  # leaves a category without entry
    assert triples_of(found) == set(TRICKY)


@pytest.mark.parametrize("dtype", ["String", "Categorical", "Enum"])
def test_text_columns_of_polars(dtype):
    pl = polars()
    columns = columns_of(TRICKY)
    kind = pl.Enum([*columns["user"], "nobody"]) if dtype == "Enum" else getattr(pl, dtype)
    df = pl.DataFrame(columns).with_columns(pl.col("user").cast(kind))
    assert triples_of(ratings.Ratings.from_dataframe(df, **WANTED)) == set(TRICKY)


@pytest.mark.parametrize("kind", ["large_string", "string_view", "dictionary"])
def test_text_columns_of_arrow(kind):
    pa = pytest.importorskip("pyarrow")
    columns = columns_of(TRICKY)
    user = pa.array(columns["user"])
    user = user.dictionary_encode() if kind == "dictionary" else user.cast(getattr(pa, kind)())
    table = pa.table({**columns, "user": user})
    assert triples_of(ratings.Ratings.from_dataframe(table, **WANTED)) == set(TRICKY)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "float32", "category"])
def test_values_of_pandas(dtype):
    pd = pytest.importorskip("pandas")
    values = pd.Series([0, 1, 1]).astype(dtype)
    assert ratings.Ratings.from_arrays([1, 2, 3], [1, 1, 1], values).values.tolist() == [0, 1, 1]


def test_values_of_polars():
    pl = polars()
    values = pl.Series(["1.25", "-2.50"]).cast(pl.Decimal(9, 2))
    assert ratings.Ratings.from_arrays([1, 2], [1, 1], values).values.tolist() == [1.25, -2.5]


@every_library
@pytest.mark.parametrize(
    ("column", "entries", "match"),
    [
        ("user", ["a", "b", None], r"position 2: user is (None|nan|<NA>); drop the entry"),
        ("user", [3, None, 5], r"position 1: user is (None|nan); drop the entr(y|ies)"),
        ("film", [1.0, math.nan, 2.0], r"position 1: film is (nan|None); drop the entr(y|ies)"),
        ("film", [[1, 2], [3, 4], [5, 6]], r"film(, stars have shapes| is .*str\))"),
        ("film", [1.0, 2.0, 3.0], r"film (has dtype float64|is 1.0 of type float); ids are int"),
        ("user", [True, False, True], "user (has dtype bool|is True of type bool); ids are"),
        ("user", [b"a", b"b", b"c"], r"user is b'a' of type bytes; .* decode text"),
        ("user", [date(2020, 1, 1)] * 3, r"user (has dtype datetime64|is .* of type date).*str\)"),
        ("user", ["a", "", "c"], "position 1: user is empty"),
        ("user", ["a", "b\0", "c"], "position 1: user .* holds a NUL"),
        ("stars", [1.0, None, 2.0], r"position 1: stars is (None|nan)(, not a number|; replace)"),
        ("stars", [1.0, 2.0, math.inf], "position 2: stars is inf; replace it"),
        ("stars", ["5", "4", "3"], r"position 0: stars is '5', not a number; .*astype\(float\)"),
        ("stars", [date(2020, 1, 1)] * 3, "stars (has dtype datetime64|is datetime.date)"),
    ],
)
def test_what_frames_cannot_say(library, column, entries, match):
    columns = {"user": [1, 2, 3], "film": ["x", "y", "z"], "stars": [1.0, 2.0, 3.0]}
    df = frame_of(library, {**columns, column: entries})
    with pytest.raises(ValueError, match=match) as caught:
        ratings.Ratings.from_dataframe(df, **WANTED)
    assert str(caught.value).startswith("df")


@pytest.mark.parametrize("dtype", ["Int64", "string", "category", "object"])
def test_gaps_of_pandas(dtype):
    pd = pytest.importorskip("pandas")
    user = pd.Series([7, 8, None], dtype=object).astype(dtype)
    with pytest.raises(ValueError, match=r"position 2: row_ids is (nan|<NA>|None); drop"):
        ratings.Ratings.from_arrays(user, [1, 2, 3], [1, 2, 3])
    when = pd.Series(pd.to_datetime(["2020-01-01", None], utc=True))
    with pytest.raises(ValueError, match=r"position 1: row_ids is NaT; drop"):
        ratings.Ratings.from_arrays(when, [1, 2], [1, 2])
    with pytest.raises(ValueError, match=r"position 0: row_ids is Timestamp.*astype\(str\)"):
        ratings.Ratings.from_arrays(when[:1], [1], [1])


@every_library
def test_columns_that_are_not_there(library):
    df = frame_of(library, columns_of(TRICKY))
    match = "df: has no column 'item'; choose among year, user, film, stars"
    with pytest.raises(ValueError, match=match):
        ratings.Ratings.from_dataframe(df, row="user", col="item", value="stars")
    with pytest.raises(ValueError, match="no column 1; choose among year"):  # no position
        ratings.Ratings.from_dataframe(df, row=1, col=2, value=3)
    with pytest.raises(ValueError, match="row, col, value: name one column twice"):
        ratings.Ratings.from_dataframe(df, row="user", col="user", value="stars")
    with pytest.raises(TypeError, match=r"value: is of type list, not the name .*from_arrays"):
        ratings.Ratings.from_dataframe(df, row="user", col="film", value=[1] * 7)


def test_names_of_pandas_need_not_be_text():
    pd = pytest.importorskip("pandas")
    df = pd.DataFrame([[1, 2, 3.0], [4, 5, 6.0]])
    found = ratings.Ratings.from_dataframe(df, row=1, col=0, value=2)
    assert found.names == ("1", "0", "2")
    assert triples_of(found) == {(2, 1, 3.0), (5, 4, 6.0)}
    df.columns = pd.MultiIndex.from_tuples([("id", "u"), ("id", "i"), ("r", "")])
    found = ratings.Ratings.from_dataframe(df, row=("id", "u"), col=("id", "i"), value=("r", ""))
    assert triples_of(found) == {(1, 2, 3.0), (4, 5, 6.0)}
    df.columns = ["u", "i", "u"]
    with pytest.raises(ValueError, match="df: has several columns 'u'"):
        ratings.Ratings.from_dataframe(df, row="u", col="i", value="r")


def test_what_is_no_frame():
    for thing in ([1, 2], np.eye(3), None, "df"):
        with pytest.raises(TypeError, match=r"df: is of type .*pass a data frame"):
            ratings.Ratings.from_dataframe(thing, **WANTED)
    with pytest.raises(ValueError, match=r"df: user, film, stars have shapes \(2,\), \(1,\), \(1,"):
        ratings.Ratings.from_dataframe({"user": [1, 2], "film": [1], "stars": [1]}, **WANTED)


def test_streams_that_are_no_table():
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match=r"df: of type Stream is not a table \("):
        ratings.Ratings.from_dataframe(Stream(pa.chunked_array([[1, 2]])), **WANTED)


def test_streams_need_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"a Stream needs pyarrow.*funkc\[parquet\]"):
        ratings.Ratings.from_dataframe(Stream(None), **WANTED)


@pytest.mark.parametrize(("policy", "value"), [("last", 1.0), ("mean", 3.0), ("sum", 9.0)])
def test_duplicates_in_frames(policy, value):
    df = columns_of([("b", 7, 5), ("a", 8, 2), ("b", 7, 3), ("b", 7, 1)])
    match = "df, position 2: row id 'b' and column id 7 already occur in position 0"
    with pytest.raises(ValueError, match=match):
        ratings.Ratings.from_dataframe(df, **WANTED)
    found = ratings.Ratings.from_dataframe(df, **WANTED, duplicates=policy)
    assert triples_of(found) == {("a", 8, 2.0), ("b", 7, value)}
