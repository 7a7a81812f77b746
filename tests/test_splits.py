"""Splits of entries: which are held out, on every form of data."""

import itertools
import math

import hypothesis
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import funkc
from funkc import evaluation as ev


def problem(seed=0, m=30, n=20, share=0.5):
    """Rows and columns in random order, values that tell entries apart, and times with ties."""
    rng = np.random.default_rng(seed)
    mask = rng.random((m, n)) < share
    mask[-1, -1] = True
    rows, cols = np.nonzero(mask)
    order = rng.permutation(rows.size)
    rows, cols = rows[order], cols[order]
    return rows, cols, 1.0 + rows * n + cols, rng.integers(0, 40, rows.size)


def forms(rows, cols, values, times):
    """The same entries in every form: the data, the options that name its parts, and a function
    from positions to values."""
    m, n = rows.max() + 1, cols.max() + 1
    dense = np.full((m, n), np.nan)
    dense[rows, cols] = values
    mask = ~np.isnan(dense)
    csr = sp.csr_array((values, (rows, cols)), (m, n))
    csc, coo = csr.tocsc(), sp.coo_array((values, (rows, cols)), (m, n))
    frame = pd.DataFrame({"value": values, "user": rows, "item": cols, "when": times})
    ratings = funkc.Ratings.from_arrays(rows, cols, values, time=times)
    masked = np.ma.array(np.nan_to_num(dense), mask=~mask)
    named = {"row": "user", "col": "item", "value": "value"}
    by_row = dense[mask]
    return {
        "pair": (((rows, cols), values), {}, values),
        "ratings": (ratings, {}, ratings.values),
        "frame": (frame, named, values),
        "nan": (dense, {}, by_row),
        "wide frame": (pd.DataFrame(dense), {}, by_row),
        "mask": ((mask, np.nan_to_num(dense)), {}, by_row),
        "masked": (masked, {}, by_row),
        "csr": (csr, {}, csr.data),
        "csc": (csc, {}, csc.data),
        "coo": (coo, {}, coo.data),
    }  # fmt: skip


FORMS = list(forms(*problem()))
SPLITS = {
    "random": lambda data, **named: ev.split_random(data, 0.3, random_state=4, **named),
    "rows": lambda data, **named: ev.split_rows(data, 0.3, given=3, random_state=4, **named),
    "rows share": lambda data, **named: ev.split_rows(data, 0.3, given=0.4, **named),
    "cols": lambda data, **named: ev.split_cols(data, 0.3, given=2, random_state=4, **named),
    "one": lambda data, **named: ev.leave_one_out(data, random_state=4, **named),
    "fold": lambda data, **named: ev.k_fold(data, 3, random_state=4, **named)[1],
    "fold of rows": lambda data, **named: ev.k_fold(data, 3, by="rows", **named)[1],
    "fold of columns": lambda data, **named: ev.k_fold(data, 3, by="cols", **named)[1],
}


