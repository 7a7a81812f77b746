"""Masked cross-validation: folds, errors, choice, threads, Ctrl-C, table and plot."""

import io
import math
import sys
import threading
import warnings

import numpy as np
import pytest
from ctrl_c import interrupted
from draws import fold_of
from hypothesis import given, settings
from hypothesis import strategies as st

import funkc
from funkc import evaluation
from funkc._input import scalars
from funkc._scores import Score


def ratings(seed=0, shape=(40, 30), share=0.5):
    """Places and values of a noisy matrix of rank two."""
    rng = np.random.default_rng(seed)
    matrix = 3 + rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    rows, cols = np.nonzero(rng.random(shape) < share)
    return rows, cols, (matrix + rng.normal(size=shape) / 4)[rows, cols]


def same_scores(a, b):
    return [row["fold_rmse"] for row in a.table] == [row["fold_rmse"] for row in b.table]


def same_fit(a, b):
    return np.array_equal(a.row_factors, b.row_factors) and np.array_equal(
        a.col_factors, b.col_factors
    )


# ---------------------------------------------------------------- folds


@settings(deadline=None)
@given(seed=st.integers(0, 2**64 - 1), folds=st.integers(2, 12), data=st.data())
def test_a_fold_follows_from_place_and_seed_alone(seed, folds, data):
    rng = np.random.default_rng(seed)
    shape = (60, 50)
    places = np.flatnonzero(rng.random(3000) < 0.5)
    rows, cols = np.divmod(places, 50)
    fold = fold_of(rows, cols, shape, folds, seed)
    expected = len(places) / folds
    assert np.abs(np.bincount(fold, minlength=folds) - expected).max() < 7 * math.sqrt(expected)
    order = rng.permutation(len(places))
    assert np.array_equal(fold_of(rows[order], cols[order], shape, folds, seed), fold[order])
    some = rng.random(len(places)) < data.draw(st.sampled_from([0.3, 0.9]))
    assert np.array_equal(fold_of(rows[some], cols[some], shape, folds, seed), fold[some])


