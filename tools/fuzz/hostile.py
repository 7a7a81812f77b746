"""Values that no caller should pass, and ways to break those that one may."""

import array
import contextlib
import decimal
import fractions
import os
import threading

import numpy as np
import pandas as pd
import scipy.sparse as sp

from tools.fuzz import pick

EXTREMES = [
    np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 0.5, 5e-324, 1e-310, 1e-44, 1e30, 1e39, -1e300,
    1.7e308, 2.0**31, 2.0**53, 2.0**63, -(2.0**63),
]  # fmt: skip
INTEGERS = [
    -1, -2, 0, 1, 7, 127, 255, 256, 32768, 2**31 - 1, 2**31, -(2**31), 2**32, 10**9, 2**48,
    2**62, 2**63 - 1, -(2**63),
]  # fmt: skip
DTYPES = [
    "?", "i1", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f4", "f8", ">f8", "g", "c8", "c16",
    "O", "U3", "S2", "M8[D]", "m8[s]", "V2", "i4,f4",
]  # fmt: skip
FORMATS = ["coo", "csr", "csc", "bsr", "lil", "dok", "dia"]


class OwnError(Exception):
    """What a value of the caller raises, which may come out as it is."""


class Raising:
    """Raises whatever is asked of it."""

    def _raise(self, *_, **__):
        raise OwnError("not today")

    __len__ = __getitem__ = __iter__ = __index__ = __float__ = __int__ = __bool__ = _raise
    __array__ = __fspath__ = __call__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _raise
    __hash__ = object.__hash__


class Sized:
    """A sequence that lies about its length."""

    def __init__(self, told, items):
        self.told, self.items = told, items

    def __len__(self):
        return self.told

    def __getitem__(self, at):
        return self.items[at]


class Number:
    """A number that says something else each time, or no number at all."""

    def __init__(self, *answers):
        self.answers, self.asked = answers, 0

    def _answer(self, *_):
        self.asked += 1
        return self.answers[self.asked % len(self.answers)]

    __index__ = __float__ = __int__ = __len__ = __bool__ = __fspath__ = _answer


class Int(int):
    """An integer that compares as it likes."""

    def __le__(self, other):
        return True

    def __ge__(self, other):
        return True

    def __index__(self):
        return 2**40


class Real(float):
    """A float that compares as it likes, and converts to another."""

    def __lt__(self, other):
        return False

    def __float__(self):
        return float("nan")


class Text(str):
    """A string of a class of its own."""

    __slots__ = ()


class OddText(Text):
    """A string that equals all."""

    __slots__ = ()

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class Writer:
    """An array whose conversion writes into another one."""

    def __init__(self, own, target, at, value):
        self.own, self.target, self.at, self.value = own, target, at, value

    def __array__(self, dtype=None, copy=None):
        """The array, after the deed."""
        with contextlib.suppress(Exception):
            self.target.flat[self.at] = self.value
        return np.array(self.own, dtype)


class Growing:
    """An array that has another shape whenever it is converted."""

    def __init__(self, own):
        self.own, self.asked = np.asarray(own), 0

    def __array__(self, dtype=None, copy=None):
        """The array, or more of it."""
        self.asked += 1
        return np.concatenate([np.atleast_1d(self.own)] * self.asked).astype(dtype)

    def __len__(self):
        return 2


class Lying(np.ndarray):
    """An array that tells another shape than it has."""

    @property
    def shape(self):
        """A larger one."""
        return tuple(10 * n + 7 for n in super().shape)

    @property
    def size(self):
        """As large."""
        return 10**6

    def __len__(self):
        return 10**6


class Typed(np.ndarray):
    """An array that tells another dtype than it has."""

    @property
    def dtype(self):
        """Of eight bytes."""
        return np.dtype("f8") if super().dtype.itemsize == 4 else np.dtype("f4")


class Override(np.ndarray):
    """An array that answers for NumPy's functions."""

    def __array_function__(self, *_):
        return "nonsense"

    def __array_ufunc__(self, *_, **__):
        return None


class Interface:
    """Memory of another kind than it seems."""

    def __init__(self, own, dtype):
        self.own = np.ascontiguousarray(own)
        size = self.own.nbytes // np.dtype(dtype).itemsize
        self.__array_interface__ = {
            "version": 3, "typestr": np.dtype(dtype).str, "shape": (size,),
            "data": (self.own.ctypes.data, False),
        }  # fmt: skip


class Flipping:
    """A thread that writes an element of an array again and again while the call lasts."""

    def __init__(self, target, at, value):
        self.target, self.at, self.value = target, at, value

    def __enter__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.flip, daemon=True)
        self.thread.start()

    def flip(self):
        """Until the end."""
        flat, before = self.target.reshape(-1), self.target.reshape(-1)[self.at]
        while not self.over.is_set():
            flat[self.at] = self.value
            flat[self.at] = before

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Training:
    """A thread that trains a factorization on new rows and columns while the call lasts."""

    def __init__(self, fit):
        self.fit = fit

    def __enter__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.train, daemon=True)
        self.thread.start()

    def train(self):
        """A few times."""
        for _ in range(20):
            if self.over.is_set():
                return
            m, n = self.fit.shape
            with contextlib.suppress(ValueError):  # one with ids does not grow like this
                self.fit.partial_fit(([m], [n]), [1.0], n_epochs=1)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def misaligned(a):
    """At an odd address."""
    room = np.zeros(a.nbytes + 1, np.uint8)[1:]
    made = np.frombuffer(room, a.dtype).reshape(a.shape)
    made[...] = a
    return made


