"""A text of any subclass is what it holds, wherever a choice or a path is taken."""

import enum
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoints import content, fitted, observed, rated

import funkc
from funkc import progress, ratings
from funkc._input import scalars


class Agreeable(str):
    """Equal to everything, and of many names."""

    __slots__ = ()

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 7

    def __len__(self):
        return 0

    def __str__(self):
        return "squared"

    def __fspath__(self):
        return "/nowhere/at/all"

    __repr__ = __str__


class Contrary(str):
    """Equal to nothing, not even itself."""

    __slots__ = ()

    def __eq__(self, other):
        return False

    def __ne__(self, other):
        return True

    def __hash__(self):
        raise RuntimeError

    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def member(text):
    return enum.Enum("Choice", {"ONE": text}, type=str).ONE


KINDS = {"NumPy's": np.str_, "an enum's": member, "agreeable": Agreeable, "contrary": Contrary}
if sys.version_info >= (3, 11):
    KINDS["StrEnum"] = lambda text: enum.StrEnum("Choice", {"ONE": text}).ONE
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

PICTURE = np.add.outer(np.arange(20.0), np.arange(24.0) ** 2)
PICTURE[5:8, 6:9] = np.nan
TWICE = ([0, 0, 1], [0, 0, 1]), [1.0, 3.0, 5.0]


def factorized(**options):
    return content(fitted(**options))


def scored(**options):
    return funkc.factorize(None, observed(), 2, n_epochs=2).score(None, observed(), **options)


def imputed(**options):
    return funkc.FunkImputer(2, n_epochs=2, n_jobs=1, **options).fit_transform(observed())


def animated(kind, folder):
    progress.animate([("a", np.zeros((4, 5)))], folder / "file", kind=kind)
    return (folder / "file").read_bytes()


def of_files(duplicates, folder):
    (folder / "r.csv").write_text("a,b,1\na,b,3\na,c,4\n")
    return ratings.read(folder / "r.csv", duplicates=duplicates).values


def columns_of_files(column, folder):
    (folder / "r.csv").write_text("x,a,b\n1,2,3\n4,5,6\n")
    return ratings.read(folder / "r.csv", columns=["x", "b", column]).values


def resumed(on_interrupt, folder):
    fitted(checkpoint=folder / "c")
    return content(funkc.resume(folder / "c", None, observed(), on_interrupt=on_interrupt))


# Of every argument that takes a choice: a value (not the default where there are others), and a
# call with it.
CHOICES = {
    "biases": ("auto", lambda x, _: factorized(biases=x)),
    "offset": ("auto", lambda x, _: factorized(offset=x)),
    "offset with init": ("auto", lambda x, _: factorized(
        offset=x, biases=False, init=fitted(offset=0.5, biases=False))),
    "clip": ("auto", lambda x, _: fitted(clip=x).clip),
    "decay": ("constant", lambda x, _: factorized(decay=x)),
    "loss": ("huber", lambda x, _: factorized(loss=x)),
    "duplicates": ("mean", lambda x, _: content(
        funkc.factorize(*TWICE, 1, n_epochs=1, duplicates=x))),
    "duplicates of score": ("last", lambda x, _: scored(duplicates=x)),
    "duplicates of impute": ("last", lambda x, _: fitted().impute(None, observed(), duplicates=x)),
    "duplicates of partial_fit": ("mean", lambda x, _: content(
        fitted().partial_fit(*TWICE, duplicates=x))),
    "duplicates of fold_in_rows": ("mean", lambda x, _: content(
        fitted().fold_in_rows(*TWICE, duplicates=x))),
    "duplicates of fold_in_cols": ("mean", lambda x, _: content(
        fitted().fold_in_cols(*TWICE, duplicates=x))),
    "duplicates of Ratings": ("mean", lambda x, _: funkc.Ratings.from_arrays(
        [1, 1], [2, 2], [3, 4.0], duplicates=x).values),
    "duplicates of frames": ("sum", lambda x, _: funkc.Ratings.from_dataframe(
        {"r": [1, 1], "c": [2, 2], "v": [3, 4.0]}, row="r", col="c", value="v",
        duplicates=x).values),
    "duplicates of files": ("last", of_files),
    "on_interrupt": ("return", lambda x, _: factorized(on_interrupt=x)),
    "on_interrupt of resume": ("return", resumed),
    "unknown": ("baseline", lambda x, _: fitted().predict([0, 99], 0, unknown=x)),
    "unknown of encode": ("raise", lambda x, _: ratings.encode(
        ["rö1"], rated().row_ids, unknown=x)),
    **{f"{name} of cross_validate": (text, lambda x, _, name=name: funkc.cross_validate(
        None, observed(), 2, cv=2, n_epochs=1, refit=False, **{name: x}).table[0]["fold_rmse"])
       for name, text in (("biases", "auto"), ("offset", "auto"), ("decay", "constant"),
                          ("duplicates", "last"))},
    "a list for cross_validate": ("constant", lambda x, _: funkc.cross_validate(
        None, observed(), 2, cv=2, n_epochs=1, refit=False, decay=["linear", x]
        ).table[1]["fold_rmse"]),
    "loss of cross_validate": ("absolute", lambda x, _: funkc.cross_validate(
        None, observed(), 2, cv=2, n_epochs=1, refit=False, loss=x).table[0]["fold_loss"]),
    "method": ("tiles", lambda x, _: funkc.inpaint(PICTURE, method=x)),
    "quality": ("fine", lambda x, _: funkc.inpaint(PICTURE, quality=x)),
    "offset of inpaint": ("auto", lambda x, _: funkc.inpaint(PICTURE, offset=x)),
    "decay of inpaint": ("linear", lambda x, _: funkc.inpaint(PICTURE, decay=x)),
    "loss of an imputer": ("huber", lambda x, _: imputed(loss=x)),
    "biases of an imputer": ("auto", lambda x, _: imputed(biases=x)),
    "kind": ("gif", animated),
    "a column": ("a", columns_of_files),
}  # fmt: skip


