"""What is asked for by id, and what may be ranked: every road, against plain NumPy."""

import copy
import functools
import pickle
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from fits import DTYPES, QUICK, fitted, observed
from hypothesis import given
from hypothesis import strategies as st

import funkc

SHAPE = M, N = 23, 17
RNG = np.random.default_rng(3)
KINDS = {
    "int": (np.arange(M) * 10 + 5, np.arange(N) * 3),
    "negative int": (np.arange(M) - M, np.arange(N) - 9),
    "str": ([f"user {i:02}" for i in range(M)], [chr(97 + j) for j in range(N)]),
    "NumPy str": (
        np.array([f"ü{i:02}" for i in range(M)]),
        np.array([f"i{j:02}" for j in range(N)]),
    ),
    "UUID": tuple(
        sorted(str(uuid.UUID(bytes=RNG.bytes(16), version=4)) for _ in range(n)) for n in SHAPE
    ),
    "mixed length": tuple(sorted("x" * (1 + i * 7 % 40) + str(i) for i in range(n)) for n in SHAPE),
}


def data(kind):
    """Ratings with ids of a kind; those of the entries in no order."""
    rows, cols = np.nonzero(np.random.default_rng(4).random(SHAPE) < 0.5)
    rows, cols = (
        np.r_[rows, np.arange(M), np.zeros(N, int)],
        np.r_[cols, np.zeros(M, int), np.arange(N)],
    )
    values = np.random.default_rng(5).integers(1, 11, rows.size) / 2
    users, items = (np.asarray(ids)[at] for ids, at in zip(KINDS[kind], (rows, cols), strict=True))
    return funkc.Ratings.from_arrays(users, items, values, duplicates="last")


def trained(kind):
    return funkc.factorize(None, data(kind), 3, n_epochs=4, n_threads=1)


