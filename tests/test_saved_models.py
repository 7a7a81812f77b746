"""Saved models: what was saved is loaded, and what holds no model is refused."""

import io
import os
import random
import re

import numpy as np
import pytest
from checkpoints import (
    NAN,
    content,
    fitted,
    gone,
    json_of,
    observed,
    rated,
    spoiled,
    tensors,
    without,
)
from fits import made

import funkc
from funkc import ModelFileError, _io
from funkc._input import ids

MODELS = {
    "float32": fitted,
    "float64": lambda: fitted(dtype=np.float64),
    "k 16": lambda: funkc.factorize(None, observed(), 16, n_epochs=2),
    "biases": lambda: fitted(biases=True),
    "nonnegative": lambda: fitted(nonnegative=True, regularization=(0.1, 0.2)),
    "validation": lambda: fitted(validation=0.2),
    "text ids": lambda: funkc.factorize(None, rated(), 3, n_epochs=2),
    "integer ids": lambda: funkc.factorize(None, rated(text=False), 3, n_epochs=2, biases=True),
    "unsorted ids": lambda: funkc.factorize(None, rated(), 3, n_epochs=2).partial_fit(
        None, funkc.Ratings.from_arrays(["a", "z"], [-7, "x"], [1.0, 2.0])
    ),
    "fold-in": lambda: fitted(biases=True).fold_in_rows(None, observed((4, 45))),
    "ids of columns": lambda: funkc.factorize(None, rated(), 3, n_epochs=2).fold_in_rows(
        ([0], [1]), [2.0], ids=False
    ),
    "few seen": lambda: made(*np.eye(9, 4)[None].repeat(2, 0), noise=0.25, n_seen=(0, 7)),
    "no noise": lambda: made(*np.eye(9, 4)[None].repeat(2, 0)),
    "one cell": lambda: funkc.factorize(None, [[2.0]], 1, n_epochs=1),
    "seed": lambda: fitted(random_state=2**64 - 1, decay="constant", group_size=1),
}


@pytest.mark.parametrize("model", MODELS)
def test_what_was_saved_is_loaded(tmp_path, model):
    fit = MODELS[model]()
    path = tmp_path / "model.funkc"
    fit.save(path)
    fit.save(str(path))  # over itself
    assert list(tmp_path.iterdir()) == [path]
    whole = path.read_bytes()
    for options in ({}, {"mmap": True}, {"verify": False}, {"mmap": True, "verify": False}):
        loaded = funkc.load(str(path), **options)
        assert content(loaded) == content(fit)
        assert loaded.history == fit.history
        assert type(loaded.parameters["regularization"]) is tuple
        assert loaded.reconstruct().tobytes() == fit.reconstruct().tobytes()
        assert loaded.top(slice(1), 3)[1].tobytes() == fit.top(slice(1), 3)[1].tobytes()
        if fit.row_ids is not None and fit.col_ids is not None:
            last = fit.row_ids[-1], fit.col_ids[-1]
            assert loaded.predict(*last, ids=True) == fit.predict(
                -1 % fit.shape[0], -1 % fit.shape[1], ids=False
            )
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == whole
        before = content(fit)
        assert (loaded.noise, loaded.n_seen) == (fit.noise, fit.n_seen)
        loaded.partial_fit(([0], [0]), [1.0], learning_rate=1e-3, ids=False)  # it can learn on
        assert content(fit) == before
    assert path.read_bytes() == whole


def test_a_loaded_model_goes_on_like_its_original(tmp_path):
    for model in ("biases", "nonnegative", "float64"):
        fit = MODELS[model]()
        fit.save(tmp_path / "m")
        loaded = funkc.load(tmp_path / "m", mmap=True)
        more = observed((70, 50), seed=3)
        assert content(loaded.partial_fit(None, more)) == content(fit.partial_fit(None, more))
        new = [each.fold_in_cols(None, observed((70, 4))) for each in (loaded, fit)]
        assert content(new[0]) == content(new[1])


def test_mapped_factors_stay_in_the_file(tmp_path):
    fit = funkc.factorize(None, observed(), 16, n_epochs=1)
    fit.save(tmp_path / "m")
    mapped = funkc.load(tmp_path / "m", mmap=True)
    assert not mapped.row_factors.flags.owndata
    assert not mapped.row_factors.flags.writeable
    assert mapped._rows.ready.base is not None  # no copy for predictions
    fitted().save(tmp_path / "m")  # in the place of the file that is mapped
    assert mapped.reconstruct().tobytes() == fit.reconstruct().tobytes()