def read_only(a):
    """Not to be written to."""
    made = a.copy()
    made.flags.writeable = False
    return made


def poisoned(rng, a):
    """With some elements that no one expects."""
    made = np.array(a)
    if not made.size:
        return made
    whole = made.dtype.kind in "iu"
    for _ in range(int(rng.integers(1, 4))):
        value = pick(rng, INTEGERS if whole else EXTREMES)
        if whole and not np.iinfo(made.dtype).min <= value <= np.iinfo(made.dtype).max:
            made = made.astype("i8")
        if made.dtype.kind in "OUSV":
            value = pick(rng, [None, "", "x", 10**400, np.nan, b"", 1j, [], "é" * 9])
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            made.reshape(-1)[int(rng.integers(made.size))] = value
    return made


def frame(rng, a):
    """A data frame or column of pandas, not always a tidy one."""
    if a.ndim == 2:
        made = pd.DataFrame(a)
        if rng.random() < 0.3 and a.shape[1]:
            made.columns = ["same"] * a.shape[1]
        if rng.random() < 0.3 and a.shape[1]:
            made.isetitem(0, made.iloc[:, 0].astype(pick(rng, ["object", "category", "string"])))
        return made
    return pd.Series(a, index=np.arange(len(a))[::-1] % 2).astype(
        pick(rng, ["object", "category", "Float64", "string", str(a.dtype)])
    )


def damaged_sparse(rng, a):
    """Arrays that don't fit each other, as only a hand at their attributes makes them."""
    made = sp.coo_array(np.nan_to_num(a)).asformat(pick(rng, ["csr", "csc", "coo", "bsr"]))
    if not made.nnz:
        return made
    if made.format == "coo":
        name = pick(rng, ["row", "col", "data"])
    else:
        name = pick(rng, ["indices", "indptr", "data"])
    part = np.array(getattr(made, name))
    how = pick(rng, ["wild", "wild", "cut", "cut", "backward", "wide", "object"])
    if how == "wild":
        part.reshape(-1)[int(rng.integers(part.size))] = pick(rng, [-1, 99, 2**31 - 1, 2**30])
    elif how == "cut":
        part = part[: int(rng.integers(len(part) + 1))]
    elif how == "backward":
        part = part[::-1]
    else:
        part = part.astype("i8" if how == "wide" else "O")
    if made.format == "coo" and name != "data":
        made.coords = (part, made.coords[1]) if name == "row" else (made.coords[0], part)
    else:
        setattr(made, name, part)
    return made


def recursive(_):
    """A list that holds itself."""
    made = [1.0]
    made.append(made)
    return made


def mapped(rng, a):
    """A memory map of a file."""
    made = np.memmap(os.path.join(FOLDER, "map"), a.dtype, "w+", shape=a.shape or (1,))
    made[...] = a
    return made


FOLDER = "/nonexistent"  # where `mapped` makes its file; calls.py sets it

# What becomes of an array: functions of a generator and the array.
TRANSFORMS = [
    *[poisoned] * 5,
    *[lambda rng, a: a.astype(pick(rng, DTYPES))] * 4,
    lambda _, a: a.T,
    lambda _, a: a[None],
    lambda _, a: a.reshape(-1),
    lambda _, a: a[:0],
    lambda _, a: a[:-1],
    lambda _, a: np.concatenate([a, a]),
    lambda _, a: a[::-1],
    lambda _, a: np.repeat(a, 2, 0)[::2],
    lambda _, a: np.stack([a, a], -1)[..., 1],
    lambda _, a: np.asfortranarray(a),
    lambda _, a: np.broadcast_to(a[:1], a.shape),
    lambda _, a: misaligned(a),
    lambda _, a: read_only(a),
    lambda _, a: a.view(a.dtype.newbyteorder()),
    lambda _, a: a.byteswap().view(a.dtype.newbyteorder()),
    lambda _, a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) % 3 == 1),
    lambda _, a: np.ma.array(a, mask=True),
    lambda _, a: a.view(np.matrix),
    lambda _, a: a.view(np.recarray),
    lambda _, a: a.view(Lying),
    lambda _, a: a.view(Typed),
    lambda _, a: a.view(Override),
    mapped,
    lambda _, a: a.tolist(),
    lambda _, a: tuple(a.tolist()),
    lambda _, a: [*a.tolist(), None],
    lambda _, a: [*a.tolist(), 10**400],
    lambda _, a: iter(a.tolist()),
    lambda _, a: (row for row in a),
    lambda _, a: set(a.reshape(-1).tolist()),
    lambda _, a: memoryview(np.ascontiguousarray(a)),
    lambda _, a: bytearray(np.ascontiguousarray(a).tobytes()),
    lambda _, a: array.array("d", a.reshape(-1).tolist()),
    lambda _, a: Growing(a),
    lambda rng, a: Interface(a, pick(rng, ["f8", "f4", "i8", "u1", "V3", ">f8"])),
    lambda rng, a: Sized(pick(rng, [0, 1, 3, 10**6, -1]), a),
    lambda rng, a: sp.coo_array(a).asformat(pick(rng, FORMATS)),
    lambda rng, a: sp.coo_matrix(a).asformat(pick(rng, FORMATS)),
    damaged_sparse,
    damaged_sparse,
    frame,
    frame,
    lambda _, a: {"a": a},
    recursive,
    lambda _, a: a.astype(object),
    lambda _, a: np.array([a, None], object),
]