def splitmix(seed, counter):
    """An independent reading of the published generator."""
    word = 2**64 - 1

    def mixed(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & word
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & word
        return z ^ (z >> 31)

    own = mixed((mixed(seed) + 8 * 0x9E3779B97F4A7C15) & word)  # the seventh stream
    return mixed((own + (counter + 1) * 0x9E3779B97F4A7C15) & word)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_folds_are_these_for_ever(index, seed):
    rows, cols = np.divmod(np.arange(12 * 9, dtype=index), 9)
    wanted = [(splitmix(seed, int(cell)) >> 32) * 3 >> 32 for cell in range(12 * 9)]
    assert fold_of(rows, cols, (12, 9), 3, seed).tolist() == wanted


def test_other_seeds_give_other_folds():
    rows, cols = np.divmod(np.arange(3000), 50)
    folds = [fold_of(rows, cols, (60, 50), 4, seed) for seed in (0, 1)]
    assert abs(np.mean(folds[0] == folds[1]) - 1 / 4) < 0.05


# ---------------------------------------------------------------- errors of the folds


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", [0, 5])
def test_every_error_is_that_of_a_fit_that_never_saw_the_fold(dtype, seed):
    rows, cols, values = ratings(seed)
    result = funkc.cross_validate(
        (rows, cols), values, [1, 3], [0.02, (0.3, 0.1)], biases=[False, True], n_epochs=6,
        cv=4, shape=(40, 30), random_state=seed, dtype=dtype, refit=False,
    )  # fmt: skip
    fold = fold_of(rows, cols, (40, 30), 4, seed)
    table = iter(result.table)
    for k in (1, 3):
        for regularization in (0.02, (0.3, 0.1)):
            for biases in (False, True):
                row = next(table)
                assert (row["k"], row["regularization"], row["biases"]) == (
                    k, regularization, biases,
                )  # fmt: skip
                for nth in range(4):
                    held = fold == nth
                    fit = funkc.factorize(
                        (rows[~held], cols[~held]), values[~held], k, biases=biases, n_epochs=6,
                        regularization=regularization, shape=(40, 30), random_state=seed,
                        dtype=dtype,
                    )  # fmt: skip
                    missed = fit.predict(rows[held], cols[held]).astype(np.float64) - values[held]
                    assert row["fold_rmse"][nth] == pytest.approx(
                        math.sqrt(np.mean(missed**2)), rel=1e-6 if dtype == np.float32 else 1e-13
                    )
                errors = np.array(row["fold_rmse"])
                assert row["rmse"] == pytest.approx(errors.mean(), rel=1e-14)
                assert row["rmse_standard_error"] == pytest.approx(
                    errors.std(ddof=1) / 2, rel=1e-12
                )
    assert next(table, None) is None
    assert result.fit is None


def test_the_best_is_the_lowest_mean_and_is_trained_on_all_cells():
    rows, cols, values = ratings(shape=(150, 90))
    result = funkc.cross_validate((rows, cols), values, range(1, 6), n_epochs=[2, 40], cv=3)
    best = min(result.table, key=lambda row: row["rmse"])
    assert result.best_score == best["rmse"]
    assert result.best_parameters == {"k": best["k"], "n_epochs": best["n_epochs"]}
    assert result.best_parameters == {"k": 2, "n_epochs": 40}
    fit = funkc.factorize((rows, cols), values, **result.best_parameters)
    assert same_fit(result.fit, fit)
    assert result.fit.history["train_rmse"] == fit.history["train_rmse"]


def test_the_last_epoch_is_scored_not_the_best():
    """Without regularization it overfits, and the table must say so."""
    rows, cols, values = ratings(shape=(150, 90), share=0.2)
    options = dict(regularization=0.0, learning_rate=0.05, n_epochs=200, biases=False)
    result = funkc.cross_validate((rows, cols), values, 8, cv=3, **options)
    held = fold_of(rows, cols, (150, 90), 3) == 0
    fit = funkc.factorize(
        (rows[~held], cols[~held]), values[~held], 8, patience=200, shape=(150, 90),
        validation=((rows[held], cols[held]), values[held]), **options,
    )  # fmt: skip
    told = fit.history["validation_rmse"]
    assert result.table[0]["fold_rmse"][0] == pytest.approx(told[-1], rel=1e-6)
    assert told[-1] > 1.1 * min(told)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_leave_no_trace(n_threads, monkeypatch):
    monkeypatch.setattr(scalars, "MOST_THREADS", 8)
    rows, cols, values = ratings(shape=(150, 90))
    runs = [
        funkc.cross_validate((rows, cols), values, [2, 5], cv=3, n_threads=n)
        for n in (1, n_threads)
    ]
    assert same_scores(*runs)
    assert same_fit(runs[0].fit, runs[1].fit)
    assert runs[0].best_parameters == runs[1].best_parameters


def test_as_many_fits_run_at_once_as_there_are_threads(monkeypatch):
    monkeypatch.setattr(scalars, "MOST_THREADS", 8)
    met = threading.Barrier(4, timeout=60)
    threads = []

    def train(cells, options, *, between_spans):
        met.wait()
        threads.append(options.n_threads)
        raise funkc.DivergedError(1, 1.0)

    monkeypatch.setattr("funkc._train.train", train)
    rows, cols, values = ratings()
    with pytest.raises(funkc.DivergedError):
        funkc.cross_validate((rows, cols), values, [1, 2], cv=2, n_threads=8)
    assert threads == [2, 2, 2, 2]


def test_order_and_form_leave_no_trace():
    rows, cols, values = ratings()
    shape = (rows.max() + 1, cols.max() + 1)
    table = np.full(shape, np.nan)
    table[rows, cols] = values
    order = np.random.default_rng(1).permutation(len(rows))
    weights = np.random.default_rng(2).random(len(rows))
    plain = funkc.cross_validate((rows, cols), values, [1, 2])
    shuffled = funkc.cross_validate((rows[order], cols[order]), values[order], [1, 2])
    assert same_scores(plain, shuffled)
    assert same_fit(plain.fit, shuffled.fit)
    assert same_scores(plain, funkc.cross_validate(None, table, [1, 2]))
    weighed = funkc.cross_validate((rows, cols), values, [1, 2], weights=weights)
    assert not same_scores(plain, weighed)
    assert same_scores(
        weighed,
        funkc.cross_validate(
            (rows[order], cols[order]), values[order], [1, 2], weights=weights[order]
        ),
    )


def test_a_generator_seeds_folds_and_fits_once():
    rows, cols, values = ratings()
    drawn = funkc.cross_validate(
        (rows, cols), values, [1, 2], random_state=np.random.default_rng(3)
    )
    seed = int(np.random.default_rng(3).integers(0, 2**64, dtype=np.uint64))
    plain = funkc.cross_validate((rows, cols), values, [1, 2], random_state=seed)
    assert same_scores(drawn, plain)
    assert same_fit(drawn.fit, plain.fit)


# ---------------------------------------------------------------- what a list is


def test_lists_ranges_and_arrays_are_axes_the_last_changing_fastest():
    rows, cols, values = ratings()
    result = funkc.cross_validate(
        (rows, cols), values, range(1, 3), [None, 0.1, (0.1, 0.2)],
        learning_rate=np.array([0.01, 0.02]), n_epochs=2, cv=2, refit=False,
    )  # fmt: skip
    names = ("k", "regularization", "learning_rate")
    assert [tuple(row[name] for name in names) for row in result.table] == [
        (k, regularization, rate)
        for k in (1, 2)
        for regularization in (None, 0.1, (0.1, 0.2))
        for rate in (0.01, 0.02)
    ]
    assert list(result.table[0]) == [*names, "rmse", "rmse_standard_error", "fold_rmse", "seconds"]
    assert {type(row["learning_rate"]) for row in result.table} == {float}


def test_a_tuple_is_a_pair_and_one_value_no_column():
    rows, cols, values = ratings()
    pair = funkc.cross_validate((rows, cols), values, np.int64(2), (0.5, 0.01), n_epochs=4)
    listed = funkc.cross_validate((rows, cols), values, [2], [(0.5, 0.01)], n_epochs=[4])
    swapped = funkc.cross_validate((rows, cols), values, 2, (0.01, 0.5), n_epochs=4)
    assert same_scores(pair, listed)
    assert not same_scores(pair, swapped)
    assert pair.best_parameters == {"k": 2}
    assert type(pair.best_parameters["k"]) is int
    assert listed.best_parameters == {"k": 2, "regularization": (0.5, 0.01), "n_epochs": 4}


def test_every_option_of_training_may_be_a_list():
    rows, cols, values = ratings()
    axes = dict(
        biases=[True, False], nonnegative=[False, True], offset=["auto", 0], group_size=[8, 1],
        decay=["linear", "constant"],
    )  # fmt: skip
    result = funkc.cross_validate((rows, cols), values, 1, n_epochs=2, cv=2, **axes)
    assert len(result.table) == 32
    assert len({tuple(row["fold_rmse"]) for row in result.table}) > 16
    fixed = {name: axis[1] for name, axis in axes.items()}
    alone = funkc.cross_validate((rows, cols), values, 1, n_epochs=2, cv=2, **fixed)
    assert alone.table[0]["fold_rmse"] == result.table[-1]["fold_rmse"]


def test_the_callback_hears_of_every_fit():
    rows, cols, values = ratings()
    heard = []
    funkc.cross_validate(
        (rows, cols), values, [1, 2], cv=3, callback=lambda *numbers: heard.append(numbers)
    )
    assert heard == sorted(set(heard))
    assert heard[-1] == (6, 6)
    assert {total for _, total in heard} == {6}


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(k=[]), ValueError, r"^k: is empty; pass at least one value$"),
        (dict(k=[1, 0]), ValueError, r"^k\[1\]: got 0; pass an integer from 1 to 65,536"),
        (dict(k=[1, 2.5]), TypeError, r"^k\[1\]: got 2\.5 of type float"),
        (dict(k=[1, [2]]), TypeError, r"^k\[1\]: got \[2\] of type list"),
        (dict(k=(1, 2)), TypeError, r"^k: got \(1, 2\) of type tuple"),
        (dict(k=np.ones((2, 2), int)), TypeError, r"^k\[0\]: got \[1, 1\] of type list"),
        (dict(regularization=[0.1, -1]), ValueError, r"^regularization\[1\]: got -1\.0"),
        (dict(regularization=[(0.1, -1)]), ValueError, r"^regularization\[0\]\[1\]: got -1\.0"),
        (dict(regularization=(0.1, -1)), ValueError, r"^regularization\[1\]: got -1\.0"),
        (dict(learning_rate=[0.1, "a"]), TypeError, r"^learning_rate\[1\]: got 'a' of type str"),
        (dict(learning_rate=np.array([0.1, np.nan])), ValueError, r"^learning_rate\[1\]: got nan"),
        (dict(n_epochs=range(2)), ValueError, r"^n_epochs\[0\]: got 0"),
        (dict(biases=[True, 1]), TypeError, r"^biases\[1\]: got 1; pass True or False"),
        (dict(offset=["auto", "mean"]), ValueError, r"^offset\[1\]: got 'mean'"),
        (dict(decay=["cosine"]), ValueError, r"^decay\[0\]: got 'cosine'"),
        (dict(group_size=[8, 2]), ValueError, r"^group_size\[1\]: got 2"),
        (dict(cv=1), ValueError, r"^cv: got 1; pass an integer from 2 to 1,000"),
        (dict(cv=2.0), TypeError, r"^cv: got 2\.0"),
        (dict(cv=400), ValueError, r"^cv: got 400, and none of \d+ observed entries falls "),
        (dict(refit=1), TypeError, r"^refit: got 1"),
        (dict(callback=1), TypeError, r"^callback: got 1.*function of \(done, total\)"),
        (dict(n_threads=0), ValueError, r"^n_threads: got 0"),
        (dict(random_state=-1), ValueError, r"^random_state: got -1"),
        (dict(dtype=np.int32), TypeError, r"^dtype: got int32"),
    ],
)
def test_bad_arguments_are_named_with_their_position(change, error, message):
    rows, cols, values = ratings()
    with pytest.raises(error, match=message):
        funkc.cross_validate((rows, cols), values, **{"k": 1, **change})


