"""Ids and positions: every kind of file and frame, in any order, gives the same ratings."""

import copy
import csv
import gzip
import io
import math
import pickle
import random
import re
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import funkc
from funkc import ratings

TRICKY = [
    ("Smith, John", "a", 4.0),
    ('O"Neil', "b", 2.5),
    ("multi\nline", "a", 1.0),
    ("Amélie", "7", 5.0),
    ("007", "b", 0.0),
    ("7", "Ω::x", -3.25),
    ("a b", "b", 1e-3),
]
NUMBERED = [(10, 3, 4.0), (9, 20, 2.5), (-1, 3, 1.0), (100, 7, 5.0), (9, 3, 0.5)]


def as_text(triples, delimiter=",", header=None):
    out = io.StringIO()
    table = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    table.writerows([header] if header else [])
    table.writerows(triples)
    return out.getvalue()


def same(left, right):
    for name in ("rows", "cols", "values", "row_ids", "col_ids"):
        a, b = getattr(left, name), getattr(right, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


def triples_of(found):
    return {
        (row, col, value)
        for row, col, value in zip(
            found.row_ids[found.rows].tolist(),
            found.col_ids[found.cols].tolist(),
            found.values.tolist(),
            strict=True,
        )
    }


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


@pytest.mark.parametrize("biggest", [2**63 - 1, 2**63, 2**64 - 1, 10**30])
def test_ids_beyond_64_bits_stay_text(tmp_path, biggest):
    path = tmp_path / "r.csv"
    path.write_text(f"{biggest},1,5\n10,1,4\n9,1,3\n")
    found = ratings.read(path)
    assert [str(name) for name in found.row_ids.tolist()] == (
        ["9", "10", str(biggest)] if biggest < 2**63 else sorted(["9", "10", str(biggest)])
    )
    if biggest < 2**64:
        array = np.array([biggest, 10, 9], np.uint64)
        same(found, ratings.Ratings.from_arrays(array, [1, 1, 1], [5, 4, 3]))


def test_bytes_are_text():
    found = ratings.Ratings.from_arrays(np.array([b"b", "é".encode()]), [1, 2], [1, 2])
    assert found.row_ids.tolist() == ["b", "é"]


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


ids = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["0", "-0", "00", "7", "07", "+7", "1e3", "NA", "None", "x y", "::", "٣"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6),
).filter(lambda text: text == text.strip() and text)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    cells=st.dictionaries(
        st.tuples(ids, ids), st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=12
    ),
    shuffled=st.randoms(use_true_random=False),
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
)
def test_any_ids_survive_any_order_and_kind(tmp_path_factory, cells, shuffled, delimiter):
    folder = tmp_path_factory.mktemp("any")
    triples = [(row, col, value) for (row, col), value in cells.items()]
    wanted = ratings.Ratings.from_arrays(
        np.array([row for row, _, _ in triples], str),
        np.array([col for _, col, _ in triples], str),
        [value for _, _, value in triples],
    )
    shuffled.shuffle(triples)
    path = folder / "r.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("r", "c", "v"), *triples])
    found = ratings.read(path, delimiter=delimiter, header=True)
    same(found, wanted)
    np.savez(folder / "r.npz", *[np.array(column) for column in zip(*triples, strict=True)])
    same(ratings.read(folder / "r.npz"), wanted)
    pairs = folder / "p.csv"
    with open(pairs, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("r", "c"), *[triple[:2] for triple in triples]])
    rows, cols = ratings.read_pairs(pairs, found, delimiter=",", header=True)
    back = {
        (str(found.row_ids[row]), str(found.col_ids[col]))
        for row, col in zip(rows, cols, strict=True)
    }
    assert back == {triple[:2] for triple in triples}


# ---------------------------------------------------------------- kinds of text


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("r.csv", ","), ("r.csv", ";"), ("r.tsv", "\t"), ("r.txt", "|"), ("r.data", "\t"), ("r", ",")],
)
@pytest.mark.parametrize("header", [None, ["user", "item", "score", "time"]])
@pytest.mark.parametrize("packed", [False, True])
def test_text(tmp_path, name, delimiter, header, packed):
    extra = [(*triple, 881250949) for triple in TRICKY]
    content = as_text(extra, delimiter, header).encode("utf-8-sig")
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    found = ratings.read(path)
    same(found, ratings.Ratings.from_arrays(*zip(*TRICKY, strict=True)))
    assert found.names == (("user", "item", "score") if header else ratings.NAMES)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ratings.dat", "{}::{}::{}::978300760"),
        ("ratings.txt", "{}::{}::{}"),
        ("ratings.txt", "  {}   {} {}"),
        ("ratings.csv", "{} , {}, {}"),
        ("ratings.csv", '"{}", "{}","{}"'),
    ],
)
def test_numbers_in_text(tmp_path, name, line, line_end):
    path = tmp_path / name
    lines = ["", *[line.format(*triple) for triple in NUMBERED], "", ""]
    path.write_bytes(line_end.join(lines).encode())
    same(ratings.read(path), ratings.Ratings.from_arrays(*zip(*NUMBERED, strict=True)))


