"""Calls of every public function, of whose arguments none to three are broken."""

import contextlib
import io
import operator
import os
import re
import shutil
import sys
import traceback
import types
import warnings
from pathlib import Path

import numpy as np

import funkc
from tools.fuzz import grammar_data as grammar_data  # which registers calls
from tools.fuzz import grammar_scores as grammar_scores
from tools.fuzz import hostile, new_folder, pick
from tools.fuzz.grammar import CALLS, Draw, world
from tools.fuzz.hostile import Flipping, OwnError, Training, arrays_in, broken
from tools.fuzz.results import fingerprint, require_finite, shown

DOCUMENTED = (TypeError, ValueError, IndexError)
# Of these, any number that is allowed may take its time, and so isn't drawn.
LONG = ("n_epochs", "members", "stages", "folds", "k", "n_components", "ranks")
PATHS = ("path", "file", "source", "checkpoint")
OUTPUTS = ("out", "file", "path")
SLOW = (
    "Factorization.plot_history", "Factorization.plot_cols", "CrossValidation.plot",
    "CrossValidation.plot_surface", "evaluation.Evaluation.plot", "evaluation.plot_calibration",
    "progress.figure", "cross_validate",
)  # fmt: skip
WHOLE = ("DivergedError", "UnknownIdError", "CrossValidation")  # made by funkc alone
ESTIMATORS = ("FunkImputer", "FunkRecommender")
OWN = str(Path(__file__).parent)
FUNKC = str(Path(funkc.__file__).parent)
hostile.FOLDER = FOLDER = new_folder()


def places(folder):
    """Names of files that are none, or not such as one expects."""
    link, loop, fifo = (os.path.join(folder, name) for name in ("link", "loop", "fifo"))
    os.symlink("nowhere", link)
    os.symlink("loop", loop)
    os.mkfifo(fifo)
    empty = os.path.join(folder, "empty")
    Path(empty).touch()
    text = os.path.join(folder, "text.csv")
    Path(text).write_bytes(b"a,b,c\n1,2,\xff\n\x00")
    return [
        folder, os.path.join(folder, "no", "file"), os.path.join(folder, "é😀"), link, loop, fifo,
        empty, text, "/dev/null", "/dev/full", folder + "/" + "x" * 300, "", "a\0b", b"bytes",
        "\udc80", Path(folder), os.path.join(empty, "below"), hostile.Text(link), 10**6, -1,
        hostile.Number(link, folder), hostile.Number(link, 3), hostile.Raising(),
        os.path.join(folder, "out.png"), "/proc/self/mem", "/", ".",
    ]  # fmt: skip


class Problem:
    """What a number stands for; with a name, a call of that, with nothing broken."""

    def __init__(self, number, name=None):
        rng = np.random.default_rng([number, 23])
        world()
        folder = os.path.join(FOLDER, "files")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        draw = Draw(rng, folder)
        self.name = name or pick(rng, [*CALLS, *["factorize"] * 4])
        if self.name in SLOW and rng.random() < 0.8:
            self.name = "Factorization.top"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.function, self.given = CALLS[self.name](draw)
            self.broken, self.writes = {}, False
            wanted = pick(rng, [0, 1, 1, 1, 2, 3])
            if name is not None or self.name in WHOLE:
                wanted = 0
            for argument in rng.permutation(list(self.given))[:wanted].tolist():
                self.break_one(rng, argument, folder)
        self.flips, self.setting = None, "plain"
        if name is not None:
            return
        targets = list(arrays_in(list(self.given.values())))
        if targets and rng.random() < 0.03:
            target = pick(rng, targets)
            wild = pick(rng, hostile.INTEGERS if target.dtype.kind in "iu" else hostile.EXTREMES)
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                wild = target.dtype.type(wild)
                self.flips = Flipping(target, int(rng.integers(target.size)), wild)
        own = getattr(self.function, "__self__", None)
        if isinstance(own, funkc.Factorization) and rng.random() < 0.05:
            self.flips = Training(own)
        self.setting = pick(rng, ["plain"] * 5 + ["errors raised", "no stderr", "closed stderr"])

    def break_one(self, rng, name, folder):
        """Something else in the place of an argument."""
        before = self.given[name]
        for _ in range(20):
            if name in PATHS and rng.random() < 0.7:
                value, writes = pick(rng, places(_emptied(folder, "odd"))), False
            else:
                others = [a for other in self.given.values() for a in arrays_in(other)]
                value, writes = broken(rng, before, others)
            if not (name in LONG and _takes_long(value, name)):
                break
        is_path = name in PATHS and self.name.startswith("ratings.")
        if is_path and str(value).endswith(("fifo", "full", "mem")):
            value = ""  # to wait for who writes into a pipe, or to read for ever, is right
        self.given[name] = self.broken[name] = value
        self.writes = self.writes or writes

    def told(self):
        """The call, in words."""
        given = ", ".join(
            f"{'*' if name in self.broken else ''}{name}={shown(value)}"
            for name, value in self.given.items()
        )
        owner = getattr(self.function, "__self__", None)
        of = f" of {owner!r}" if isinstance(owner, funkc.Factorization) else ""
        more = "" if self.flips is None else f", {type(self.flips).__name__.lower()} in a thread"
        return f"{self.name}({given}){of}, {self.setting}{more}"


