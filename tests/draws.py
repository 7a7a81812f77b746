"""Which entries are drawn, for validation or into a fold, in the order of the caller's lists."""

from dataclasses import replace

import numpy as np

from funkc._input.cells import Draw, observed_cells


def held_out(rows, cols, shape, share, seed=0):
    """Whether each entry is held out."""
    return marked(rows, cols, shape, Draw(True, seed, share))


def fold_of(rows, cols, shape, folds, seed=0):
    """The fold of each entry."""
    out = np.empty(len(rows), np.uint16)
    for fold in range(folds):
        out[marked(rows, cols, shape, Draw(True, seed, folds=folds, fold=fold))] = fold
    return out


def marked(rows, cols, shape, draw):
    numbered = observed_cells((rows, cols), np.arange(len(rows)), shape=shape)
    out = np.zeros(len(rows), bool)
    out[replace(numbered, draw=draw).listed().values.astype(int)] = True
    return out