def test_the_first_line_is_a_header_if_it_cannot_be_a_rating(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("a,b,5\nc,d,4\n")
    assert ratings.read(path).values.size == 2
    assert ratings.read(path, header=True).values.tolist() == [4]
    path.write_text("1,2,oops\n3,4,5\n")  # numbered ids: a bad rating, not a header
    with pytest.raises(ValueError, match=r"line 1: 'oops' is not a number"):
        ratings.read(path)
    path.write_text("u,i,score\n3,4,5\n")
    with pytest.raises(ValueError, match=r"line 1: 'score'"):
        ratings.read(path, header=False)


def test_columns(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("when,values,rows,cols,stars\n1,4.0,u1,i1,9\n2,3.0,u2,i1,8\n")
    found = ratings.read(path)
    assert found.names == ("rows", "cols", "values")
    assert found.row_ids.tolist() == ["u1", "u2"]
    found = ratings.read(path, columns=["cols", "when", "stars"])
    assert found.names == ("cols", "when", "stars")
    assert found.col_ids.tolist() == [1, 2]
    assert ratings.read(path, columns=[3, 0, 4]).names == ("cols", "when", "stars")
    path.write_text("7,8,inf\n1,2,3\n")  # names that could be a rating
    assert ratings.read(path, columns=["7", "8", "inf"]).values.tolist() == [3]
    path.write_text("5,u,i\n4,v,i\n")
    assert ratings.read(path, columns=[1, 2, 0]).values.tolist() == [5, 4]


def test_watch_sees_every_line(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("u,i,r\n1,2,3\n2,2,4\n")
    seen = []

    def watch(lines):
        for line in lines:
            seen.append(line)
            yield line

    assert ratings.read(path, watch=watch).values.size == len(seen) == 2


# ---------------------------------------------------------------- arrays in files


def test_npz(tmp_path):
    wanted = ratings.Ratings.from_arrays(*zip(*NUMBERED, strict=True))
    rows, cols, values = map(np.array, zip(*NUMBERED, strict=True))
    path = tmp_path / "r.npz"
    np.savez(path, shape=np.array([3, 3]), table=np.eye(2), u=rows, i=cols, r=values, t=rows)
    found = ratings.read(path)
    same(found, wanted)
    assert found.names == ("u", "i", "r")
    np.savez(path, t=rows, values=values, cols=cols, rows=rows)
    same(ratings.read(path), wanted)
    np.savez(path, a=values, b=cols, c=rows)
    same(ratings.read(path, columns=["c", "b", "a"]), wanted)
    same(ratings.read(path, columns=[2, 1, 0]), wanted)
    np.savez(path, t=np.eye(2), i=cols, time=values, u=rows)
    positions = ratings.read_pairs(path, found)
    np.testing.assert_array_equal(positions[0], ratings.encode(rows, found.row_ids))
    np.testing.assert_array_equal(positions[1], ratings.encode(cols, found.col_ids))


@pytest.mark.parametrize("kind", ["plain", "dictionary", "large", "decimal"])
def test_parquet(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, cols, values = zip(*TRICKY, strict=True)
    columns = {"t": pa.array(range(len(rows))), "user": pa.array(rows), "item": pa.array(cols)}
    columns["score"] = pa.array(values)
    if kind == "dictionary":  # with a category that does not occur
        column = pa.array([*rows, "nobody"]).dictionary_encode()
        columns["user"] = column.slice(0, len(rows))
    if kind == "large":
        columns["user"] = columns["user"].cast(pa.large_string())
    if kind == "decimal":
        columns["score"] = columns["score"].cast(pa.decimal128(10, 4))
    path = tmp_path / "r.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=3)
    found = ratings.read(path, columns=["user", "item", "score"])
    same(found, ratings.Ratings.from_arrays(rows, cols, values))
    positions = ratings.read_pairs(path, found)
    np.testing.assert_array_equal(positions[0], ratings.encode(rows, found.row_ids))
    np.testing.assert_array_equal(positions[1], ratings.encode(cols, found.col_ids))


def test_parquet_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, cols, values = zip(*NUMBERED, strict=True)
    table = pa.table({"u": pa.array(rows, pa.int16()), "i": cols, "r": pa.array(values)})
    parquet.write_table(table, tmp_path / "r.parquet")
    same(ratings.read(tmp_path / "r.parquet"), ratings.Ratings.from_arrays(rows, cols, values))


@pytest.mark.parametrize(
    ("column", "match"),
    [
        ({"u": [1.5, 2.0]}, "u has dtype float64; ids are integers or text"),
        ({"r": ["a", "b"]}, "entry 1: r is 'a', not a number"),
        ({"r": [1.0, None]}, "entry 2: r is nan"),
        ({"u": ["a", None]}, "entry 2: u is None"),
        ({"u": ["a", ""]}, "entry 2: u is empty"),
        ({"r": [1.0, float("nan")]}, "entry 2: r is nan"),
        ({"u": [7, None]}, "entry 2: u is nan"),
        ({"u": [], "i": [], "r": []}, "holds no ratings"),
    ],
)
def test_what_parquet_cannot_say(tmp_path, column, match):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "r.parquet"
    parquet.write_table(pa.table({"u": [1, 2], "i": [1, 2], "r": [1.0, 2.0], **column}), path)
    with pytest.raises(ValueError, match=match):
        ratings.read(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="is not readable as Parquet"):
        ratings.read(path)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"u": [1, 2], "i": [1], "r": [1.0]}, "no 3 one-dimensional arrays of one length, but u"),
        ({"u": [1], "i": [1], "r": ["x"]}, "r has dtype <U1"),
        ({"u": [1.5], "i": [1], "r": [1.0]}, "u has dtype float64; ids are integers or text"),
        ({"u": [True], "i": [1], "r": [1.0]}, "u has dtype bool"),
        ({"u": [1], "i": [""], "r": [1.0]}, "entry 1: i is empty"),
        ({"u": [b"\xff"], "i": [1], "r": [1.0]}, "entry 1: u .* is not UTF-8"),
        ({"u": [1, 2], "i": [1, 1], "r": [1.0, np.inf]}, "entry 2: r is inf"),
        ({"u": [1, 1], "i": [1, 1], "r": [1, 2]}, "entry 2: row id 1 and column id 1 .* entry 1"),
        ({"u": np.array([1, None]), "i": [1, 1], "r": [1, 2]}, "array u: can't be read"),
        ({"rows": [1], "cols": [1, 2], "values": [1]}, r"have shapes \(1,\), \(2,\), \(1,\)"),
        ({}, "but nothing"),
        ({"u": [], "i": [], "r": []}, "holds no ratings"),
    ],
)
def test_what_npz_cannot_say(tmp_path, arrays, match):
    path = tmp_path / "r.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=match) as caught:
        ratings.read(path)
    assert str(caught.value).startswith(str(path))


