"""Valid calls of every public function: its arguments, drawn at random."""

import copy
import functools
import io
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

import funkc
import funkc.capi
from tools.fuzz import pick
from tools.fuzz.hostile import FORMATS

LOSSES = ("squared", "squared", "squared", "absolute", "huber", "logistic", "poisson")
POLICIES = ("error", "last", "mean", "sum")


class Draw:
    """What a problem draws, and the folder for its files."""

    def __init__(self, rng, folder):
        self.rng, self.folder = rng, folder

    def integer(self, low, high):
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def one(self, *options):
        """One of them."""
        return pick(self.rng, options)

    def some(self, share=0.3, **given):
        """Some of the keyword arguments, each made by its function."""
        return {name: make() for name, make in given.items() if self.rng.random() < share}

    def path(self, name):
        """A file in the folder of the problem."""
        return self.one(str, Path)(os.path.join(self.folder, name))

    def values(self, shape, loss="squared"):
        """Values that the loss can have."""
        if loss == "logistic":
            return self.rng.integers(0, 2, shape).astype(self.one("f8", "f4", "?", "i8"))
        if loss == "poisson":
            return self.rng.poisson(2.0, shape).astype(self.one("f8", "i4", "u1"))
        made = self.rng.normal(self.one(0, 3, 1000), self.one(1, 1, 1e-3, 1e6), shape)
        if self.rng.random() < 0.3:
            made = np.round(np.clip(made, -100, 100))
        return made.astype(self.one("f8", "f8", "f4", ">f4", "g"))

    def shape(self):
        """Of a small matrix, seldom of a larger one."""
        if self.rng.random() < 0.1:
            return self.integer(40, 90), self.integer(30, 60)
        return self.integer(1, 12), self.integer(1, 9)

    def entries(self, shape, loss="squared", ids=None, form=None):
        """Mask and values of a matrix, in any form."""
        m, n = shape
        form = form or self.one("nan", "bool", "pair", "pair", "both", "sparse", "masked", "frame",
                                *["ratings"] * (ids is not None))  # fmt: skip
        values = self.values(shape, loss)
        seen = self.rng.random(shape) < self.one(0.4, 0.7, 1.0)
        seen[self.integer(0, m - 1), self.integer(0, n - 1)] = True
        rows, cols = (side.astype(self.one("i8", "i4", "u2")) for side in np.nonzero(seen))
        if form == "nan":
            return None, np.where(seen, values, np.nan)
        if form == "bool":
            return seen.astype(self.one("?", "?", "u1", "f4")), values
        if form == "pair":
            return (rows, cols), values[seen]
        if form == "both":
            return (rows, cols), values
        if form == "sparse":
            kept = values.astype("f8")[seen]
            made = sp.coo_array((kept, (rows.astype("i4"), cols.astype("i4"))), shape)
            return None, made.asformat(self.one(*FORMATS[:6]))
        if form == "masked":
            return None, np.ma.array(values, mask=~seen)
        if form == "frame":
            table = pd.DataFrame(np.where(seen, values.astype("f8"), np.nan))
            return None, self.one(table, table.astype("Float64"), pa.Table.from_pandas(table))
        names = [np.asarray(side)[at] for side, at in zip(ids, (rows, cols), strict=True)]
        return None, funkc.Ratings.from_arrays(*names, values[seen].astype("f8"))

    def weights(self, mask, values):
        """One for every value."""
        at = mask if isinstance(mask, np.ndarray) else None
        n = np.shape(values) if at is None else at.shape
        return self.rng.random(n) + 0.1


# ---------------------------------------------------------------- what there is already