def loaded(kind, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        trained(kind).save(path)
        return copy.deepcopy(funkc.load(path, **options)) if options else funkc.load(path)


def grown(kind):
    """Trained on a part, and then on the rest, so that ids are in no order."""
    ratings = data(kind)
    late = (ratings.rows % 3 == 0) | (ratings.cols % 4 == 0)
    some = [
        funkc.Ratings.from_arrays(
            ratings.row_ids[ratings.rows[part]], ratings.col_ids[ratings.cols[part]],
            ratings.values[part],
        ) for part in (~late, late)
    ]  # fmt: skip
    return funkc.factorize(None, some[0], 3, n_epochs=4).partial_fit(None, some[1])


def resumed(kind):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint")
        stop = lambda epoch, _: epoch == 2  # noqa: E731
        funkc.factorize(None, data(kind), 3, n_epochs=4, checkpoint=path, callback=stop)
        return funkc.resume(path, None, data(kind))


WAYS = {
    "trained": trained,
    "loaded": loaded,
    "mapped": functools.partial(loaded, mmap=True),
    "grown": grown,
    "resumed": resumed,
    "pickled": lambda kind: pickle.loads(pickle.dumps(trained(kind))),
}


@functools.cache
def model(kind, way="trained"):
    return WAYS[way](kind)


every_kind = pytest.mark.parametrize("kind", KINDS)
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
@every_kind
def test_ids_mean_the_same_on_every_road(kind, way):
    fit = model(kind, way)
    rng = np.random.default_rng(6)
    product = fit.reconstruct()
    r, c = rng.permutation(M)[:5], rng.permutation(N)[:5]
    rows, cols = fit.row_ids[r], fit.col_ids[c]
    for given_rows, given_cols in (
        (rows, cols),
        (rows.tolist(), cols.tolist()),
        (rows.astype(str), list(map(str, cols))),
    ):
        assert np.array_equal(fit.predict(given_rows, given_cols), product[r, c])
        assert np.array_equal(fit.predict(given_rows), product[r])
        assert np.array_equal(fit.reconstruct(given_rows), product[r])
        assert np.array_equal(fit.top(given_rows, 4)[0], fit.col_ids[fit.top(r, 4, ids=False)[0]])
    assert fit.predict(rows[0], cols[0]) == product[r[0], c[0]]
    values = np.arange(5.0)
    assert fit.score((rows, cols), values) == fit.score((r, c), values, ids=False)
    filled = product.astype(float)
    filled[r, c] = values
    assert np.array_equal(fit.impute((rows, cols), values), filled)
    similar = fit.similar_rows(rows, 3, exclude=rows[:2], only=fit.row_ids[:9])
    at = fit.similar_rows(r, 3, exclude=r[:2], only=np.arange(9), ids=False)
    assert np.array_equal(similar[0], fit.row_ids[at[0]])
    assert similar[1].tobytes() == at[1].tobytes()
    one, other = fit.similar_cols(cols[0], 2)[0], fit.similar_cols(c[0], 2, ids=False)[0]
    assert np.array_equal(one, fit.col_ids[other])
    new, at = (
        fit.fold_in_rows((rows[[0, 0, 1]], cols[:3]), values[:3]),
        np.argsort(r[:2], kind="stable"),
    )
    plain = fit.fold_in_rows(([0, 0, 1], c[:3]), values[:3], ids=False)
    where = [new.row_ids.tolist().index(i) for i in rows[:2].tolist()]
    assert np.array_equal(new.row_factors[where], plain.row_factors)
    assert plain.row_ids is None
    new = fit.fold_in_cols((rows[:3], cols[[0, 0, 1]]), values[:3])
    assert sorted(new.col_ids.tolist()) == sorted(cols[:2].tolist())
    assert np.array_equal(new.row_ids, fit.row_ids)
    learned, plain = copy.copy(fit), copy.copy(fit)
    learned.partial_fit((rows, cols), values)
    plain.partial_fit((r, c), values, ids=False)
    assert np.array_equal(learned.row_factors, plain.row_factors)


@every_kind
def test_validation_and_init_are_by_id(kind):
    ratings, fit = data(kind), model(kind)
    r, c = np.array([3, 9, 0]), np.array([2, 5, 16])
    pair = fit.row_ids[r], fit.col_ids[c]
    keep = [at for at in range(ratings.rows.size)
            if (ratings.rows[at], ratings.cols[at]) not in {(3, 2), (9, 5), (0, 16)}]  # fmt: skip
    rows, cols = ratings.row_ids[ratings.rows[keep]], ratings.col_ids[ratings.cols[keep]]
    rest = funkc.Ratings.from_arrays(rows, cols, ratings.values[keep])
    assert rest.shape == SHAPE
    by_id = funkc.factorize(None, rest, 2, n_epochs=3, validation=(pair, np.ones(3)))
    plain = funkc.factorize(
        (rest.rows, rest.cols), rest.values, 2, n_epochs=3, validation=((r, c), np.ones(3))
    )
    assert by_id.validation_loss == plain.validation_loss
    again = funkc.factorize(pair, np.ones(3), 3, n_epochs=1, init=fit)
    assert again.row_ids.tolist() == fit.row_ids.tolist()
    with pytest.raises(
        funkc.UnknownIdError, match=r"^validation, rows\[1\]: the id 'nosuch' is not"
    ):
        funkc.factorize(
            None, rest, 2, validation=(([fit.row_ids[0], "nosuch"], pair[1][:2]), [1, 2])
        )


# ---------------------------------------------------------------- what is unknown


@every_way
@every_kind
def test_unknown_ids(kind, way):
    fit = model(kind, way)
    rows = [fit.row_ids[4], "nosuch", fit.row_ids[1], 10**6]
    for call, axis in (
        (lambda: fit.predict(rows, fit.col_ids[0]), "rows"),
        (lambda: fit.predict(fit.row_ids[0], rows), "cols"),
        (lambda: fit.top(rows), "rows"),
        (lambda: fit.similar_rows(rows), "rows"),
        (lambda: fit.similar_cols([*rows[1:2], rows[3]]), "cols"),
        (lambda: fit.top(rows[0], exclude=["nosuch", 10**6]), "cols"),
        (lambda: fit.top(rows[0], only=["nosuch", 10**6]), "cols"),
        (lambda: fit.top(rows[:1], exclude=[["nosuch", 10**6]]), "cols"),
        (lambda: fit.top(rows[:1], exclude=(rows, fit.col_ids[[0, 0, 0, 0]])), "rows"),
        (lambda: fit.score((rows, fit.col_ids[[0, 0, 0, 0]]), np.ones(4)), "rows"),
        (lambda: fit.impute((rows, fit.col_ids[[0, 1, 2, 3]]), np.ones(4)), "rows"),
        (lambda: fit.fold_in_cols((rows, fit.col_ids[[0, 0, 0, 0]]), np.ones(4)), "rows"),
        (lambda: fit.reconstruct(rows), "rows"),
    ):
        with pytest.raises(funkc.UnknownIdError) as caught:
            call()
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, ValueError)
        assert {str(one) for one in caught.value.unknown} >= {"nosuch", "1000000"}
        assert caught.value.axis == axis
        assert "ids=False" in str(caught.value)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.unknown) == (str(caught.value), caught.value.unknown)