def test_damaged_npz(tmp_path):
    path = tmp_path / "r.npz"
    path.write_bytes(b"PK\3\4 nonsense")
    with pytest.raises(ValueError, match=r"r\.npz: is not a readable \.npz"):
        ratings.read(path)
    with open(path, "wb") as file:
        np.save(file, np.eye(3))
    with pytest.raises(ValueError, match=r"r\.npz: holds a single array"):
        ratings.read(path)
    np.savez_compressed(path, *np.arange(3000).reshape(3, 1000))
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"r\.npz, array arr_0: can't be read"):
        ratings.read(path)


# ---------------------------------------------------------------- one value for a cell


@pytest.mark.parametrize(("policy", "value"), [("last", 1.0), ("mean", 3.0), ("sum", 9.0)])
def test_duplicates(tmp_path, policy, value):
    path = tmp_path / "r.csv"
    path.write_text("b,x,5\na,y,2\nb,x,3\nb,x,1\n")
    with pytest.raises(
        ValueError, match=r"line 3: row id 'b' and column id 'x' stand together already in line 1"
    ):
        ratings.read(path)
    found = ratings.read(path, duplicates=policy)
    assert triples_of(found) == {("a", "y", 2.0), ("b", "x", value)}
    with pytest.raises(ValueError, match="duplicates"):
        ratings.read(path, duplicates="first")


