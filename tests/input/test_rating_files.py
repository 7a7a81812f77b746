"""Files of ratings: every kind of file, in any order, gives the same ratings."""

import csv
import gzip
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rating_tables import NUMBERED, TRICKY, as_text, ids, same, triples_of

from funkc import ratings

# ---------------------------------------------------------------- kinds of text


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


def test_columns_without_a_header_have_plain_names(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("1,2,5\n")
    assert ratings.read(path).names == ("row", "column", "value")


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
        ({"u": [b"\xff"], "i": [1], "r": [1.0]}, "entry 1: u is .* of type bytes"),
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
        ValueError, match=r"line 3: row id 'b' and column id 'x' already occur in line 1"
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
        ({"columns": ["u", "i", "r"], "header": False}, "columns: are names, but header"),
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
