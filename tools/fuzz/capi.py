"""Calls of the functions of funkc.h, of whose arguments none to three are broken."""

import ctypes as c
import math
import sys
from pathlib import Path

import numpy as np

from tools.fuzz import pick

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import capi_table as api

REAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 0.3, 5e-324, 1e-310, 1e300, -1e300]
WHOLE = [0, -1, 1, 2, 3, 7, 255, 65_536, 65_537, 2**31 - 1, -(2**31)]
WIDE = [0, -1, 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63)]
GUARD = 64
UNCHANGED = ("NULL_POINTER", "BAD_OPTION", "BAD_SHAPE", "NO_MEMORY")
NAMES = {number: name for name, number in api.STATUS.items()}
# Broken in one of the structs: any number, but sizes only such as must be refused, because the
# caller answers for the memory behind them.
LONG = ("n_epochs", "stages", "first_epoch")
SIZES = ("n_cells", "n_rows", "n_cols", "index_bytes", "value_bytes", "real_bytes", "k", "biases")


class Guarded:
    """Arrays between borders that must stay."""

    def __init__(self, rng):
        self.rng, self.rooms = rng, []

    def array(self, values, out=False):
        """A copy of the values; `out`: what a call writes."""
        values = np.ascontiguousarray(values)
        room = np.full(values.nbytes + 2 * GUARD, 0xA5, np.uint8)
        made = room[GUARD : GUARD + values.nbytes].view(values.dtype).reshape(values.shape)
        made[...] = values
        self.rooms.append((room, made, values.tobytes(), out))
        return made

    def require_borders(self):
        """Nothing beside the arrays was written, and nothing into what is only read."""
        for room, made, before, out in self.rooms:
            borders = np.concatenate([room[:GUARD], room[len(room) - GUARD :]])
            assert (borders == 0xA5).all(), "written outside of an array"
            assert out or made.tobytes() == before, "an input was changed"

    def require_outputs(self):
        """As before the call."""
        for _, made, before, out in self.rooms:
            assert not out or made.tobytes() == before, "an output was changed, though it failed"