@pytest.mark.parametrize("model", ["biases", "fold-in"])
def test_a_file_of_version_0_1_has_the_noise_of_its_last_epoch(tmp_path, model):
    fit = MODELS[model]()
    fit.save(tmp_path / "m")
    found, metadata = _io.read(tmp_path / "m")
    del metadata["noise"], metadata["n_seen"]
    _io.write(tmp_path / "m", found, metadata)
    loaded = funkc.load(tmp_path / "m")
    assert loaded.noise == (fit.history["train_rmse"] or [None])[-1]
    assert loaded.n_seen == loaded.shape
    assert content(loaded) == content(fit)


@pytest.mark.parametrize("mmap", [False, True])
def test_every_damage_is_refused(tmp_path, mmap):
    path = tmp_path / "m"
    MODELS["unsorted ids"]().save(path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(150):
        data = bytearray(whole)
        at = rng.choice([rng.randrange(len(data)), rng.randrange(3000)])
        if rng.random() < 0.7:
            data[at] ^= 1 << rng.randrange(8)
        else:
            del data[at:]
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=f"^{re.escape(str(path))}: .*; "):
            funkc.load(path, mmap=mmap)
        with pytest.raises(ModelFileError, match=f"^{re.escape(str(path))}: .*; "):
            funkc.resume(path, None, observed())
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelFileError, match=r"array '.*' \(bytes \d+ to \d+\) does not match"):
        funkc.load(path)


def parameters(**changes):
    return lambda t, m: m.update(parameters=json_of(m["parameters"], **changes))


def text_ids(*names):
    return ids.strings_to_tensors("row_ids", np.array(names))


NO_MODEL = {
    "nothing": lambda t, m: (t.clear(), m.pop("offset")),
    **{f"no {name}": gone(name) for name in (
        "row_factors", "col_factors", "row_bias", "col_bias", "history.epoch",
        "history.train_loss", "history.learning_rate", "history.seconds",
    )},
    **{f"no text {name}": lambda t, m, name=name: m.pop(name) for name in (
        "offset", "parameters", "stopped_by",
    )},
    "flat": tensors(row_factors=np.zeros(180, np.float32)),
    "three dimensions": tensors(row_factors=np.zeros((60, 3, 1), np.float32)),
    "no dimension": tensors(col_factors=np.array(3.0)),
    "another k": tensors(row_factors=np.zeros((60, 4), np.float32)),
    "no k": tensors(row_factors=np.zeros((60, 0), np.float32),
                    col_factors=np.zeros((45, 0), np.float32)),
    "no rows": tensors(row_factors=np.zeros((0, 3), np.float32), row_bias=np.zeros(0, np.float32)),
    "another dtype": tensors(row_factors=np.zeros((60, 3))),
    "integers": tensors(row_factors=np.zeros((60, 3), np.int32),
                        col_factors=np.zeros((45, 3), np.int32)),
    "bytes": tensors(row_factors=np.zeros((60, 3), np.uint8)),
    "a short bias": tensors(row_bias=np.zeros(59, np.float32)),
    "a bias of two dimensions": tensors(row_bias=np.zeros((60, 1), np.float32)),
    "a bias of another dtype": tensors(col_bias=np.zeros(45)),
    **{f"{value} among {name}": spoiled(name, value)
       for name in ("row_factors", "col_factors", "row_bias", "col_bias", "history.train_rmse")
       for value in (NAN, np.inf, -np.inf)},
    "few ids": tensors(row_ids=np.arange(59)),
    "many ids": tensors(col_ids=np.arange(46)),
    "ids of two dimensions": tensors(row_ids=np.arange(60).reshape(60, 1)),
    "real ids": tensors(row_ids=np.arange(60.0)),
    "ids twice": tensors(row_ids=np.r_[np.arange(59), 3]),
    "text ids twice": lambda t, m: t.update(text_ids(*map(str, range(59)), "a", "a")),
    "few text ids": lambda t, m: t.update(text_ids("a", "b")),
    "offsets alone": lambda t, m: t.update({"row_ids.offsets": np.zeros(61, np.int64)}),
    "text alone": lambda t, m: t.update({"row_ids.text": np.zeros(0, np.uint8)}),
    "a short history": tensors(history__train_loss=np.zeros(2)),
    "a long history": tensors(history__seconds=np.zeros(4)),
    "a history of integers": tensors(history__epoch=np.arange(1, 4)),
    "a history of two dimensions": tensors(history__train_loss=np.zeros((3, 1))),
    "no dimension of history": tensors(history__epoch=np.array(1.0)),
    "epochs from 0": tensors(history__epoch=np.arange(3.0)),
    "an epoch that is no number": tensors(history__epoch=np.array([1, NAN, 3])),
    **{f"offset {text!r}": lambda t, m, text=text: m.update(offset=text)
       for text in ("", "nan", "inf", "one", "0x1p99999", "[]")},
    **{f"parameters {text!r}": lambda t, m, text=text: m.update(parameters=text)
       for text in ("", "{", "[]", "3", "null", "{}", '"learning_rate"', "[" * 9000, "1" * 5000,
                    '{"seed": NaN}', "\\ud800")},
    **{f"noise {text!r}": lambda t, m, text=text: m.update(noise=text)
       for text in ("", "1", '"nan"', '"inf"', '"-0x1p-9"', '"one"', "[]", "NaN", "true")},
    **{f"seen {text!r}": lambda t, m, text=text: m.update(n_seen=text)
       for text in ("", "1", "null", "[60]", "[60, 45, 1]", "[61, 45]", "[60, 46]", "[-1, 45]",
                    "[6.0, 45]", "[true, 45]", '["60", 45]')},
    "seen missing": lambda t, m: m.pop("n_seen"),
    **{f"no parameter {name}":
       lambda t, m, name=name: m.update(parameters=without(m["parameters"], name))
       for name in ("learning_rate", "regularization", "n_epochs", "decay", "group_size",
                    "nonnegative", "seed")},
    **{f"{name} = {value!r}": parameters(**{name: value}) for name, value in (
        ("learning_rate", None), ("learning_rate", -1.0), ("learning_rate", "1"),
        ("learning_rate", 0), ("learning_rate", 10**400), ("learning_rate", [1.0]),
        ("regularization", None), ("regularization", 0.1), ("regularization", [0.1]),
        ("regularization", [0.1, -1]), ("regularization", ["a", "b"]), ("regularization", {}),
        ("regularization", [[1], [2, 3]]),
        ("n_epochs", 0), ("n_epochs", None), ("n_epochs", 2.5), ("n_epochs", True),
        ("decay", "fast"), ("decay", 1), ("group_size", 3), ("nonnegative", 1),
        ("nonnegative", None), ("seed", -1), ("seed", 2**64), ("seed", "x"), ("seed", None),
        ("seed", [1]), ("seed", 1.5), ("n_entries", NAN), ("n_entries", -1), ("n_entries", "1"),
        ("members", 1.5), ("members", None),
    )},
}  # fmt: skip