@functools.cache
def world():
    """Fits of all kinds, Ratings, estimators, a search; made once, and only copied."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _new_world(np.random.default_rng(7))


def _new_world(rng):
    made = {"fits": [], "ratings": [], "imputers": [], "recommenders": []}
    users = np.array([f"u{i}" for i in range(11)])
    items = np.arange(9) * 5 - 3
    for nth, options in enumerate((
        {}, {"biases": False}, {"dtype": np.float64}, {"nonnegative": True},
        {"dtype": np.float64, "biases": False, "clip": (-1.0, 1.0)}, {"loss": "logistic"},
        {"loss": "poisson"}, {"loss": "huber"}, {"loss": "absolute", "dtype": np.float64},
        {"validation": 0.2}, {"k": 16, "biases": False}, {"ids": True}, {"ids": True, "k": 14},
        {"k": 40}, {"shape": (300, 200)}, {"members": 2},
    )):  # fmt: skip
        shape = options.pop("shape", (11, 9))
        draw = Draw(rng, None)
        mask, values = draw.entries(
            shape, options.get("loss", "squared"), (users, items),
            "ratings" if options.pop("ids", False) else "pair",
        )  # fmt: skip
        given = {} if mask is None else {"shape": shape}
        k = options.pop("k", 3)
        fit = funkc.factorize(mask, values, k, n_epochs=4, n_threads=1, random_state=nth,
                              **given, **options)  # fmt: skip
        made["fits"].append(fit)
        if mask is None:
            made["ratings"].append(values)
    known = made["ratings"][0]  # with ids as objects, as where one is extremely long
    objects = funkc.Ratings(
        known.rows, known.cols, known.values, known.row_ids.astype(object), known.col_ids
    )
    made["ratings"].append(objects)
    made["fits"].append(funkc.factorize(None, objects, 3, n_epochs=4, n_threads=1))
    weighed = funkc.Ratings.from_arrays([3, 1, 3], ["b", "a", "a"], [1, 2, 3], weight=[1, 2, 0.5])
    made["ratings"].append(weighed)
    from funkc import FunkImputer, FunkRecommender

    table = rng.normal(size=(12, 5))
    table[rng.random(table.shape) < 0.3] = np.nan
    for options in ({}, {"add_indicator": True}, {"scale": False, "keep_empty_features": True}):
        made["imputers"].append(FunkImputer(2, n_epochs=3, **options).fit(table))
    made["table"] = table
    for options in ({}, {"biases": False, "unknown": "raise"}, {"loss": "poisson"}):
        pairs = np.stack([users[rng.permutation(11)], items[rng.integers(0, 9, 11)]], axis=1)
        recommender = FunkRecommender(2, n_epochs=3, **options)
        made["recommenders"].append(recommender.fit(pairs, rng.poisson(3.0, 11)))
    made["search"] = funkc.cross_validate(
        None, rng.normal(size=(9, 8)), [1, 2], [None, 0.1], cv=2, n_epochs=2
    )
    return made


def fit_of(draw):
    """A fit of its own, which shares its arrays."""
    fit = copy.copy(draw.one(*world()["fits"]))
    fit.n_threads = draw.one(1, 2)
    return fit


def ids_of(fit):
    """Its ids, or None."""
    return None if fit.row_ids is None else (fit.row_ids, fit.col_ids)


# ---------------------------------------------------------------- the calls

# Name -> function of a Draw: (what is called, its arguments by name).
CALLS = {}


def called(*names):
    """Register a function that draws a call."""

    def keep(make):
        for name in names:
            CALLS[name] = make if len(names) == 1 else functools.partial(make, name=name)
        return make

    return keep


def options_of(draw, loss):
    """What `factorize` may be given besides entries."""
    given = draw.some(
        0.15,
        learning_rate=lambda: draw.one(0.01, 0.1, 1e-9, 1e3),
        regularization=lambda: draw.one(0.0, 0.02, (0.01, 0.3)),
        bias_regularization=lambda: draw.one(0.0, 2.0, (1.0, 5.0)),
        biases=lambda: draw.one(True, False, "auto"),
        offset=lambda: draw.one("auto", 0.0, 1.5),
        decay=lambda: draw.one("linear", "constant"),
        group_size=lambda: draw.one(1, 8),
        bands=lambda: draw.one(1, 3, (4, 2), (2, 2)),
        stages=lambda: draw.integer(1, 3),
        clip=lambda: draw.one("auto", (-1.0, 2.0), (-np.inf, 0.5)),
        patience=lambda: draw.integer(1, 4),
        random_state=lambda: draw.integer(0, 2**40),
        dtype=lambda: draw.one(np.float32, np.float64, "float32"),
        on_interrupt=lambda: draw.one("raise", "return"),
        verbose=lambda: draw.one(True, False),
        callback=lambda: draw.one(lambda *_: None, lambda n, _: n == 2),
        checkpoint=lambda: draw.path("checkpoint"),
        checkpoint_every=lambda: draw.integer(1, 3),
        members=lambda: draw.integer(1, 2),
        nonnegative=lambda: draw.one(True, False),
        huber_delta=lambda: draw.one(0.5, 2.0),
    )
    if "patience" in given or draw.rng.random() < 0.15:
        given["validation"] = draw.one(0.3, 0.5)
    if loss != "huber":
        given.pop("huber_delta", None)
    if loss != "squared":
        given.pop("nonnegative", None)
    given["n_epochs"] = draw.integer(1, 4)
    if draw.rng.random() < 0.2:
        del given["n_epochs"]
    return given


@called("factorize")
def factorize(draw):
    """All its forms of entries and all its options."""
    loss, shape = draw.one(*LOSSES), draw.shape()
    ids = np.arange(shape[0]), [f"i{j}" for j in range(shape[1])]
    mask, values = draw.entries(shape, loss, ids)
    given = {"mask": mask, "values": values, "k": draw.integer(1, 20), "loss": loss,
             "n_threads": draw.integer(1, 3), **options_of(draw, loss)}  # fmt: skip
    if draw.rng.random() < 0.2 and isinstance(values, np.ndarray):
        given["weights"] = draw.weights(mask, values)
    elif draw.rng.random() < 0.2:
        given["duplicates"] = draw.one(*POLICIES)
    if isinstance(mask, tuple) and values.ndim == 1 and draw.rng.random() < 0.7:
        given["shape"] = draw.one(shape, (None, shape[1]), (shape[0] + 2, shape[1]))
    if draw.rng.random() < 0.1:
        given["init"] = tuple(draw.rng.normal(size=(n, given["k"])) for n in shape)
    elif draw.rng.random() < 0.1:
        given["init"] = fit = fit_of(draw)
        given["k"] = fit.k
    if draw.rng.random() < 0.1:
        given["validation"] = draw.entries(shape, loss, ids)
    return funkc.factorize, given


@called("resume")
def resume(draw):
    """A checkpoint of its own, half way."""
    loss, shape = draw.one(*LOSSES), draw.shape()
    mask, values = draw.entries(shape, loss)
    path = draw.path("checkpoint")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        funkc.factorize(mask, values, 2, loss=loss, n_epochs=4, n_threads=1, checkpoint=path,
                        callback=lambda n, _: n == 2)  # fmt: skip
    given = {"path": path, "mask": mask, "values": values, "n_threads": draw.integer(1, 3)}
    given |= draw.some(
        callback=lambda: lambda *_: None, verbose=lambda: False,
        on_interrupt=lambda: draw.one("raise", "return"), duplicates=lambda: draw.one(*POLICIES),
        validation=lambda: draw.entries(shape, loss), weights=lambda: np.ones(np.shape(values)),
    )  # fmt: skip
    return funkc.resume, given


@called("cross_validate")
def cross_validate(draw):
    """Small grids."""
    loss, shape = draw.one(*LOSSES), (draw.integer(4, 12), draw.integer(4, 9))
    mask, values = draw.entries(shape, loss)
    given = {
        "mask": mask, "values": values, "k": draw.one(2, [1, 2], np.array([1, 3])), "loss": loss,
        "cv": draw.integer(2, 3), "n_epochs": draw.one(2, [1, 2]),
        "n_threads": draw.integer(1, 3),
    }  # fmt: skip
    given |= draw.some(
        0.2,
        regularization=lambda: draw.one(0.1, [0.01, (0.1, 0.2), None]),
        bias_regularization=lambda: draw.one(1.0, [1.0, None]),
        learning_rate=lambda: draw.one(0.1, [0.05, None]),
        biases=lambda: draw.one("auto", [True, False]),
        offset=lambda: draw.one("auto", [0.0, "auto"]),
        decay=lambda: draw.one("constant", ["linear", "constant"]),
        group_size=lambda: draw.one(1, [1, 8]),
        stages=lambda: draw.one(1, [1, 2]),
        members=lambda: draw.one(1, [1, 2]),
        scoring=lambda: draw.one("mae", ["rmse", "recall"], ["ndcg", "coverage", "r2"]),
        n=lambda: draw.integer(1, 9),
        relevant=lambda: draw.one(0.5, lambda v: v > 0),
        n_iter=lambda: draw.integer(1, 3),
        refit=lambda: draw.one(True, False),
        random_state=lambda: draw.integer(0, 99),
        dtype=lambda: draw.one(np.float32, np.float64),
        callback=lambda: lambda *_: None,
        duplicates=lambda: draw.one(*POLICIES),
        weights=lambda: np.ones(np.shape(values)),
        shape=lambda: shape,
    )
    if loss == "squared" and draw.rng.random() < 0.1:
        given["nonnegative"] = draw.one(True, [False, True])
    if loss == "huber":
        given |= draw.some(huber_delta=lambda: 1.0)
    return funkc.cross_validate, given


@called("load")
def load(draw):
    """A model that was just saved, to a file or to bytes."""
    fit, given = fit_of(draw), {"verify": draw.one(True, False)}
    if draw.rng.random() < 0.3:
        data = fit.to_bytes()
        form = draw.one(bytes, bytearray, memoryview, io.BytesIO)
        return funkc.load, {**given, "source": form(data)}
    path = draw.path("model")
    fit.save(path)
    return funkc.load, {**given, "source": path, "mmap": draw.one(True, False)}


@called("get_include", "openmp_enabled")
def nothing(draw, name):
    """Functions without arguments."""
    return getattr(funkc, name), {}


@called("capi.addresses")
def addresses(draw):
    """The table for ctypes."""
    return funkc.capi.addresses, {}


@called("CrossValidation", "CrossValidation.plot", "CrossValidation.to_pandas")
def search(draw, name):
    """The result of a search, and one of the caller's own making."""
    found = world()["search"]
    if name.endswith("to_pandas"):
        return found.to_pandas, {}
    if name.endswith("plot"):
        return found.plot, draw.some(name=lambda: "rmse")
    parts = ("table", "baselines", "scoring", "best_parameters", "best_score", "fit")
    return funkc.CrossValidation, {name: copy.deepcopy(getattr(found, name)) for name in parts}


