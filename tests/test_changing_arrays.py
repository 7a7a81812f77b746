"""Arguments that change during a call, or that change the model: never a wild read or write, and
never an answer from two states of a model.

What another thread may do at any moment, here the conversion of a later argument does.
"""

import copy
import threading

import numpy as np
import pytest
import scipy.sparse
from fits import bits, everything, fitted, observed, rated

import funkc
from funkc._core import serve
from funkc._errors import CELLS_CHANGED, OK

SHAPE = M, N = 30, 20
WILD = (-(10**9), -1, 10**9, 2**31 - 1)
VALUES = np.arange(6) / 2


class Sudden:
    """An array whose conversion does something else before."""

    def __init__(self, array, act):
        self.array, self.act, self.shape = np.asarray(array), act, np.shape(array)

    def __array__(self, dtype=None, copy=None):
        self.act()
        return self.array

    def __len__(self):
        return len(self.array)


def calls(fit):
    """Of a victim and a later argument: every road on which an index is passed."""
    table = observed((M, N), 0.5)
    ones = np.ones(6)
    pair = np.arange(6)
    ratings = rated(n_rows=M, n_cols=N)
    return {
        "top, list": lambda v, later: fit.top([0, 1], 5, exclude=[v, later(pair)]),
        "top, pair": lambda v, later: fit.top(slice(9), 5, exclude=(v, later(pair))),
        "top, rows": lambda v, later: fit.top(v, 5, exclude=[later(pair)] * v.size),
        "predict": lambda v, later: fit.predict(v, later(pair)),
        "predict, mean": lambda v, later: fit.predict(v, later(pair), unknown="baseline"),
        "score": lambda v, later: fit.score((v, later(pair)), VALUES),
        "score, weights": lambda v, later: fit.score((v, pair), VALUES, later(ones)),
        "impute": lambda v, later: fit.impute((v, later(pair)), VALUES),
        "impute, matrix": lambda v, later: fit.impute((v, later(pair)), table),
        "fold_in_rows": lambda v, later: fit.fold_in_rows((pair, v), VALUES, weights=later(ones)),
        "fold_in_cols": lambda v, later: fit.fold_in_cols((v, later(pair)), VALUES),
        "fold in a matrix": lambda v, later: fit.fold_in_cols(
            (v, pair), VALUES, weights=later(np.ones((M, 6))), shape=(M, 6)
        ),
        "partial_fit": lambda v, later: copy.copy(fit).partial_fit((v, later(pair)), VALUES),
        "factorize": lambda v, later: fitted_to((v, later(pair)), VALUES, shape=(M, N)),
        "factorize, weights": lambda v, later: fitted_to((v, pair), VALUES, weights=later(ones)),
        "factorize, last": lambda v, later: fitted_to((v, later(pair)), VALUES, duplicates="last"),
        "factorize, matrix": lambda v, later: fitted_to((v, later(pair)), table),
        "validation": lambda v, later: fitted_to(
            None, table, validation=((v, later(pair)), VALUES)
        ),
        "init": lambda v, later: fitted_to((v, later(pair)), VALUES, k=3, init=fit),
        "COO": lambda v, later: fitted_to(None, coo(v, pair, later)),
        "exclude COO": lambda v, later: fit.top(later(pair), 3, exclude=coo(v, pair)),
        "cross_validate": lambda v, later: funkc.cross_validate(
            (v, later(pair)), VALUES, 1, cv=2, n_epochs=2
        ),
        "Ratings": lambda v, later: fit.top(
            later(pair), 3, exclude=np.zeros((M, N), bool)
        ) and fitted_to(None, changed(ratings, v)),
    }  # fmt: skip


def fitted_to(mask, values, k=1, **options):
    return funkc.factorize(mask, values, k, **({"n_epochs": 2, "n_threads": 2} | options))


