"""Checkpoints: an interrupted training is resumed and ends with the same bits.

``FUNKC_KILLS`` says how many trainings are killed.
"""

import json
import os
import random
import re
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import told
from checkpoints import (
    NAN,
    SHAPE,
    SOURCE,
    Killed,
    content,
    fitted,
    gone,
    json_of,
    killed_after,
    observed,
    rated,
    spoiled,
    tensors,
    without,
)

import funkc
from funkc import ModelFileError, _checkpoint, _io

KILLS = int(os.environ.get("FUNKC_KILLS", "8"))


# ---------------------------------------------------------------- resume


def held_pair():
    other = observed(seed=8, density=0.1)
    return np.nonzero(~np.isnan(other)), other[~np.isnan(other)]


def started():
    return funkc.factorize(None, observed((50, 45)), 3, n_epochs=2, n_threads=1)


def grown():
    return funkc.factorize(None, rated(), 3, n_epochs=2, biases=True).partial_fit(
        None, funkc.Ratings.from_arrays(["a", "rö3"], [-7, 14], [1.0, 2.0])
    )


def weights():
    return np.random.default_rng(1).integers(1, 9, SHAPE) / 4


# What is trained on, how, and what resume has to be told again.
TRAININGS = {
    "plain": (lambda: (None, observed()), {}, {}),
    "float64": (lambda: (None, observed()), {"dtype": np.float64}, {}),
    "constant": (lambda: (None, observed()), {"decay": "constant", "group_size": 1}, {}),
    "given": (
        lambda: (None, observed()),
        {"offset": 1 / 3, "regularization": (0.1, 1 / 7), "learning_rate": 1 / 300,
         "random_state": 2**64 - 1}, {},
    ),
    "shape": (lambda: (([3, 4, 5], [1, 2, 3]), [1.0, 2.0, 4.0]), {"shape": (70, 50)}, {}),
    "biases": (lambda: (None, observed()), {"biases": False}, {}),
    "stages": (lambda: (None, observed()), {"stages": 3}, {}),
    "stages with validation": (
        lambda: (None, observed()), {"stages": 2, "validation": 0.1, "weights": weights},
        {"weights": weights},
    ),
    "nonnegative": (lambda: (None, observed()), {"nonnegative": True, "biases": True}, {}),
    "share": (lambda: (None, observed()), {"validation": 0.2}, {}),
    "share of NumPy": (lambda: (None, observed()), {"validation": np.float32(0.2)}, {}),
    "pair": (lambda: (None, observed()), {"validation": held_pair}, {"validation": held_pair}),
    "patience": (
        lambda: (None, observed()),
        {"validation": 0.2, "patience": 2, "learning_rate": 0.03, "regularization": 0.0,
         "decay": "constant"}, {},
    ),
    "weights": (lambda: (None, observed()), {"weights": weights, "validation": 0.1},
                {"weights": weights}),
    "init": (lambda: (None, observed((50, 45))), {"init": started}, {}),
    "init that grows": (lambda: (None, observed()), {"init": started, "biases": True}, {}),
    "init pair": (
        lambda: (None, observed()),
        {"init": lambda: (np.full((60, 3), 0.5), np.full((45, 3), 0.25)), "validation": 0.2}, {},
    ),
    "Ratings": (lambda: (None, rated()), {}, {}),
    "integer ids": (lambda: (None, rated(text=False)), {"validation": 0.1}, {}),
    "Ratings that grow": (lambda: (None, rated(3)), {"init": grown, "biases": True}, {}),
    "halved": (lambda: (None, observed()), {"learning_rate": 0.5, "random_state": 4}, {}),
    "halved with validation": (
        lambda: (None, observed()), {"learning_rate": 0.5, "validation": 0.1, "patience": 9}, {},
    ),
}  # fmt: skip


