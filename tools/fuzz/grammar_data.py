"""Valid calls of what stands beside factorizations: ratings, files, scikit-learn, images."""

import contextlib
import copy
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

import funkc
from funkc import progress, ratings
from tools.fuzz.grammar import LOSSES, POLICIES, called, world

# ---------------------------------------------------------------- ratings


def columns_of(draw):
    """Row ids, column ids and values of equal length."""
    n = draw.integer(1, 9)
    pairs = draw.rng.permutation(40)[:n]
    rows, cols = pairs // 8, pairs % 8
    rows = draw.one(rows, [f"user {i}" for i in rows], rows.astype(str), rows - 2, rows * 2**58)
    return rows, draw.one(cols, [f"i{j}" for j in cols], cols.astype("u1")), draw.values(n)


@called("Ratings")
def by_fields(draw):
    """The data class itself."""
    made = draw.one(*world()["ratings"])
    names = ("rows", "cols", "values", "row_ids", "col_ids", "names", "weights", "times")

    def use(**fields):
        table = funkc.Ratings(**fields)
        fit = funkc.factorize(None, table, 2, n_epochs=1)
        fit.impute(None, table)
        fit.partial_fit(None, table, n_epochs=1)
        fit.top(slice(1), exclude=table)
        ratings.sample_unobserved(table)
        return fit

    return use, {name: copy.deepcopy(getattr(made, name)) for name in names}


@called("Ratings.from_arrays")
def from_arrays(draw):
    """Columns."""
    rows, cols, values = columns_of(draw)
    given = {"row_ids": rows, "col_ids": cols, "values": values}
    given |= draw.some(duplicates=lambda: draw.one(*POLICIES))
    if "duplicates" not in given:
        given |= draw.some(weight=lambda: draw.rng.random(len(values)))
    return funkc.Ratings.from_arrays, given


@called("Ratings.from_dataframe")
def from_dataframe(draw):
    """Data frames of three kinds."""
    rows, cols, values = columns_of(draw)
    columns = {"user": rows, "item": cols, "stars": np.asarray(values, "f8")}
    columns["weight"] = draw.rng.random(len(values))
    kind = draw.one("dict", "pandas", "arrow", "category")
    df = columns if kind == "dict" else pd.DataFrame(columns)
    if kind == "arrow":
        df = pa.Table.from_pandas(df)
    elif kind == "category":
        df = df.astype({"user": "category", "item": "category"})
    given = {"df": df, "row": "user", "col": "item", "value": "stars"}
    given |= draw.some(weight=lambda: "weight")
    return funkc.Ratings.from_dataframe, given


@called("ratings.encode")
def encode(draw):
    """Known ids, and sometimes others."""
    known = draw.one(*draw.one(*((r.row_ids, r.col_ids) for r in world()["ratings"]))).copy()
    ids = draw.rng.choice(known, draw.integer(1, 6))
    return ratings.encode, {
        "ids": draw.one(ids, ids.tolist()), "known": known, "unknown": draw.one("error", -1)
    }  # fmt: skip


def table_file(draw, name, damaged=True):
    """A file of ratings, sometimes with bytes that don't belong there."""
    rows, cols, values = columns_of(draw)
    kind = draw.one("csv", "tsv", "npz", "parquet", "gz", "dat")
    path = os.path.join(draw.folder, f"{name}.{kind}")
    df = pd.DataFrame({"rows": rows, "cols": cols, "values": np.asarray(values, "f8")})
    if kind == "npz":
        np.savez(path, **{column: np.asarray(df[column].tolist()) for column in df})
    elif kind == "parquet":
        df.to_parquet(path)
    else:
        separator = {"csv": ",", "gz": ",", "tsv": "\t", "dat": " "}[kind]
        header = draw.one(True, False)
        df.astype({"rows": str}).replace(" ", "_", regex=True).to_csv(
            path, sep=separator, index=False, header=header,
            compression="gzip" if kind == "gz" else None,
        )  # fmt: skip
    if damaged and draw.rng.random() < 0.5:
        with open(path, "r+b") as file:
            content = bytearray(file.read())
            for _ in range(draw.integer(1, 6)):
                content[draw.integer(0, len(content) - 1)] = draw.integer(0, 255)
            file.seek(0)
            file.write(content[: draw.one(None, draw.integer(0, len(content)))])
            file.truncate()
    return draw.one(str, Path)(path)


@called("ratings.read")
def read(draw):
    """Files of every kind, whole and damaged."""
    given = {"path": table_file(draw, "ratings")}
    given |= draw.some(
        0.15, columns=lambda: draw.one([0, 1, 2], ["rows", "cols", "values"]), watch=lambda: iter,
        delimiter=lambda: draw.one(",", "\t", " "), header=lambda: draw.one(True, False),
        duplicates=lambda: draw.one(*POLICIES),
    )  # fmt: skip
    return ratings.read, given