# ---------------------------------------------------------------- factorizations


def places(draw, n):
    """Indices from 0 to n - 1, in any form."""
    return draw.one(
        draw.integer(0, n - 1), slice(None, None, draw.one(1, 2, -1)), slice(0, 3),
        draw.rng.integers(0, n, draw.integer(0, 6)).astype(draw.one("i8", "i4", "u1")),
        draw.rng.integers(-n, n, draw.integer(1, 6)).tolist(),
    )  # fmt: skip


def by_id(draw, fit, given):
    """Entries of a pair by id or by position, of a model that has ids."""
    mask = given["mask"]
    if isinstance(mask, tuple) and (fit.row_ids is not None or fit.col_ids is not None):
        if draw.rng.random() < 0.5:
            given["ids"] = False
            return given
        given["mask"] = tuple(
            index if names is None else _names(names)[index]
            for index, names in zip(mask, (fit.row_ids, fit.col_ids), strict=True)
        )
        given.pop("shape", None)
    return given


def _names(names):
    """And some that the model lacks."""
    more = np.array([f"new{i}" for i in range(9)]) if names.dtype.kind == "U" else np.arange(9) + 99
    return np.concatenate([names, more])


def called_by(draw, fit, given, **sides):
    """Positions, in any form, of rows (0) or columns (1); or their ids, where there are any."""
    if draw.rng.random() < 0.4:
        given["ids"] = False
    for key, side in sides.items():
        names = (fit.row_ids, fit.col_ids)[side]
        if "ids" in given or names is None:
            given[key] = places(draw, fit.shape[side])
        else:
            given[key] = draw.one(
                draw.rng.choice(names, draw.integer(1, 4)), names[draw.integer(0, names.size - 1)],
                slice(None, None, 2), draw.rng.random(names.size) < 0.5,
            )  # fmt: skip
    return given