def coo(rows, cols, later=np.asarray):
    array = scipy.sparse.coo_array((VALUES, (rows, cols)), shape=(M, N))
    array.coords = rows, cols  # the caller's own
    later(cols)
    return array


def changed(ratings, rows):
    new = copy.copy(ratings)
    object.__setattr__(new, "rows", rows)
    object.__setattr__(new, "cols", np.arange(rows.size))
    object.__setattr__(new, "values", VALUES)
    return new


FIT = fitted(observed((M, N), 0.5))
ROADS = calls(FIT)


@pytest.mark.parametrize("wild", WILD)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint32])
@pytest.mark.parametrize("road", ROADS)
def test_an_index_that_changes_after_it_was_checked(road, dtype, wild):
    victim = np.arange(6).astype(dtype)
    before = everything(FIT, observed((M, N)))

    def act():
        victim[3] = np.array(wild).astype(dtype)

    found = ""
    try:
        ROADS[road](victim, lambda array: Sudden(array, act))
    except (ValueError, IndexError, MemoryError) as error:
        found = str(error)
    assert not found or "; " in found  # with a remedy, so of our own
    assert everything(FIT, observed((M, N))) == before


def test_a_list_of_columns_that_changes_is_taken_as_it_was():
    victim = np.arange(6)
    wanted = FIT.top([0, 1], 4, exclude=[victim.copy(), [7]])
    got = FIT.top([0, 1], 4, exclude=[victim, Sudden([7], lambda: victim.fill(10**9))])
    assert [part.tobytes() for part in got] == [part.tobytes() for part in wanted]


def test_threads_that_write_to_an_index():
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, M, 4000), rng.integers(0, N, 4000)
    stop, told = threading.Event(), []

    def write():
        while not stop.is_set():
            rows[::7] = 10**12
            rows[::7] = 3

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            for call in (
                lambda: FIT.predict(rows, cols),
                lambda: FIT.top(slice(9), 3, exclude=(rows, cols)),
                lambda: FIT.impute((rows, cols), np.ones(4000), duplicates="last"),
                lambda: FIT.fold_in_cols((rows, np.arange(4000)), np.ones(4000)),
            ):
                try:
                    call()
                except (ValueError, IndexError) as error:
                    told.append(str(error))
    finally:
        stop.set()
        writer.join()
    assert all("; " in text for text in told)  # with a remedy, so of our own


# ---------------------------------------------------------------- the core looks where it reads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("at", [-1, 5, 2**40, -(2**40)])
def test_the_core_predicts_no_entry_outside(at, dtype):
    x, y = np.ones((5, 16), dtype), np.ones((4, 16), dtype)
    for rows, cols in (([0, at, 0], [1, 1, 1]), ([1, 1, 1], [0, at, 0])):
        out = np.zeros(3, dtype)
        indices = np.array(rows), np.array(cols)
        assert serve.predict(x, y, *indices, out, 0.0, 1) == CELLS_CHANGED
    assert serve.predict(x, y, np.array([4]), np.array([3]), out[:1], 0.0, 1) == OK
    assert out[0] == 16


@pytest.mark.parametrize("hidden", [[700, 3, 900], [-5, 2, 5000], [2**40] * 3])
def test_columns_out_of_order_hide_nothing_else(hidden):
    x = np.ones((1, 16), np.float32)
    y = np.arange(1000, dtype=np.float32)[:, None] * np.ones(16, np.float32)
    cols, scores = np.empty((1, 4), np.int64), np.empty((1, 4), np.float32)
    begins = np.array([0, 3])
    assert serve.best(x, y, 0.0, begins, np.array(hidden), cols, scores, 1) == OK
    assert set(range(995, 1000)) >= set(cols[0].tolist())


def test_the_core_compares_the_shapes_of_a_product():
    x, y, out = np.ones((3, 16)), np.ones((4, 16)), np.zeros((3, 4))
    assert serve.product(x, y, out, 0.0, 2)
    assert (out == 16).all()
    for a, b, c in ((x, y, out[:2]), (x, y, np.zeros((3, 5))), (x, np.ones((4, 32)), out)):
        assert not serve.product(a, b, c, 0.0, 2)