class Problem:
    """A function, its arguments, and what is broken; nothing, if an allocation is to fail."""

    def __init__(self, number, **memory):
        self.rng = rng = np.random.default_rng([number, 37])
        self.guarded, self.notes, self.plan = Guarded(rng), [], None
        self.name = pick(rng, sorted(api.TYPES))
        self.dtype = pick(rng, [np.float32, np.float64])
        self.loss = int(rng.integers(5))
        self.shape = int(rng.integers(1, 30)), int(rng.integers(1, 25))
        self.k = int(rng.integers(1, 20))
        self.budget = pick(rng, [0, 1, 1, 2, 3])
        self.memory = api.Counting(pick(rng, [None, None, int(rng.integers(1, 12))]))
        self.counts = bool(memory)
        if self.counts:
            self.memory, self.budget = api.Counting(**memory), 0
        self.arguments = getattr(self, f"_of_{self.name}")()
        self.spoil()

    def one(self, *options):
        """One of them."""
        return pick(self.rng, options)

    # -------------------------------------------------------- what is valid

    def allocator(self):
        """That of the problem, or none."""
        return self.one(self.memory.memory if self.counts else None, self.memory.memory)

    def cells(self, shape=None, spoiled=True):
        """Entries, some of them wild if there is still something to be broken."""
        rng, (m, n) = self.rng, shape or self.shape
        chosen = rng.permutation(m * n)[: max(1, int(m * n * rng.random()))]
        index = self.one(np.int32, np.int64)
        rows, cols = np.divmod(chosen.astype(index), index(n))
        values = {3: rng.integers(0, 2, len(rows)), 4: rng.poisson(2, len(rows))}.get(
            self.loss, rng.normal(size=len(rows))
        )
        values = values.astype(self.one(np.float32, np.float64))
        weights = rng.random(len(rows)) + 0.1 if rng.random() < 0.4 else None
        if spoiled and self.budget and rng.random() < 0.6:
            self.budget -= 1
            at = int(rng.integers(len(rows)))
            how = self.one("row", "column", "value", "weight", "twice")
            self.notes.append(how)
            if how in ("row", "column"):
                side = rows if how == "row" else cols
                side[at] = self.one(-1, m, n, 2**31 - 1, -(2**31))
            elif how == "value":
                values[at] = np.float32(self.one(math.nan, math.inf, -math.inf, 1e38, -1e38, 1e-44))
            elif how == "weight" and weights is not None:
                weights[at] = self.one(*REAL)
            else:
                rows[at], cols[at] = rows[0], cols[0]
        arrays = [self.guarded.array(a) for a in (rows, cols, values)]
        return api.cells_of(
            *arrays, (m, n), None if weights is None else self.guarded.array(weights)
        )

    def options(self):
        """Of a plan."""
        given = {
            "seed": int(self.rng.integers(2**63)), "loss": self.loss, "k": self.k,
            "biases": self.one(0, 1, 2), "group_size": self.one(1, 8), "n_threads": self.one(1, 3),
        }  # fmt: skip
        if self.loss == 0:
            given["nonnegative"] = self.one(0, 0, 1)
        if self.rng.random() < 0.3:
            given["row_bands"], given["col_bands"] = self.one(
                (1, 1), (4, 2), (4, 2), (9, 9), (256, 256)
            )
        return api.options_of(given.pop("k"), self.dtype, self.allocator(), **given)

    def params(self):
        """Of a run."""
        given = {"n_epochs": int(self.rng.integers(1, 6)), "constant_rate": self.one(0, 0, 1)}
        if self.rng.random() < 0.5:
            given["learning_rate"] = self.one(0.01, 0.3, 1e9)
        if self.name == "train":
            given["stages"] = self.one(0, 1, 2)
        return api.params_of(**given)

    def new_plan(self):
        """A plan, and room for its factors."""
        cells, options = self.cells(spoiled=False), self.options()
        plan, fails_at, self.memory.fails_at = api.P(), self.memory.fails_at, None
        status = api.call("plan_create", cells, options, c.byref(plan))
        self.plan = plan if status == 0 else None
        length = self.k + 2 * api.has_biases(options)
        x, y = (self.guarded.array(np.zeros((n, length), self.dtype), True) for n in self.shape)
        if self.plan is not None:
            api.call("start", plan, x, y)
            self.guarded.rooms = [(r, a, a.tobytes(), o) for r, a, _, o in self.guarded.rooms]
        self.memory.calls, self.memory.fails_at = 0, fails_at
        return self.plan, x, y

    def model(self):
        """Factors of the caller's."""
        biases = int(self.rng.integers(2))
        x, y = (self.rng.normal(size=(n, self.k + 2 * biases)) for n in self.shape)
        if biases:
            x[:, -1] = y[:, -2] = 1
        if self.budget and self.rng.random() < 0.2:
            self.budget -= 1
            self.notes.append("a wild factor")
            self.one(x, y).reshape(-1)[0] = self.one(math.nan, math.inf, 1e38, 1e-310)
        x, y = (self.guarded.array(a.astype(self.dtype)) for a in (x, y))
        made = api.model_of(
            x, y, self.k, 0.5, biases, self.one(0, 0, 1), noise=self.one(0, 0.5, 1e9)
        )
        made.loss, made.huber_delta = self.loss, 1.0 if self.loss == 2 else 0.0
        if memory := self.allocator():
            made.memory = c.addressof(memory)
        return made

    def _of_cells_check(self):
        self.offender = api.I64(7)
        return [self.cells(), self.offender]

    def _of_plan_create(self):
        self.created = api.P(5)
        return [self.cells(), self.options(), c.byref(self.created)]

    def _of_plan_info(self):
        return [self.new_plan()[0], api.Info(c.sizeof(api.Info))]

    def _of_plan_defaults(self):
        return [self.new_plan()[0], self.params()]

    def _of_start(self):
        return list(self.new_plan())

    def progress(self):
        """A function that stops sooner or later, or none."""
        if self.rng.random() < 0.5:
            return None
        last = self.one(1, 2, 99)
        return api.PROGRESS(lambda epoch, *_: epoch >= last)

    def _of_run(self):
        params = self.params()
        n_epochs = int(self.rng.integers(0, params.n_epochs + 1))
        cancel = self.one(None, c.c_int(0), c.c_int(1))
        return [*self.new_plan(), params, n_epochs, self.one(1, 3), cancel, self.progress(), None]

    def _of_finish(self):
        return [*self.new_plan(), api.Result(c.sizeof(api.Result)), self.one(1, 3)]

    def _of_train(self):
        cancel, result = self.one(None, c.c_int(0), c.c_int(1)), api.Result(c.sizeof(api.Result))
        return [
            *self.new_plan(),
            self.params(),
            self.one(1, 3),
            cancel,
            self.progress(),
            None,
            result,
        ]

    def _of_rmse(self):
        return [self.model(), self.cells(), self.one(1, 3), c.c_double(7)]

    _of_mean_loss = _of_rmse

    def indices(self, n, size):
        """Of rows or columns, one of them sometimes outside."""
        made = self.rng.integers(0, size, n)
        if n and self.budget and self.rng.random() < 0.4:
            self.budget -= 1
            self.notes.append("an index outside")
            made[int(self.rng.integers(n))] = self.one(-1, size, *WIDE)
        return self.guarded.array(made)

    def _of_predict(self):
        n = int(self.rng.integers(0, 9))
        rows, cols = (self.indices(n, size) for size in self.shape)
        out = self.guarded.array(np.zeros(n, self.dtype), True)
        return [self.model(), rows, cols, n, out, self.one(1, 3)]

    def _of_fold_in_rows(self):
        m = int(self.rng.integers(1, 9))
        model = self.model()
        out = np.zeros((m, self.k + 2 * model.biases), self.dtype)
        cells = self.cells((m, self.shape[1]))
        return [
            model,
            cells,
            self.one(0.0, 0.1, -1.0),
            self.guarded.array(out, True),
            self.one(1, 3),
        ]

    def _of_top(self):
        n_rows, n = int(self.rng.integers(0, 6)), int(self.rng.integers(1, 12))
        hidden_from = hidden = None
        if self.rng.random() < 0.6:
            lists = [np.flatnonzero(self.rng.random(self.shape[1]) < 0.3) for _ in range(n_rows)]
            cuts = np.cumsum([0, *map(len, lists)])
            hidden = np.concatenate([*lists, np.zeros(1, int)]).astype(np.int64)
            if self.budget and self.rng.random() < 0.5:
                self.budget -= 1
                self.notes.append("wild exclusions")
                # The last cut says how much there is, for which the caller answers.
                if len(cuts) > 2 and self.rng.random() < 0.5:
                    cuts[int(self.rng.integers(len(cuts) - 1))] = self.one(*WIDE)
                else:
                    hidden[int(self.rng.integers(len(hidden)))] = self.one(*WIDE)
            hidden_from, hidden = (
                self.guarded.array(cuts.astype(np.int64)),
                self.guarded.array(hidden),
            )
        cols = self.guarded.array(np.zeros((n_rows, n), np.int64), True)
        scores = self.guarded.array(np.zeros((n_rows, n), self.dtype), True)
        rows = self.indices(n_rows, self.shape[0])
        return [self.model(), rows, n_rows, n, hidden_from, hidden, cols, scores, self.one(1, 3)]

    def _of_inpaint_f32(self, depth=None):
        channels, (height, width) = int(self.rng.integers(1, 4)), self.shape
        frames = channels * (depth or 1)
        image = self.rng.random((frames, height, width)).astype(np.float32)
        n_masks = self.one(1, frames)
        missing = (self.rng.random((n_masks, height, width)) < 0.4).astype(np.uint8)
        if self.budget and self.rng.random() < 0.4:
            self.budget -= 1
            self.notes.append("wild pixels")
            image.reshape(-1)[int(self.rng.integers(image.size))] = self.one(
                math.nan, math.inf, 3e38
            )
        image = self.guarded.array(image, True)
        sizes = [channels, height, width] if depth is None else [channels, depth, height, width]
        memory, cancel = self.allocator(), self.one(None, c.c_int(0), c.c_int(1))
        return [image, self.guarded.array(missing), n_masks, *sizes, self.one(0, 1), self.one(0, 4),
                int(self.rng.integers(2**63)), self.one(1, 3), cancel, memory]  # fmt: skip

    def _of_inpaint_volume_f32(self):
        return self._of_inpaint_f32(int(self.rng.integers(1, 4)))

    # -------------------------------------------------------- what is not

    def spoil(self):
        """NULL, a number, or a member of a struct, in place of some arguments."""
        types = api.TYPES[self.name]
        for at in self.rng.permutation(len(types))[: self.budget].tolist():
            before = self.arguments[at]
            if isinstance(before, c.Structure) and self.rng.random() < 0.7:
                self.spoil_struct(at, before)
            elif types[at] is api.P:
                self.arguments[at] = None
                self.notes.append(f"argument {at} is NULL")
            elif types[at] is c.c_double:
                self.arguments[at] = self.one(*REAL)
            elif types[at] is c.c_uint64:
                self.arguments[at] = 2**64 - 1
            elif types[at] is api.INT:
                self.arguments[at] = self.one(*WHOLE)
            else:  # what must be refused, since more than there is would be read
                self.arguments[at] = self.one(-1, -(2**63), 2**62, 2**63 - 1)
            if self.arguments[at] is not before:
                self.notes.append(f"argument {at} is {self.arguments[at]!r}")

    def spoil_struct(self, at, before):
        """Another number in one of its members."""
        name, kind = pick(self.rng, before._fields_)
        if name in ("cancel", "memory", "user", "allocate", "release"):
            return
        if name == "biases" and isinstance(before, api.Model):
            return  # the caller answers for the numbers of a row
        if name == "size":
            value = self.one(0, 8, before.size - 1)
        elif kind is api.P:
            value = None
        elif kind is c.c_double:
            value = self.one(*REAL)
        elif name in SIZES:
            value = self.one(*{
                "n_cells": (0, -1, 2**62, -(2**63), 2**63 - 1), "biases": (-1, 3, 2**31 - 1),
                "n_rows": (0, -1, 2**32, 2**62), "n_cols": (0, -1, 2**32, 2**62),
                "k": (0, -1, 65_537, -(2**31)),
            }.get(name, (0, 2, -4, 16)))  # fmt: skip
        elif name in LONG:
            value = self.one(0, -1, 2, 2**63 - 1 if kind is api.I64 else 2**31 - 1)
            if name == "stages" or (name == "n_epochs" and self.name in ("run", "train")):
                value = self.one(-1, -(2**31), 3)
        else:
            value = self.one(*(WIDE if kind in (api.I64, c.c_uint64) else WHOLE))
        if kind is c.c_uint64:
            value %= 2**64
        keep = getattr(before, "keep", None)
        made = api.changed(before, **{name: value})
        made.keep = keep, before
        self.arguments[at] = made
        self.notes.append(f"member {name} of argument {at} is {value!r}")

    def told(self):
        """The call, in words."""
        return (
            f"{self.name}, shape {self.shape}, k {self.k}, {self.dtype.__name__}, "
            f"loss {self.loss}, allocation {self.memory.fails_at} fails; {self.arguments}; "
            + "; ".join(self.notes)
        )