def choice_of(draw, fit, given, side, n=None):
    """Columns to leave out, or to rank: in every form of `exclude`, by the rule of `given`."""
    names = (fit.row_ids, fit.col_ids)[side]
    names = np.arange(fit.shape[side]) if "ids" in given or names is None else names
    some = lambda: draw.rng.permutation(names)[: draw.integer(0, names.size)]  # noqa: E731
    forms = [None, some(), some().tolist(), draw.rng.random(names.size) < 0.5]
    if n is None:
        return draw.one(*forms)
    seen = draw.rng.random(fit.shape) < 0.5
    pair = tuple(
        index if "ids" in given or ids is None else ids[index]
        for index, ids in zip(np.nonzero(seen), (fit.row_ids, fit.col_ids), strict=True)
    )
    forms += [
        seen, sp.coo_array(seen.astype("i1")).asformat(draw.one(*FORMATS)), pair,
        [some() for _ in range(n)],
    ]  # fmt: skip
    if fit.row_ids is not None and fit.col_ids is not None:
        forms += world()["ratings"]
    return draw.one(*forms)


@called("Factorization.predict")
def predict(draw):
    """Single entries and blocks."""
    fit = fit_of(draw)
    kind = draw.one("pair", "grid", "rows")
    given = draw.some(
        unknown=lambda: draw.one("raise", "baseline", "nan"), return_known=lambda: True
    )
    if kind == "pair":
        n = draw.integer(0, 6)
        given |= {
            name: draw.rng.integers(0, size, n).astype(draw.one("i8", "u2", "i4"))
            for name, size in zip(("rows", "cols"), fit.shape, strict=True)
        }
        return fit.predict, {**given, "ids": False}
    called_by(draw, fit, given, rows=0)
    if kind == "grid":
        given["cols"] = draw.one(slice(None), slice(1, None))
    return fit.predict, given