def _emptied(folder, name):
    made = os.path.join(folder, name)
    shutil.rmtree(made, ignore_errors=True)
    os.mkdir(made)
    return made


def _takes_long(value, name):
    if type(value) in (list, tuple, np.ndarray):
        with contextlib.suppress(Exception):  # such as of a list that holds itself
            return any(_takes_long(one, name) for one in value[:99])
    if isinstance(value, range):
        return True
    if isinstance(value, hostile.Number):
        return False
    try:
        number = operator.index(value)
    except Exception:
        return False
    return (64 if name in ("k", "n_components", "ranks") else 200) < number <= 10**9


def describe(number):
    """What is passed."""
    return Problem(number).told()


# ---------------------------------------------------------------- what comes out


def require_shape(problem, result):
    """What the shape and the dtype of a result must be, where the arguments say it."""
    name, given, fit = problem.name, problem.given, getattr(problem.function, "__self__", None)
    if name == "inpaint":
        image = given["image"]
        for made in result if given.get("return_generated") is True else [result]:
            if type(image) is np.ndarray:
                wanted = image.dtype.newbyteorder("=")
                assert (made.shape, made.dtype) == (image.shape, wanted), "another shape or dtype"
    elif name == "Factorization.impute":
        plain = result  # a table, if one was passed
        if isinstance(result, np.ndarray):
            plain = np.ndarray.view(result, np.ndarray)  # which `out` need not be
        assert plain.shape == fit.shape, "another shape"
    elif name == "Factorization.reconstruct":
        plain = np.ndarray.view(result, np.ndarray)  # which `out` need not be
        assert plain.shape[1:] == fit.shape[1:], "another shape"
        assert plain.dtype == fit.dtype, "another dtype"
    elif name == "Factorization.predict":
        assert np.asarray(result).dtype == fit.dtype, "another dtype"
    elif name == "factorize" and "k" not in problem.broken:
        assert result.k == given["k"], "another k"
    elif name.startswith(("Factorization.top", "Factorization.similar")):
        cols, scores = result
        assert cols.shape == scores.shape, "another shape"
        assert scores.dtype == fit.dtype, "another dtype"
        ordered = scores[..., :-1] >= scores[..., 1:]
        assert ordered.all(), "not best first"


# ---------------------------------------------------------------- what may be raised