@pytest.mark.parametrize("seed", range(6))
def test_every_fold_needs_a_cell(seed):
    empty = 1 - fold_of([0] * 50, range(50), (1, 50), 2, seed)[49]
    with pytest.raises(
        ValueError, match=f"cv: got 2, .* 1 observed entries falls into fold {empty}"
    ):
        funkc.cross_validate(([0], [49]), [1.0], 1, cv=2, random_state=seed)


def test_what_a_fit_refuses_comes_out():
    rows, cols, values = ratings()
    twice = np.append(rows, rows[0]), np.append(cols, cols[0])
    with pytest.raises(ValueError, match=f"mask: row {rows[0]}, column {cols[0]} is listed more"):
        funkc.cross_validate(twice, np.append(values, 1.0), [1, 2])
    with pytest.raises(ValueError, match="nonnegative: the values have a mean of -"):
        funkc.cross_validate((rows, cols), -values, [1, 2], nonnegative=[False, True])


def test_an_exception_in_the_callback_ends_the_search():
    rows, cols, values = ratings()

    def fail(done, total):
        raise LookupError(f"{total} fits")

    with pytest.raises(LookupError, match="25 fits"):
        funkc.cross_validate((rows, cols), values, range(1, 6), callback=fail)
    assert not [t for t in threading.enumerate() if t.name.startswith("funkc")]