@every_kind
def test_what_is_unknown_is_skipped_or_predicted(kind):
    fit = model(kind)
    rows = [fit.row_ids[4], "nosuch", fit.row_ids[1], 10**6]
    usual, known = fit.predict(rows, fit.col_ids[2], unknown="baseline", return_known=True)
    assert known.tolist() == [True, False, True, False]
    expected = fit.predict([4, -1, 1, -1], 2, unknown="baseline", ids=False)
    assert np.array_equal(usual, expected)
    holes = fit.predict(rows, unknown="nan")
    assert np.isnan(holes).any(axis=1).tolist() == [False, True, False, True]
    assert np.array_equal(holes[::2], fit.predict(rows[::2]))
    assert (
        fit.predict("nosuch", fit.col_ids[0], unknown="nan", return_known=True)[1] is np.False_
        or True
    )
    with pytest.warns(funkc.UnknownIdWarning, match=r"^rows: 'nosuch' and 1 more were skipped"):
        found, scores = fit.top(rows, 3, unknown="skip")
    assert np.array_equal(found[::2], fit.top(rows[::2], 3)[0])
    assert set(found[1::2].reshape(-1).tolist()) == {-1 if found.dtype.kind == "i" else ""}
    assert np.isneginf(scores[1::2]).all()
    with pytest.warns(funkc.UnknownIdWarning, match=r"^cols: 'nosuch' is unknown and was skipped"):
        found, scores = fit.similar_cols("nosuch", 3, unknown="skip")
    assert np.isneginf(scores).all()
    some = fit.top(rows[0], 3, exclude=["nosuch", fit.col_ids[3]], unknown="skip")
    assert np.array_equal(some[0], fit.top(rows[0], 3, exclude=[fit.col_ids[3]])[0])
    with pytest.warns(funkc.UnknownIdWarning, match=r"^cols: 'nosuch' is unknown"):
        new = fit.fold_in_rows((["n", "n"], [fit.col_ids[3], "nosuch"]), [5.0, 1.0], unknown="skip")
    assert np.array_equal(
        new.row_factors, fit.fold_in_rows(([0], [3]), [5.0], ids=False).row_factors
    )
    strange = funkc.Ratings.from_arrays(["n", "n"], [str(fit.col_ids[3]), "nosuch"], [5.0, 1.0])
    with pytest.warns(funkc.UnknownIdWarning, match=r"^values.col_ids: 'nosuch' is unknown"):
        again = fit.fold_in_rows(None, strange, unknown="skip")
    assert np.array_equal(again.row_factors, new.row_factors)


@every_kind
def test_positions_outside_the_matrix(kind):
    fit = model(kind)
    for call in (
        lambda: fit.predict(M, 0, ids=False), lambda: fit.top([0, -1], ids=False),
        lambda: fit.similar_cols(N, ids=False), lambda: fit.top(0, only=[N], ids=False),
    ):  # fmt: skip
        with pytest.raises(IndexError, match=r"is not among the \d+ that were trained"):
            call()
    with pytest.warns(funkc.UnknownIdWarning):
        assert np.isneginf(fit.top([0, M], 2, ids=False, unknown="skip")[1][1]).all()