def in_words(error, problem):
    """Whether funkc says what is wrong, not whoever stumbles over it first."""
    if isinstance(error, (MemoryError, funkc.DivergedError, OwnError)):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1].filename
    if problem.name.startswith(ESTIMATORS):  # what scikit-learn refuses, it says itself
        below = [frame.filename for frame in frames]
        at = max(i for i, name in enumerate(below) if i == 0 or name.startswith(FUNKC))
        if any(f"{os.sep}sklearn{os.sep}" in name for name in below[at + 1 :]):
            return True
        if re.match(r"X has \d+ features", str(error)):  # its words, ours to say them sooner
            return True
    if isinstance(error, OSError):
        named = error.filename is not None or re.search(r"[/\\]", str(error))
        return bool(named) and any(name in problem.given for name in PATHS)
    if any(callable(problem.broken.get(name)) for name in ("callback", "watch", "relevant")):
        return True  # what it raises, gives back or doesn't take is the caller's
    if os.path.dirname(last) == OWN:  # a value of the caller raises, or the signature does
        return os.path.basename(last) == "hostile.py" or "argument" in str(error)
    return isinstance(error, DOCUMENTED) and (
        last == os.path.join(FUNKC, "_errors.py")
        or (os.path.dirname(last).startswith(FUNKC) and re.search(r": .*; ", str(error), re.DOTALL))
    )


@contextlib.contextmanager
def setting_of(problem):
    """Whatever else is there while the call lasts."""
    stderr = sys.stderr
    with contextlib.ExitStack() as stack:
        if problem.setting == "errors raised":
            stack.enter_context(np.errstate(all="raise"))
        elif problem.setting == "no stderr":
            stack.callback(setattr, sys, "stderr", stderr)
            sys.stderr = None
        elif problem.setting == "closed stderr":
            stack.callback(setattr, sys, "stderr", stderr)
            sys.stderr = io.StringIO()
            sys.stderr.close()
        if problem.flips is not None:
            stack.enter_context(problem.flips)
        yield


def outcome(problem):
    """(result, None) or (None, error); an AssertionError for an error that should not be."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with setting_of(problem):
                result = problem.function(**problem.given)
        except Exception as error:
            if in_words(error, problem):
                return None, error
            raise
    for warning in caught:
        if warning.filename.startswith(FUNKC) and issubclass(warning.category, RuntimeWarning):
            place = f"{os.path.basename(warning.filename)}:{warning.lineno}"
            raise AssertionError(f"a warning of NumPy comes out at {place}: {warning.message}")
    return result, None


def check(number):
    """Call, and look at what comes out and at what was passed."""
    problem = Problem(number)
    own = getattr(problem.function, "__self__", None)
    changes = problem.name in ("Factorization.partial_fit", "FunkImputer.partial_fit")
    passed = {name: value for name, value in problem.given.items() if name not in OUTPUTS}
    if isinstance(own, funkc.Factorization) and not changes:
        passed["self"] = own
    quiet = problem.flips is None and not problem.writes
    before = {name: fingerprint(value) for name, value in passed.items()} if quiet else {}
    result, error = outcome(problem)
    for name, seen in before.items():
        assert fingerprint(passed[name]) == seen, f"{name} was changed"
    if error is not None or not quiet:
        return
    free = problem.name in ("capi.addresses", "progress.as_bytes", "FunkImputer.score")
    # A score may be undefined, or infinite.
    free |= problem.name.startswith(("evaluation.", "CrossValidation"))
    free |= problem.given.get("unknown") == "nan"
    # A count that is predicted beyond all numbers costs infinity.
    free |= problem.name == "Factorization.score" and own.loss == "poisson"
    if not free:
        require_finite(result, problem.name)
    require_shape(problem, result)
    if problem.broken.get("random_state", 0) is not None:
        require_same_bits(number, result)


def require_same_bits(number, result):
    """Whatever the number of threads."""
    if isinstance(result, types.GeneratorType) or result is None:
        return
    answers = {fingerprint(result)}
    for n_threads in (1, 3):
        again = Problem(number)
        own = getattr(again.function, "__self__", None)
        key = "n_jobs" if again.name.startswith(ESTIMATORS) else "n_threads"
        if {"n_threads", "n_jobs"} & again.broken.keys():
            return
        if isinstance(own, funkc.Factorization):
            own.n_threads = n_threads
        elif "n_threads" in again.given or again.name in ESTIMATORS:
            again.given[key] = n_threads
        else:
            return
        if again.name.endswith("="):
            return
        answers.add(fingerprint(outcome(again)[0]))
    assert len(answers) == 1, "threads leave a trace"