def test_a_combination_that_diverges_is_said_and_not_chosen():
    rows, cols, values = ratings()
    result = funkc.cross_validate((rows, cols), values, 2, learning_rate=[1e9, 0.02], cv=3)
    bad, good = result.table
    assert bad["fold_rmse"] == [math.inf] * 3
    assert bad["rmse"] == math.inf
    assert math.isnan(bad["rmse_standard_error"])
    assert result.best_parameters == {"k": 2, "learning_rate": 0.02}
    assert result.best_score == good["rmse"] < 2
    lines = str(result).splitlines()
    assert lines[1].endswith("diverged in 3 of 3 folds")
    assert lines[2].endswith("best")


def test_an_infinite_error_counts_as_divergence(monkeypatch):
    rows, cols, values = ratings()
    monkeypatch.setattr("funkc._scores.Predicted._rmse", lambda _: Score(math.inf, math.nan))
    with pytest.raises(funkc.DivergedError, match="epoch 2 "):
        funkc.cross_validate((rows, cols), values, 2, n_epochs=2)


def test_nothing_but_divergence_is_an_error():
    rows, cols, values = ratings()
    with pytest.raises(funkc.DivergedError, match=r"at a learning rate of 9.77e\+05"):
        funkc.cross_validate((rows, cols), values, [1, 2], learning_rate=1e9)


# ---------------------------------------------------------------- scores, splits, draws


SCORING = ["mae", "rmse", "ndcg", "coverage"]


def by_fold(split, k, scoring, **options):
    """The scores of a fit to one split, and on what trained it."""
    fit = funkc.factorize(*split.train_data, k, shape=split.shape, **options)
    held = {"train": split.train_data, "scoring": scoring}
    own = evaluation.evaluate(fit, split.train_data, scoring=scoring[:3])
    return evaluation.evaluate(fit, split.test_data, **held), own


