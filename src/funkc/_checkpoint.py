"""Training that outlives its process: what a checkpoint holds, and how it goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc import _io, _shards
from funkc._errors import ModelFileError, reject
from funkc._ids import Ids
from funkc._train import SIDES
from funkc._validate import Options, Start

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from funkc._schedule import Schedule
    from funkc._train import Training

# Design
# a. Training is a function of the cells, the options and the number of the epoch, so what it
#    needs to go on is little: the factors, the history, the best factors so far, the factors it
#    began with if the caller gave them, and the options.
# b. The cells are not kept; a hash of what the core has packed tells whether they are the same.

KIND = "checkpoint"
IDS = ("row_ids", "col_ids")


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often to write, and the rest of what the caller asked for."""

    path: str | os.PathLike[str]
    every: int
    share: float | None  # of the cells, held out for validation
    ids: tuple[Ids | None, Ids | None]

    def write(self, training: Training) -> None:
        """Put the state of an epoch's end in the place of the one before."""
        epochs = len(training.history["epoch"])
        if epochs % self.every and epochs < training.settings.n_epochs:
            return
        tensors, numbers = training.state()
        tensors |= {
            f"history.{name}": np.array(column, np.float64)
            for name, column in training.history.items()
        }
        for name, ids in zip(IDS, self.ids, strict=True):
            tensors |= {} if ids is None else ids.tensors(name)
        options = dataclasses.asdict(training.options)
        options["dtype"] = str(training.options.dtype)
        options["offset"] = None if math.isnan(options["offset"]) else options["offset"]
        known = {
            **numbers,
            "options": options,
            "every": self.every,
            "share": None if self.share is None else float(self.share),
            "shape": [training.schedule.n_rows, training.schedule.n_cols],
            "cells": digest(training.schedule),
        }
        metadata = {"kind": KIND, "state": json.dumps(known, allow_nan=False)}
        _io.write(self.path, tensors, metadata)


@dataclass(frozen=True)
class State:
    """What a checkpoint says."""

    path: str | os.PathLike[str]
    tensors: dict[str, NDArray[Any]]
    known: dict[str, Any]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> State:
        """Of a file that `Checkpoint` wrote."""
        tensors, metadata = _io.read(path)
        if metadata.get("kind") != KIND:
            raise ModelFileError(
                f"{path}: it holds a model, not a checkpoint; open it with funkc.load"
            )
        return cls(path, tensors, json.loads(metadata["state"]))

    @property
    def options(self) -> Options:
        """How it was trained."""
        options = self.known["options"]
        regularization = options["regularization"]
        return Options(
            **{
                **options,
                "dtype": np.dtype(options["dtype"]),
                "offset": math.nan if options["offset"] is None else options["offset"],
                "regularization": None if regularization is None else tuple(regularization),
            }
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """How to go on writing."""
        return Checkpoint(self.path, self.known["every"], self.known["share"], self.ids)

    @property
    def ids(self) -> tuple[Ids | None, Ids | None]:
        """Of rows and columns, if it was trained on Ratings."""
        rows, cols = (Ids.of_tensors(self.path, name, self.tensors) for name in IDS)
        return rows, cols

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        rows, cols = self.known["shape"]
        return rows, cols

    @property
    def start(self) -> Start | None:
        """The factors that training began with, if they were given."""
        parts = [self.tensors.get(f"start.{name}") for name in (*SIDES, "row_bias", "col_bias")]
        if parts[0] is None or parts[1] is None:
            return None
        return Start(parts[0], parts[1], parts[2], parts[3], None)

    @property
    def history(self) -> dict[str, list[float]]:
        """As far as it went."""
        history = {
            name.removeprefix("history."): column.tolist()
            for name, column in self.tensors.items()
            if name.startswith("history.")
        }
        history["epoch"] = [int(epoch) for epoch in history["epoch"]]
        return history

    def require_same_cells(self, schedule: Schedule) -> None:
        """Refuse to go on with other data."""
        if digest(schedule) != self.known["cells"]:
            reject(
                "values",
                f"are not the cells that {self.path} was trained on",
                "pass the same mask, values, weights and validation as in the first call, or "
                "train on new data with factorize(init=...) or partial_fit",
            )


def digest(schedule: Schedule) -> str:
    """A hash of all cells in the order of training."""
    sha = hashlib.sha256(repr((schedule.offset, schedule.n_bands)).encode())
    for part in _shards.contents(schedule.plan):
        sha.update(part)
    return sha.hexdigest()