@called("Factorization.score")
def score(draw):
    """Entries of the whole matrix."""
    fit = fit_of(draw)
    mask, values = draw.entries(fit.shape, fit.loss, ids_of(fit))
    given = {"mask": mask, "values": values}
    if isinstance(values, np.ndarray):
        given |= draw.some(weights=lambda: draw.weights(mask, values))
    if "weights" not in given:
        given |= draw.some(duplicates=lambda: draw.one(*POLICIES))
    return fit.score, by_id(draw, fit, given)


@called("Factorization.reconstruct")
def reconstruct(draw):
    """All, or some rows, into an array or not."""
    fit = fit_of(draw)
    given = draw.some(link=lambda: draw.one(True, False))
    n = fit.shape[0]
    if draw.rng.random() < 0.5:
        given["rows"] = rows = draw.rng.integers(0, n, draw.integer(0, 6))
        n = rows.size
    if draw.rng.random() < 0.5:
        given["out"] = np.zeros((n, fit.shape[1]), fit.dtype)
    return fit.reconstruct, given


@called("Factorization.impute")
def impute(draw):
    """Entries of the whole matrix, into an array or not."""
    fit = fit_of(draw)
    mask, values = draw.entries(fit.shape, fit.loss, ids_of(fit))
    given = {"mask": mask, "values": values}
    given |= draw.some(
        duplicates=lambda: draw.one(*POLICIES), out=lambda: np.zeros(fit.shape, draw.one("f8", "g"))
    )
    return fit.impute, by_id(draw, fit, given)