def called(options):
    return {name: value() if callable(value) and name != "dtype" else value
            for name, value in options.items()}  # fmt: skip


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("every", [1, 3])
def test_a_resumed_training_has_the_bits_of_one_that_went_through(tmp_path, training, every):
    cells, options, again = TRAININGS[training]
    options, again = called(options) | {"n_epochs": 8}, called(again)
    through = funkc.factorize(*cells(), 3, n_threads=1, **options)
    if training.startswith("halved"):
        assert through.history["learning_rate"][0] < 0.5
    if training == "patience":
        assert through.stopped_by == "patience"
    if "validation" in options:
        assert "validation_rmse" in through.history
    path = tmp_path / "training"
    seen = []
    kept = funkc.factorize(
        *cells(), 3, n_threads=2, checkpoint=path, checkpoint_every=every,
        callback=lambda epoch, history: seen.append(epoch), **options,
    )  # fmt: skip
    assert content(kept) == content(through)  # that it is written leaves no trace
    resumed = funkc.resume(path, *cells(), n_threads=3, **again)  # at its end
    assert content(resumed) == content(through)
    for number, at in enumerate(range(every, len(seen) + 1)):
        path.unlink(missing_ok=True)
        with pytest.raises(Killed):
            funkc.factorize(
                *cells(), 3, n_threads=(1, 2, 3, 8)[number % 4], checkpoint=path,
                checkpoint_every=every, callback=killed_after(at), **options,
            )  # fmt: skip
        if not path.exists():  # it diverged before it was worth keeping
            continue
        before = path.read_bytes()
        with suppress(Killed):  # a second time, if it was not at its end
            funkc.resume(path, *cells(), callback=killed_after(every), **again)
        if every == 1:
            assert (path.read_bytes() != before) == (at < len(seen)), at
        resumed = funkc.resume(path, *cells(), n_threads=(8, 3, 2, 1)[number % 4], **again)
        assert content(resumed) == content(through), at
        assert (np.diff(resumed.history["seconds"]) >= 0).all()


def test_the_data_may_come_in_another_form(tmp_path):
    path = tmp_path / "training"
    table = observed()
    rows, cols = np.nonzero(~np.isnan(table))
    through = fitted(n_epochs=4, checkpoint=path)
    mixed = np.random.default_rng(0).permutation(rows.size)
    for cells, values in (
        ((rows[mixed], cols[mixed]), table[rows, cols][mixed]),
        (~np.isnan(table), np.nan_to_num(table)),
    ):
        with pytest.raises(Killed):
            fitted(n_epochs=4, checkpoint=path, callback=killed_after(2))
        assert content(funkc.resume(path, cells, values)) == content(through)
    ratings = rated()
    with pytest.raises(Killed):
        funkc.factorize(None, ratings, 3, n_epochs=4, checkpoint=path, callback=killed_after(2))
    pair = ratings.row_ids[ratings.rows], ratings.col_ids[ratings.cols]
    through = funkc.factorize(None, ratings, 3, n_epochs=4)
    assert content(funkc.resume(path, pair, ratings.values)) == content(through)
    assert content(funkc.resume(path, None, ratings)) == content(through)


OTHER = (
    r"^values: differ from the entries that .* was trained on; pass the same mask, values, "
    "weights and validation as in the first call"
)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, lambda: {"values": observed(seed=1)}),
        ({}, lambda: {"values": np.where(np.arange(45) == 7, NAN, observed())}),
        ({}, lambda: {"values": observed() + 1}),
        ({}, lambda: {"weights": weights()}),
        ({"weights": weights}, dict),
        ({"weights": weights}, lambda: {"weights": weights() + np.eye(60, 45)}),
        ({}, lambda: {"validation": held_pair()}),
        ({}, lambda: {"validation": 0.2}),
        ({"validation": 0.2}, lambda: {"validation": held_pair()}),
        ({"validation": 0.2}, lambda: {"validation": 0.21}),
        ({"validation": held_pair}, dict),
        ({"validation": held_pair}, lambda: {"validation": (held_pair()[0], held_pair()[1] + 1)}),
        ({"validation": held_pair}, lambda: {"validation": (([3], [4]), [9.0])}),
    ],
)
def test_other_data_is_refused_and_the_checkpoint_left(tmp_path, options, changed):
    path = tmp_path / "training"
    fitted(checkpoint=path, **called(options))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=OTHER):
        funkc.resume(path, None, **({"values": observed()} | changed()))
    assert path.read_bytes() == before