@called("ratings.read_pairs")
def read_pairs(draw):
    """Likewise."""
    path = table_file(draw, "wanted", damaged=draw.one(True, False))
    given = {"path": path, "ratings": draw.one(*world()["ratings"])}
    if draw.rng.random() < 0.5:
        with contextlib.suppress(ValueError, OSError):  # it may be damaged
            given["ratings"] = ratings.read(path)
    return ratings.read_pairs, given


@called("ratings.sample_unobserved")
def sample_unobserved(draw):
    """Negatives."""
    given = {"ratings": draw.one(*world()["ratings"])}
    given |= draw.some(per_row=lambda: draw.integer(1, 9), random_state=lambda: draw.integer(0, 9))
    return ratings.sample_unobserved, given


# ---------------------------------------------------------------- scikit-learn


@called("FunkImputer", "FunkImputer.fit")
def imputer(draw, name):
    """All its parameters: they are checked by `fit`."""
    from funkc import FunkImputer

    loss = draw.one(*LOSSES)
    table = draw.values((draw.integer(2, 12), draw.integer(1, 6)), loss).astype("f8")
    table[draw.rng.random(table.shape) < 0.3] = np.nan
    table = draw.one(table, pd.DataFrame(table), table)
    given = {"n_components": draw.integer(1, 6), "n_epochs": draw.integer(1, 3), "loss": loss}
    given |= draw.some(
        0.1, missing_values=lambda: draw.one(np.nan, None, pd.NA),
        scale=lambda: draw.one(True, False),
        learning_rate=lambda: 0.01, regularization=lambda: draw.one(0.1, (0.1, 0.2)),
        biases=lambda: draw.one(True, False, "auto"), members=lambda: draw.integer(1, 2),
        sparse_means=lambda: draw.one("missing", "zero"), sparse_output=lambda: True,
        min_value=lambda: draw.one(-1.0, None), max_value=lambda: draw.one(3.0, None),
        random_state=lambda: draw.integer(0, 9), n_jobs=lambda: draw.one(None, 1, -1, 2),
        add_indicator=lambda: True, keep_empty_features=lambda: draw.one(True, False),
    )  # fmt: skip
    if loss == "squared":
        given |= draw.some(0.1, nonnegative=lambda: True)
    if loss == "huber":
        given |= draw.some(huber_delta=lambda: 1.0)

    def run(X, **parameters):
        made = FunkImputer(**parameters)
        if name.endswith("fit"):
            return made.fit_transform(X)
        return made.fit(X).transform(X)

    return run, {**given, "X": table}


@called(
    "FunkImputer.transform",
    "FunkImputer.partial_fit",
    "FunkImputer.get_feature_names_out",
    "FunkImputer.score",
)
def fitted_imputer(draw, name):
    """What may be asked of a fitted one."""
    made = copy.deepcopy(draw.one(*world()["imputers"]))
    if name.endswith("out"):
        return made.get_feature_names_out, {"input_features": draw.one(None, list("abcde"))}
    table = world()["table"][draw.rng.permutation(12)[: draw.integer(1, 12)]]
    if draw.rng.random() < 0.3:
        at = np.nonzero(~np.isnan(table))
        table = sp.csr_array((table[at], at), table.shape)
    return getattr(made, name.partition(".")[2]), {"X": table}


@called("FunkRecommender", "FunkRecommender.fit")
def recommender(draw, name):
    """All its parameters, and pairs in any form."""
    from funkc import FunkRecommender

    rows, cols, _ = columns_of(draw)
    loss = draw.one(*LOSSES)
    pairs = np.array(list(zip(rows, cols, strict=True)), object)
    pairs = draw.one(pairs, pairs.tolist(), pd.DataFrame({"row": rows, "col": cols}))
    given = {"n_components": draw.integer(1, 6), "n_epochs": draw.integer(1, 3), "loss": loss}
    given |= draw.some(
        0.1, learning_rate=lambda: 0.01, regularization=lambda: draw.one(0.1, (0.1, 0.2)),
        biases=lambda: draw.one(True, False, "auto"), members=lambda: draw.integer(1, 2),
        clip=lambda: draw.one("auto", (-1.0, 2.0)), unknown=lambda: draw.one("baseline", "raise"),
        duplicates=lambda: draw.one(*POLICIES), random_state=lambda: draw.integer(0, 9),
        n_jobs=lambda: draw.one(None, 1, -1, 2),
    )  # fmt: skip
    if loss == "squared":
        given |= draw.some(0.1, nonnegative=lambda: True)
    if loss == "huber":
        given |= draw.some(huber_delta=lambda: 1.0)
    if "duplicates" not in given:
        given |= draw.some(sample_weight=lambda: draw.rng.random(len(rows)) + 0.1)

    def run(X, y, sample_weight=None, **parameters):
        made = FunkRecommender(**parameters).fit(X, y, sample_weight)
        made.recommend(slice(2), 3)
        return made.predict(X)

    return run, {**given, "X": pairs, "y": draw.values(len(rows), loss)}