# What takes the place of anything: functions of nothing.
STRANGERS = [
    *(lambda value=value: value for value in EXTREMES),
    *(lambda value=value: value for value in INTEGERS),
    *(
        lambda value=value: value
        for value in (None, True, False, "", "x", "auto", "\0", "é😀", "\udc80", b"x", 10**400)
    ),
    *(
        lambda value=value: value
        for value in (-(10**400), 1j, Ellipsis, NotImplemented, (), (1,), (1, 2, 3), (None, None))
    ),
    list, dict, set, object, lambda: int, lambda: len, lambda: [[]], lambda: ([], []),
    lambda: slice(None), lambda: slice(-5, 2**70, -3), lambda: slice("a"), lambda: slice(0, 9, 0),
    lambda: range(3), lambda: range(10**12), lambda: iter("ab"), lambda: "x" * 100_000,
    lambda: np.int8(3), lambda: np.uint64(2**64 - 1), lambda: np.float16(2), lambda: np.bool_(1),
    lambda: np.longdouble("1e4000"), lambda: np.str_("tiles"), lambda: np.datetime64("NaT"),
    lambda: np.timedelta64(3), lambda: np.array(3), lambda: np.array(3.5), lambda: np.array([3]),
    lambda: np.array(None), lambda: np.zeros(0), lambda: np.zeros((0, 3)), lambda: np.zeros((3, 0)),
    lambda: np.zeros((1,) * 32), lambda: np.broadcast_to(1.0, (10**9, 10**9)),
    lambda: np.broadcast_to(np.int8(0), (2**40,)), lambda: np.ma.masked, lambda: np.dtype("f4"),
    lambda: fractions.Fraction(10**400, 3), lambda: fractions.Fraction(1, 3),
    lambda: decimal.Decimal("NaN"), lambda: decimal.Decimal("sNaN"), lambda: decimal.Decimal(2),
    lambda: pd.NA, lambda: pd.NaT, lambda: pd.DataFrame(), lambda: pd.Series(dtype=float),
    lambda: sp.csr_array((0, 0)), lambda: sp.coo_array((2**40, 2**40)),
    lambda: sp.csr_array((3, 3)),
    Raising, lambda: Int(3), lambda: Real(0.5), lambda: Text("auto"), lambda: OddText("patches"),
    lambda: Number(3, "x"), lambda: Number(3, 2**70), lambda: Number(1, OwnError),
    lambda: Number(2, -(2**62)), lambda: np.random.default_rng(0),
    lambda: np.random.RandomState(0), lambda: (lambda *_: True), lambda: (lambda: None),
    lambda: recursive(None), lambda: os, lambda: ValueError("no"), lambda: memoryview(b"abc"),
]  # fmt: skip


def arrays_in(value, depth=0):
    """Every plain array that is passed, for those who write into others."""
    if isinstance(value, np.ndarray):
        if value.size and type(value) is np.ndarray and value.flags.writeable:
            yield value
    elif isinstance(value, (tuple, list)) and depth < 4:
        for part in value:
            yield from arrays_in(part, depth + 1)


def broken(rng, value, others):
    """Another value in its place, and whether it writes into the others."""
    if isinstance(value, tuple) and value and rng.random() < 0.8:
        at = int(rng.integers(len(value)))
        part, writes = broken(rng, value[at], others)
        return (*value[:at], part, *value[at + 1 :]), writes
    is_array = isinstance(value, np.ndarray) or (isinstance(value, list) and value)
    if not is_array or rng.random() < 0.15:
        return pick(rng, STRANGERS)(), False
    with contextlib.suppress(Exception):  # a list of what is no array
        plain = np.asarray(value)
        targets = [target for target in others if target is not value]
        if targets and rng.random() < 0.15:
            target = pick(rng, targets)
            wild = pick(rng, INTEGERS if target.dtype.kind in "iu" else EXTREMES)
            return Writer(plain, target, int(rng.integers(target.size)), wild), True
        for _ in range(5):  # some can't be made of every array
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                return pick(rng, TRANSFORMS)(rng, plain), False
    return pick(rng, STRANGERS)(), False
