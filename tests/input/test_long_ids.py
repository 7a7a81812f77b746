"""One id that is much longer than the others: its length is not paid for by all of them."""

import copy
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from checkpoints import content
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import ratings
from funkc._input import ids

N = 20_000
LONG = "x" * 20_000
NAMES = [f"u{i}" for i in range(N - 1)] + [LONG]
FEW_NAMES = ["a", "b", LONG]
MOST = 120 << 20
light = pytest.mark.usefixtures("little_memory")


@pytest.fixture
def little_memory():
    """A fixed width for all ids would take 1.6 GB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST


@pytest.fixture(scope="module")
def rated():
    rng = np.random.default_rng(0)
    cols = [FEW_NAMES[at] for at in np.arange(N) % 3]
    return funkc.Ratings.from_arrays(NAMES, cols, rng.normal(size=N))


@pytest.fixture(scope="module")
def fit(rated):
    return funkc.factorize(None, rated, 2, n_epochs=1, n_threads=1)


def are_objects(found):
    assert found.dtype == object
    assert all(type(text) is str for text in found.tolist())
    return found.tolist()


COLUMNS = {
    "list": lambda: NAMES,
    "object": lambda: np.array(NAMES, object),
    "pandas": lambda: pytest.importorskip("pandas").Series(NAMES),
    "categories": lambda: pytest.importorskip("pandas").Series(NAMES).astype("category"),
    "polars": lambda: pytest.importorskip("polars").Series(NAMES),
    "pyarrow": lambda: pytest.importorskip("pyarrow").array(NAMES),
    "large strings": lambda: pytest.importorskip("pyarrow").array(NAMES).cast("large_string"),
}


@light
@pytest.mark.parametrize("kind", COLUMNS)
def test_columns(kind):
    column = COLUMNS[kind]()
    made = funkc.Ratings.from_arrays(column, np.zeros(N, int), np.ones(N))
    assert are_objects(made.row_ids) == sorted(NAMES)
    again = funkc.Ratings.from_dataframe(
        {"u": column, "i": np.zeros(N, int), "v": np.ones(N)}, row="u", col="i", value="v"
    )
    assert are_objects(again.row_ids) == sorted(NAMES)
    assert ratings.encode([LONG, "u7"], made.row_ids).tolist() == [
        made.row_ids.tolist().index(LONG), made.row_ids.tolist().index("u7")
    ]  # fmt: skip


@light
def test_files_of_ratings(tmp_path, rated):
    with open(tmp_path / "r.csv", "w") as file:
        file.writelines(f"{name},{at % 3},{at % 5}\n" for at, name in enumerate(NAMES))
    made = ratings.read(tmp_path / "r.csv")
    assert are_objects(made.row_ids) == sorted(NAMES)
    (tmp_path / "p.csv").write_text(f"{LONG},1\nu7,2\n")
    rows, cols = ratings.read_pairs(tmp_path / "p.csv", made)
    assert made.row_ids[rows].tolist() == [LONG, "u7"]
    assert cols.tolist() == [1, 2]


@light
def test_ratings_of_ratings(rated):
    same = funkc.Ratings(rated.rows, rated.cols, rated.values, rated.row_ids, rated.col_ids)
    assert are_objects(same.row_ids) == sorted(NAMES)
    assert rated.col_ids.dtype.kind == "U"  # which are few
    with pytest.raises(ValueError, match=r"^row_ids: row_ids.* does not come after the id before"):
        funkc.Ratings(rated.rows, rated.cols, rated.values, rated.row_ids[::-1], rated.col_ids)
    mixed = np.array([1, "a"], object)
    with pytest.raises(
        ValueError, match=r"^row_ids: has dtype object and 1 dimensions; pass a 1-D"
    ):
        funkc.Ratings(np.array([0]), np.array([0]), np.array([1.0]), mixed, np.array(["a"]))
    with pytest.raises(TypeError, match=r"^known: got "):
        ratings.encode(["a"], mixed)
    texts = np.array(["a", "b"], object)
    changed = funkc.Ratings(np.array([0, 1]), np.array([0, 0]), np.ones(2), texts, np.array(["a"]))
    fit = funkc.factorize(None, changed, 1, n_epochs=1)
    texts[1] = 3.5
    assert fit.row_ids.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match=r"^ids: hold an object that is not text; do not write to"):
        funkc.factorize(None, changed, 1, n_epochs=1)


@light
def test_predictions(fit, rated):
    assert are_objects(fit.row_ids) == sorted(NAMES)
    at = fit.row_ids.tolist().index(LONG)
    assert fit.predict([LONG], ["a"], ids=True) == fit.predict([at], [0], ids=False)
    best, _ = fit.top([LONG, "u1"], 3, exclude=rated, ids=True)
    assert best.shape == (2, 3)
    assert (best[:, 2] == "").all()  # one of three is excluded
    alike, scores = fit.similar_rows([LONG], 4, ids=True)
    assert are_objects(alike.reshape(-1))
    assert np.isfinite(scores).all()
    for wrong in (LONG[1:], LONG + "x", "u", "u20000", "é", 3):
        with pytest.raises(ValueError, match=r"the id .* is not known") as caught:
            fit.predict([wrong], ["a"], ids=True)
        assert len(str(caught.value)) < 200
    alike, _ = fit.similar_rows("u1", 9, ids=True)
    assert set(alike.tolist()) < set(NAMES)


@light
def test_files_of_models(tmp_path, fit):
    fit.save(tmp_path / "m")
    for options in ({}, {"mmap": True}, {"mmap": True, "verify": False}):
        assert content(funkc.load(tmp_path / "m", **options)) == content(fit)
    assert content(funkc.load(fit.to_bytes())) == content(fit)
    assert (tmp_path / "m").stat().st_size < 10 << 20
    for again in (pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):
        assert content(again) == content(fit)
        assert again.predict([LONG], ["a"], ids=True) == fit.predict([LONG], ["a"], ids=True)


@light
def test_checkpoints(tmp_path, rated):
    options = {"n_epochs": 2, "n_threads": 1}
    whole = funkc.factorize(None, rated, 2, **options)
    funkc.factorize(
        None, rated, 2, checkpoint=tmp_path / "c", callback=lambda n, _: n == 1, **options
    )
    resumed = funkc.resume(tmp_path / "c", None, rated, n_threads=1)
    assert content(resumed) == content(whole)


@light
def test_growth(fit, rated):
    usual = funkc.Ratings.from_arrays(NAMES[:-1], np.arange(N - 1) % 3, np.ones(N - 1))
    grown = funkc.factorize(None, usual, 2, n_epochs=1, n_threads=1)
    assert grown.row_ids.dtype.kind == "U"
    grown.partial_fit(None, funkc.Ratings.from_arrays([LONG, "u3"], [0, "new"], [1.0, 2.0]))
    assert are_objects(grown.row_ids)[-1] == LONG
    assert grown.predict(LONG, 0) == grown.predict(N - 1, 0, ids=False)
    grown.partial_fit(None, funkc.Ratings.from_arrays(["more", 5], [1, 2], [1.0, 2.0]))
    assert are_objects(grown.row_ids)[-3:] == [LONG, "5", "more"]
    numbered = funkc.Ratings.from_arrays(np.arange(N), np.arange(N) % 3, np.ones(N))
    grown = funkc.factorize(None, numbered, 2, n_epochs=1, n_threads=1)
    grown.partial_fit(None, funkc.Ratings.from_arrays([LONG, 7], [0, 1], [1.0, 2.0]))
    assert are_objects(grown.row_ids)[-2:] == [str(N - 1), LONG]
    new = fit.fold_in_cols(None, funkc.Ratings.from_arrays([LONG, "u1"], [5, 6], [1.0, 2.0]))
    assert content(new)[1][0] == content(fit)[1][0]


@light
def test_factors_made_elsewhere():
    made = funkc.Factorization.from_factors(
        np.ones((N, 2)), np.ones((3, 2)), row_ids=NAMES, col_ids=FEW_NAMES
    )
    assert are_objects(made.row_ids) == NAMES
    assert made.predict(LONG, LONG, ids=True) == 2
    with pytest.raises(ValueError, match=r"the id 'xxx.* is there more than once") as caught:
        funkc.Factorization.from_factors(
            np.ones((N, 2)), np.ones((3, 2)), row_ids=[*NAMES[1:], LONG], col_ids=FEW_NAMES
        )
    assert len(str(caught.value)) < 300


@light
def test_a_table_of_new_ids(fit):
    """New rows for a model whose columns have such ids."""
    rows, cols = ["new", "new", LONG], ["a", LONG, "b"]
    with pytest.raises(ValueError, match=r"the id 'xxx.* is not known"):
        ratings.encode([LONG], np.array(["a", "b"]))
    grown = copy.copy(fit).partial_fit(None, funkc.Ratings.from_arrays(rows, cols, [1.0, 2, 3]))
    assert grown.shape == (N + 1, 3)


ROADS = """
import pickle, re, sys
from pathlib import Path
import numpy as np
import funkc
from funkc import ratings

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search("VmHWM:\\s+(\\d+) kB", status)[1])

