"""A Factorization of Ratings is asked by ids."""

import copy
import pickle

import numpy as np
import pytest
from fits import bits, made, rated

import funkc


@pytest.fixture(scope="module")
def named():
    return funkc.factorize(None, rated(), 4, n_epochs=3, n_threads=1)


def test_the_ids_of_Ratings_are_kept(named):
    ratings = rated()
    assert np.array_equal(named.row_ids, ratings.row_ids)
    assert np.array_equal(named.col_ids, ratings.col_ids)
    assert not named.row_ids.flags.writeable
    plain = funkc.factorize(
        (ratings.rows, ratings.cols), ratings.values, 4, n_epochs=3, shape=ratings.shape
    )
    assert bits(plain) == bits(named)
    assert plain.row_ids is None is plain.col_ids
    product = named.reconstruct()
    rows, cols = ratings.row_ids[[5, 0, 5]], ratings.col_ids[[2, 2, 9]]
    assert np.array_equal(named.predict(rows, cols, ids=True), product[[5, 0, 5], [2, 2, 9]])
    assert named.predict("r005", 14, ids=True) == product[5, 2]
    assert named.predict("r005", "14", ids=True) == product[5, 2]  # a number and its text are one
    assert np.array_equal(named.predict("r005", ids=True), product[5])
    assert np.array_equal(named.predict(slice(2), [7, 0], ids=True), product[:2, [1, 0]])
    usual = named.predict(["r005", "nobody"], [1, 14], unknown="baseline")
    expected = named.predict([5, -1], [-1, 2], unknown="baseline", ids=False)
    assert np.array_equal(usual, expected)
    with pytest.raises(ValueError, match=r"^rows\[1\]: the id 'nobody' is not known; pass unk"):
        named.predict(["r005", "nobody"], 14, ids=True)
    with pytest.raises(ValueError, match=r"^cols: the id 15 is not known"):
        named.predict("r005", 15, ids=True)
    with pytest.raises(ValueError, match=r"^ids: got True, but the rows have no ids; pass pos"):
        plain.predict("r005", 15, ids=True)


def test_top_and_similar_answer_with_ids(named):
    ratings = rated()
    cols, scores = named.top(["r005", "r000"], 35, exclude=ratings, ids=True)
    at, plain = named.top([5, 0], 35, exclude=(ratings.rows, ratings.cols), ids=False)
    assert np.array_equal(cols, np.where(at < 0, -1, np.arange(30)[at] * 7))
    assert scores.tobytes() == plain.tobytes()
    at = named.top(5, 3, ids=False)[0]
    assert np.array_equal(named.top("r005", 3, ids=True)[0], named.col_ids[at])
    found, _ = named.similar_rows("r005", 41, ids=True)
    at = named.similar_rows(5, 41, ids=False)[0]
    assert np.array_equal(found, np.where(at < 0, "", named.row_ids[at]))
    assert np.array_equal(
        named.similar_cols([14], 2, ids=True)[0],
        named.col_ids[named.similar_cols([2], 2, ids=False)[0]],
    )
    strangers = funkc.Ratings.from_arrays(["r005", "nobody"], [14, 1], [1, 1])
    one = named.top(5, 5, exclude=strangers, ids=False)
    assert np.array_equal(one[0], named.top(5, 5, exclude=([5], [2]), ids=False)[0])
    with pytest.raises(ValueError, match=r"^rows\[0\]: the id 'nobody' is not known"):
        named.top(["nobody"], ids=True)


def test_ratings_meet_a_model_by_their_ids(named):
    some = funkc.Ratings.from_arrays(["r009", "r002"], [7, "28"], [4.5, 1.0])
    filled = named.impute(None, some)
    expected = named.reconstruct().astype(float)
    expected[9, 1], expected[2, 4] = 4.5, 1.0
    assert np.array_equal(filled, expected)
    new = named.fold_in_rows(
        None, funkc.Ratings.from_arrays(["z", "y", "z"], [7, 7, 28], [4, 1, 5])
    )
    assert new.row_ids.tolist() == ["y", "z"]
    assert np.array_equal(new.col_ids, named.col_ids)
    by_position = named.fold_in_rows(([1, 0, 1], [1, 1, 4]), [4, 1, 5], ids=False)
    assert bits(new) == bits(by_position)
    assert by_position.row_ids is None
    assert np.array_equal(by_position.col_ids, named.col_ids)
    assert new.predict("z", 28) == new.predict(1, 4, ids=False)
    cols = named.fold_in_cols(None, funkc.Ratings.from_arrays(["r009"], [1000], [4]))
    assert cols.col_ids.tolist() == [1000]
    assert bits(cols) == bits(named.fold_in_cols(([9], [0]), [4], ids=False))
    with pytest.raises(ValueError, match=r"^values.col_ids\[0\]: the id 8 is not known"):
        named.fold_in_rows(None, funkc.Ratings.from_arrays(["z"], [8], [4]))
    with pytest.raises(ValueError, match=r"^values.row_ids\[0\]: the id 'z' is not known"):
        named.impute(None, funkc.Ratings.from_arrays(["z"], [7], [4]))