def describe(number):
    """What is passed."""
    return Problem(number).told()


def answer(problem):
    """The status."""
    return api.FUNCTIONS[problem.name](*map(_address, problem.arguments))


def _address(a):
    if isinstance(a, np.ndarray):
        return a.ctypes.data
    if isinstance(a, api.PROGRESS):
        return c.cast(a, api.P)
    if isinstance(a, (c.Structure, api.I64, c.c_int, c.c_double)):
        return c.addressof(a)
    return a


def check(number):
    """A status of those that there are; the borders whole, outputs of a refusal unchanged."""
    problem = Problem(number)
    try:
        status = answer(problem)
        name = NAMES.get(status)
        assert name is not None, f"status {status} is none"
        assert api.message(status) not in (None, b"unknown status"), "a status without words"
        problem.guarded.require_borders()
        if name in UNCHANGED:
            problem.guarded.require_outputs()
        if name == "OK" and not problem.notes and problem.name not in ("run", "plan_info"):
            for _, made, _, out in problem.guarded.rooms:
                if out and made.dtype.kind == "f":
                    assert (np.isfinite(made) | (made == -np.inf)).all(), "not finite"
        if problem.name == "plan_create":
            made = problem.created.value
            if name == "OK":
                api.destroy(problem.created)
            else:
                given = problem.arguments[2] is not None
                assert not (given and made), "a plan, though it failed"
    finally:
        if problem.plan is not None:
            api.destroy(problem.plan)
    assert not problem.memory.blocks, "memory was not given back"


CALLS = {f"funkc.h: {name[4:]}" for name in dir(Problem) if name.startswith("_of_")}
CALLS |= {"funkc.h: plan_destroy", "funkc.h: status_message"}  # of every problem
