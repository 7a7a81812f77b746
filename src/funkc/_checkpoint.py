"""Checkpoints: the state of a training, and how it is resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc import _io
from funkc._errors import DivergedError, ModelFileError, reject
from funkc._history import BIASES, SIDES, history_of, tensors_of
from funkc._input import scalars
from funkc._input.arrays import MOST_ROWS
from funkc._input.ids import Ids
from funkc._input.options import Options, Start, checked_options
from funkc._state import state_of
from funkc._train import MOST_HALVINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from funkc._input.options import History
    from funkc._train import Training

# Design
# a. Training is a function of the entries, the options and the number of the epoch, so its
#    state is small: the factors, the history, the best factors so far, the initial factors if
#    the caller passed them, and the options.
# b. The entries are not stored; a hash of the packed ones tells whether they are the same.

KIND = "checkpoint"
IDS = ("row_ids", "col_ids")


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often to write, and further options of the caller."""

    path: str
    every: int
    share: float | None  # of the cells, held out for validation
    ids: tuple[Ids | None, Ids | None]

    def writer(self, training: Training) -> Writer:
        """What writes the states of this training."""
        options = dataclasses.asdict(training.options)
        options["dtype"] = str(training.options.dtype)
        loss = training.options.loss
        clip = training.options.clip
        if isinstance(clip, tuple):  # whose ends may be infinite
            options["clip"] = [end.hex() for end in clip]
        options["loss"] = [loss.name, None if math.isnan(loss.delta) else loss.delta]
        # What was chosen, should the rule change in another version.
        options["bands"] = training.schedule.n_row_bands, training.schedule.n_bands
        options["offset"] = None if math.isnan(options["offset"]) else options["offset"]
        known = {
            "options": options,
            "every": self.every,
            "share": None if self.share is None else float(self.share),
            "shape": [training.schedule.n_rows, training.schedule.n_cols],
            "cells": digest(training),
        }

        return Writer(self, known)


@dataclass(frozen=True)
class Writer:
    """Writes the states of a training, each in the place of the one before."""

    checkpoint: Checkpoint
    known: dict[str, Any]  # what does not change while training

    def try_out(self) -> None:
        """Raise now what would end the training after its first epoch."""
        _io.require_writable(self.checkpoint.path)

    def write(self, training: Training) -> None:
        """Write the state after an epoch, if it is the turn of that one."""
        epochs = len(training.history["epoch"])
        more = epochs - training.stage_begun < training.settings.n_epochs
        if epochs % self.checkpoint.every and more:
            return
        try:
            tensors, numbers = state_of(training)
        except DivergedError:  # in its last steps; the next epoch, or the end, handles it
            return
        tensors |= tensors_of(training.history)
        for name, ids in zip(IDS, self.checkpoint.ids, strict=True):
            tensors |= {} if ids is None else ids.tensors(name)
        state = json.dumps({**numbers, **self.known}, allow_nan=False)
        _io.write(self.checkpoint.path, tensors, {"kind": KIND, "state": state})