@called("Factorization.fold_in_rows", "Factorization.fold_in_cols", "Factorization.partial_fit")
def more(draw, name):
    """New rows, new columns, new entries."""
    fit = fit_of(draw)
    extra = draw.integer(1, 4)
    shape = {
        "rows": (extra, fit.shape[1]), "cols": (fit.shape[0], extra),
        "fit": (fit.shape[0] + draw.integer(0, 2), fit.shape[1] + draw.integer(0, 2)),
    }[name[-4:].lstrip("_")]  # fmt: skip
    ids = ids_of(fit) if name.endswith("fit") and shape == fit.shape else None
    mask, values = draw.entries(shape, fit.loss, ids)
    given = {"mask": mask, "values": values}
    if isinstance(mask, tuple) and values.ndim == 1:
        given |= draw.some(shape=lambda: shape)
    if isinstance(values, np.ndarray):
        given |= draw.some(weights=lambda: draw.weights(mask, values))
    given |= draw.some(regularization=lambda: draw.one(0.0, 0.5))
    if name.endswith("fit"):
        given["n_epochs"] = draw.integer(1, 4)
        given |= draw.some(
            0.2, learning_rate=lambda: draw.one(1e-3, 0.05), verbose=lambda: True,
            callback=lambda: draw.one(lambda *_: None, lambda *_: True),
            duplicates=lambda: draw.one("error", "last"),
        )  # fmt: skip
        if "weights" in given:
            given.pop("duplicates", None)
    else:
        given |= draw.some(unknown=lambda: draw.one("raise", "skip"))
    return getattr(fit, name.partition(".")[2]), by_id(draw, fit, given)


@called("Factorization.top")
def top(draw):
    """With and without what is known, or may be shown; of new rows too."""
    fit = fit_of(draw)
    given = draw.some(0.6, n=lambda: draw.integer(1, 12))
    given |= draw.some(unknown=lambda: draw.one("raise", "skip"))
    called_by(draw, fit, given, rows=0)
    if draw.rng.random() < 0.2:
        given["rows"] = draw.one(fit, fit.row_factors[:2].copy())
    some = lambda: choice_of(draw, fit, given, 1, _count(fit, given))  # noqa: E731
    return fit.top, given | draw.some(exclude=some, only=some)


def _count(fit, given):
    """How many rows are requested."""
    rows = given["rows"]
    if rows is fit or isinstance(rows, slice) or np.asarray(rows).dtype == bool:
        return np.arange(fit.shape[0])[slice(None) if rows is fit else rows].size
    return 1 if isinstance(rows, str) else np.atleast_1d(np.asarray(rows)).shape[0]


@called("Factorization.similar_rows", "Factorization.similar_cols")
def similar(draw, name):
    """Neighbours of either side."""
    fit = fit_of(draw)
    given = draw.some(0.6, n=lambda: draw.integer(1, 12))
    given |= draw.some(unknown=lambda: draw.one("raise", "skip"))
    side = int(name.endswith("cols"))
    called_by(draw, fit, given, x=side)
    some = lambda: choice_of(draw, fit, given, side)  # noqa: E731
    return getattr(fit, name.partition(".")[2]), given | draw.some(exclude=some, only=some)


@called("Factorization.knows_rows", "Factorization.knows_cols")
def knows(draw, name):
    """Known ids, and others."""
    fit = fit_of(draw)
    given = called_by(draw, fit, {}, ids=int(name.endswith("cols")))
    return getattr(fit, name.partition(".")[2]), {"ids": draw.one(given["ids"], [3, "u1"], 2**70)}


@called("Explanation", "Factorization.explain")
def explain(draw, name):
    """Of a row of which entries are observed."""
    fit = fit_of(draw)
    if name == "Explanation":
        parts = ("score", "baseline", "columns", "contributions")
        found = fit.explain(0, 0, seen=(([0], [0]), [1.0]), ids=False)
        return funkc.Explanation, {part: getattr(found, part) for part in parts}
    given = draw.some(n=lambda: draw.integer(1, 12))
    given["seen"] = draw.entries(fit.shape, fit.loss, ids_of(fit), draw.one("nan", "pair", "both"))
    given["row"], given["col"] = (draw.integer(0, n - 1) for n in fit.shape)
    if fit.row_ids is not None and draw.rng.random() < 0.7:
        given["row"], given["col"] = fit.row_ids[given["row"]], fit.col_ids[given["col"]]
        mask, values = given["seen"]
        if isinstance(mask, tuple):
            given["seen"] = (fit.row_ids[mask[0]], fit.col_ids[mask[1]]), values
    elif fit.row_ids is not None:
        given["ids"] = False
    return fit.explain, given


