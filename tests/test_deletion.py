"""Factorizations without some of their rows or columns."""

import copy
import gc
import pickle

import numpy as np
import pytest
from fits import DTYPES, NAN, QUICK, bits, fitted, made, observed, rated
from hypothesis import given
from hypothesis import strategies as st

import funkc

SIDES = ("rows", "cols")


def without(fit, side, *args, **options):
    return getattr(fit, f"without_{side}")(*args, **options)


def remade(fit, rows, cols):
    """Of the factors of some rows and columns."""
    row_bias, col_bias = fit.row_bias, fit.col_bias
    found = funkc.Factorization.from_factors(
        fit.row_factors[rows], fit.col_factors[cols], offset=fit.offset, noise=fit.noise,
        row_bias=None if row_bias is None else row_bias[rows],
        col_bias=None if col_bias is None else col_bias[cols],
        row_ids=None if fit.row_ids is None else fit.row_ids[rows],
        col_ids=None if fit.col_ids is None else fit.col_ids[cols],
        clip=fit.clip, loss=fit.loss,
    )  # fmt: skip
    found.n_threads = 1
    return found


def answers(fit, table):
    """What methods answer, as bytes."""
    parts = [
        fit.reconstruct(), *fit.top(0, 3), *fit.similar_rows(0, 3), *fit.similar_cols(0, 3),
        fit.fold_in_rows(None, table).row_factors, fit.fold_in_cols(None, table).col_factors,
        fit.predict(-1, -1, unknown="baseline"),
    ]  # fmt: skip
    return [np.asarray(part).tobytes() for part in parts]


@QUICK
@given(st.data())
def test_what_is_left_is_a_factorization_of_its_own(data):
    shape = data.draw(st.integers(2, 40)), data.draw(st.integers(2, 40))
    side = data.draw(st.sampled_from(SIDES))
    at = SIDES.index(side)
    options = {"dtype": data.draw(st.sampled_from(DTYPES)), "biases": data.draw(st.booleans())}
    fit = fitted(observed(shape, 1.0), 3, loss=data.draw(st.sampled_from(["squared", "huber"])),
                 **options)  # fmt: skip
    gone = data.draw(st.lists(st.integers(0, shape[at] - 1), max_size=2 * shape[at]))
    kept = [np.arange(n) for n in shape]
    kept[at] = np.setdiff1d(kept[at], gone)
    before = bits(fit), fit.n_seen, fit.row_bias
    if not kept[at].size:
        with pytest.raises(ValueError, match=rf"^{side}: names all {shape[at]}, and"):
            without(fit, side, gone)
        return
    left = without(fit, side, np.array(gone, int))
    if fit.loss == "squared":
        expected = remade(fit, *kept)
        assert bits(left) == bits(expected)
        assert left.n_seen == expected.n_seen
        left.clip = expected.clip = (0, 9)
        table = observed(left.shape, 0.8, seed=1)
        assert answers(left, table) == answers(expected, table)
    else:
        assert np.array_equal(left.reconstruct(), fit.reconstruct()[np.ix_(*kept)])
    for name in ("history", "noise", "parameters", "baseline_loss", "stopped_by", "dtype"):
        assert getattr(left, name) == getattr(fit, name)
    assert (bits(fit), fit.n_seen) == before[:2]


@pytest.fixture(scope="module")
def named():
    return funkc.factorize(None, rated(), 5, n_epochs=3, n_threads=1)


def reached(thing):
    """All arrays that an object holds, and whatever memory those are views of."""
    found, todo, seen = [], [thing], set()
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (type, str, int, float)):
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray):
            found.append(one)
            todo.append(one.base)
        elif isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, (list, tuple)):
            todo += one
        elif hasattr(one, "__dict__"):
            todo += vars(one).values()
        elif one is not None and type(one).__name__ not in ("dtype", "NoneType"):
            todo += [x for x in gc.get_referents(one) if isinstance(x, np.ndarray)]
    return found


def use(fit):
    """Let it derive whatever it keeps."""
    fit.similar_rows(slice(1), 1), fit.similar_cols(slice(1), 1)
    fit.fold_in_rows(([0], [0]), [1.0], ids=False)


@pytest.mark.parametrize("road", ["trained", "loaded", "mapped", "unpickled"])
@pytest.mark.parametrize("side", SIDES)
def test_nothing_of_what_is_deleted_is_left(named, side, road, tmp_path):
    fit = copy.copy(named)
    if road == "unpickled":
        fit = pickle.loads(pickle.dumps(fit))
    elif road != "trained":
        fit.save(tmp_path / "model")
        fit = funkc.load(tmp_path / "model", mmap=road == "mapped")
    use(fit)
    names = (fit.row_ids, fit.col_ids)[SIDES.index(side)]
    factors = fit.row_factors if side == "rows" else fit.col_factors
    secrets = [factors[at].tobytes() for at in (3, 17)]
    if side == "rows":
        secrets += [name.encode(code) for name in names[[3, 17]] for code in ("utf-8", "utf-32-le")]
    left = without(fit, side, names[[3, 17, 3]])
    use(left)
    left.save(tmp_path / "left")
    texts = [pickle.dumps(left), (tmp_path / "left").read_bytes()]
    texts += [np.ascontiguousarray(array).tobytes() for array in reached(left)]
    assert len(texts) > 10
    assert all(any(secret in pickle.dumps(fit) for secret in pair)
               for pair in (secrets[:1], secrets[1:2]))  # fmt: skip
    assert not [at for at, secret in enumerate(secrets) if any(secret in text for text in texts)]
    for array in reached(left):
        assert not any(np.shares_memory(array, other) for other in reached(fit))
    assert set(names) - set((left.row_ids, left.col_ids)[SIDES.index(side)]) == {*names[[3, 17]]}