@pytest.mark.parametrize("how", ["number", "splits", "pairs", "marks", "scikit-learn"])
def test_several_scores_of_several_kinds_of_folds(how):
    rows, cols, values = ratings()
    data = (rows, cols), values
    splits = evaluation.k_fold(data, 3)
    if how == "number":
        fold, every = fold_of(rows, cols, (40, 30), 3), np.arange(rows.size)
        splits = [evaluation.Split(every[fold != nth], every[fold == nth], None, splits[0]._entries)
                  for nth in range(3)]  # fmt: skip
    cv = {"number": 3, "splits": splits, "pairs": [(s.train, s.test) for s in splits]}.get(how)
    if how == "marks":
        cv = [tuple(np.isin(np.arange(rows.size), part) for part in split) for split in splits]
    if how == "scikit-learn":
        cv = pytest.importorskip("sklearn.model_selection").KFold(3)
        every = np.arange(rows.size)
        splits = [evaluation.Split(train, test, None, splits[0]._entries)
                  for train, test in cv.split(every)]  # fmt: skip
    result = funkc.cross_validate(*data, [1, 2], cv=cv, scoring=SCORING, n_epochs=9, refit=False)
    assert result.scoring == SCORING
    for k, row in zip([1, 2], result.table, strict=True):
        judged = [by_fold(split, k, SCORING, n_epochs=9) for split in splits]
        for name in SCORING:
            found = np.array([held[name] for held, _ in judged])
            assert row[f"fold_{name}"] == pytest.approx(found, rel=1e-12)
            assert row[name] == pytest.approx(found.mean(), rel=1e-12)
            error = found.std(ddof=1) / math.sqrt(3)
            assert row[f"{name}_standard_error"] == pytest.approx(error, rel=1e-9)
            assert (f"train_{name}" in row) == (name != "coverage")
        for name in SCORING[:3]:
            own = np.mean([own[name] for _, own in judged])
            assert row[f"train_{name}"] == pytest.approx(own, rel=1e-12)
    best = min(result.table, key=lambda row: row["mae"])
    assert result.best_parameters == {"k": best["k"]}


def test_a_score_that_is_better_when_higher_chooses_the_highest():
    rows, cols, values = ratings(shape=(150, 90))
    result = funkc.cross_validate(
        (rows, cols), values, [1, 2], n_epochs=[1, 30], cv=3, scoring=["r2", "rmse"]
    )
    best = max(result.table, key=lambda row: row["r2"])
    assert result.best_parameters == {"k": best["k"], "n_epochs": best["n_epochs"]}
    assert result.best_score == best["r2"]
    assert "best" in str(result).splitlines()[1 + result.table.index(best)]
    bad = funkc.cross_validate((rows, cols), values, 1, learning_rate=[0.01, 1e9], scoring="r2")
    assert bad.best_parameters["learning_rate"] == 0.01
    assert bad.table[1]["r2"] == -math.inf


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_new_rows_of_a_split_are_folded_in(columns, weighted):
    rows, cols, values = ratings(shape=(150, 90))
    data = (rows, cols), values
    weights = np.random.default_rng(0).random(values.size) + 0.1 if weighted else None
    split = (evaluation.split_cols if columns else evaluation.split_rows)(data, 0.3, given=6)
    scoring = ["rmse", "recall", "popularity"]
    result = funkc.cross_validate(*data, 2, cv=[split], scoring=scoring, weights=weights)

    def part(chosen):
        return None if weights is None else weights[chosen]

    fit = funkc.factorize(
        *split.train_data, 2, shape=split.shape, weights=part(split.train), dtype=np.float32
    )
    fold_in = fit.fold_in_cols if columns else fit.fold_in_rows
    new = fold_in(*split.given_data, shape=split.shape, weights=part(split.given))
    arrays = {"row_factors": fit.row_factors, "row_bias": fit.row_bias,
              "col_factors": fit.col_factors, "col_bias": fit.col_bias}  # fmt: skip
    cold = np.unique((cols if columns else rows)[split.given])
    for name in ("col_factors", "col_bias") if columns else ("row_factors", "row_bias"):
        arrays[name] = arrays[name].copy()
        arrays[name][cold] = getattr(new, name)[cold]
    whole = funkc.Factorization.from_factors(**arrays, offset=fit.offset)
    both = np.concatenate([split.train, split.given])
    seen = (rows[both], cols[both]), values[both]
    told = evaluation.evaluate(whole, split.test_data, train=seen, scoring=scoring)
    for name in scoring:
        assert result.table[0][f"fold_{name}"] == pytest.approx([told[name]], rel=1e-6)
    assert math.isnan(result.table[0]["rmse_standard_error"])
    popular = next(line for line in result.baselines if line["baseline"] == "popularity")
    counts = np.bincount(cols[both], minlength=90)
    best = evaluation.evaluate(
        np.array([sorted(set(range(90)) - set(cols[both][rows[both] == row]),
                         key=lambda col: (-counts[col], col))[:10] for row in range(150)]),
        split.test_data, train=seen, scoring="recall",
    )  # fmt: skip
    assert popular["recall"] == pytest.approx(best["recall"], rel=1e-9)


