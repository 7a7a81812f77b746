"""Valid calls of what judges factorizations: splits of entries, and scores."""

import numpy as np
import pandas as pd

import funkc
from funkc import evaluation
from tools.fuzz.grammar import LOSSES, called, fit_of, world

OF_ENTRIES = ("rmse", "mae", "r2", "log_loss", "auc", "brier", "poisson")
OF_RANKINGS = ("precision", "recall", "hit_rate", "ndcg", "map", "mrr", "coverage", "popularity")


def data_of(draw):
    """Entries to split, and the options that name their columns and times."""
    shape = draw.integer(4, 12), draw.integer(4, 9)
    ids = np.arange(shape[0]), [f"i{j}" for j in range(shape[1])]
    if draw.rng.random() < 0.3:
        mask, ratings = draw.entries(shape, "squared", ids, "ratings")
        frame = pd.DataFrame({"u": ratings.rows, "i": ratings.cols, "v": ratings.values,
                              "t": draw.rng.integers(0, 9, ratings.values.size)})  # fmt: skip
        return frame, {"row": "u", "col": "i", "value": "v"}, "t"
    mask, values = draw.entries(shape, "squared", ids)
    n = np.size(mask[0]) if isinstance(mask, tuple) else shape
    return (values if mask is None else (mask, values)), {}, draw.rng.integers(0, 9, n)


@called("evaluation.split_random", "evaluation.leave_one_out", "evaluation.split_rows",
        "evaluation.split_cols", "evaluation.split_time", "evaluation.k_fold")  # fmt: skip
def split(draw, name):
    """Of data in all their forms."""
    data, given, time = data_of(draw)
    function = getattr(evaluation, name.partition(".")[2])
    given |= {"data": data}
    if name.endswith("split_time"):
        given |= draw.some(0.9, time=lambda: time)
        given |= draw.one({"test": 0.4}, {"last": draw.integer(1, 2)}, {})
        return function, given
    given["random_state"] = draw.integer(0, 99)
    if name.endswith("k_fold"):
        given |= {"n": draw.integer(2, 3), "by": draw.one("cells", "rows", "cols", "time")}
        if given["by"] == "time":
            given["time"] = time
    elif not name.endswith("one_out"):
        given["test"] = draw.one(0.3, 0.5)
        if not name.endswith("random"):
            given |= draw.some(0.8, given=lambda: draw.one(0.5, 0, 1, 2))
    return function, given


@called("evaluation.Split")
def whole_split(draw):
    """One that a function made, and what it does."""
    data, given, _ = data_of(draw)
    made = evaluation.split_rows(data, 0.4, given=0, random_state=draw.integer(0, 99), **given)

    def use():
        return repr(made), made.shape, list(made), made.train_data, made.test_data, made.given_data

    return use, {}


def judged(draw):
    """A fit, and entries to train on and to test with."""
    fit = draw.one(*world()["fits"])
    m, n = fit.shape
    marks = draw.rng.random((m, n))
    values = draw.values((m, n), fit.loss)
    if fit.row_ids is None:

        def part(mask):
            return np.nonzero(mask), values[mask]
    else:

        def part(mask):
            rows, cols = np.nonzero(mask)
            made = fit.row_ids[rows], fit.col_ids[cols], values[mask].astype("f8")
            return draw.one(funkc.Ratings.from_arrays(*made), (made[:2], made[2]))

    return fit, part(marks < 0.4), part(marks > 0.6)


@called("evaluation.evaluate")
def evaluate(draw):
    """Of factorizations, and of arrays."""
    fit, train, test = judged(draw)
    names = draw.one(OF_ENTRIES, OF_RANKINGS, OF_ENTRIES[:3] + OF_RANKINGS)
    given = {"fit": fit, "test": test, "scoring": names[draw.integer(0, len(names) - 1)],
             "n": draw.integer(1, 12)}  # fmt: skip
    given |= draw.some(
        train=lambda: train,
        scoring=lambda: [str(name) for name in draw.rng.permutation(names)[: draw.integer(1, 4)]],
        relevant=lambda: draw.one(0.5, 1, lambda v: v > 1, lambda v: np.abs(v)),
        verbose=lambda: draw.one(True, False),
        only=lambda: draw.one(np.arange(3), np.ones(fit.shape, bool)),
        ids=lambda: draw.one(False, None),
    )
    if draw.rng.random() < 0.2:
        size = fit.shape[0], 12
        given["fit"] = draw.one(draw.rng.integers(-1, 5, size), np.zeros(np.size(test[1]))
                                if isinstance(test, tuple) else np.zeros(3))  # fmt: skip
    return evaluation.evaluate, given


@called("evaluation.Evaluation", "evaluation.Evaluation.to_pandas", "evaluation.Evaluation.plot")
def evaluation_made(draw, name):
    """The result of one."""
    fit, train, test = judged(draw)
    given = {"fit": fit, "test": test, "train": train, "scoring": ["rmse", "recall"],
             "relevant": -1e9}  # fmt: skip
    if name.endswith("to_pandas"):
        return evaluation.evaluate(**given).to_pandas, {}
    if name.endswith("plot"):
        names = draw.some(name=lambda: draw.one("rmse", "recall"))
        return evaluation.evaluate(**given).plot, names

    def use(**given):
        made = evaluation.evaluate(**given)
        return repr(made), [made[name] for name in made.scores]

    return use, given


@called("evaluation.baselines")
def baselines(draw):
    """Of entries of any loss but one."""
    loss = draw.one(*[name for name in LOSSES if name != "huber"])
    mask, values = draw.entries(draw.shape(), loss)
    train = values if mask is None else (mask, values)
    return evaluation.baselines, {"train": train, "loss": loss, "n_threads": draw.integer(1, 3)}


@called("evaluation.plot_calibration")
def plot_calibration(draw):
    """Of any loss, with more bins than entries too."""
    fit, _, test = judged(draw)
    given = draw.some(bins=lambda: draw.one(1, 7, 300), ids=lambda: draw.one(False, None))
    return evaluation.plot_calibration, {"fit": fit, "test": test, **given}


@called("Factorization.plot_cols")
def plot_cols(draw):
    """Some, or those with the largest factors."""
    fit = fit_of(draw)
    given, n = {}, fit.shape[1]
    if draw.rng.random() < 0.5:
        at = draw.rng.integers(0, n, draw.integer(1, 5))
        n = at.size
        given["cols"] = at if fit.col_ids is None else fit.col_ids[at]
    given |= draw.some(labels=lambda: ["a $_$ \n", "b"] * (n // 2) + [None] * (n % 2))
    return fit.plot_cols, given


@called("CrossValidation.plot_surface")
def plot_surface(draw):
    """Of a search over one parameter, or over two."""
    return world()["search"].plot_surface, draw.one({"x": "k"}, {"y": "k"}, {}, {})
