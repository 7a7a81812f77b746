"""The recommender tests of implicit, run on funkc: README.md in this folder says how."""

import importlib.util
import os
import unittest
from pathlib import Path

import numpy as np
import pytest

import funkc

FILE = "recommender_base_test.py"
FOLDER = os.environ.get("FUNKC_PEERS")
if not FOLDER:
    pytest.skip(
        f"{FILE} of implicit is fetched for a run, and FUNKC_PEERS names its folder",
        allow_module_level=True,
    )
pytest.importorskip("implicit", reason="the tests of implicit import it, and it is not installed")

# As implicit's models in these tests, without regularization to speak of.
RIDGE = 0.001
FITTED = dict(k=32, biases=False, learning_rate=0.1, regularization=RIDGE, n_epochs=300)

# README.md has the reasons.
DIFFERENT = {
    "test_fit_non_csr_matrix": pytest.fail.Exception,
    "test_rank_items": AssertionError,
    "test_rank_items_batch": AssertionError,
    "test_recalculate_user": AssertionError,
    "test_serialization_without_fit": AttributeError,
}


def as_asked(asked, found, scores):
    """1-D for a single user or item; with integers of the size that implicit's metrics take."""
    found = found.astype(np.int32)
    return (found[0], scores[0]) if np.isscalar(asked) else (found, scores)


class Recommender:
    """The methods of implicit's models. Users are rows; what a matrix does not store is 0."""

    fitted = None

    def fit(self, user_items, show_progress=True, callback=None):
        self.fitted = funkc.factorize(
            None, user_items.toarray(), callback=callback, verbose=show_progress, **FITTED
        )

    def recommend(
        self,
        userid,
        user_items,
        N=10,
        filter_already_liked_items=True,
        filter_items=(),
        items=None,
        recalculate_user=False,
    ):
        rows, exclude = np.atleast_1d(userid), list(filter_items)
        if recalculate_user:
            rows = self.fitted.fold_in_rows(None, user_items.toarray(), regularization=RIDGE)
        if filter_already_liked_items:
            stored = user_items.tocsr()
            liked = np.split(stored.indices, stored.indptr[1:-1])
            exclude = [[*columns, *filter_items] for columns in liked]
        return as_asked(userid, *self.fitted.top(rows, N, exclude=exclude, only=items))

    def similar_users(self, userid, N=10, filter_users=None, users=None):
        # Of factors, not of positions: implicit lists the user, too.
        x = self.fitted.row_factors[np.atleast_1d(userid)]
        found = self.fitted.similar_rows(x, N, exclude=filter_users, only=users)
        return as_asked(userid, *found)

    def similar_items(
        self, itemid, N=10, recalculate_item=False, item_users=None, filter_items=None, items=None
    ):
        y = self.fitted.col_factors[np.atleast_1d(itemid)]
        if recalculate_item:
            y = self.fitted.fold_in_cols(None, item_users.toarray().T, regularization=RIDGE)
        found = self.fitted.similar_cols(y, N, exclude=filter_items, only=items)
        return as_asked(itemid, *found)

    def save(self, file):
        self.fitted.save(file)

    @classmethod
    def load(cls, file):
        loaded = cls()
        loaded.fitted = funkc.load(file)
        return loaded


# The marks are strict: a test that comes to pass has to be taken from the list.
SPEC = importlib.util.spec_from_file_location("suite_of_implicit", Path(FOLDER, FILE))
SUITE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SUITE)
for name, error in DIFFERENT.items():
    mark = pytest.mark.xfail(raises=error, reason="tests/peers/README.md has the reason")
    mark(getattr(SUITE.RecommenderBaseTestMixin, name))


class TestImplicit(SUITE.RecommenderBaseTestMixin, unittest.TestCase):
    def _get_model(self):
        return Recommender()


@pytest.fixture(scope="module")
def board():
    likes = SUITE.get_checker_board(50)
    model = Recommender()
    model.fit(likes, show_progress=False)
    return model, likes


# What holds in place of the tests that differ.


def test_a_recalculated_user_gets_the_same_item(board):
    model, likes = board
    for users in (np.arange(50), 7):
        found, scores = model.recommend(users, likes[users], N=1)
        again, others = model.recommend(users, likes[users], N=1, recalculate_user=True)
        np.testing.assert_array_equal(again, found)
        np.testing.assert_allclose(others, scores, rtol=0, atol=0.02)


def test_items_are_ranked_except_those_that_were_liked(board):
    model, likes = board
    found, scores = model.recommend(np.arange(50), likes, items=np.arange(10) * 3)
    for user, row in enumerate(found):
        fresh = set(range(0, 30, 3)) - set(likes[user].indices)
        assert set(row[: len(fresh)]) == fresh
        assert (row[len(fresh) :] == -1).all()
    np.testing.assert_array_equal(np.isneginf(scores), found < 0)


def test_items_are_ranked_and_wrong_ones_refused(board):
    model, likes = board
    items = [31, 4, 15, 9, 2, 6]
    found, scores = model.recommend(3, likes[3], 6, False, items=items)
    assert set(found) == set(items)
    assert (np.diff(scores) <= 0).all()
    for wrong in (-1, 50, 300):
        with pytest.raises(IndexError, match=rf"only\[6\] = {wrong} is not among the 50"):
            model.recommend(3, likes[3], 6, False, items=[*items, wrong])