def test_rows_of_which_nothing_is_given_are_the_mean_row():
    rows, cols, values = ratings()
    split = evaluation.split_rows(((rows, cols), values), 0.3, given=0)
    result = funkc.cross_validate((rows, cols), values, 1, cv=[split])
    fit = funkc.factorize(*split.train_data, 1, shape=split.shape)
    found = evaluation.evaluate(fit, split.test_data)["rmse"]
    assert result.best_score == pytest.approx(found, rel=1e-12)


def test_baselines_of_a_huber_loss_are_measured_alike():
    rows, cols, values = ratings(shape=(150, 90))
    for delta in (None, 0.3):
        result = funkc.cross_validate(
            (rows, cols), values, 2, loss="huber", huber_delta=delta, cv=3
        )
        told = {line["baseline"]: line["loss"] for line in result.baselines}
        assert told["biases"] == pytest.approx(told["mean"], rel=0.1)
        assert result.best_score < told["mean"] < 40 * result.best_score


def test_scores_that_are_not_defined_are_no_divergence():
    with pytest.raises(ValueError, match="scoring: 'r2' is not defined in fold"):
        funkc.cross_validate(None, np.ones((20, 20)), 1, cv=3, scoring="r2")


@pytest.mark.filterwarnings("ignore::funkc.OutlierWarning")
def test_a_baseline_without_a_score_does_not_end_the_search():
    rng = np.random.default_rng(0)
    counts = np.outer(np.logspace(-2, 2, 40), np.logspace(-1, 1, 30))
    counts *= rng.uniform(0.9, 1.1, counts.shape)
    result = funkc.cross_validate(
        None, counts, 1, scoring=["rmse", "poisson"], cv=3, nonnegative=True, biases=False,
        offset=0.0,
    )  # fmt: skip
    told = {line["baseline"]: line for line in result.baselines}
    assert "poisson" in told["mean"]
    assert "poisson" not in told["biases"]


def test_folds_by_time_train_on_the_past_alone():
    rows, cols, values = ratings()
    when = np.random.default_rng(0).integers(0, 1000, rows.size)
    folds = evaluation.k_fold(((rows, cols), values), 3, by="time", time=when)
    for fold in folds:
        assert when[fold.train].max() < when[fold.test].min()
    result = funkc.cross_validate((rows, cols), values, 2, cv=folds, n_epochs=9)
    wanted = [by_fold(fold, 2, ["rmse"], n_epochs=9)[0]["rmse"] for fold in folds]
    assert result.table[0]["fold_rmse"] == pytest.approx(wanted, rel=1e-12)


def test_random_search_draws_combinations():
    stats = pytest.importorskip("scipy.stats")
    rows, cols, values = ratings()

    def search(**options):
        return funkc.cross_validate(
            (rows, cols), values, stats.randint(1, 5), stats.loguniform(1e-3, 1), n_epochs=[2, 3],
            cv=2, refit=False, **options,
        )  # fmt: skip

    one, two, other = search(n_iter=8), search(n_iter=8), search(n_iter=8, random_state=1)
    drawn = [(row["k"], row["regularization"], row["n_epochs"]) for row in one.table]
    assert len(set(drawn)) == 8
    assert {k for k, _, _ in drawn} <= {1, 2, 3, 4}
    assert all(1e-3 <= regularization <= 1 for _, regularization, _ in drawn)
    assert {n for _, _, n in drawn} == {2, 3}
    assert same_scores(one, two)
    assert drawn != [(row["k"], row["regularization"], row["n_epochs"]) for row in other.table]
    by_list = funkc.cross_validate(
        (rows, cols), values, [1, 2, 3], [0.1, 0.2], n_epochs=2, cv=2, n_iter=4, refit=False
    )
    pairs = [(row["k"], row["regularization"]) for row in by_list.table]
    assert len(set(pairs)) == len(pairs) == 4
    everything = funkc.cross_validate(
        (rows, cols), values, [1, 2], n_epochs=2, cv=2, n_iter=50, refit=False
    )
    assert sorted(row["k"] for row in everything.table) == [1, 2]


