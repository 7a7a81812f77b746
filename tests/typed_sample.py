"""Everything public, as a user with annotations calls it.

`bash .ci/checks types` reads this file with mypy --strict and with pyright, which say whether
the types are those that the annotations name; test_types.py runs it.
"""

from __future__ import annotations

import gzip
import io
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import funkc
from funkc import evaluation, progress, ratings

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL.Image import Image
    from typing_extensions import assert_type
else:

    def assert_type(value, kind):
        return value


def factorizations(table: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    fit = funkc.factorize(None, table, k=2)
    assert_type(fit, funkc.Factorization)
    assert_type(fit.k, int)
    assert_type(fit.shape, tuple[int, int])
    assert_type(fit.dtype, np.dtype[Any])
    assert_type(fit.offset, float)
    assert_type(fit.stopped_by, str)
    errors: list[float] = fit.history["train_rmse"]
    factors: tuple[NDArray[Any], NDArray[Any]] = (fit.row_factors, fit.col_factors)
    biases: tuple[NDArray[Any] | None, NDArray[Any] | None] = (fit.row_bias, fit.col_bias)
    assert len(errors) == len(fit.history["epoch"])
    assert biases[0] is not None
    assert_type(fit.noise, float | None)
    assert_type(fit.baseline_rmse, dict[str, float])
    assert_type(fit.validation_rmse, float | None)
    assert_type(fit.stages, int)
    assert_type(fit.n_seen, tuple[int, int])
    assert_type(fit.score(mask, table), float)
    fit.n_threads = 1
    one: float = fit.predict(0, 1)
    several: NDArray[Any] = fit.predict([0, 1], np.array([1, 0]))
    whole: NDArray[Any] = fit.reconstruct()
    filled: NDArray[Any] = fit.impute(mask, table, duplicates="last")
    assert several[0] == one == whole[0, 1]
    assert filled.shape == whole.shape

    def stop(epoch: int, history: dict[str, list[float]]) -> bool:
        return epoch == 2

    funkc.factorize(
        mask,
        table,
        2,
        learning_rate=0.01,
        regularization=(0.1, 0.2),
        n_epochs=3,
        biases=True,
        nonnegative=True,
        shape=(table.shape[0], table.shape[1]),
        weights=np.ones_like(table),
        offset=0.0,
        decay="constant",
        group_size=1,
        bands=(16, 8),
        validation=0.1,
        patience=2,
        random_state=np.random.default_rng(0),
        n_threads=1,
        dtype=np.float64,
        on_interrupt="return",
        callback=stop,
    )
    rows, cols = np.nonzero(mask)
    funkc.factorize((rows, cols), table[mask], 2, init=fit, validation=(mask, table))
    funkc.factorize((rows.tolist(), cols.tolist()), table[mask].tolist(), 2, init=factors)
    try:
        funkc.factorize(None, table, 2, learning_rate=1e9)
    except funkc.DivergedError as error:
        assert_type(error.epoch, int)
        assert_type(error.learning_rate, float)
    assert_type(funkc.openmp_enabled(), bool)


def served(folder: Path, table: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    path = folder / "training.funkc"
    held_out = (mask, table)
    fit = funkc.factorize(
        None,
        table,
        2,
        validation=held_out,
        checkpoint=path,
        checkpoint_every=2,
        verbose=False,
    )
    assert_type(funkc.resume(str(path), None, table, validation=held_out), funkc.Factorization)
    funkc.resume(
        path,
        None,
        table,
        validation=held_out,
        n_threads=1,
        duplicates="last",
        on_interrupt="return",
        callback=lambda epoch, history: history["validation_rmse"][-1] < 0.1,
        verbose=False,
    )
    try:
        funkc.load(path)
    except (
        funkc.ModelFileError, funkc.OutlierWarning, funkc.ConstantValuesWarning,
        funkc.HotPixelWarning, funkc.FewerThreadsWarning,
    ) as error:  # fmt: skip
        print(error)
    fit.save(folder / "model.funkc")
    with gzip.open(folder / "model.gz", "wb") as packed, open(folder / "model", "xb") as opened:
        fit.save(packed)
        fit.save(opened)
    data: bytes = fit.to_bytes()
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert_type(funkc.load(source), funkc.Factorization)
    result = funkc.load(str(folder / "model.funkc"), mmap=True, verify=False)
    assert_type(result, funkc.Factorization)
    cols, scores = result.top([0, 1], 3, exclude=mask)
    best: tuple[NDArray[Any], NDArray[Any]] = (cols, scores)
    alike: tuple[NDArray[Any], NDArray[Any]] = result.similar_rows(slice(2), n=2)
    assert best[0].shape == (2, 3)
    assert alike[0].shape == result.similar_cols([0, 1], 2)[0].shape
    result.top(0, exclude=[[1, 2]])
    print(result.knows_rows([0, 99]), result.knows_cols(1))
    why = result.explain(0, 1, 3, seen=(mask, table), ids=False)
    assert_type(why, funkc.Explanation)
    assert_type(why.score - why.baseline, float)
    carrying: tuple[NDArray[Any], NDArray[np.float64]] = (why.columns, why.contributions)
    assert carrying[0].shape == carrying[1].shape == (3,)
    assert_type(result.without_rows([0, 1]), funkc.Factorization)
    assert_type(result.without_cols(slice(2), ids=False), funkc.Factorization)
    block: NDArray[Any] = result.predict(slice(3), slice(None, None, 2))
    some: NDArray[Any] = result.reconstruct([0, 1], out=np.empty((2, 9), result.dtype))
    assert (some[0, 0], some.shape) == (block[0, 0], (2, 9))
    filled: NDArray[Any] = result.impute(None, table, out=np.empty_like(table))
    assert filled.shape == result.shape
    new = result.fold_in_rows(([0, 0], [1, 2]), [3.0, 4.0], regularization=0.1, weights=[1, 2])
    assert_type(new, funkc.Factorization)
    assert result.fold_in_cols(([0], [0]), [3.0], shape=(None, 2)).shape == (12, 2)
    result.partial_fit(
        ([12], [0]),
        [3.0],
        n_epochs=1,
        learning_rate=0.01,
        regularization=(0.1, 0.2),
        weights=[1.0],
        callback=lambda epoch, history: None,
        verbose=False,
    )
    assert result.shape == (13, 9)
    assert_type(funkc.get_include(), str)
    parts: dict[str, Any] = fit.to_dict()
    assert_type(funkc.Factorization.from_factors(**parts), funkc.Factorization)
    if find_spec("pandas"):
        assert (len(fit.row_frame()), len(fit.col_frame())) == fit.shape
    figure: Figure = fit.plot_history()
    figure.clear()
    figure = fit.plot_cols([0, 1], ids=False, labels=["first", "second"])
    figure.clear()


def completed(table: NDArray[np.float64]) -> None:
    imputer = funkc.FunkImputer(n_components=2)  # loaded when asked for
    print(imputer.fit_transform(np.where(table > 3.9, np.nan, table)))
    recommender = funkc.FunkRecommender(n_components=2, clip="auto", unknown="raise", n_jobs=1)
    pairs = [("ann", 1), ("bob", 1), ("bob", 2)]
    assert_type(recommender.fit(pairs, [5, 4, 3], [1, 1, 2]), funkc.FunkRecommender)
    predicted: NDArray[Any] = recommender.predict(pairs)
    print(predicted, recommender.score(pairs, [5, 4, 3]), recommender.row_ids_.size)
    best: tuple[NDArray[Any], NDArray[Any]] = recommender.recommend(
        "ann", 1, exclude=[1], only=[1, 2], exclude_trained=False
    )
    assert best[0].tolist() == [2]
    print(imputer.score(table), imputer.indicator_)
    print(funkc.FunkImputer(sparse_means="zero", sparse_output=True).fit(table).n_observed_)


def selections(table: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    result = funkc.cross_validate(
        mask,
        table,
        k=range(1, 3),
        regularization=[None, 0.1, (0.1, 0.2)],
        learning_rate=np.geomspace(0.001, 0.01, 2),
        n_epochs=[2],
        biases=[True, False],
        cv=2,
        callback=lambda done, total: print(f"{done} of {total} fits"),
    )
    assert_type(result, funkc.CrossValidation)
    assert_type(result.table, list[dict[str, Any]])
    assert_type(result.best_parameters, dict[str, Any])
    assert_type(result.best_score, float)
    assert result.fit is not None
    assert_type(result.fit, funkc.Factorization)
    figure: Figure = result.plot()
    figure.clear()
    folds = evaluation.k_fold((mask, table), 2, by="rows", random_state=1)
    scored = funkc.cross_validate(
        mask, table, [1], cv=folds, scoring=["r2", "recall"], n=3, relevant=0.0, n_iter=1
    )
    assert_type(scored.baselines, list[dict[str, Any]])
    assert_type(scored.scoring, list[str])
    if find_spec("pandas"):
        print(scored.to_pandas())
    figure = result.plot_surface("k", y="learning_rate")
    figure.clear()


def evaluations(table: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    pair = (np.nonzero(mask), table[mask])
    split = evaluation.split_random(pair, 0.3, random_state=3)
    assert_type(split, evaluation.Split)
    train: NDArray[np.int64] = split.train
    assert_type(split.shape, tuple[int, int])
    cold = [evaluation.split_rows(pair, 0.4, given=1), evaluation.split_cols(pair, 0.4, given=0.3)]
    given: NDArray[np.int64] | None = cold[0].given
    assert given is not None
    print(cold[1].given_data, evaluation.leave_one_out(table))
    when = np.arange(train.size + split.test.size)
    evaluation.split_time(pair, last=1, time=when)
    places, values = split.train_data
    fit = funkc.factorize(places, values, 1, shape=split.shape, validation=split.test_data)
    funkc.factorize(*pair, 1, validation=split)
    result = evaluation.evaluate(
        fit, split.test_data, train=split.train_data, scoring=["rmse", "ndcg"], n=3,
        relevant=lambda values: values > 0, only=[0, 1], verbose=False,
    )  # fmt: skip
    assert_type(result, evaluation.Evaluation)
    assert_type(result["rmse"], float)
    assert_type(result.scores, dict[str, float])
    assert_type(result.table, list[dict[str, Any]])
    assert_type(result.n_ranked, int)
    if find_spec("pandas"):
        print(result.to_pandas())
    simple = evaluation.baselines(split.train_data, loss="absolute", n_threads=1)
    assert_type(simple, dict[str, funkc.Factorization])
    figure: Figure = result.plot("rmse")
    figure.clear()
    figure = evaluation.plot_calibration(fit, split.test_data, bins=4, ids=None)
    figure.clear()


def pictures(folder: Path) -> None:
    image = np.add.outer(np.arange(24), np.arange(24)).astype(np.uint8)
    missing = np.random.default_rng(0).random(image.shape) < 0.3
    snapshots = progress.Snapshots(every=2)
    corrected: NDArray[Any] = funkc.inpaint(image, missing, callback=snapshots)
    assert corrected.dtype == image.dtype
    both = funkc.inpaint(
        image, missing, method="funk", k=2, tile_shape=(8, 8), return_generated=True
    )
    whole, generated = both
    assert whole.shape == generated.shape
    sheet: Image = progress.contact_sheet(snapshots.pictures)
    sheet.save(folder / "sheet.png")
    progress.animate(snapshots.pictures, folder / "steps.gif", seconds=0.1)
    figure: Figure = progress.figure([("corrected", corrected)])
    figure.clear()
    titled: list[tuple[str, NDArray[Any]]] = progress.by_rank(image, missing, ranks=[1, 2])
    shown: NDArray[np.uint8] = progress.as_bytes(titled[0][1])
    assert shown.shape == image.shape


def tables(folder: Path) -> None:
    made = funkc.Ratings.from_arrays(["ann", "bob", "ann"], [20, 100, 100], [5.0, 3.0, 4.0])
    assert_type(made, ratings.Ratings)
    assert_type(made.shape, tuple[int, int])
    frame = {"who": ["ann", "bob"], "what": [20, 100], "stars": [5, 3]}
    same = funkc.Ratings.from_dataframe(frame, row="who", col="what", value="stars")
    assert_type(same, funkc.Ratings)
    unrated: tuple[NDArray[np.int64], NDArray[np.int64]] = ratings.sample_unobserved(
        made, per_row=1, random_state=3
    )
    assert unrated[0].size == unrated[1].size
    liked = funkc.factorize(unrated, [0.0], 1, shape=made.shape, loss="logistic", clip=(0.1, 0.9))
    assert_type(liked.clip, tuple[float, float] | None)
    assert_type(liked.validation_loss, float | None)
    known = funkc.factorize(None, made, 1)
    names: tuple[NDArray[Any] | None, NDArray[Any] | None] = (known.row_ids, known.col_ids)
    assert names[0] is not None
    print(known.predict("ann", [20, 7], ids=True, unknown="baseline", return_known=True))
    print(
        known.top(["ann"], 1, exclude=made, only=[20]), known.similar_rows("ann", 1, only=["bob"])
    )
    print(known.explain("ann", 20, seen=made).columns, known.without_rows("bob").row_ids)
    new = known.fold_in_rows((["eve"], [20]), [4.0], unknown="skip")
    print(known.top(new, 1, unknown="skip"), known.score((["ann"], [20]), [4.0], ids=True))
    try:
        known.top("nobody", 1)
    except funkc.UnknownIdError as error:
        print(error.unknown, error.axis, funkc.UnknownIdWarning)
    assert known.partial_fit(None, same).fold_in_rows(None, same).shape == (2, 2)
    path = folder / "ratings.csv"
    path.write_text("who,what,stars\nann,20,5\nbob,100,3\nann,100,4\n", encoding="utf-8")
    read = ratings.read(path, columns=["who", "what", "stars"], duplicates="mean")
    assert_type(read.names, tuple[str, str, str])
    positions: NDArray[np.int64] = ratings.encode(["bob"], read.row_ids)
    fit = funkc.factorize((read.rows, read.cols), read.values, 1, shape=read.shape)
    pairs = folder / "pairs.csv"
    pairs.write_text("who,what\nbob,20\n", encoding="utf-8")
    rows, cols = ratings.read_pairs(str(pairs), read)
    assert rows.tolist() == positions.tolist()
    print(fit.predict(rows, cols))


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    table = 3 + rng.random((12, 9))
    mask = rng.random(table.shape) < 0.8
    factorizations(table, mask)
    served(folder, table, mask)
    if find_spec("sklearn"):
        completed(table)
    selections(table, mask)
    evaluations(table, mask)
    pictures(folder)
    tables(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
