"""Models of factors from elsewhere, and what a model must be to be saved."""

import copy
import math
import pickle

import numpy as np
import pytest
from fits import bits, fitted, observed

import funkc

X, Y = np.arange(6.0).reshape(3, 2), np.arange(8.0).reshape(4, 2) - 3
made = funkc.Factorization.from_factors


@pytest.mark.parametrize("convert", [np.float32, np.float64, np.float16, np.int8, np.uint64, ">f4"])
@pytest.mark.parametrize("biased", [False, True])
def test_products_of_given_factors(convert, biased):
    x, y = np.abs(X).astype(convert), np.abs(Y).astype(convert)
    bias = {"row_bias": np.array([1, 2, 3]), "col_bias": [0.5, 1, 2, 3]} if biased else {}
    fit = made(x, y, offset=2.5, **bias)
    wanted = 2.5 + np.abs(X) @ np.abs(Y).T
    if biased:
        wanted += np.add.outer([1, 2, 3], [0.5, 1, 2, 3])
    assert np.array_equal(fit.reconstruct(), wanted)
    double = np.dtype(convert).itemsize == 8 or biased  # integers of 64 bits, and those of a list
    assert fit.dtype == (np.float64 if double else np.float32)
    assert (fit.shape, fit.k, fit.n_seen) == ((3, 4), 2, (3, 4))
    assert (fit.stopped_by, fit.noise, fit.history["epoch"]) == ("from_factors", None, [])


def test_given_factors_are_copied():
    x, y = X.copy(), Y.copy()
    fit = made(x, y)
    before = fit.reconstruct()
    x[:], y[:] = 99, 99
    assert np.array_equal(fit.reconstruct(), before)


def test_other_roads_from_given_factors(tmp_path):
    """They are saved, loaded, pickled, copied, folded in, trained on and begun with."""
    old = fitted(biases=True)
    fit = made(
        old.row_factors, old.col_factors, row_bias=old.row_bias, col_bias=old.col_bias,
        offset=old.offset, noise=old.noise, clip=(0, 9),
        row_ids=[f"r{i}" for i in range(old.shape[0])], col_ids=range(old.shape[1]),
    )  # fmt: skip
    assert bits(fit) == bits(old)
    old.clip = (0, 9)
    assert bits(fit.fold_in_rows(None, observed())) == bits(old.fold_in_rows(None, observed()))
    assert np.array_equal(fit.top(slice(None), 4, ids=False)[0], old.top(slice(None), 4)[0])
    fit.save(tmp_path / "model.funkc")
    for again in (
        funkc.load(tmp_path / "model.funkc"), pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)
    ):  # fmt: skip
        assert bits(again) == bits(fit)
        assert again.parameters == fit.parameters
        assert (again.clip, again.noise, again.history) == (fit.clip, fit.noise, fit.history)
        assert again.predict("r3", 5) == fit.predict(3, 5, ids=False)
    begun = funkc.factorize(None, observed(), 3, init=fit, n_epochs=2)
    assert bits(begun) == bits(funkc.factorize(None, observed(), 3, init=old, n_epochs=2))
    before = fit.score(None, observed())
    fit.partial_fit(None, observed(), learning_rate=1e-3, regularization=0.1)
    assert fit.score(None, observed()) != before


def test_factors_that_stay_nonnegative():
    fit = made(np.abs(X), np.abs(Y), noise=0.1, nonnegative=True)
    new = fit.fold_in_rows(([0, 0], [0, 1]), [-5.0, 3.0], regularization=0.01)
    assert (new.row_factors >= 0).all()
    free = made(np.abs(X), np.abs(Y), noise=0.1)
    new = free.fold_in_rows(([0, 0], [0, 1]), [-5.0, 3.0], regularization=0.01)
    assert (new.row_factors < 0).any()


@pytest.mark.parametrize("name", ["learning_rate", "regularization"])
def test_training_on_needs_what_no_training_told(name):
    given = {"learning_rate": 0.1, "regularization": 0.1}
    del given[name]
    with pytest.raises(ValueError, match=rf"^{name}: is unknown, .*; pass a number, such as"):
        made(X, Y).partial_fit(([0], [0]), [1.0], **given)


def test_losses_of_given_factors():
    assert 0 < made(X, Y, loss="logistic").predict(0, 0) < 1
    assert made(X, Y, loss="huber", huber_delta=1.5).score(([0], [0]), [100.0]) > 100
    with pytest.raises(ValueError, match=r"^huber_delta: got None; pass that of the training"):
        made(X, Y, loss="huber")


NAN = math.nan