def test_ids_and_positions(named):
    by_id, by_position = (
        named.without_rows(["r003", "r017"]),
        named.without_rows([3, 17], ids=False),
    )
    assert bits(by_id) == bits(by_position)
    assert by_id.row_ids.tolist() == by_position.row_ids.tolist()
    assert by_id.predict("r004", 14, ids=True) == named.predict("r004", 14, ids=True)
    assert named.without_cols(21).col_ids.tolist() == [7 * j for j in range(30) if j != 3]
    assert named.without_cols(slice(1, None)).col_ids.tolist() == [0]
    assert named.without_rows("r003").shape == (39, 30)
    plain = named.fold_in_rows(([0, 1, 2], [1, 2, 3]), [1.0, 2.0, 3.0], ids=False)
    assert plain.without_rows(1).shape == (2, 30)
    assert plain.without_rows([]).shape == (3, 30)


def test_ids_become_as_narrow_as_they_can():
    ratings = funkc.Ratings.from_arrays(["a", "b" * 500], ["a", "b"], [1.0, 2.0])
    fit = funkc.factorize(None, ratings, 1, n_epochs=1)
    assert fit.without_rows("b" * 500).row_ids.dtype == "U1"


WRONG = {
    "id": ("rows", "nobody", {}, ValueError, r"^rows: the id 'nobody' is not known"),
    "one id": ("cols", [7, 8], {}, ValueError, r"^cols\[1\]: the id 8 is not known"),
    "position": ("rows", [0, 40], {"ids": False}, IndexError, r"^rows: rows\[1\] = 40 is not"),
    "negative": ("cols", -1, {"ids": False}, IndexError, r"^cols: cols = -1 is not among"),
    "mask": ("rows", np.zeros(9, bool), {}, ValueError, r"^rows: is boolean, of shape \(9,\)"),
    "table": ("rows", [[0]], {"ids": False}, ValueError, r"^rows: has 2 dimensions"),
    "flag": ("rows", [0], {"ids": "yes"}, TypeError, r"^ids: got 'yes'; pass True or False"),
    "all": ("cols", slice(None), {}, ValueError, r"^cols: names all 30, and a factorization has"),
}


@pytest.mark.parametrize(("side", "given", "options", "error", "text"), WRONG.values(), ids=WRONG)
def test_refused(named, side, given, options, error, text):
    with pytest.raises(error, match=text):
        without(named, side, given, **options)
    with pytest.raises(ValueError, match=r"^ids: got True, but the (rows|columns) have no ids"):
        without(fitted(), side, [0], ids=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{"biases": False}, {"biases": True}, {"k": 1}])
@pytest.mark.parametrize("side", SIDES)
def test_rows_without_entries_are_not_counted(side, options, dtype):
    table = observed((30, 25), 0.9)
    table[[4, 9, 29]] = table[:, [3, 8]] = NAN
    if side == "cols":
        table = table.T
    fit = fitted(table, dtype=dtype, **options)
    at = SIDES.index(side)
    assert fit.n_seen[at] == 27
    for gone, seen in (([], 27), ([4], 27), ([5], 26), ([4, 9, 29, 0], 26), (range(29), 0)):
        left = without(fit, side, list(gone))
        assert left.n_seen[at] == seen, gone
        assert left.n_seen[1 - at] == fit.n_seen[1 - at] == 23
        assert bits(left)[1 - at] == bits(fit)[1 - at]
        others = np.setdiff1d(np.arange(30), [*gone, 4, 9, 29])
        if at == 0 and others.size:  # those that are left without entries are the mean again
            is_left = np.setdiff1d(np.arange(30), gone)
            expected = fit.row_factors.astype(float)
            expected[[4, 9, 29]] = expected[others].mean(axis=0)
            assert left.row_factors == pytest.approx(expected[is_left], rel=1e-6, abs=1e-9)
            assert np.array_equal(
                left.row_factors[~np.isin(is_left, [4, 9, 29])], fit.row_factors[others]
            )
    again = without(without(fit, side, [9, 1]), side, [0, 3])
    assert (again.n_seen[at], again.shape[at]) == (25, 26)


@pytest.mark.parametrize(("rows", "seen", "left"), [
    (np.ones((4, 1)), 2, 1),  # seen rows are the mean, too
    (np.arange(4.0)[:, None], 1, 0),  # rows without entries are not, since they were trained on
])  # fmt: skip
def test_so_many_at_most_were_seen(rows, seen, left, tmp_path):
    fit = made(rows, np.ones((3, 1)), n_seen=(seen, 3)).without_rows([0, 1, 3])
    assert fit.n_seen == (left, 3)
    fit.save(tmp_path / "model")
    assert funkc.load(tmp_path / "model").n_seen == (left, 3)


def test_training_continues_without_them(named):
    left = named.without_rows(["r003"]).without_cols([7])
    stranger = funkc.Ratings.from_arrays(["r004", "z"], [14, 7], [1.0, 2.0])
    assert left.partial_fit(None, stranger).shape == (40, 30)
    assert left.row_ids[-1] == "z"
    assert left.col_ids[-1] == 7