@dataclass(frozen=True)
class State:
    """The contents of a checkpoint, checked."""

    path: str
    tensors: dict[str, NDArray[Any]]
    known: dict[str, Any]
    options: Options
    history: History
    shape: tuple[int, int]
    start: Start | None  # the factors that training began with, if they were given
    checkpoint: Checkpoint  # how to go on writing

    @classmethod
    def read(cls, path: str) -> State:
        """Read a file written by a `Checkpoint`."""
        tensors, metadata = _io.read(path)
        if metadata.get("kind") != KIND:
            raise ModelFileError(f"{path}: it is a model, not a checkpoint; use funkc.load")
        with _io.understanding(path, KIND):
            return cls._of(path, tensors, json.loads(metadata["state"]))

    @classmethod
    def _of(cls, path: str, tensors: dict[str, NDArray[Any]], known: dict[str, Any]) -> State:
        given = known["options"]
        if given.keys() != {field.name for field in dataclasses.fields(Options)}:
            raise ValueError("the options are not those of a training")
        offset = math.nan if given["offset"] is None else given["offset"]
        told = ("seed", "offset", "dtype_is_default")
        checked = {name: value for name, value in given.items() if name not in told}
        checked["loss"], checked["huber_delta"] = given["loss"]
        if isinstance(given["clip"], list):
            checked["clip"] = [float.fromhex(end) for end in given["clip"]]
        options = dataclasses.replace(
            checked_options(**checked, random_state=given["seed"], offset=0.0), offset=offset
        )
        if given["offset"] is not None:
            scalars.real("offset", offset, -math.inf)
        n_rows, n_cols = (scalars.integer("shape", size, 1, MOST_ROWS) for size in known["shape"])
        history = history_of(tensors)
        _require_numbers(known, len(history["epoch"]))
        rows, cols = (Ids.of_tensors(path, name, tensors) for name in IDS)
        for ids, size in ((rows, n_rows), (cols, n_cols)):
            if ids is not None and ids.names.size != size:
                raise ValueError(f"{ids.names.size} ids for {size} rows or columns")
        judged = tensors.get("judged", np.empty(0))
        if judged.dtype != np.float64 or judged.ndim != 1:
            raise ValueError("'judged' is not a list of numbers")
        _io.require_finite(tensors)
        if options.members != 1:
            raise ValueError("a checkpoint has one member")
        _require_factors(tensors, options, (n_rows, n_cols), "best_loss" in known)
        begun = known.get("start_offset")
        start_offset = (
            None if begun is None else scalars.real("start_offset", float.fromhex(begun), -math.inf)
        )
        x, y, *biases = (tensors.get(f"start.{name}") for name in (*SIDES, *BIASES))
        return cls(
            path=path,
            tensors=tensors,
            known=known,
            options=options,
            history=history,
            shape=(n_rows, n_cols),
            start=(
                None if x is None or y is None else Start(x, y, biases[0], biases[1], start_offset)
            ),
            checkpoint=Checkpoint(path, known["every"], known["share"], (rows, cols)),
        )

    def require_same_cells(self, training: Training) -> None:
        """Refuse to resume with other data."""
        same = self.history.keys() == training.history.keys()
        if not same or digest(training) != self.known["cells"]:
            reject(
                "values",
                f"differ from the entries that {self.path} was trained on",
                "pass the same mask, values, weights and validation as in the first call, or "
                "train on new data with factorize(init=...) or partial_fit",
            )


def _require_numbers(known: dict[str, Any], n_epochs: int) -> None:
    """Refuse a state with invalid numbers."""
    scalars.integer("epochs", n_epochs, 1, 10**9)
    scalars.integer("every", known["every"], 1, 10**9)
    bytes.fromhex(known["cells"])
    scalars.integer("seed", known["options"]["seed"], 0, 2**64 - 1)
    scalars.integer("halvings", known["halvings"], 0, MOST_HALVINGS)
    scalars.integer("stage", known["stage"], 0, 1000)
    scalars.integer("stage_begun", known["stage_begun"], 0, n_epochs)
    if known["stages"] is not None:
        scalars.integer("stages", known["stages"], 1, 1000)
    linked = known["options"]["loss"][0] != "squared"
    levels = ["level"] * (known["options"]["biases"] or linked)
    for name in [*levels, *(f"best_{name}" for name in levels if "best_loss" in known)]:
        scalars.real(name, float.fromhex(known[name]), -math.inf)
    if not float.fromhex(known["limit"]) >= 0:
        raise ValueError("'limit' is not a number from 0")
    if known["share"] is not None:
        scalars.real("share", known["share"], 0.0, above=True)
    if "best_loss" in known:
        scalars.real("best_loss", float.fromhex(known["best_loss"]), 0.0)
        scalars.integer("best_epoch", known["best_epoch"], 1, n_epochs)
        scalars.integer("best_stage", known["best_stage"], 0, known["stage"])


def _require_factors(
    tensors: dict[str, NDArray[Any]], options: Options, shape: tuple[int, int], best: bool
) -> None:
    """Refuse factors that are missing, or of another shape or dtype."""
    wanted: dict[str, tuple[int, ...]] = {}
    for name, bias, size in zip(SIDES, BIASES, shape, strict=True):
        for prefix in ("", "best.") if best else ("",):
            wanted[f"{prefix}{name}"] = (size, options.k)
            if options.leveled:
                wanted[f"{prefix}{bias}"] = (size,)
        if any(given.startswith("start.") for given in tensors):
            wanted[f"start.{name}"] = (size, options.k)
        if any(f"start.{given}" in tensors for given in BIASES):
            wanted[f"start.{bias}"] = (size,)
    if ("row_bias" in tensors) != options.leveled:
        raise ValueError("its biases don't fit its options")
    for name, expected in wanted.items():
        if tensors[name].shape != expected or tensors[name].dtype != options.dtype:
            found = f"'{name}' has shape {tensors[name].shape} and dtype {tensors[name].dtype}"
            raise ValueError(f"{found}, not {expected} and {options.dtype}")


def digest(training: Training) -> str:
    """A hash of all entries in training order."""
    schedule = training.schedule
    sha = hashlib.sha256(repr((schedule.offset, schedule.n_row_bands, schedule.n_bands)).encode())
    for part in training.contents():
        sha.update(part)
    return sha.hexdigest()