def test_data_of_another_shape_or_form_is_refused(tmp_path):
    path = tmp_path / "training"
    fitted(checkpoint=path)
    with pytest.raises(ValueError, match=r"^values: has shape \(61, 45\) where \(60, 45\) is"):
        funkc.resume(path, None, observed((61, 45)))
    with pytest.raises(ValueError, match=r"^rows: rows\[0\] = 60 is outside shape"):
        funkc.resume(path, ([60], [0]), [1.0])
    with pytest.raises(ValueError, match=r"^on_interrupt: got 'x'; pass one of"):
        funkc.resume(path, None, observed(), on_interrupt="x")
    with pytest.raises(ValueError, match=r"^n_threads: got 0; pass"):
        funkc.resume(path, None, observed(), n_threads=0)
    funkc.factorize(None, rated(), 3, n_epochs=2, checkpoint=path)
    strangers = funkc.Ratings.from_arrays(["x"], [7], [1.0])
    with pytest.raises(ValueError, match=r"^values.row_ids\[0\]: the id 'x' is not known"):
        funkc.resume(path, None, strangers)


def test_an_epoch_whose_last_steps_diverge_is_not_kept(tmp_path):
    """Each cell alone in its row and column: the first epoch's errors tell nothing."""
    path = tmp_path / "training"
    cells, values = (range(9), range(9)), np.arange(9.0)
    for rate in (1e20, 2e38):
        options = {"learning_rate": rate, "n_epochs": 5, "offset": 0.0}
        answers = []
        for keep in ({}, {"checkpoint": path}):
            with pytest.raises(funkc.DivergedError) as caught:
                funkc.factorize(cells, values, 3, **options, **keep)
            answers.append(str(caught.value))
        assert len(set(answers)) == 1


def states(**changes):
    return lambda t, m: m.update(state=json_of(m["state"], **changes))


def optioned(**changes):
    def change(t, m):
        state = json.loads(m["state"])
        state["options"] |= changes
        m["state"] = json.dumps(state)

    return change


def option_gone(name):
    def change(t, m):
        state = json.loads(m["state"])
        del state["options"][name]
        m["state"] = json.dumps(state)

    return change