@pytest.mark.parametrize(
    "change, message",
    [
        ({"col_factors": Y[:, :1]}, r"col_factors: has 1 factors for each column where row_fac"),
        ({"row_factors": X[0]}, r"row_factors: has shape \(2,\); pass a 2-D array"),
        ({"row_factors": X[:0]}, r"row_factors: has shape \(0, 2\), without an entry"),
        ({"row_factors": X + 1j}, r"row_factors: has dtype complex128, which is not real"),
        ({"row_factors": np.ma.array(X)}, r"row_factors: is a masked array"),
        ({"row_factors": [[1.0], [2.0, 3.0]]}, r"row_factors: the rows differ in length"),
        ({"row_factors": None}, r"row_factors: has dtype object"),
        ({"col_factors": np.where(Y == 2, NAN, Y)}, r"col_factors: col_factors\[2, 1\] = nan is"),
        ({"col_factors": np.full((4, 2), -np.inf)}, r"col_factors: col_factors\[0, 0\] = -inf is"),
        ({"row_bias": [1, 2, 3]}, r"col_bias: got None, but the other side has biases"),
        ({"col_bias": [1, 2, 3, 4]}, r"row_bias: got None, but the other side has biases"),
        ({"row_bias": [1, 2], "col_bias": [1] * 4}, r"row_bias: has shape \(2,\); pass shape \(3,"),
        ({"row_bias": 1, "col_bias": 1}, r"row_bias: has shape \(\); pass a 1-D array"),
        ({"row_bias": [1, NAN, 3], "col_bias": [1] * 4}, r"row_bias: row_bias\[1\] = nan is not"),
        ({"offset": NAN}, r"offset: got nan; pass a finite number"),
        ({"offset": "auto"}, r"offset: got 'auto' of type str"),
        (
            {"row_factors": X.astype("f4"), "col_factors": Y.astype("f4"), "offset": 1e39},
            r"offset: got 1e\+39; pass a number that float32 holds",
        ),
        (
            {"row_ids": [1, 2], "col_ids": range(4)},
            r"row_ids: has shape \(2,\); pass one id",
        ),
        (
            {"row_ids": range(3), "col_ids": ["a", "b", "c", "b"]},
            r"col_ids\[1\]: the id 'b' is",
        ),
        ({"row_ids": range(3), "col_ids": [1, 2, 3, None]}, r"col_ids\[3\]: the id is None"),
        ({"loss": "hinge"}, r"loss: got 'hinge', which is not offered"),
        ({"huber_delta": 1.0}, r"huber_delta: was passed with loss='squared'"),
        ({"clip": (2, 1)}, r"clip: got \(2, 1\); pass a pair"),
        ({"clip": "auto"}, r"clip: got 'auto', but the values are not kept"),
        (
            {"row_factors": np.full((3, 2), 1e30, "f4"), "col_factors": np.full((4, 2), 1e9, "f4")},
            r"row_factors and col_factors: have products beyond what float32 holds; divide",
        ),
        (
            {"row_factors": np.ones((3, 65537)), "col_factors": np.ones((4, 65537))},
            r"row_factors: has 65,537 factors; pass at most 65,536",
        ),
        ({"nonnegative": True}, r"nonnegative: got True with factors below 0; pass False"),
        ({"nonnegative": True, "loss": "poisson"}, r"nonnegative: got True with loss='poisson'"),
        ({"noise": -1.0}, r"noise: got -1.0; pass a finite number not below 0"),
    ],
)
def test_factors_that_are_refused(change, message):
    with np.errstate(over="ignore"), pytest.raises((ValueError, TypeError), match=f"^{message}"):
        made(**{"row_factors": X, "col_factors": Y, **change})


def test_the_class_is_not_called():
    for arguments in ((), (X, Y)):
        with pytest.raises(TypeError, match=r"^a Factorization is not made by calling the class"):
            funkc.Factorization(*arguments)


# ---------------------------------------------------------------- what is saved can be loaded


def add_to(name, key, value):
    def change(fit):
        part = getattr(fit, name)
        part[key] = value(part.get(key)) if callable(value) else value

    return change


def put(name, value):
    return lambda fit: setattr(fit, name, value)


@pytest.mark.parametrize(
    "change",
    [
        add_to("history", "epoch", lambda column: [*column, 9]),
        add_to("history", "epoch", lambda column: [9] * len(column)),
        add_to("history", "train_loss", lambda column: column[:-1]),
        add_to("history", "seconds", lambda column: ["x" for _ in column]),
        add_to("history", "more", [1.0]),
        lambda fit: fit.history.pop("learning_rate"),
        add_to("parameters", "learning_rate", 0),
        add_to("parameters", "learning_rate", NAN),
        add_to("parameters", "learning_rate", None),
        add_to("parameters", "n_epochs", 2.5),
        add_to("parameters", "seed", -1),
        add_to("parameters", "loss", "x"),
        add_to("parameters", "more", object()),
        lambda fit: fit.parameters.pop("decay"),
        put("history", None),
        put("parameters", [1]),
        put("baseline_loss", {"mean": -1.0}),
        put("baseline_loss", {"mean": "x"}),
        put("validation_loss", NAN),
        put("validation_loss", "x"),
        put("stages", 0),
        put("stages", "x"),
    ],
)
def test_no_file_is_written_that_could_not_be_read(change, tmp_path):
    file = tmp_path / "model.funkc"
    fit = fitted()
    fit.save(file)
    before = file.read_bytes()
    change(fit)
    with pytest.raises(ValueError, match=r"^model: can't be saved: an attribute was changed \("):
        fit.save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.funkc"]


@pytest.mark.parametrize("name", ["offset", "noise", "n_threads", "clip"])
@pytest.mark.parametrize("value", [NAN, "x", -math.inf, (1, 2, 3)])
def test_attributes_refuse_what_could_not_be_saved(name, value):
    fit = fitted()
    before = getattr(fit, name)
    with pytest.raises((ValueError, TypeError), match=rf"^{name}"):
        setattr(fit, name, value)
    assert getattr(fit, name) == before


@pytest.mark.parametrize("verbose", [False, True])
def test_a_callback_gets_a_copy_of_the_history(verbose, tmp_path, capsys):
    def spoil(epoch, history):
        assert len(history["epoch"]) == epoch
        history["epoch"].append(99)
        history["train_rmse"].clear()
        history["mine"] = [1]

    options = {"n_epochs": 4, "validation": 0.2, "patience": 4}
    fit = fitted(callback=spoil, verbose=verbose, **options)
    whole = fitted(**options)
    assert bits(fit) == bits(whole)
    times = {name: [] for name in ("seconds",)}
    assert fit.history | times == whole.history | times
    fit.save(tmp_path / "model")
    assert funkc.load(tmp_path / "model").history == fit.history