def same(one, other):
    np.testing.assert_equal(one, other)


@every_kind
@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_of_any_kind_of_text(tmp_path, name, kind):
    if "imputer" in name:
        pytest.importorskip("sklearn")
    text, call = CHOICES[name]
    same(call(kind(text), tmp_path), call(text, tmp_path))
    with pytest.raises(ValueError, match=r"nosuch|no column") as caught:
        call(kind("nosuch"), tmp_path)
    with pytest.raises(ValueError, match=r"nosuch|no column") as usual:
        call("nosuch", tmp_path)
    assert str(caught.value) == str(usual.value)


@every_kind
def test_a_path_of_any_kind_of_text(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    fit = fitted(checkpoint=kind("checkpoint"))
    fit.save(kind("model"))
    progress.animate([("a", np.zeros((4, 5)))], kind("a.gif"))
    Path("r.csv").write_text("a,b,1\n")
    known = ratings.read(kind("r.csv"))
    Path("p.csv").write_text("a,b\n")
    ratings.read_pairs(kind("p.csv"), known)
    assert sorted(os.listdir()) == ["a.gif", "checkpoint", "model", "p.csv", "r.csv"]
    assert content(funkc.load(kind("model"))) == content(fit)
    assert content(funkc.resume(kind("checkpoint"), None, observed())) == content(fit)


@every_kind
def test_an_unknown_id_is_refused_by_any_kind_of_text(kind):
    with pytest.raises(ValueError, match="the id 'nosuch' is not known"):
        ratings.encode(["nosuch"], rated().row_ids, unknown=kind("raise"))


@every_kind
def test_best_parameters_are_plain(kind):
    options = {"cv": 2, "n_epochs": 1, "refit": False}
    decays = [kind("linear"), kind("constant")]
    found = funkc.cross_validate(None, observed(), 2, decay=decays, **options)
    assert [type(row["decay"]) for row in found.table] == [str, str]


class Named:
    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return self.name


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", Named(""), Named("\0"), b"x", 3, None])
def test_what_names_no_file(name):
    if isinstance(name, str) and name == "\ud800" and os.name != "posix":
        pytest.skip("half a surrogate pair names a file")
    calls = {
        "path": [ratings.read, lambda x: funkc.resume(x, None, [[1.0]])],
        "source": [funkc.load] if not isinstance(name, bytes) else [],
        "checkpoint": [lambda x: fitted(checkpoint=x)] if name is not None else [],
        "file": [fitted().save, lambda x: progress.animate([("a", np.zeros((4, 5)))], x)],
    }
    for argument, takers in calls.items():
        for take in takers:
            with pytest.raises((ValueError, TypeError), match=f"^{argument}: got .*; pass .*name"):
                take(name)


def test_a_name_in_bytes_from_an_object():
    assert scalars.path("path", Named(b"x")) == "x"