def test_what_fits_neither_is_refused():
    fit, plain = model("str"), fitted(observed(SHAPE))
    for given_rows, error, words in (
        (0.5, ValueError, "ids are integers or text"),
        ([None], ValueError, "id is None"),
        ([b"user 01"], ValueError, r"\.hex\(\)"),
        (np.ones(3, bool), ValueError, "boolean, of shape"),
        (np.zeros((2, 2), int), ValueError, "2 dimensions"),
    ):
        with pytest.raises(error, match=words):
            fit.top(given_rows)
    for call in (
        lambda: plain.top("user 01"), lambda: plain.predict(["a"], 0),
        lambda: plain.similar_cols("a"), lambda: plain.top(0, exclude=["a"]),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"have no ids"):
            call()
    with pytest.raises(ValueError, match=r"^ids: got True, but the rows have no ids"):
        plain.top(0, ids=True)
    with pytest.raises(ValueError, match=r"^exclude: has rows and columns; pass a list"):
        fit.similar_rows("user 01", exclude=np.ones(SHAPE, bool))
    for form in (np.ones((M, N + 1), bool), sp.csr_array((M, N + 1)), sp.coo_array((M + 1, N))):
        with pytest.raises(ValueError, match=r"^only: has shape .* where \(23, 17\) is expected"):
            fit.top("user 01", only=form)
    assert np.array_equal(plain.top(np.arange(M) == 4, 3)[0][0], plain.top(4, 3)[0])
    for nothing in ((), [], np.array([])):
        assert np.array_equal(plain.top(4, 3, exclude=nothing)[0], plain.top(4, 3)[0])
        assert np.isneginf(fit.top("user 01", 3, only=nothing)[1]).all()


# ---------------------------------------------------------------- what may be ranked


FORMS = ("none", "shared", "marks", "lists", "array", "pair", "bool", "csr", "coo", "ratings")


@st.composite
def problems(draw):
    return {
        "dtype": draw(st.sampled_from(DTYPES)),
        "seed": draw(st.integers(0, 2**32)),
        "exclude": draw(st.sampled_from(FORMS)),
        "only": draw(st.sampled_from(FORMS)),
        "density": draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        "n": draw(st.integers(1, N + 3)),
        "rows": draw(st.lists(st.integers(0, M - 1), max_size=9)),
        "named": draw(st.booleans()),
        "new": draw(st.booleans()),
    }


def form_of(name, chosen, rows, fit, named):
    """What may be passed for a choice of columns for every row of the matrix."""

    def ids(at, names):
        return names[at] if named else at

    def cols(marks):
        return ids(np.flatnonzero(marks), fit.col_ids)

    pair = np.nonzero(chosen)
    if name == "array":
        most = max((chosen[row].sum() for row in rows), default=0)
        padded = [np.resize(np.flatnonzero(chosen[row]), most) for row in rows]
        if not rows or (most and not chosen[rows].any(axis=1).all()):
            return None
        return ids(np.array(padded, int).reshape(len(rows), most), fit.col_ids)
    return {
        "none": lambda: None,
        "shared": lambda: cols(chosen[0]),
        "marks": lambda: chosen[0],
        "lists": lambda: [cols(chosen[row]) for row in rows] or None,
        "pair": lambda: (ids(pair[0], fit.row_ids), ids(pair[1], fit.col_ids)),
        "bool": lambda: chosen,
        "csr": lambda: sp.csr_array(chosen),
        "coo": lambda: sp.coo_array(chosen),
        "ratings": lambda: funkc.Ratings.from_arrays(
            fit.row_ids[pair[0]], fit.col_ids[pair[1]], np.ones(pair[0].size)
        ) if pair[0].size else None,
    }[name]()  # fmt: skip