# ---------------------------------------------------------------- what is wrong, and where


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("1,2,3\n1,2\n", r"line 2: '1,2' ends before column 3; .*delimiter \(which is ','\)"),
        ("1,2,3\n\n\n2,2,x\n", "line 4: 'x' is not a number"),
        ('1,"a\nb",3\n2,2,x\n', "line 3: 'x' is not a number"),
        ("1,2,3\n2,2,\n", "line 2: '' is not a number"),
        ("1,2,3\n2,2,1_0\n", "line 2: '1_0' is not a number"),
        ("1;2;3,5\n", "line 1: '3,5' is not a number"),
        ("1,2,3\n2,2,nan\n", "line 2: the value is nan"),
        ("1,2,-inf\n", "line 1: the value is -inf"),
        ("1,2,3\n1,,4\n", "line 2: the column id is empty"),
        ("1,2,3\n  ,2,4\n", "line 2: the row id is empty"),
        ('1,2,3\n3,"a"b,4\n', "line 2: is not valid CSV"),
        ('1,2,3\n3,"b,4\n5,6,7\n', "line 2: is not valid CSV"),
        ("1 2\n", "line 1: no usual delimiter finds 3 columns in '1 2'"),
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("user,item,rating\n", "holds no ratings"),
    ],
)
def test_errors_name_the_line(tmp_path, content, match):
    path = tmp_path / "r.csv"
    path.write_bytes(content.encode())
    with pytest.raises(ValueError, match=match) as caught:
        ratings.read(path)
    assert str(caught.value).startswith(str(path))
    assert "; " in str(caught.value)  # the remedy


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(b"1,2,3,caf\xe9\n1,3,3,x\n")  # not in an id: no matter
    assert ratings.read(path).values.size == 2
    path.write_bytes(b"a,2,3\ncaf\xe9,3,3\n")
    with pytest.raises(ValueError, match=r"line 2: the row id 'caf\\udce9' is not UTF-8"):
        ratings.read(path)
    for content in ("1,2,3\n".encode("utf-16"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not text in UTF-8"):
            ratings.read(path)
    path.write_bytes(b"1,2,3\n" * 30 + b"a\0,2,3\n")
    with pytest.raises(ValueError, match=r"line 31: .*NUL"):
        ratings.read(path)


@pytest.mark.parametrize("damage", [lambda b: b[:-12], lambda b: b[:20] + b"x" * 9 + b[29:]])
def test_damaged_gzip(tmp_path, damage):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(damage(gzip.compress(as_text(TRICKY * 9).encode())))
    with pytest.raises(ValueError, match=r"r\.csv\.gz: is damaged"):
        ratings.read(path)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"columns": ["u", "i"]}, "columns: got 2 of them"),
        ({"columns": ["u", "i", "i"]}, "columns: names one of them twice"),
        ({"columns": ["u", "i", "x"]}, "line 1: has no column 'x'; choose among u, i, r"),
        ({"columns": [0, 1, 3]}, "line 1: has 3 columns, not a column 4"),
        ({"columns": ["u", "i", "r"], "header": False}, "columns: are named where header"),
        ({"delimiter": ""}, "delimiter: got ''"),
        ({"delimiter": '"'}, "delimiter: got"),
        ({"delimiter": ";"}, "line 1: has 1 of the 3 columns needed"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, match):
    path = tmp_path / "r.csv"
    path.write_text("u,i,r\n1,2,3\n")
    with pytest.raises(ValueError, match=match):
        ratings.read(path, **options)


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match=r"have shapes \(2,\), \(1,\), \(1,\)"):
        ratings.Ratings.from_arrays([1, 2], [1], [1])
    with pytest.raises(ValueError, match="ratings: row_ids has dtype float64; ids are"):
        ratings.Ratings.from_arrays(np.array([1.5]), [1], [1])


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        ratings.read(tmp_path / "none.csv")


# ---------------------------------------------------------------- pairs


@pytest.fixture
def known():
    return ratings.Ratings(
        *(np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1)),
        np.array(["ann", "bob", "user"]),
        np.array([1, 2, 30]),
        ("user", "item", "rating"),
    )


