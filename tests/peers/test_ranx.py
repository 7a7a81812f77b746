"""Scores of rankings against those of ranx: README.md in this folder says how."""

import numpy as np
import pytest

import funkc
from funkc import evaluation

ranx = pytest.importorskip("ranx", reason="ranx is only compared with, and not installed")

NAMES = ("precision", "recall", "hit_rate", "mrr", "ndcg")


@pytest.mark.parametrize("n", [1, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_rankings_are_scored_as_by_ranx(seed, n):
    rng = np.random.default_rng(seed)
    kind, values = rng.random((40, 25)), rng.integers(1, 6, (40, 25)).astype(float)
    train, test = kind < 0.3, kind > 0.7
    test[:, 0] |= ~test.any(axis=1)
    train &= ~test
    fit = funkc.Factorization.from_factors(rng.normal(size=(40, 3)), rng.normal(size=(25, 3)))
    found, scores = fit.top(np.arange(40), n, exclude=train)
    relevant = ranx.Qrels(
        {str(i): {str(j): int(values[i, j]) for j in np.flatnonzero(test[i])} for i in range(40)}
    )
    run = ranx.Run(
        {str(i): {str(j): float(s) for j, s in zip(found[i], scores[i], strict=True) if j >= 0}
         for i in range(40)}
    )  # fmt: skip
    theirs = ranx.evaluate(relevant, run, [f"{name}@{n}" for name in NAMES])
    ours = evaluation.evaluate(
        fit, (np.nonzero(test), values[test]), train=(np.nonzero(train), values[train]), n=n,
        scoring=list(NAMES),
    )  # fmt: skip
    for name in NAMES:
        assert ours[name] == pytest.approx(theirs[f"{name}@{n}"], rel=1e-12)
