"""Factorizations to save, interrupted trainings, and ways to damage what a file holds."""

import json
from pathlib import Path

import fits
import numpy as np

import funkc

SOURCE = str(Path(funkc.__file__).parents[1])
NAN = np.nan
SHAPE = (60, 45)


def observed(shape=SHAPE, density=0.5, seed=0):
    return fits.observed(shape, density, seed)


def rated(seed=0, text=True, n=600):
    rng = np.random.default_rng(seed)
    places = rng.permutation(40 * 30)[:n]
    names = np.array([f"rö{i}" for i in range(40)]) if text else np.arange(40) * 10 - 99
    return funkc.Ratings.from_arrays(
        names[places // 30], places % 30 * 7, rng.integers(1, 9, n) / 2
    )


def fitted(**options):
    return funkc.factorize(None, observed(), 3, **({"n_epochs": 3, "n_threads": 1} | options))


def content(fit):
    """All that must come back, to the bit."""
    parts = (fit.row_factors, fit.col_factors, fit.row_bias, fit.col_bias)
    names = (fit.row_ids, fit.col_ids)
    history = {name: column for name, column in fit.history.items() if name != "seconds"}
    return (
        [None if part is None else (part.dtype, part.shape, part.tobytes()) for part in parts],
        [None if ids is None else (ids.dtype.kind, ids.tolist()) for ids in names],
        (fit.offset, fit.parameters, history, fit.stopped_by),
    )


def json_of(text, **changes):
    return json.dumps(json.loads(text) | changes)


def without(text, name):
    return json.dumps({key: value for key, value in json.loads(text).items() if key != name})


def tensors(**changes):
    return lambda t, m: t.update({name.replace("__", "."): part for name, part in changes.items()})


def gone(*names):
    return lambda t, m: [t.pop(name) for name in names]


def spoiled(name, value):
    """Damage that puts a number at the end of an array."""

    def spoil(t, m):
        t[name] = t[name].copy()
        t[name].flat[-1] = value

    return spoil


class Killed(BaseException):
    pass


def killed_after(epochs):
    """A callback that ends training the hard way when so many epochs have ended."""
    seen = []

    def kill(epoch, history):
        seen.append(epoch)
        if len(seen) == epochs:
            raise Killed

    return kill