n = 200_000
names = [f"u{i}" for i in range(n - 1)] + ["x" * 20_000]
cols, values = np.arange(n) % 3, np.ones(n)
with open(sys.argv[1], "w") as file:
    file.writelines(f"{name},{at % 3},1\\n" for at, name in enumerate(names))
options = {"n_epochs": 1, "n_threads": 1, "random_state": 0}
usual = funkc.factorize(([0], [0]), [1.0], 1, **options)
before = peak()
frame = {"u": names, "i": cols, "v": values}
made = funkc.Ratings.from_dataframe(frame, row="u", col="i", value="v")
made = ratings.read(sys.argv[1])
fit = funkc.factorize(None, made, 2, **options)
fit.top([names[-1], "u7"], 2, ids=True)
fit.fold_in_cols(None, funkc.Ratings.from_arrays(names[-2:], [5, 6], [1.0, 2.0]))
fit.partial_fit(None, funkc.Ratings.from_arrays(["new"], [0], [1.0]), n_epochs=1)
fit = pickle.loads(pickle.dumps(funkc.load(fit.to_bytes())))
print(fit.row_ids.size, peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_the_peak_of_many(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", ROADS, tmp_path / "r.csv"]
    size, kilobytes = map(int, subprocess.check_output(command, text=True).split())
    print(f"{kilobytes / 1024:.0f} MB")
    assert size == 200_001
    assert kilobytes < 300 << 10


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cn", "Co", "Cf"]),
                min_size=1, max_size=5)  # fmt: skip
some = st.lists(texts, min_size=1, max_size=12, unique=True)


@given(known=some, asked=some, more=some, wide=st.tuples(*[st.booleans()] * 3))
@settings(max_examples=300, deadline=None)
def test_objects_answer_as_str_do(known, asked, more, wide):
    """Of any of the arrays, and whatever the other is."""

    def of(names, objects):
        return np.array(sorted(names), object) if objects else np.array(sorted(names))

    usual = ids.Ids(of(known, False))
    other = ids.Ids(of(known, wide[0]))
    for remedy in (None, "omit it"):
        found = []
        for each, names in ((usual, of(asked, False)), (other, of(asked, wide[1]))):
            try:
                found.append(each.find(names, "rows", remedy).tolist())
            except ValueError as error:
                found.append(str(error))
        assert found[0] == found[1]
    grown = [
        each.with_strangers(of(more, objects)).names.tolist()
        for each, objects in ((usual, False), (other, wide[2]))
    ]
    assert grown[0] == grown[1]
    side = ids.IdColumn(of(asked, wide[1]), np.arange(len(asked)))
    assert ids.looked_up(side.ids, of(known, wide[0]))[side.positions].tolist() == [
        sorted(known).index(text) if text in known else -1 for text in sorted(asked)
    ]


@pytest.mark.parametrize(
    ("lengths", "kind"),
    [
        ([36] * 1_000_000, "U"),
        ([8] * 500_000 + [40], "U"),
        ([8] * 199_999 + [20_000], "O"),
        ([8] * 199_999 + [80], "U"),
        ([8] * 199_999 + [200], "O"),
        ([1] * 838 + [20_000], "O"),
        ([1] * 837 + [20_000], "U"),
        ([20_000] * 1_000, "U"),
        ([1], "U"),
        ([0], "U"),
        ([], "U"),
    ],
)
def test_which_arrays_are_of_objects(lengths, kind):
    made = ids.array_of_texts(["a" * n for n in lengths])
    assert made.dtype.kind == kind
    assert made.shape == (len(lengths),)