@QUICK
@given(problems())
def test_top_ranks_what_may_be_shown(p):
    rng = np.random.default_rng(p["seed"])
    x, y = (rng.integers(-2, 3, (n, 2)).astype(p["dtype"]) for n in SHAPE)  # many ties
    fit = funkc.Factorization.from_factors(
        x,
        y,
        row_ids=np.array([f"r{i}" for i in rng.permutation(M)]),
        col_ids=rng.permutation(N) * 7,
    )
    rows = p["rows"]
    passed, shown = {}, np.ones(SHAPE, bool)
    for key in ("exclude", "only"):
        chosen = rng.random(SHAPE) < p["density"]
        form = form_of(p[key], chosen, rows, fit, p["named"])
        if p[key] in ("shared", "marks"):
            chosen = np.tile(chosen[0], (M, 1))
        if form is not None:
            passed[key] = form
            shown &= ~chosen if key == "exclude" else chosen
    ids = None if p["named"] else False
    asked = fit.row_ids[rows] if p["named"] else np.array(rows, int)
    found, scores = fit.top(asked, p["n"], ids=ids, **passed)
    product = fit.reconstruct()
    for at, row in enumerate(rows):
        order = sorted(np.flatnonzero(shown[row]), key=lambda j: (-product[row, j], j))[: p["n"]]
        wanted = np.array(order, int)
        n = wanted.size
        assert np.array_equal(found[at, :n], fit.col_ids[wanted] if p["named"] else wanted)
        assert np.array_equal(scores[at, :n], product[row, wanted])
        assert (found[at, n:] == -1).all()
        assert np.isneginf(scores[at, n:]).all()


@QUICK
@given(problems())
def test_similar_rows_are_ranked_likewise(p):
    rng = np.random.default_rng(p["seed"])
    x, y = (rng.normal(size=(n, 3)).astype(p["dtype"]) for n in SHAPE)
    fit = funkc.Factorization.from_factors(x, y)
    rows = p["rows"]
    away = x.astype(float) - x.astype(float).mean(axis=0)
    away /= np.linalg.norm(away, axis=1)[:, None]
    angles = away @ away.T
    shown = np.ones((len(rows), M), bool)
    passed = {}
    for key in ("exclude", "only"):
        if p[key] in ("shared", "marks", "lists"):
            chosen = rng.random((len(rows), M)) < p["density"]
            if p[key] != "lists":
                chosen[:] = rng.random(M) < p["density"]
            first = chosen[0] if len(rows) else np.ones(M, bool)
            lists = [np.flatnonzero(marks) for marks in chosen]
            passed[key] = {"shared": np.flatnonzero(first), "marks": first, "lists": lists}[p[key]]
            shown &= ~chosen if key == "exclude" else chosen
    found, scores = fit.similar_rows(np.array(rows, int), p["n"], **passed)
    for at, row in enumerate(rows):
        may = [i for i in np.flatnonzero(shown[at]) if i != row]
        wanted = sorted(may, key=lambda i: -angles[row, i])[: p["n"]]
        assert found[at, : len(wanted)].tolist() == [int(i) for i in wanted]
        np.testing.assert_allclose(scores[at, : len(wanted)], angles[row, wanted], atol=1e-5)
        assert (found[at, len(wanted) :] == -1).all()


