"""The evaluation tests of implicit, run on funkc: README.md in this folder says how."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import funkc
from funkc import evaluation

FILE = "evaluation_test.py"
FOLDER = os.environ.get("FUNKC_PEERS")
if not FOLDER or not Path(FOLDER, FILE).exists():
    pytest.skip(
        f"{FILE} of implicit is fetched for a run, and FUNKC_PEERS names its folder",
        allow_module_level=True,
    )
implicit_evaluation = pytest.importorskip(
    "implicit.evaluation", reason="the tests of implicit import it, and it is not installed"
)
pytest.importorskip("h5py", reason="the tests of implicit import it, and it is not installed")

# README.md has the reasons.
DIFFERENT = {
    "test_leave_k_out_gets_correct_train_only_shape": TypeError,
    "test_leave_k_out_raises_error_for_invalid_train_only_size_lower_bound": TypeError,
    "test_leave_k_out_raises_error_for_invalid_train_only_size_upper_bound": TypeError,
}


def as_matrices(split):
    """What implicit's splits return."""
    return tuple(
        sp.csr_matrix((values, places), split.shape)
        for places, values in (split.train_data, split.test_data)
    )


def train_test_split(ratings, train_percentage=0.8, random_state=None):
    return as_matrices(
        evaluation.split_random(ratings, 1 - train_percentage, random_state=random_state)
    )


def leave_k_out_split(ratings, K=1, random_state=None):
    if K != 1:
        raise ValueError("funkc leaves one out")
    return as_matrices(evaluation.leave_one_out(ratings, random_state=random_state))


def entries(matrix):
    made = matrix.tocoo()
    return (made.row, made.col), made.data


SPEC = importlib.util.spec_from_file_location("evaluation_suite_of_implicit", Path(FOLDER, FILE))
SUITE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SUITE)
SUITE.train_test_split, SUITE.leave_k_out_split = train_test_split, leave_k_out_split
for name, test in vars(SUITE).items():
    if not name.startswith("test_"):
        continue
    if name in DIFFERENT:
        reason = "tests/peers/README.md has the reason"
        test = pytest.mark.xfail(raises=DIFFERENT[name], reason=reason)(test)
    if "movielens" in name:
        test = pytest.mark.skip(reason="implicit downloads the ratings when it runs")(test)
    globals()[name] = test


class Ranked:
    """A model whose lists are known, as implicit's metrics ask for them."""

    def __init__(self, lists):
        self.lists = lists

    def recommend(self, userid, user_items, N=10, **_):
        found = self.lists[userid, :N]
        return found.astype(np.int32), np.ones(found.shape, np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_ndcg_and_map_are_those_of_implicit(seed):
    rng = np.random.default_rng(seed)
    kind = rng.random((40, 25))
    train, test = sp.csr_matrix((kind < 0.3) * 1.0), sp.csr_matrix((kind > 0.8) * 1.0)
    fit = funkc.Factorization.from_factors(rng.normal(size=(40, 3)), rng.normal(size=(25, 3)))
    lists = fit.top(np.arange(40), 7, exclude=entries(train)[0])[0]
    theirs = implicit_evaluation.ranking_metrics_at_k(
        Ranked(lists), train, test, K=7, show_progress=False, num_threads=1
    )
    ours = evaluation.evaluate(
        fit, entries(test), train=entries(train), n=7, scoring=["ndcg", "map"]
    )
    assert ours["ndcg"] == pytest.approx(theirs["ndcg"])
    assert ours["map"] == pytest.approx(theirs["map"])