def test_baselines_stand_in_the_same_table():
    rows, cols, values = ratings()
    splits = evaluation.k_fold(((rows, cols), values), 3)
    result = funkc.cross_validate((rows, cols), values, 2, cv=splits, scoring=["rmse", "recall"])
    told = {line["baseline"]: line for line in result.baselines}
    assert list(told) == ["mean", "biases", "popularity"]
    for name, scores in (("mean", ["rmse"]), ("biases", ["rmse", "recall"]),
                         ("popularity", ["recall"])):  # fmt: skip
        for score in scores:
            wanted = []
            for split in splits:
                # Of all rows and columns, as in the search.
                fit = evaluation.baselines(split.train_data)[name]
                assert fit.shape == split.shape
                wanted.append(evaluation.evaluate(fit, split.test_data, train=split.train_data,
                                                  scoring=score)[score])  # fmt: skip
            assert told[name][f"fold_{score}"] == pytest.approx(wanted, rel=1e-6)
        assert set(scores) == {"rmse", "recall"} & told[name].keys()
    lines = str(result).splitlines()
    assert [line.split()[-1] for line in lines[-3:]] == ["mean", "biases", "popularity"]
    frame = result.to_pandas()
    assert frame["baseline"].tolist()[1:] == ["mean", "biases", "popularity"]
    counts = funkc.cross_validate(
        (rows, cols), np.round(np.abs(values)), 2, cv=3, loss="poisson", n_epochs=30
    )
    assert counts.scoring == ["loss"]
    assert [line["baseline"] for line in counts.baselines] == ["mean", "biases"]
    assert counts.table[0]["loss"] < counts.baselines[0]["loss"]


def test_a_model_that_beats_no_baseline_is_told():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(30, 20))
    with pytest.warns(UserWarning, match=r"rmse .* is no better than '(mean|biases)', a model wi"):
        funkc.cross_validate(None, noise, 8, regularization=0.0, cv=3)
    rows, cols, values = ratings(shape=(150, 90))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        funkc.cross_validate((rows, cols), values, 2, cv=3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cv": "5"}, "cv: got '5'; pass a number of folds, a list"),
        ({"cv": []}, "cv: is empty"),
        ({"cv": [1, 2]}, r"cv\[0\]: got 1"),
        ({"cv": [([0], [1], [2])]}, r"cv\[0\]: has 3 parts"),
        ({"cv": [([0, 1], [1])]}, r"cv\[0\]: has position 1 in training and in test"),
        ({"cv": [([0, 1], [-1])]}, r"cv\[0\], test: .* = -1 is negative"),
        ({"cv": [([0, 10**6], [1])]}, r"cv\[0\], training: .* = 1000000 is outside"),
        ({"cv": [([0, 1], [])]}, r"cv\[0\]: leaves no entry to test with"),
        ({"cv": [([], [1])]}, r"cv\[0\]: leaves no entry to train on"),
        ({"cv": evaluation.leave_one_out(np.ones((3, 3)))}, "cv: got Split"),
        ({"cv": [evaluation.leave_one_out(np.ones((3, 3)))]}, r"cv\[0\]: is a Split of other"),
        ({"scoring": "rsme"}, "scoring: got 'rsme'"),
        ({"scoring": ["popularity", "rmse"]}, "scoring: begins with 'popularity'"),
        ({"scoring": "ndcg", "relevant": 99}, r"fold \d of cv: test: has no relevant entry"),
        ({"scoring": "ndcg", "n": 0}, "n: got 0"),
        ({"n_iter": 0}, "n_iter: got 0"),
        ({"k": [1] * 1001, "n_epochs": [1] * 1001}, "n_iter: got None for a grid of 1,002,001"),
    ],
)
def test_bad_folds_scores_and_draws(options, text):
    rows, cols, values = ratings()
    with pytest.raises((TypeError, ValueError), match=text):
        funkc.cross_validate((rows, cols), values, **{"k": 1, **options})


def test_a_distribution_needs_a_number_of_draws():
    stats = pytest.importorskip("scipy.stats")
    rows, cols, values = ratings()
    with pytest.raises(ValueError, match="n_iter: is not given, but k is a distribution"):
        funkc.cross_validate((rows, cols), values, stats.randint(1, 5))
    with pytest.raises((TypeError, ValueError), match="k: got -"):
        funkc.cross_validate((rows, cols), values, stats.randint(-5, -1), n_iter=2)


INTERRUPTED = """
try:
    funkc.cross_validate(
        cells, values, [{k}, 1], n_epochs=10**8, n_threads={threads}, duplicates="last"
    )
except KeyboardInterrupt:
    after = time.perf_counter() - sent[0]
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("funkc")], names
    print("raised", after)
"""


@pytest.mark.parametrize("n, k, threads", [(1000, 1, 1), (200_000, 8, 2), (1_000_000, 200, 3)])
def test_ctrl_c_ends_all_fits(n, k, threads):
    out = interrupted(n, INTERRUPTED.format(k=k, threads=threads))
    assert out.stdout.startswith("raised"), out.stderr