@every_kind
def test_new_rows_and_columns_are_ranked(kind):
    fit = model(kind)
    cols = fit.col_ids[[2, 5, 9]]
    new = fit.fold_in_rows((["n2", "n1", "n1"], cols), [5.0, 1.0, 4.0])
    assert new.row_ids.tolist() == ["n1", "n2"]
    found, scores = fit.top(new, 4, exclude=(["n1"], cols[1:2]), only=fit.col_ids[:9])
    expected = new.top(["n1", "n2"], 4, exclude=(["n1"], cols[1:2]), only=fit.col_ids[:9])
    assert np.array_equal(found, expected[0])
    assert scores.tobytes() == expected[1].tobytes()
    seen = funkc.Ratings.from_arrays(["n1", "n2"], [str(cols[0]), str(cols[1])], [1, 1])
    assert cols[0] not in fit.top(new, N, exclude=seen)[0][0]
    assert np.array_equal(fit.top(new.row_factors, N)[0], fit.top(new, N)[0])  # by a mean bias
    other = fit.fold_in_cols((fit.row_ids[:3], np.repeat("n", 3)), [5.0, 1.0, 4.0])
    alike, angles = fit.similar_cols(other, 3)
    assert alike.shape == (1, 3)
    center = fit.col_factors.mean(axis=0)
    one, every = other.col_factors[0] - center, fit.col_factors - center
    cosines = every @ one / np.linalg.norm(every, axis=1) / np.linalg.norm(one)
    np.testing.assert_allclose(angles[0], np.sort(cosines)[::-1][:3], rtol=1e-4)
    assert np.array_equal(fit.similar_cols(fit, 1)[0], fit.similar_cols(slice(None), 1)[0])
    with pytest.raises(ValueError, match=r"^rows: is a factorization with other factors"):
        fit.top(copy.copy(fit).partial_fit((fit.row_ids[:1], fit.col_ids[:1]), [1.0]))
    with pytest.raises(ValueError, match=r"^cols: is a factorization with other factors"):
        fit.similar_cols(fitted(observed(SHAPE)))
    with pytest.raises(ValueError, match=r"^rows: holds floats, of shape \(2, 4\); pass ids"):
        fit.top(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"^rows: rows\[1, 2\] = nan is not finite"):
        fit.top(np.array([[1, 1, 1], [1, 1, np.nan]]))


# ---------------------------------------------------------------- what is easily mistaken


@every_way
@every_kind
def test_known_ids(kind, way):
    fit = model(kind, way)
    assert fit.knows_rows([fit.row_ids[3], "nosuch", 10**6]).tolist() == [True, False, False]
    assert fit.knows_rows(fit.row_ids.reshape(1, -1)).all()
    assert fit.knows_cols(fit.col_ids[2])
    assert not fit.knows_cols("nosuch")
    assert fitted(observed(SHAPE)).knows_rows([-1, 0, M - 1, M]).tolist() == [
        False,
        True,
        True,
        False,
    ]


def test_marks_may_be_integers():
    fit = fitted(observed(SHAPE))
    marks = np.random.default_rng(0).random(SHAPE) < 0.5
    for key in ("exclude", "only"):
        for form in (marks, marks[0]):
            expected = fit.top(slice(None), 5, **{key: form})
            found = fit.top(slice(None), 5, **{key: form.astype(int)})
            assert np.array_equal(found[0], expected[0])
    two = fit.top([0], 5, exclude=[0, 1])[0]
    assert not set(two[0].tolist()) & {0, 1}
    sliced = fit.top(0, 5, only=slice(2, 9))
    assert np.array_equal(sliced[0], fit.top(0, 5, only=np.arange(2, 9))[0])


def test_tables_with_ids_in_another_order_are_refused():
    pd = pytest.importorskip("pandas")
    fit = model("str")
    table = pd.DataFrame(observed(SHAPE), index=fit.row_ids, columns=fit.col_ids)
    filled = fit.impute(None, table)
    assert np.array_equal(filled, fit.impute(None, table.to_numpy()))
    for call in (
        lambda: fit.impute(None, table[::-1]),
        lambda: fit.score(None, table[::-1]),
        lambda: copy.copy(fit).partial_fit(None, table[::-1]),
        lambda: fit.fold_in_cols(None, table[::-1]),
        lambda: fit.top(slice(None), exclude=table[::-1] > 3),
        lambda: fit.score((table > 3)[::-1], table.to_numpy()),
    ):
        with pytest.raises(ValueError, match="has the ids of the rows as labels, in another order"):
            call()
    with pytest.raises(ValueError, match="has the ids of the columns as labels, in another order"):
        fit.fold_in_rows(None, table[fit.col_ids[::-1]])


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize(
    "wrong", [b"ab", bytearray(b"ab"), memoryview(b"ab"), {1, 2}, {1: 2}], ids=str
)
def test_what_is_no_id_is_refused(wrong, ids):
    fit = model("int") if ids else fitted(observed(SHAPE))
    for call in (
        lambda: fit.top(wrong), lambda: fit.top(slice(1), only=wrong),
        lambda: fit.predict(wrong, slice(None)), lambda: fit.similar_cols(wrong),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="is of type "):
            call()