@pytest.mark.parametrize(
    ("content", "rows", "cols"),
    [
        ("bob,30\nann,1\n", [1, 0], [2, 0]),
        ("user,item\nbob,30\n", [1], [2]),
        ("User, Item\nbob,30\n", [1], [2]),
        ("user,30\n", [2], [2]),  # an id, for all that it looks like a name
        ("user,1\nitem,2\n", None, "line 2: row id 'item'"),
        ("item,rating,user\n2,5,bob\n", [1], [1]),
        ("bob::2::5::978\n", [1], [1]),
        ("who,what\nann,2\n", None, "line 1: row id 'who' .*say that it is a header"),
        ("ann,2\ncarl,2\n", None, "line 2: row id 'carl' does not occur .*; leave the line out$"),
        ("ann,2\nbob,3\n", None, "line 2: column id 3 does not occur"),
        ("ann,02\n", None, "line 1: column id '02' does not occur"),
        ("ann\n", None, "no usual delimiter finds 2 columns"),
        ("user,item\n", None, "holds no pairs"),
    ],
)
def test_pairs(tmp_path, known, content, rows, cols):
    path = tmp_path / "p.txt"
    path.write_text(content)
    if rows is None:
        with pytest.raises(ValueError, match=cols):
            ratings.read_pairs(path, known)
    else:
        found = ratings.read_pairs(path, known)
        np.testing.assert_array_equal(found[0], rows)
        np.testing.assert_array_equal(found[1], cols)


def test_pairs_header_between_numbers(tmp_path):
    known = ratings.Ratings.from_arrays([1, 2], [3, 4], [5, 6])
    path = tmp_path / "p.csv"
    path.write_text("who,what\n1,4\n")
    assert [found.tolist() for found in ratings.read_pairs(path, known)] == [[0], [1]]
    with pytest.raises(ValueError, match="line 1: row id 'who'"):
        ratings.read_pairs(path, known, header=False)
    path.write_text("who,4\n1,4\n")  # half a name: a bad id, not a header
    with pytest.raises(ValueError, match="line 1: row id 'who'"):
        ratings.read_pairs(path, known)
    path.write_text("1,4\n2,4\n")
    assert ratings.read_pairs(path, known, header=True)[0].tolist() == [1]


def test_the_order_of_lines_leaves_no_trace(tmp_path):
    lines = as_text([(f"u{n % 37}", n * n % 41, n % 5 + 0.5) for n in range(400)]).splitlines()
    lines = sorted(set({line.rpartition(",")[0]: line for line in lines}.values()))
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(lines)
        path = tmp_path / f"{seed}.csv"
        path.write_text("\n".join(lines))
        found.append(ratings.read(path))
    same(found[0], found[1])
    same(found[0], found[2])


# ---------------------------------------------------------------- data frames

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
        ("user", [b"a", b"b", b"c"], r"user is b'a' of type bytes; .* decode them"),
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
    with pytest.raises(TypeError, match=r"df: of type Stream is no table \("):
        ratings.Ratings.from_dataframe(Stream(pa.chunked_array([[1, 2]])), **WANTED)


def test_streams_need_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"a Stream needs pyarrow.*funkc\[parquet\]"):
        ratings.Ratings.from_dataframe(Stream(None), **WANTED)


@pytest.mark.parametrize(("policy", "value"), [("last", 1.0), ("mean", 3.0), ("sum", 9.0)])
def test_duplicates_in_frames(policy, value):
    df = columns_of([("b", 7, 5), ("a", 8, 2), ("b", 7, 3), ("b", 7, 1)])
    match = "df, position 2: row id 'b' and column id 7 stand together already in position 0"
    with pytest.raises(ValueError, match=match):
        ratings.Ratings.from_dataframe(df, **WANTED)
    found = ratings.Ratings.from_dataframe(df, **WANTED, duplicates=policy)
    assert triples_of(found) == {("a", 8, 2.0), ("b", 7, value)}


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
    with pytest.raises(ValueError, match="unknown: got 'mean'; pass one of 'error', -1"):
        ratings.encode(["a"], known, unknown="mean")


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
    with pytest.raises(TypeError, match="values: is a Ratings beside a mask; pass mask=None"):
        funkc.factorize((found.rows, found.cols), found, k=1)
    with pytest.raises(TypeError, match="mask: is a Ratings; pass mask=None"):
        funkc.factorize(found, None, k=1)
    with pytest.raises(ValueError, match=r"of shape \(40, 30\) where \(40, 31\) is expected"):
        funkc.factorize(None, found, k=1, shape=(40, 31))
    nothing = replace(found, rows=found.rows[:0], cols=found.cols[:0], values=found.values[:0])
    with pytest.raises(ValueError, match="marks no cell"):
        funkc.factorize(None, nothing, k=1)
    with pytest.raises(ValueError, match=r"rows\[0\] = 40 lies outside shape"):
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