@called("Factorization.without_rows", "Factorization.without_cols")
def without(draw, name):
    """Some of either side."""
    fit = fit_of(draw)
    key = name[-4:]
    given = called_by(draw, fit, {}, **{key: int(key == "cols")})
    return getattr(fit, name.partition(".")[2]), given


@called(*(f"Factorization.{name}" for name in ("to_dict", "row_frame", "col_frame")))
def as_others(draw, name):
    """Of any fit; the parts make the same one."""
    fit = fit_of(draw)
    if name.endswith("frame"):
        return getattr(fit, name.partition(".")[2]), {}

    def use():
        parts = fit.to_dict()
        again = funkc.Factorization.from_factors(**parts)
        assert np.array_equal(again.reconstruct(), fit.reconstruct()), "another model"
        return parts

    return use, {}


@called("Factorization.save")
def save(draw):
    """To a new file, or over an old one, or to a file object."""
    path = draw.path("model")
    if draw.rng.random() < 0.2:
        return fit_of(draw).save, {"file": io.BytesIO()}
    if draw.rng.random() < 0.5:
        fit_of(draw).save(path)
    return fit_of(draw).save, {"file": path}


@called("Factorization.to_bytes")
def to_bytes(draw):
    """Of any fit."""
    return fit_of(draw).to_bytes, {}


@called("Factorization.plot_history")
def plot_history(draw):
    """Of any loss."""
    return fit_of(draw).plot_history, {}


@called(*(f"Factorization.{name}=" for name in ("clip", "n_threads", "noise", "offset")))
def setters(draw, name):
    """What may be set; used afterwards."""
    fit = fit_of(draw)
    attribute = name[:-1].partition(".")[2]
    value = {
        "clip": draw.one(None, (0.0, 1.0), (-np.inf, np.inf), [1, 2]),
        "n_threads": draw.integer(1, 8), "noise": draw.one(None, 0.0, 0.3, 1e30),
        "offset": draw.one(0.0, -1.5, 3),
    }[attribute]  # fmt: skip

    def assign(value):
        setattr(fit, attribute, value)
        fit.predict(slice(1))
        fit.fold_in_rows(([0], [0]), [1.0], ids=False)
        return fit

    return assign, {"value": value}


@called("Factorization.from_factors")
def from_factors(draw):
    """From the parts of a fit."""
    fit = fit_of(draw)
    names = ("row_factors", "col_factors", "row_bias", "col_bias", "offset", "row_ids", "col_ids",
             "noise", "clip")  # fmt: skip
    given = {name: copy.deepcopy(getattr(fit, name)) for name in names}
    given |= {"loss": fit.loss, "huber_delta": fit.parameters["huber_delta"]}

    def use(**parts):
        made = funkc.Factorization.from_factors(**parts)
        made.predict(0, 0)
        made.top(0, ids=False)
        made.save(os.path.join(draw.folder, "model"))
        return made

    return use, given


@called("UnknownIdError")
def unknown_id(draw):
    """The exception, which is sent between processes."""

    def send(**given):
        return str(pickle.loads(pickle.dumps(funkc.UnknownIdError(**given))))

    return send, {"message": draw.one("", "rows: no"), "unknown": ["x"], "axis": "rows"}


@called("DivergedError")
def diverged(draw):
    """Made, pickled and printed."""

    def use(**given):
        return str(pickle.loads(pickle.dumps(funkc.DivergedError(**given))))

    return use, {"epoch": draw.integer(1, 9), "learning_rate": 0.1}