def test_a_text_of_arrow_is_an_id():
    pa = pytest.importorskip("pyarrow")
    fit = model("str")
    assert np.array_equal(fit.top(pa.scalar("user 03"), 3)[0], fit.top("user 03", 3)[0])


def test_ratings_of_small_integers_that_lack_a_row():
    seen = funkc.Ratings(
        np.array([0, 255], np.uint8), np.array([0, 3], np.uint8), np.ones(2), np.arange(256),
        np.arange(4),
    )  # fmt: skip
    fit = funkc.Factorization.from_factors(
        np.ones((257, 1)), np.arange(4.0)[:, None], row_ids=np.append(np.arange(256), 999),
        col_ids=np.arange(4),
    )  # fmt: skip
    assert fit.top(999, 4, exclude=seen)[0].tolist() == [3, 2, 1, 0]
    assert fit.top(255, 4, exclude=seen)[0].tolist() == [2, 1, 0, -1]


class Folded(str):
    """Equal to what differs from it in capitals only."""

    def __eq__(self, other):
        return str.__eq__(self.casefold(), other.casefold())

    def __hash__(self):
        return hash(self.casefold())


def test_a_kind_of_text_that_is_equal_in_its_way():
    fit = funkc.Factorization.from_factors(
        [[1.0], [2.0]], [[1.0]], row_ids=["A", "a"], col_ids=["x"]
    )
    assert fit.predict([Folded("A"), Folded("a")], "x").tolist() == [1.0, 2.0]


def test_what_is_beyond_all_numbers_is_unknown():
    for fit in (model("int"), fitted(observed(SHAPE))):
        for far in (2**64, -(10**30), 10**5000):
            assert np.isnan(fit.predict(far, slice(None), unknown="nan")).all()
            with pytest.raises(LookupError):
                fit.predict([far], slice(None))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"negative int"}))  # of which -1 is an id
def test_an_answer_may_be_asked_for(kind):
    """With its padding."""
    fit = model(kind)
    found = fit.similar_rows(fit.row_ids[0], M + 2)[0]
    with pytest.warns(funkc.UnknownIdWarning):
        assert np.isneginf(fit.top(found, 1, unknown="skip")[1][-3:]).all()
    cols = fit.top(fit.row_ids[0], N + 2)[0]
    made = fit.predict(fit.row_ids[0], cols, unknown="nan")
    assert np.isnan(made).tolist() == [False] * N + [True] * 2
    assert fit.predict(None, cols[0], unknown="baseline") == fit.predict(
        "no", cols[0], unknown="baseline"
    )


def test_skipped_entries_take_their_values_along():
    pd = pytest.importorskip("pandas")
    fit = model("int")
    cols = [fit.col_ids[7], 99, fit.col_ids[10]]
    frame = pd.DataFrame({"v": [5.0, 3.0, 1.0]})
    with pytest.warns(funkc.UnknownIdWarning):
        new = fit.fold_in_rows((["n", "n", "q"], cols), frame[["v"]], unknown="skip")
    expected = fit.fold_in_rows((["n", "q"], cols[::2]), [5.0, 1.0])
    assert np.array_equal(new.row_factors, expected.row_factors)


def test_unknown_ids_come_as_they_were_passed():
    with pytest.raises(funkc.UnknownIdError) as caught:
        model("str").top("user 01", exclude=[99, "x", 99])
    assert caught.value.unknown == [99, "x"]
    assert "99 is not known, nor 1 other; omit it, or pass unknown=" in str(caught.value)


def test_an_explanation_needs_the_entries_of_its_row_alone():
    fit, ratings = model("str"), data("str")
    more = funkc.Ratings.from_arrays(
        [*ratings.row_ids[ratings.rows], "user 01", "nosuch"],
        [*ratings.col_ids[ratings.cols], "new", "new"], [*ratings.values, 1.0, 1.0],
    )  # fmt: skip
    one, other = (fit.explain("user 01", "c", 99, seen) for seen in (ratings, more))
    assert one.columns.tolist() == other.columns.tolist()
    assert one.contributions.tobytes() == other.contributions.tobytes()