@pytest.mark.parametrize("text", [True, False])
def test_new_ids_follow_those_that_are_known(text):
    fit = funkc.factorize(None, rated(text=text), 4, n_epochs=3, n_threads=1)
    before = copy.copy(fit)
    known = fit.row_ids[5]
    new = "a first" if text else 3  # sorted, it would not be last
    more = funkc.Ratings.from_arrays([new, known, known], [14, 14, -3], [1.0, 2.0, 3.0])
    fit.partial_fit(None, more)
    assert fit.row_ids.tolist() == [*before.row_ids.tolist(), new]
    assert fit.col_ids.tolist() == [*before.col_ids.tolist(), -3]
    assert fit.predict(new, -3) == fit.predict(40, 30, ids=False)
    by_position = made(
        before.row_factors, before.col_factors, before.offset,
        row_bias=before.row_bias, col_bias=before.col_bias,
    )  # fmt: skip
    by_position.parameters, by_position.noise = before.parameters, before.noise
    assert bits(by_position.partial_fit(([40, 5, 5], [2, 2, 30]), [1.0, 2.0, 3.0])) == bits(fit)
    again = funkc.factorize(None, more, 4, init=fit, n_epochs=1)  # known by now
    assert again.row_ids.tolist() == fit.row_ids.tolist()
    third = copy.copy(fit).partial_fit(None, funkc.Ratings.from_arrays(["x y"], [14], [2]))
    assert third.row_ids.tolist() == [*map(str, fit.row_ids.tolist()), "x y"]
    assert third.predict(str(known), 14) == third.predict(5, 2, ids=False)
    assert third.top("x y", 1, ids=True)[0].shape == (1,)


def test_positions_of_new_rows_are_no_ids(named):
    fit = copy.copy(named)
    with pytest.raises(ValueError, match=r"^values: has 41 rows where 40 have ids; pass Ratings,"):
        fit.partial_fit(([40], [0]), [1.0], ids=False)
    with pytest.raises(
        ValueError, match=r"^values: has 31 columns where 30 have ids; pass Ratings"
    ):
        fit.partial_fit(([0], [30]), [1.0], ids=False)
    assert bits(fit) == bits(named)
    assert (
        fit.partial_fit(([39], [29]), [1.0], ids=False).row_ids.tolist() == named.row_ids.tolist()
    )


@pytest.mark.parametrize(
    "way",
    [copy.copy, copy.deepcopy, *(
        lambda fit, n=n: pickle.loads(pickle.dumps(fit, n)) for n in range(2, 6)
    )],
)  # fmt: skip
def test_a_copy_keeps_ids_and_biases(way):
    for ratings in (rated(), rated(text=False)):
        fit = funkc.factorize(None, ratings, 4, n_epochs=2, n_threads=2, biases=True)
        fit.partial_fit(None, funkc.Ratings.from_arrays([-5], [-5], [1.0]))  # no longer sorted
        fit.reconstruct()
        other = way(fit)
        assert bits(other) == bits(fit)
        assert other.row_ids.tolist() == fit.row_ids.tolist()
        assert other.col_ids.dtype == fit.col_ids.dtype
        assert not other.row_ids.flags.writeable
        assert other.n_threads == 2
        assert other.parameters == fit.parameters
        last = fit.row_ids[-1]
        assert other.predict(last, -5) == fit.predict(40, 30, ids=False)
        assert np.array_equal(other.top(last, 3, ids=True)[0], fit.top(last, 3, ids=True)[0])


def test_weights_beside_ratings_are_refused():
    ratings = funkc.Ratings.from_arrays(["z", "a"], [1, 1], [5.0, 1.0])
    with pytest.raises(ValueError, match=r"^weights: are given together with Ratings"):
        funkc.factorize(None, ratings, 1, weights=[1.0, 2.0])


def test_new_rows_by_position_have_columns_by_id():
    ratings = funkc.Ratings.from_arrays(["a", "b", "c", "a"], ["x", "y", "z", "y"], [1.0, 2, 3, 4])
    fit = funkc.factorize(None, ratings, 1)
    new = fit.fold_in_rows(None, np.array([[1.0, 2.0, np.nan]]))
    assert set(new.top(0, 3)[0]) == {"x", "y", "z"}
    with pytest.raises(TypeError, match=r"^rows: has dtype <U1; pass integers: these rows have no"):
        new.top("a")
    with pytest.raises(ValueError, match=r"^ids: got True, but the rows have no ids"):
        new.top(0, ids=True)