@called("FunkRecommender.predict", "FunkRecommender.recommend")
def fitted_recommender(draw, name):
    """What may be asked of a fitted one."""
    made = copy.deepcopy(draw.one(*world()["recommenders"]))
    some = lambda names: draw.rng.choice(names, draw.integer(1, 4))  # noqa: E731
    if name.endswith("predict"):
        rows = some(made.row_ids_)
        cols = draw.rng.choice(made.col_ids_, rows.size)
        pairs = draw.one(np.stack([rows, cols], axis=1), pd.DataFrame({"row": rows, "col": cols}))
        return made.predict, {"X": pairs}
    rows = draw.one(some(made.row_ids_), made.row_ids_[0], slice(None, None, 2))
    given = draw.some(
        n=lambda: draw.integer(1, 12), exclude=lambda: some(made.col_ids_),
        only=lambda: some(made.col_ids_), exclude_trained=lambda: draw.one(True, False),
    )  # fmt: skip
    return made.recommend, {"rows": rows, **given}


# ---------------------------------------------------------------- images


def image_of(draw):
    """An image or volume with its mask, as `inpaint` takes them."""
    shape = (draw.integer(1, 20), draw.integer(1, 20))
    given = {}
    if draw.rng.random() < 0.25:
        shape, given["volume"] = (draw.integer(1, 4), *shape), True
    full = shape
    if draw.rng.random() < 0.25:
        given["channel_axis"] = draw.one(0, -1)
        n = (draw.integer(1, 4),)
        full = n + shape if given["channel_axis"] == 0 else shape + n
        if draw.rng.random() < 0.2:
            given["alpha"] = -1
    image = 200 * draw.rng.random(full)
    image = image.astype(draw.one("u1", "f4", "f8", "u2", "i2", "f2"))
    missing = draw.rng.random(draw.one(shape, full)) < 0.3
    if draw.rng.random() < 0.3 and image.dtype.kind == "f":
        image[draw.rng.random(full) < 0.2] = np.nan
        return {"image": image, **given}
    return {"image": image, "missing": missing, **given}


@called("inpaint")
def inpaint(draw):
    """All methods."""
    given = image_of(draw)
    method = given["method"] = draw.one("patches", "tiles", "funk")
    given["n_threads"] = draw.integer(1, 3)
    given |= draw.some(
        0.2, k=lambda: draw.integer(1, 16), random_state=lambda: draw.integer(0, 2**40),
        return_generated=lambda: True, progress=lambda: True,
        callback=lambda: draw.one(lambda *_: None, lambda *_: True),
    )  # fmt: skip
    if method == "funk":
        given["n_epochs"] = draw.integer(1, 4)
        given |= draw.some(
            0.2, tile_shape=lambda: draw.one((3, 5), [12, 12]),
            offset=lambda: draw.one("auto", 1.0),
            learning_rate=lambda: draw.one(1e-4, 0.01), decay=lambda: "constant",
            regularization=lambda: draw.one(0.1, (0.1, 0.2)), group_size=lambda: 1,
        )  # fmt: skip
    elif method == "patches":
        given |= draw.some(0.2, quality=lambda: draw.one("standard", "fine"))
    return funkc.inpaint, given


def pictures_of(draw):
    """Titles and images, all of one size."""
    shape = draw.one((7, 9), (7, 9, 3), (2, 7, 9), (3, 5, 6, 3))
    dtype = draw.one("u1", "f4", "f8", "u2")
    return [
        (f"picture {i}", (200 * draw.rng.random(shape)).astype(dtype))
        for i in range(draw.integer(1, 5))
    ]


@called("progress.contact_sheet", "progress.figure", "progress.animate")
def sheets(draw, name):
    """Of some pictures."""
    given = {"pictures": pictures_of(draw)}
    if name.endswith("animate"):
        given["file"] = draw.one(draw.path("out.gif"), draw.path("out.webp"), io.BytesIO())
        given["kind"] = draw.one("gif", "webp") if isinstance(given["file"], io.BytesIO) else None
        given |= draw.some(seconds=lambda: draw.one(0.1, 1))
    else:
        given |= draw.some(columns=lambda: draw.integer(1, 4))
    return getattr(progress, name.partition(".")[2]), given


@called("progress.Snapshots", "progress.Snapshots.__call__")
def snapshots(draw, name):
    """Made, and called as `inpaint` does."""
    if name.endswith("call__"):
        return progress.Snapshots(), {"stage": "patches", "step": 1, "image": np.eye(3)}

    def use(every):
        shots = progress.Snapshots(every)
        image = np.add.outer(np.arange(9.0), np.arange(8.0))
        funkc.inpaint(image, image % 5 == 2, callback=shots, n_threads=1)
        return [picture for _, picture in shots.pictures]

    return use, {"every": draw.integer(1, 3)}


@called("progress.by_rank")
def by_rank(draw):
    """Few ranks."""
    given = {**image_of(draw), "ranks": [1, draw.integer(2, 5)], "n_epochs": 2, "n_threads": 1}
    return progress.by_rank, given


@called("progress.as_bytes")
def as_bytes(draw):
    """One picture."""
    return progress.as_bytes, {"picture": pictures_of(draw)[0][1]}