def values_of(data):
    return np.sort(data.values if isinstance(data, funkc.Ratings) else data[1])


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_entries(form, split):
    rows, cols, values, times = problem()
    data, named, in_order = forms(rows, cols, values, times)[form]
    made = split(data, **named)
    pair = split(((rows, cols), values))
    assert made.shape == (30, 20)
    for part in ("train", "test", "given"):
        places, wanted = getattr(made, part), getattr(pair, part)
        if wanted is None:
            assert places is None
            assert getattr(made, f"{part}_data") is None
            continue
        assert (np.diff(places) > 0).all()
        assert np.array_equal(np.sort(in_order[places]), np.sort(values[wanted]))
        assert np.array_equal(values_of(getattr(made, f"{part}_data")), np.sort(values[wanted]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", [{"test": 0.3}, {"last": 2}, {}], ids=str)
def test_times_on_every_form(form, how):
    rows, cols, values, times = problem()
    data, named, in_order = forms(rows, cols, values, times)[form]
    when = times if form in ("pair", "coo") else "when" if form == "frame" else None
    if form in ("nan", "wide frame", "mask", "masked"):
        when = np.zeros((30, 20), int)
        when[rows, cols] = times
    if form in ("csr", "csc"):
        table = np.zeros((30, 20), int)
        table[rows, cols] = times
        when = table[tuple(np.divmod(in_order - 1, 20)[i].astype(int) for i in (0, 1))]
    held = np.sort(in_order[ev.split_time(data, time=when, **how, **named).test])
    assert np.array_equal(held, np.sort(values[newest(rows, cols, times, **how)]))
    folds = ev.k_fold(data, 3, by="time", time=when, **named)
    period = np.sort(times)[rows.size * np.arange(1, 4) // 4]
    for fold, (low, high) in zip(folds, [*itertools.pairwise(period), (period[2], 99)],
                                 strict=True):  # fmt: skip
        wanted = values[(times >= low) & (times < high)]
        assert np.array_equal(np.sort(in_order[fold.test]), np.sort(wanted))
        assert np.array_equal(np.sort(in_order[fold.train]), np.sort(values[times < low]))


def newest(rows, cols, times, test=0.1, last=None):
    """Slow reference."""
    if last is None:
        sizes = {t: np.count_nonzero(times >= t) for t in np.unique(times)[1:]}
        first = min(sizes, key=lambda t: abs(sizes[t] - test * times.size))
        return times >= first
    held = np.zeros(rows.size, bool)
    for row in np.unique(rows):
        of_row = sorted(np.flatnonzero(rows == row), key=lambda at: (times[at], cols[at]))
        if len(of_row) > last:
            held[of_row[-last:]] = True
    return held


@given(st.integers(0, 2**63), st.floats(0.05, 0.95))
def test_factorize_trains_and_validates_on_the_parts(seed, share):
    rows, cols, values, _ = problem(seed % 7)
    split = ev.split_random(((rows, cols), values), share, random_state=seed)
    assert split.test.size == math.floor(share * rows.size + 0.5)
    two = funkc.factorize((rows, cols), values, 2, validation=split, random_state=seed, n_epochs=2)
    by_hand = funkc.factorize(*split.train_data, 2, validation=split.test_data, shape=split.shape,
                              random_state=seed, n_epochs=2)  # fmt: skip
    assert by_hand.validation_rmse == two.validation_rmse
    assert np.array_equal(by_hand.row_factors, two.row_factors)


def test_parts_of_parts_are_fair_samples():
    """By the same seed: neither empty nor taken from the same entries again and again."""
    rows, cols, values, _ = problem(3, 300, 200)
    whole = ev.split_random(((rows, cols), values), 0.2)
    part = ev.split_random(whole.train_data, 0.25)
    assert part.test.size == math.floor(0.25 * whole.train.size + 0.5)
    inner = ev.k_fold(whole.train_data, 4)
    assert len({fold.test.size for fold in inner}) <= 2
    held = funkc.factorize(*whole.train_data, 2, validation=0.25, n_epochs=2, shape=whole.shape)
    assert abs(held.parameters["n_entries"] / whole.train.size - 0.75) < 0.02
    cold = ev.split_rows(whole.train_data, 0.3, given=0.5)
    assert abs(cold.given.size / (cold.given.size + cold.test.size) - 0.5) < 0.02
    # Held out of the part are entries of all rows and columns, as often as there are any.
    (i, j), _ = part.test_data
    for lines, of_part in ((rows, i), (cols, j)):
        expected = np.bincount(lines) * (of_part.size / rows.size)
        spread = (np.bincount(of_part, minlength=expected.size) - expected) / np.sqrt(expected)
        assert 0.6 < spread.std() < 1.1


@given(st.integers(0, 2**63), st.integers(2, 6), st.sampled_from(["cells", "rows", "cols"]))
def test_folds_part_the_entries(seed, n, by):
    rows, cols, values, _ = problem(seed % 5, 40, 40)
    folds = ev.k_fold(((rows, cols), values), n, by=by, random_state=seed)
    assert np.array_equal(np.sort(np.concatenate([f.test for f in folds])), np.arange(rows.size))
    for fold in folds:
        assert not set(fold.test) & set(fold.train)
        assert fold.test.size + fold.train.size == rows.size
        if by != "cells":
            lines = {"rows": rows, "cols": cols}[by]
            assert not set(lines[fold.test]) & set(lines[fold.train])


@given(st.integers(0, 2**63), st.integers(0, 9), st.booleans())
def test_cold_rows_and_columns(seed, number, columns):
    rows, cols, values, _ = problem(seed % 5, 25, 25)
    rows[rows == 3], cols[cols == 3] = 2, 2  # a gap; entries that now are there twice are dropped
    rows, cols, values = (part[np.unique(rows * 25 + cols, return_index=True)[1]]
                          for part in (rows, cols, values))  # fmt: skip
    lines = cols if columns else rows
    counts = np.bincount(lines)
    made = ev.split_cols if columns else ev.split_rows
    hypothesis.assume(number < np.median(counts))  # or all that are drawn may be left out
    split = made(((rows, cols), values), 0.4, given=number, random_state=seed)
    out = set(range(25)) - set(lines[split.train])
    assert set(lines[split.test]) <= out
    assert set(lines[split.given]) <= out
    assert not set(split.given) & set(split.test)
    for line in out:
        given_here = np.count_nonzero(lines[split.given] == line)
        tested = np.count_nonzero(lines[split.test] == line)
        assert (given_here, tested) == (
            (number, counts[line] - number)
            if counts.size > line and counts[line] > number
            else (0, 0)
        )


@given(st.integers(0, 2**63))
def test_the_order_of_listing_leaves_no_trace(seed):
    rows, cols, values, times = problem(seed % 5)
    order = np.random.default_rng(seed).permutation(rows.size)
    for split in (
        lambda some: ev.split_random(((rows[some], cols[some]), values[some]), random_state=seed),
        lambda some: ev.leave_one_out(((rows[some], cols[some]), values[some]), random_state=seed),
        lambda some: ev.split_time(((rows[some], cols[some]), values[some]), last=1,
                                   time=times[some]),
    ):  # fmt: skip
        assert set(values[split(slice(None)).test]) == set(values[order][split(order).test])


def test_a_split_is_resumed(tmp_path):
    rows, cols, values, _ = problem()
    split, path = ev.split_random(((rows, cols), values), 0.3), tmp_path / "checkpoint"
    options = {"validation": split, "n_epochs": 6}
    whole = funkc.factorize((rows, cols), values, 2, **options)
    funkc.factorize((rows, cols), values, 2, checkpoint=path, callback=lambda n, _: n == 3,
                    **options)  # fmt: skip
    again = funkc.resume(path, (rows, cols), values, validation=split)
    assert np.array_equal(whole.row_factors, again.row_factors)
    assert whole.history["validation_rmse"] == again.history["validation_rmse"]


def test_each_row_is_drawn_alike():
    held = np.zeros(6)
    for seed in range(600):
        held[ev.leave_one_out(np.ones((1, 6)), random_state=seed).test] += 1
    assert abs(held - 100).max() < 40


def test_parts_of_frames_keep_times():
    frame = pd.DataFrame({"u": [2, 1, 1, 2], "i": [1, 1, 2, 2], "v": [1.0, 2, 3, 4],
                          "t": [4, 3, 2, 1]})  # fmt: skip
    split = ev.split_time(frame, 0.25, time="t", row="u", col="i", value="v")
    assert split.train_data.times.tolist() == [3, 2, 1]
    assert [fold.test.size for fold in ev.k_fold(split.train_data, 2, by="time")] == [1, 1]


def test_whole_rows_are_no_validation():
    split = ev.split_rows(np.add.outer(np.arange(9.0), np.arange(9.0)), 0.3)
    with pytest.raises(ValueError, match="validation: is a Split of whole rows or columns"):
        funkc.factorize(None, np.add.outer(np.arange(9.0), np.arange(9.0)), 1, validation=split)


def test_ratings_keep_ids_weights_and_times():
    ratings = funkc.Ratings.from_arrays(
        ["a", "b", "a", "b"], [1, 1, 2, 2], [1.0, 2, 3, 4], weight=[0, 1, 2, 3], time=[4, 3, 2, 1]
    )
    split = ev.split_time(ratings, last=1)
    assert split.test.tolist() == [0, 2]
    assert split.test_data.weights.tolist() == [0, 1]
    assert split.test_data.times.tolist() == [4, 3]
    assert split.train_data.row_ids.tolist() == ["a", "b"]
    fit = funkc.factorize(None, ratings, 1, validation=split)
    assert fit.parameters["n_entries"] == 2


def test_dates():
    pair = (([0, 0, 0], [0, 1, 2]), [1.0, 2, 3])
    big = 17 * 10**17
    ratings = funkc.Ratings.from_arrays([0], [0], [1.0], time=[big + 1])
    assert ratings.times.tolist() == [big + 1]
    for wrong in (["20200105", "2020-01-06", "2020-01-07"], ["today"] * 3, ["978300760"] * 3):
        with pytest.raises(ValueError, match="neither a number nor a date"):
            ev.split_time(pair, time=wrong)
    for when in (
        [big + 2, big + 3, big + 1],
        ["2020-01-02", "2020-01-03", "2020-01-01"],
        np.array(["2020-01-02", "2020-01-03", "2020-01-01"], "M8[ns]"),
        pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-01"]),
        [1.5, 2.5, -np.pi],
        np.array([1, 2, 0]) + 2**62,  # which float64 can't tell apart
    ):
        assert ev.split_time(pair, 0.34, time=when).test.tolist() == [1]


TWO = (([0, 1], [0, 1]), [1.0, 2.0])
RATINGS = funkc.Ratings.from_arrays([1, 2], [1, 1], [1.0, 2.0])
FRAME = pd.DataFrame({"u": [1, 2], "i": [1, 1], "v": [1.0, 2.0], "t": [1, 2]})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ev.split_random(TWO, 0), "test: got 0"),
        (lambda: ev.split_random(TWO, 1.5), "test: got 1.5; pass a share"),
        (lambda: ev.split_random((([0], [0]), [1.0])), "test: got test=0.1, which leaves none of"),
        (lambda: ev.split_random(TWO, "0.1"), "test"),
        (lambda: ev.split_random(None), "values"),
        (lambda: ev.split_random((([0, 0], [1, 1]), [1.0, 2.0])), "row 0, column 1"),
        (lambda: ev.split_random(FRAME, row="u"), "col: is not given, but others are"),
        (lambda: ev.split_random(FRAME, row="u", col="i", value="w"), "no column 'w'"),
        (lambda: ev.split_time(TWO), "time: is not given"),
        (lambda: ev.split_time(RATINGS), "to Ratings.from_arrays"),
        (lambda: ev.split_time(RATINGS, time=[1, 2]), "sorted: the order may differ"),
        (lambda: ev.split_time(TWO, time=[1, 2, 3]), r"time: has shape \(3,\)"),
        (lambda: ev.split_time(TWO, time=[1, np.nan]), r"time\[1\]"),
        (lambda: ev.split_time(TWO, time=["2020-01-01", "1998-02-30"]),
         r"time\[1\]: the time is '1998-02-30', neither a number nor a date"),
        (lambda: ev.split_time(FRAME, time="t"), "row: is not given, but time='t' names a column"),
        (lambda: ev.split_time(TWO, time=np.array(["2020", "NaT"], "M8[s]")), "NaT"),
        (lambda: ev.split_time(TWO, time=[1, 1]), "time: is the same for all 2"),
        (lambda: ev.split_time(TWO, 0.1, last=2, time=[1, 2]), "test: got 0.1 as well as last"),
        (lambda: ev.split_time(TWO, last=0, time=[1, 2]), "last: got 0"),
        (lambda: ev.split_time(TWO, last=1, time=[1, 2]), "last: got last=1, which leaves none"),
        (lambda: ev.leave_one_out(TWO), "data: has no row with two entries"),
        (lambda: ev.split_rows(TWO, 0.5, given=-1), "given: got -1"),
        (lambda: ev.split_rows(TWO, 0.5, given=1.0), "given: got 1.0"),
        (lambda: ev.split_rows(TWO, 0.5, given=9, random_state=1), "got given=9, test=0.5, which"),
        (lambda: ev.k_fold(TWO, 1), "n: got 1"),
        (lambda: ev.k_fold(TWO, 900), "n: got n=900, which leaves none"),
        (lambda: ev.k_fold(TWO, by="users"), "by: got 'users'"),
        (lambda: funkc.factorize(None, np.eye(3), 1, validation=ev.k_fold(TWO, 2)[0]),
         "validation: is a Split of other data"),
    ],
)  # fmt: skip
def test_errors(call, text):
    with pytest.raises((TypeError, ValueError), match=text):
        call()


def test_a_split_of_other_ids_is_refused():
    one = funkc.Ratings.from_arrays(["a", "b", "b"], [1, 1, 2], [1.0, 2.0, 3.0])
    other = funkc.Ratings.from_arrays(["a", "c", "c"], [1, 1, 2], [1.0, 2.0, 3.0])
    split = ev.split_random(one, 0.5, random_state=3)
    assert funkc.factorize(None, one, 1, validation=split).validation_rmse is not None
    with pytest.raises(ValueError, match="is a Split of other data"):
        funkc.factorize(None, other, 1, validation=split)


def test_rows_are_drawn_by_other_numbers_than_entries():
    column = np.arange(200.0)[:, None] + 1
    rows = ev.split_rows(column, 0.5, given=0)
    assert 20 < np.intersect1d(rows.test, ev.split_random(column, 0.5).test).size < 80