# ---------------------------------------------------------------- to look at


def by_hand(rows, best, **axes):
    simple = [dict(baseline="mean", rmse=1.5, rmse_standard_error=0.1, fold_rmse=[1.5])]
    chosen = {name: best[name] for name in axes}
    return funkc.CrossValidation(rows, simple, ["rmse"], chosen, best["rmse"], None)


def test_the_table_marks_the_best_and_what_is_as_good():
    errors = dict(fold_rmse=[1.0], seconds=1.25)
    rows = [
        dict(k=8, regularization=None, rmse=1.04, rmse_standard_error=0.02, **errors),
        dict(k=16, regularization=0.125, rmse=1.0, rmse_standard_error=0.05, **errors),
        dict(k=100, regularization=(1e-5, 2.0), rmse=1.0625, rmse_standard_error=0.01, **errors),
    ]
    result = by_hand(rows, rows[1], k=0, regularization=0)
    assert str(result) == repr(result)
    assert str(result).splitlines() == [
        "  k  regularization  rmse ± standard error  seconds",
        "  8         default            1.04 ± 0.02     1.25  within one standard error",
        " 16           0.125               1 ± 0.05     1.25  best",
        "100    (1e-05, 2.0)          1.0625 ± 0.01     1.25",
        "                                 1.5 ± 0.1           baseline: mean",
    ]


def drawn(result):
    figure = result.plot()
    figure.savefig(io.BytesIO(), format="png")
    return figure.axes[0]


def test_the_plot_shows_every_error():
    rows, cols, values = ratings()
    result = funkc.cross_validate(
        (rows, cols), values, 2, [0.1, 0.01, 1.0], learning_rate=[0.02, None, 1e9], cv=3
    )
    axes = drawn(result)
    assert (axes.get_xlabel(), axes.get_xscale()) == ("regularization", "log")
    assert axes.get_ylabel() == "RMSE on held-out entries"
    labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    rates = {f"learning_rate {rate}" for rate in ("0.02", "default", "1e+09")}
    assert len(labels) == 5
    assert set(labels) == rates | {"best", "learning_rate 1e+09: diverged"}
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    for rate, bars in zip((0.02, None), axes.containers, strict=False):
        told = {r["regularization"]: r for r in result.table if r["learning_rate"] == rate}
        line, _, (vertical,) = bars
        assert line.get_xdata().tolist() == [0.01, 0.1, 1.0]
        assert line.get_ydata().tolist() == [told[x]["rmse"] for x in (0.01, 0.1, 1.0)]
        for x, segment in zip((0.01, 0.1, 1.0), vertical.get_segments(), strict=True):
            reach = told[x]["rmse_standard_error"] * np.array([-1, 1])
            assert segment[:, 1] == pytest.approx(told[x]["rmse"] + reach)
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert crosses.get_xdata().tolist() == [0.01, 0.1, 1.0]
    (ring,) = [line for line in axes.lines if line.get_markersize() == 12]
    assert ring.get_xdata()[0] == result.best_parameters["regularization"]
    assert ring.get_ydata()[0] == result.best_score


def test_what_is_no_positive_number_is_drawn_at_even_spaces():
    rows, cols, values = ratings()
    pairs = [0.0, 0.1, (0.1, 0.2), None]
    axes = drawn(funkc.cross_validate((rows, cols), values, 2, pairs, n_epochs=3))
    assert axes.get_xscale() == "linear"
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == ["0", "0.1", "(0.1, 0.2)", "default"]
    flags = drawn(funkc.cross_validate((rows, cols), values, 2, biases=[True, False], n_epochs=3))
    assert [tick.get_text() for tick in flags.get_xticklabels()] == ["True", "False"]
    alone = drawn(funkc.cross_validate((rows, cols), values, 2, n_epochs=3))
    assert alone.get_xlabel() == "k"
    many = drawn(funkc.cross_validate((rows, cols), values, range(1, 25), n_epochs=1, cv=2))
    assert len(many.get_xticks()) <= 10


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    rows, cols, values = ratings()
    with pytest.raises(ImportError, match=r"matplotlib.*funkc\[plot\]"):
        funkc.cross_validate((rows, cols), values, 1, n_epochs=1).plot()


def test_an_error_while_the_caller_handles_ctrl_c_is_that_error():
    def fail(done, total):
        raise ValueError("mine")

    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(ValueError, match=r"^mine$"):
            funkc.cross_validate(None, np.outer(range(9), range(9)), 1, callback=fail)
