"""Versions of a model on disk, each complete in its own folder, and which of them is served.

    models/20261201-120000-000000/model.funkc, rows.npy, ...    # the model and its ratings
    models/CURRENT                                              # the name of the version to serve

Nothing in the folder of a version is ever changed: services map its files into memory.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

import funkc

MODEL, CURRENT = "model.funkc", "CURRENT"
ARRAYS = ("rows", "cols", "values", "row_ids", "col_ids")  # of the ratings, each in its own file


@dataclass(frozen=True)
class Version:
    """What a request is answered from, from its beginning to its end."""

    name: str
    digest: str  # SHA-256 of the model file
    fit: funkc.Factorization
    ratings: funkc.Ratings
    scale: tuple[float, float]  # the smallest and the largest rating


def publish(models: Path, fit: funkc.Factorization, ratings: funkc.Ratings) -> str:
    """Write a version, then name it in CURRENT: services find the old one or the new one, whole."""
    models.mkdir(parents=True, exist_ok=True)
    name = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f")
    unfinished = Path(tempfile.mkdtemp(prefix=".", dir=models))
    try:
        unfinished.chmod(0o755)  # the service may run as another user
        fit.save(unfinished / MODEL)
        for array in ARRAYS:
            with open(unfinished / f"{array}.npy", "wb") as file:
                np.save(file, getattr(ratings, array), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        unfinished.rename(models / name)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    choose(models, name)
    return name


def choose(models: Path, name: str) -> None:
    """Have a version served that is complete, the last one or an older one."""
    chosen = models / f".{CURRENT}-{os.getpid()}"
    chosen.write_text(name, encoding="utf-8")
    chosen.replace(models / CURRENT)


def chosen(models: Path) -> str:
    """The name of the version to serve."""
    return (models / CURRENT).read_text(encoding="utf-8").strip()


def load(models: Path, name: str) -> Version:
    """Map a version into memory and verify it; raises an error if anything is wrong."""
    path = models / name / MODEL
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        digest = hashlib.sha256(content).hexdigest()
    fit = funkc.load(path, mmap=True)
    fit.n_threads = 1  # the processes already use all processors
    ratings = funkc.Ratings(
        *(np.load(models / name / f"{array}.npy", mmap_mode="r") for array in ARRAYS)
    )
    # What funkc computes at the first call of each kind, and keeps: no request waits for it.
    new = fit.fold_in_rows(([0], [0]), ratings.values[:1], ids=False)
    fit.top(new, 1)
    fit.similar_cols(0, 1, ids=False)
    scale = float(ratings.values.min()), float(ratings.values.max())
    return Version(name, digest, fit, ratings, scale)