F = np.float32
NO_CHECKPOINT = {
    **{f"no {name}": gone(name) for name in (
        "row_factors", "col_factors", "best.row_factors", "best.col_factors", "start.row_factors",
        "start.col_factors", "history.epoch", "history.train_loss", "history.seconds",
        "history.learning_rate",
    )},
    "nothing": lambda t, m: t.clear(),
    "no state": lambda t, m: m.pop("state"),
    **{f"state {text!r}": lambda t, m, text=text: m.update(state=text)
       for text in ("", "{", "[]", "3", "null", "{}", '"options"', "[" * 9000, '{"options": []}')},
    **{f"without {name}": lambda t, m, name=name: m.update(state=without(m["state"], name))
       for name in ("options", "every", "share", "shape", "cells", "halvings", "limit",
                    "best_epoch")},
    **{f"{name} = {value!r}": states(**{name: value}) for name, value in (
        ("every", 0), ("every", None), ("every", 1.5), ("every", "1"), ("share", -0.1),
        ("share", "a"), ("share", [0.1]), ("shape", None), ("shape", [60]), ("shape", [60, 45, 1]),
        ("shape", [60, "45"]), ("shape", [0, 45]), ("shape", [60, 2**40]), ("shape", [61, 45]),
        ("shape", {"a": 1}), ("shape", [45, 60]), ("halvings", -1), ("halvings", 11),
        ("halvings", None), ("halvings", 0.5), ("limit", 1.0), ("limit", "x"), ("limit", None),
        ("limit", "nan"), ("limit", "-1"), ("best_loss", "nan"), ("best_loss", "inf"),
        ("level", "nan"), ("best_level", "inf"),
        ("best_loss", 1.0), ("best_loss", "x"), ("best_epoch", 0), ("best_epoch", 4),
        ("best_epoch", "1"), ("cells", None), ("options", None), ("options", []),
    )},
    **{f"option {name} = {value!r}": optioned(**{name: value}) for name, value in (
        ("k", 0), ("k", 4), ("k", "3"), ("k", None), ("dtype", "float64"), ("dtype", "x"),
        ("dtype", 3), ("dtype", "int32"), ("biases", False), ("biases", 1), ("seed", -1),
        ("seed", None), ("offset", "x"), ("offset", [1]), ("regularization", "x"),
        ("regularization", [1]), ("learning_rate", -1), ("n_epochs", 0), ("decay", "x"),
        ("group_size", 2), ("patience", 0), ("nonnegative", 3), ("n_threads", 0),
        ("on_interrupt", "x"), ("more", 1),
    )},
    **{f"no option {name}": option_gone(name) for name in (
        "k", "decay", "seed", "offset", "dtype", "biases", "patience", "learning_rate",
    )},
    "flat": tensors(row_factors=np.zeros(300, F)),
    "fewer rows": tensors(row_factors=np.zeros((59, 3), F)),
    "more rows": tensors(row_factors=np.zeros((60_000, 3), F)),
    "more columns": tensors(col_factors=np.zeros((46, 3), F)),
    "without biases": lambda t, m: t.pop("row_bias"),
    "errors of another dtype": tensors(judged=np.zeros(20, F)),
    "errors in two dimensions": tensors(judged=np.zeros((5, 4))),
    "errors without end": tensors(judged=np.full(20, np.inf)),
    "biases of another dtype": tensors(col_bias=np.zeros(45)),
    "fewer biases": tensors(best__row_bias=np.zeros(59, F)),
    "another dtype": tensors(col_factors=np.zeros((45, 3))),
    "fewer best rows": tensors(best__row_factors=np.zeros((59, 3), F)),
    "another start": tensors(start__row_factors=np.zeros((60, 4), F)),
    "a longer start": tensors(start__col_factors=np.zeros((450, 3), F)),
    "a start of another dtype": tensors(start__col_factors=np.zeros((45, 3))),
    "half a bias": tensors(start__row_bias=np.zeros(60, F)),
    "a long bias": tensors(start__row_bias=np.zeros(61, F), start__col_bias=np.zeros(45, F)),
    **{f"{value} among {name}": spoiled(name, value)
       for name in ("row_factors", "col_factors", "row_bias", "col_bias", "best.row_factors",
                    "best.col_bias", "start.row_factors", "history.train_loss")
       for value in (NAN, np.inf)},
    "few ids": tensors(row_ids=np.arange(59)),
    "ids twice": tensors(row_ids=np.r_[np.arange(59), 3]),
    "real ids": tensors(col_ids=np.arange(45.0)),
    "no epochs": lambda t, m: t.update({name: np.zeros(0) for name in t if "history" in name}),
    "a short history": tensors(history__train_loss=np.zeros(2)),
    "epochs from 0": tensors(history__epoch=np.arange(3.0)),
}  # fmt: skip


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A checkpoint that holds all there can be."""
    path = tmp_path_factory.mktemp("rich") / "training"
    start = np.full((60, 3), 0.5), np.full((45, 3), 0.25)
    fitted(checkpoint=path, biases=True, validation=0.2, init=start)
    assert funkc.resume(path, None, observed()).stopped_by == "epochs"
    return _io.read(path)


@pytest.mark.parametrize("validation", [None, 0.1])
def test_a_search_for_stages_that_was_killed_is_gone_through_again(tmp_path, validation):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 45))
    table[rng.random(table.shape) < 0.4] = np.nan
    whole = funkc.factorize(None, table, 2, validation=validation)
    n = whole.parameters["n_epochs"]
    assert whole.stages > 3
    path = tmp_path / "training"
    for at in (n - 1, n, n + 1, 2 * n, 3 * n + 5):
        with pytest.raises(Killed):
            funkc.factorize(
                None, table, 2, validation=validation, checkpoint=path, callback=killed_after(at)
            )
        assert content(funkc.resume(path, None, table, n_threads=1 + at % 3)) == content(whole)


@pytest.mark.parametrize("damage", NO_CHECKPOINT, ids=lambda name: name[:40])
def test_a_whole_file_that_holds_no_checkpoint_is_refused(tmp_path, rich, damage):
    path = tmp_path / "training"
    found, metadata = dict(rich[0]), dict(rich[1])
    NO_CHECKPOINT[damage](found, metadata)
    _io.write(path, found, metadata)
    with pytest.raises(ModelFileError, match=f"^{re.escape(str(path))}: .*; ") as caught:
        funkc.resume(path, None, observed())
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize(
    "name, values",
    [
        ("every", (1, 10**9)), ("stage", (0, 1000)), ("stages", (1, 1000)), ("stage_begun", (0, 3)),
        ("halvings", (0, 10)), ("best_stage", (0, 0)), ("best_epoch", (1, 3)),
    ],
)  # fmt: skip
def test_the_numbers_of_a_checkpoint_have_bounds(rich, name, values):
    known = json.loads(rich[1]["state"])
    for value in values:
        _checkpoint._require_numbers({**known, "stage": 0, name: value}, 3)
    for value in (values[0] - 1, values[1] + 1):
        with pytest.raises(ValueError, match=rf"^{name}: got {value}; "):
            _checkpoint._require_numbers({**known, "stage": 0, name: value}, 3)


@pytest.mark.parametrize(
    "damage",
    [
        gone("history.validation_rmse"),
        states(cells="00"),
        tensors(history__mine=np.zeros(3)),
        states(share=0.5),
        states(share=None),
        optioned(seed=5),
    ],
)
def test_a_checkpoint_of_other_cells_is_refused(tmp_path, rich, damage):
    found, metadata = dict(rich[0]), dict(rich[1])
    damage(found, metadata)
    _io.write(tmp_path / "training", found, metadata)
    with pytest.raises(ValueError, match=OTHER):
        funkc.resume(tmp_path / "training", None, observed())


# ---------------------------------------------------------------- killed

TRAINER = """
import sys
import numpy as np
import funkc
path, how = sys.argv[1:]
rng = np.random.default_rng(0)
places = np.sort(rng.permutation(300 * 200)[:20_000])
cells, values = (places // 200, places % 200), rng.integers(1, 6, 20_000)

def tell(epoch, history):
    print(epoch, flush=True)

options = dict(n_threads=2, callback=tell)
if how == "begin":
    funkc.factorize(cells, values, 8, n_epochs=40, validation=0.1, patience=50, biases=True,
                    checkpoint=path, **options)
else:
    funkc.resume(path, cells, values, **options)
"""


def test_killed_trainings_leave_whole_files_and_end_with_equal_bits(tmp_path):
    rng = np.random.default_rng(0)
    places = np.sort(rng.permutation(300 * 200)[:20_000])
    cells, values = (places // 200, places % 200), rng.integers(1, 6, 20_000)
    through = funkc.factorize(
        cells, values, 8, n_epochs=40, validation=0.1, patience=50, biases=True, n_threads=1
    )
    path, rng = tmp_path / "training", random.Random(0)
    kills = amid = ends = 0
    while kills < KILLS:
        process = told.start(TRAINER, path, "resume" if path.exists() else "begin")
        epochs = told.kill_after(process, rng.randrange(200))
        kills += 1
        reached = 0
        if path.exists():
            whole, _ = _io.read(path)  # every byte is held against its checksum
            reached = whole["history.epoch"].size
        assert not epochs or epochs[-1] <= reached <= epochs[-1] + 1
        for name in os.listdir(tmp_path):
            if name != "training":
                amid += 1
                (tmp_path / name).unlink()
        if reached and (kills % 4 == 0 or reached == 40):
            resumed = funkc.resume(path, cells, values, n_threads=3)
            assert content(resumed) == content(through)
            path.unlink()
            ends += 1
    assert ends
    print(f"{kills} kills, {amid} of them amid a write; {ends} trainings ended")


# ---------------------------------------------------------------- memory

MEMORY = """
import os, sys
import numpy as np
import funkc
rng = np.random.default_rng(0)
table = np.where(rng.random((100, 120)) < 0.3, rng.random((100, 120)), np.nan)
path = sys.argv[1]

def once(number):
    kept = {} if number % 5 else {"checkpoint": path}
    fit = funkc.factorize(None, table, 32, n_epochs=2, n_threads=1 + bool(kept), validation=0.1,
                          biases=True, **kept)
    fit.partial_fit(None, table, n_epochs=1)
    fit.top(slice(None))
    fit.fold_in_rows(None, table)
    fit.similar_rows(slice(None))
    if kept:
        funkc.resume(path, None, table)
        fit.save(path)
        funkc.load(path).impute(None, table)
        funkc.load(path, mmap=True).predict(slice(None))

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

for number in range(40):
    once(number)
before = resident()
for number in range(200):
    once(number)
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_hundred_rounds_leave_memory_as_it_was(tmp_path):
    """A round that kept its cells or its factors would add 6 MB or more."""
    out = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "x")], capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) < 3 << 20