class Boaster(np.ndarray):
    """An array that says another shape than it has."""

    shape = (M, N)


@pytest.mark.parametrize("size", [(1, 1), (M, N - 1), (M - 1, N)])
def test_an_output_is_taken_by_what_it_is(size):
    boaster = np.zeros(size, np.float32).view(Boaster)
    assert boaster.shape == (M, N)
    for call in (
        lambda: FIT.reconstruct(out=boaster),
        lambda: FIT.impute(None, observed((M, N)).astype(np.float32), out=boaster),
    ):
        with pytest.raises(ValueError, match=r"^out: has shape"):
            call()
    fine = np.zeros((M, N), np.float32).view(Boaster)
    assert FIT.reconstruct(out=fine) is fine
    assert np.asarray(fine).tobytes() == FIT.reconstruct().tobytes()


# ---------------------------------------------------------------- a model that is trained meanwhile

MORE = (np.array([M, M + 3, 2]), np.array([N, 1, N + 4]))


def readers(fit):
    """Of a later argument: every method that reads, of one that trains the model meanwhile."""
    ones, table = np.ones(3), observed((M, N), 0.5)
    few = np.arange(3)
    return {
        "predict": lambda later: fit.predict(few, later(few)),
        "predict a block": lambda later: fit.predict(slice(None), later(few)),
        "score": lambda later: fit.score((few, later(few)), ones),
        "reconstruct": lambda later: fit.reconstruct(later(few)),
        "impute": lambda later: fit.impute(None, later(table)),
        "impute a list": lambda later: fit.impute((few, later(few)), ones),
        "fold_in_rows": lambda later: fit.fold_in_rows((few, few), ones, weights=later(ones)),
        "fold_in_cols": lambda later: fit.fold_in_cols((few, few), ones, weights=later(ones)),
        "top": lambda later: fit.top(few, 4, exclude=(few, later(few))),
        "similar_rows": lambda later: fit.similar_rows(later(few), 4),
        "similar_cols": lambda later: fit.similar_cols(later(few), 4),
        "init": lambda later: fitted_to((few, later(few)), ones, fit.k, init=fit, shape=SHAPE),
    }


def answer(found):
    if isinstance(found, funkc.Factorization):
        return bits(found)
    return [
        np.asarray(part).tobytes() for part in (found if isinstance(found, tuple) else (found,))
    ]


@pytest.mark.parametrize("k", [1, 3, 16])
@pytest.mark.parametrize("name", readers(FIT))
def test_a_method_answers_from_one_state(name, k):
    fit = fitted(observed((M, N), 0.5), k)
    wanted = answer(readers(fit)[name](np.asarray))

    def train():
        fit.partial_fit(MORE, np.ones(3))

    assert answer(readers(fit)[name](lambda array: Sudden(array, train))) == wanted
    assert fit.shape == (M + 4, N + 5)


def test_reading_while_another_thread_trains():
    table = observed((M, N), 0.5)
    fit = fitted(table)
    states, wrong = [fit.reconstruct()], []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            whole, (m, n) = fit.reconstruct(), fit.shape
            part = fit.predict(slice(M), slice(N))
            found = fit.top(slice(None), 3)[0]
            if whole.shape not in {(M + i, N + i) for i in range(9)} or m - M != n - N:
                wrong.append((whole.shape, m, n))
            seen.append((whole, part, found.shape))

    seen = []
    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for nth in range(8):
        fit.partial_fit(([M + nth, 2], [N + nth, 1]), [1.0, 2.0], n_epochs=1)
        states.append(fit.reconstruct())
    stop.set()
    for thread in threads:
        thread.join()
    known = {state.tobytes() for state in states}
    assert not wrong
    assert seen
    assert all(whole.tobytes() in known for whole, _, _ in seen)