@pytest.mark.parametrize("damage", NO_MODEL, ids=lambda name: name[:40])
def test_a_whole_file_that_holds_no_model_is_refused(tmp_path, damage):
    path = tmp_path / "m"
    fitted(biases=True).save(path)
    found, metadata = _io.read(path)
    NO_MODEL[damage](found, metadata)
    _io.write(path, found, metadata)
    for mmap in (False, True):
        with pytest.raises(ModelFileError, match=f"^{re.escape(str(path))}: .*; ") as caught:
            funkc.load(path, mmap=mmap)
        assert len(str(caught.value)) < len(str(path)) + 400


def test_files_are_told_apart(tmp_path):
    model, training = tmp_path / "model", tmp_path / "training"
    fitted(checkpoint=training).save(model)
    with pytest.raises(ModelFileError, match=r"is a checkpoint, not a model; .*funkc.resume$"):
        funkc.load(training)
    with pytest.raises(ModelFileError, match=r"is a model, not a checkpoint; .*funkc.load$"):
        funkc.resume(model, None, observed())
    for call in (lambda path: funkc.load(path), lambda path: funkc.resume(path, None, observed())):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "nowhere")
        for wrong in (3, None, io.BytesIO, os):
            with pytest.raises(TypeError, match=r"^(path|source): got .*; pass the name of a file"):
                call(wrong)
    with pytest.raises(TypeError, match=r"^path: got .*; pass the name of a file$"):
        funkc.resume(io.BytesIO(), None, observed())
    for wrong in (None, os, io.BytesIO):  # a module and a class have a write, but are not open
        with pytest.raises(TypeError, match=r"^file: got .*; pass the name of a file, or a binary"):
            fitted().save(wrong)
    with pytest.raises(TypeError, match=r"^checkpoint: got 3; pass the name of a file$"):
        fitted(checkpoint=3)
    with pytest.raises(ValueError, match=r"^checkpoint_every: got 0; pass an integer from 1"):
        fitted(checkpoint=training, checkpoint_every=0)
    for name in ("mmap", "verify"):
        with pytest.raises(TypeError, match=f"^{name}: got 1; pass True or False$"):
            funkc.load(model, **{name: 1})
    with pytest.raises(FileNotFoundError):
        fitted().save(tmp_path / "nowhere" / "x")
    with pytest.raises(ValueError, match=r"^checkpoint: got .*; the folder .*nowhere does not"):
        fitted(checkpoint=tmp_path / "nowhere" / "x")
    with pytest.raises(ValueError, match=r"^checkpoint: got .*, a folder; pass the name"):
        fitted(checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "training"]
