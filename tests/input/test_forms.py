"""One data set, many forms of input: the same bits from all of them."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from small_calls import assert_same_bits

import funkc
from funkc._input.cells import observed_cells

QUICK = settings(deadline=None, database=None, max_examples=12)


@dataclass(frozen=True)
class Problem:
    """Observed cells in row-major order; `garbage` is what stands in the holes."""

    shape: tuple[int, int]
    places: np.ndarray
    values: np.ndarray  # whole numbers, as float64
    k: int
    garbage: float = 55.0

    @property
    def pair(self):
        return self.places // self.shape[1], self.places % self.shape[1]

    @property
    def mask(self):
        mask = np.zeros(self.shape, bool)
        mask[self.pair] = True
        return mask

    @property
    def full(self):
        full = np.full(self.shape, self.garbage)
        full[self.pair] = self.values
        return full

    @property
    def holes(self):
        return np.where(self.mask, self.full, np.nan)

    def without_zeros(self):
        return replace(self, values=np.where(self.values == 0, 7.0, self.values))


@st.composite
def problems(draw, low=-9, high=9):
    """Any shape, any density from one cell to all, any k around the width of the lanes."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    size = shape[0] * shape[1]
    n = draw(st.one_of(st.just(1), st.just(size), st.integers(1, size)))
    places = draw(st.permutations(range(size)))[:n]
    values = draw(st.lists(st.integers(low, high), min_size=n, max_size=n))
    k = draw(st.sampled_from([1, 3, 16, 17, 33]))
    return Problem(shape, np.sort(np.array(places)), np.array(values, float), k)


def large(distinct):
    """Several blocks; with or without room for the values in a table of 8-bit codes."""
    rng = np.random.default_rng(distinct)
    shape = 71, 90
    places = np.flatnonzero(rng.random(shape[0] * shape[1]) < 0.6)
    values = rng.integers(-distinct // 2, distinct - distinct // 2, places.size)
    assert len(np.unique(values)) > 0.8 * distinct
    return Problem(shape, places, values.astype(float), 17, garbage=60.0)


LARGE = {"coded": large(100), "not coded": large(2000)}


def fit_of(mask, values, problem, **options):
    return funkc.factorize(mask, values, problem.k, **({"n_epochs": 2, "n_threads": 1} | options))


def reference(problem, **options):
    return fit_of(problem.pair, problem.values, problem, shape=problem.shape, **options)


def arrays_in(form):
    """Every array that the argument holds, whole (a view's base, what a mask hides)."""
    if isinstance(form, tuple):
        return [array for part in form for array in arrays_in(part)]
    if isinstance(form, np.ma.MaskedArray):
        return [form.data, np.ma.getmaskarray(form)]
    if isinstance(form, np.ndarray):
        return [form if form.base is None else form.base]
    if sp.issparse(form):
        return [array for array in vars(form).values() if isinstance(array, np.ndarray)]
    return []


def snapshot(form):
    return [(array.dtype.str, array.shape, array.tobytes()) for array in arrays_in(form)]


def assert_form_gives_the_bits(problem, mask, values, **options):
    before = snapshot((mask, values))
    fit = fit_of(mask, values, problem, **options)
    assert snapshot((mask, values)) == before, "the input was modified"
    assert_same_bits(fit, reference(problem))


# ---------------------------------------------------------------- the ways to say what is observed


def masked(problem, hidden=None):
    data = problem.full
    if hidden is not None:
        data[~problem.mask] = hidden
    return np.ma.array(data, mask=~problem.mask)


WAYS = {
    "bool mask, 2-D": lambda p: (p.mask, p.full),
    "bool mask, 2-D with NaN in the holes": lambda p: (p.mask, p.holes),
    "bool mask, R[mask]": lambda p: (p.mask, p.full[p.mask]),
    "pair, 1-D": lambda p: (p.pair, p.values),
    "pair, 2-D": lambda p: (p.pair, p.full),
    "pair, 2-D with NaN in the holes": lambda p: (p.pair, p.holes),
    "NaN": lambda p: (None, p.holes),
    "masked array": lambda p: (None, masked(p)),
    "masked array over NaN": lambda p: (None, masked(p, np.nan)),
    "masked array over inf": lambda p: (None, masked(p, np.inf)),
    "masked array of integers": lambda p: (None, masked(p).astype(int)),
    "masked array and its mask": lambda p: (p.mask, masked(p)),
    "lists of the mask": lambda p: (p.mask.tolist(), p.full.tolist()),
    "lists of the pair": lambda p: (tuple(i.tolist() for i in p.pair), p.values.tolist()),
    "lists with NaN": lambda p: (None, p.holes.tolist()),
    "tuples": lambda p: (None, tuple(map(tuple, p.holes.tolist()))),
}


def assert_way_gives_the_bits(problem, way):
    mask, values = WAYS[way](problem)
    assert_form_gives_the_bits(problem, mask, values, shape=problem.shape)


@pytest.mark.parametrize("way", WAYS)
@QUICK
@given(problem=problems())
def test_every_way_to_say_what_is_observed_gives_the_same_bits(way, problem):
    assert_way_gives_the_bits(problem, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LARGE)
def test_every_way_gives_the_same_bits_with_several_blocks(way, name):
    assert_way_gives_the_bits(LARGE[name], way)


@QUICK
@given(problem=problems(), dtype=st.sampled_from([np.float32, np.float64]))
def test_the_reference_is_trained_and_differs_from_other_data(problem, dtype):
    """Guards the tests of this file, which would all pass if the data were not looked at."""
    fit = reference(problem, dtype=dtype)
    assert np.isfinite(fit.row_factors).all()
    changed = problem.values.copy()
    changed[-1] += 1
    other = reference(replace(problem, values=changed), dtype=dtype)
    assert fit.offset != other.offset


@QUICK
@given(problem=problems(), data=st.data())
def test_a_matrix_needs_no_shape(problem, data):
    way = data.draw(st.sampled_from([way for way in WAYS if not way.endswith("1-D")]))
    mask, values = WAYS[way](problem)
    if np.ndim(values) == 2 or isinstance(mask, np.ndarray):
        assert_form_gives_the_bits(problem, mask, values)


# ---------------------------------------------------------------- the order of listing


@settings(QUICK, max_examples=60)
@given(problem=problems(), data=st.data())
def test_the_order_of_listing_leaves_no_trace(problem, data):
    order = np.array(data.draw(st.permutations(range(problem.places.size))))
    rows, cols = problem.pair
    pair = rows[order], cols[order]
    assert_form_gives_the_bits(problem, pair, problem.values[order], shape=problem.shape)
    if 1 not in problem.shape or order.size < problem.full.size or (order[1:] > order[:-1]).all():
        assert_form_gives_the_bits(problem, pair, problem.full)  # which is not a list of values
    coo = sp.coo_array((problem.values[order], pair), shape=problem.shape)
    assert_form_gives_the_bits(problem, None, coo)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("order", ["backward", "by column", "shuffled"])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_order_of_listing_leaves_no_trace_with_several_blocks(name, order, n_threads):
    problem = LARGE[name]
    rows, cols = problem.pair
    order = {
        "backward": np.arange(rows.size)[::-1],
        "by column": np.lexsort((rows, cols)),
        "shuffled": np.random.default_rng(5).permutation(rows.size),
    }[order]
    assert_form_gives_the_bits(
        problem,
        (rows[order], cols[order]),
        problem.values[order],
        shape=problem.shape,
        n_threads=n_threads,
    )


# ---------------------------------------------------------------- how an array lies in memory


def spread(array):
    """Every other element, last first."""
    out = np.empty(tuple(2 * n for n in array.shape), array.dtype)
    view = out[(slice(None, None, -2),) * array.ndim]
    view[...] = array
    return view


def inside_a_record(array):
    """A field of a packed record: strides that no item size divides, and no alignment."""
    out = np.empty(array.shape, [("pad", "i1"), ("it", array.dtype)])
    out["it"] = array
    return out["it"]


def off_by_a_byte(array):
    """Contiguous, but at an address that no number lies at."""
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    view = np.ndarray(array.shape, array.dtype, raw)
    view[...] = array
    assert array.itemsize == 1 or not view.flags.aligned
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "spread": spread,
    "unaligned": inside_a_record,
    "off by a byte": off_by_a_byte,
    "read-only": read_only,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "np.matrix": lambda array: array.view(np.matrix) if array.ndim == 2 else array,
    "subclass": lambda array: array.view(type("Sub", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@QUICK
@given(problem=problems())
def test_how_an_array_lies_in_memory_leaves_no_trace(layout, problem):
    lay = LAYOUTS[layout]
    rows, cols = map(lay, problem.pair)
    mask, full = lay(problem.mask), lay(problem.full)
    assert_form_gives_the_bits(problem, mask, full)
    assert_form_gives_the_bits(problem, mask, lay(problem.values))
    assert_form_gives_the_bits(problem, (rows, cols), lay(problem.values), shape=problem.shape)
    assert_form_gives_the_bits(problem, (rows, cols), full)
    assert_form_gives_the_bits(problem, None, lay(problem.holes))
    assert_form_gives_the_bits(problem, None, np.ma.array(full, mask=lay(~problem.mask)))


def test_the_core_gets_aligned_arrays():
    """Where a processor or a compiler counts on it, anything else may crash."""
    index, numbers = off_by_a_byte(np.arange(4)), off_by_a_byte(np.arange(4.0) + 1)
    problem = observed_cells((index, index), numbers, weights=numbers)
    for array in (problem.rows, problem.cols, problem.values, problem.weights):
        assert array.flags.aligned
    problem = observed_cells(None, off_by_a_byte(np.ones((3, 4))))
    assert problem.values.flags.aligned


def test_results_go_into_an_array_however_it_lies():
    fit = funkc.factorize(None, np.arange(12.0).reshape(3, 4), 2, n_epochs=1, dtype=np.float64)
    expected = fit.reconstruct()
    for lay in (off_by_a_byte, inside_a_record, spread, np.asfortranarray):
        out = lay(np.empty((3, 4)))
        assert fit.impute(([0], [0]), expected[:1, 0], out=out) is out
        np.testing.assert_array_equal(out, expected)
        with pytest.raises(TypeError, match=r"^out: holds float64 and is not .*; pass an array of"):
            fit.reconstruct(out=out)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_the_start_lies_in_memory_leaves_no_trace(layout):
    rng = np.random.default_rng(0)
    cells, x, y = rng.random((5, 7)), rng.random((5, 3)), rng.random((7, 3))
    assert_same_bits(
        funkc.factorize(None, cells, 3, init=(LAYOUTS[layout](x), LAYOUTS[layout](y))),
        funkc.factorize(None, cells, 3, init=(x, y)),
    )


def test_a_broadcast_view_is_taken():
    column = np.broadcast_to(np.array([[1.0], [2.0], [4.0]]), (3, 5))
    mask = np.broadcast_to(np.array([True, False, True, True, False]), (3, 5))
    assert_same_bits(
        funkc.factorize(mask, column, 3, n_epochs=2),
        funkc.factorize(mask.copy(), column.copy(), 3, n_epochs=2),
    )


# ---------------------------------------------------------------- dtypes


VALUE_DTYPES = {
    "float": ["f2", "f4", "f8", "g", ">f2", ">f4", ">f8"],
    "signed": ["i1", "i2", "i4", "i8", ">i2", ">i8", "q", "l"],
    "unsigned": ["u1", "u2", "u4", "u8", ">u4"],
    "bool": ["?"],
}
RANGES = {"float": (-9, 9), "signed": (-9, 9), "unsigned": (0, 9), "bool": (0, 1)}


@pytest.mark.parametrize(
    ("kind", "dtype"), [(kind, dtype) for kind in VALUE_DTYPES for dtype in VALUE_DTYPES[kind]]
)
@pytest.mark.parametrize("factors", [np.float32, np.float64])
@settings(QUICK, max_examples=4)
@given(data=st.data())
def test_the_dtype_of_the_values_leaves_no_trace(kind, dtype, factors, data):
    problem = data.draw(problems(*RANGES[kind]))
    if kind == "float":
        problem = replace(problem, values=problem.values / 4)
    full, values = problem.full.astype(dtype), problem.values.astype(dtype)
    expected = reference(problem, dtype=factors)
    for mask, given_values in [
        (problem.mask, full),
        (problem.mask, values),
        (problem.pair, full),
        (None, np.ma.array(full, mask=~problem.mask)),
    ]:
        fit = fit_of(mask, given_values, problem, dtype=factors)
        assert_same_bits(fit, expected)
    fit = fit_of(problem.pair, values, problem, dtype=factors, shape=problem.shape)
    assert_same_bits(fit, expected)


@pytest.mark.parametrize("dtype", ["f2", "f4", "g", ">f4", "i2", ">i4", "i8"])
@pytest.mark.parametrize("name", LARGE)
def test_the_dtype_leaves_no_trace_with_several_blocks(name, dtype):
    problem = LARGE[name]
    values = problem.values.astype(dtype)
    assert_form_gives_the_bits(problem, problem.pair, values, shape=problem.shape)
    assert_form_gives_the_bits(problem, problem.mask, problem.full.astype(dtype))


@pytest.mark.parametrize("factors", [np.float32, np.float64])
def test_floats_that_float32_holds_give_the_bits_of_doubles(factors):
    rng = np.random.default_rng(1)
    single = rng.standard_normal((40, 50)).astype(np.float32)
    assert_same_bits(
        funkc.factorize(None, single, 3, n_epochs=2, dtype=factors),
        funkc.factorize(None, single.astype(float), 3, n_epochs=2, dtype=factors),
    )


@pytest.mark.parametrize("dtype", ["f8", "g", "i4", "u4", "i8", ">u8"])
@pytest.mark.parametrize("factors", [np.float32, np.float64])
def test_values_are_not_rounded_before_the_offset_is_taken_away(dtype, factors):
    values = (2**24 + 9 * np.arange(-6, 6).reshape(3, 4)).astype(dtype)
    rounded = values.astype(np.float32)
    assert (values != rounded).any()
    fit, double, single = (
        funkc.factorize(None, form, 2, n_epochs=2, n_threads=1, dtype=factors)
        for form in (values, values.astype(float), rounded)
    )
    assert_same_bits(fit, double)
    assert fit.row_factors.tobytes() != single.row_factors.tobytes()


def test_negative_zero_is_zero():
    values = np.array([[0.0, 1.0], [2.0, 0.0]])
    assert_same_bits(
        funkc.factorize(None, values, 2, n_epochs=2),
        funkc.factorize(None, np.where(values == 0, -0.0, values), 2, n_epochs=2),
    )


INDEX_DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4", ">u2", ">i8", "p"]


@pytest.mark.parametrize("dtype", INDEX_DTYPES)
@QUICK
@given(problem=problems(), other=st.sampled_from(INDEX_DTYPES))
def test_the_dtype_of_an_index_leaves_no_trace(dtype, problem, other):
    rows, cols = problem.pair
    pair = rows.astype(dtype), cols.astype(other)
    assert_form_gives_the_bits(problem, pair, problem.values, shape=problem.shape)
    assert_form_gives_the_bits(problem, pair, problem.full)


@pytest.mark.parametrize("dtype", INDEX_DTYPES)
def test_the_dtype_of_an_index_leaves_no_trace_with_several_blocks(dtype):
    problem = LARGE["not coded"]
    pair = tuple(index.astype(dtype) for index in problem.pair)
    assert_form_gives_the_bits(problem, pair, problem.values, shape=problem.shape)


# ---------------------------------------------------------------- scipy.sparse


FORMATS = ["coo", "csr", "csc", "bsr", "dok", "lil", "dia"]
KINDS = ["array", "matrix"]


def sparse(problem, name, kind="array"):
    make = sp.coo_array if kind == "array" else sp.coo_matrix
    stored = make((problem.values, problem.pair), shape=problem.shape)
    if name == "bsr":
        return stored.tobsr(blocksize=(1, 1))
    return stored.asformat(name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORMATS)
@QUICK
@given(problem=problems())
def test_every_sparse_format_gives_the_same_bits(name, kind, problem):
    if name == "dia":  # which does not tell a zero of its diagonals from a hole
        problem = problem.without_zeros()
    form = sparse(problem, name, kind)
    assert type(form).__name__ == f"{name}_{kind}"
    assert form.tocoo().nnz == problem.places.size
    assert_form_gives_the_bits(problem, None, form)


@pytest.mark.parametrize("size", LARGE)
@pytest.mark.parametrize("name", ["coo", "csr", "csc", "bsr", "dok", "lil"])
def test_every_sparse_format_gives_the_same_bits_with_several_blocks(name, size):
    assert_form_gives_the_bits(LARGE[size], None, sparse(LARGE[size], name))


def test_a_stored_zero_is_an_observation():
    stored = sp.csr_array(([0.0, 1.0, 2.0], ([0, 0, 1], [0, 1, 1])), shape=(2, 2))
    without = stored.copy()
    without.eliminate_zeros()
    assert (stored.nnz, without.nnz) == (3, 2)
    with_zero = funkc.factorize(None, stored, 2, n_epochs=2)
    assert_same_bits(
        with_zero, funkc.factorize(None, np.array([[0, 1], [np.nan, 2]]), 2, n_epochs=2)
    )
    assert_same_bits(
        funkc.factorize(None, without, 2, n_epochs=2),
        funkc.factorize(None, np.array([[np.nan, 1], [np.nan, 2]]), 2, n_epochs=2),
    )
    assert with_zero.offset != funkc.factorize(None, without, 2, n_epochs=2).offset


def test_all_that_a_block_of_bsr_stores_is_observed():
    full = np.kron(np.array([[1, 0], [0, 1]]), np.array([[1.0, 0.0], [2.0, 3.0]]))
    form = sp.bsr_array(full, blocksize=(2, 2))
    mask = np.kron(np.eye(2), np.ones((2, 2))).astype(bool)
    assert_same_bits(
        funkc.factorize(None, form, 2, n_epochs=2), funkc.factorize(mask, full, 2, n_epochs=2)
    )


@pytest.mark.parametrize("dtype", ["f4", "f8", "g", "i1", "u1", "i4", "i8", "u8"])
@QUICK
@given(problem=problems(0, 9))
def test_the_dtype_of_a_sparse_array_leaves_no_trace(dtype, problem):
    for name in ("coo", "csr", "csc"):
        assert_form_gives_the_bits(problem, None, sparse(problem, name).astype(dtype))


@pytest.mark.parametrize("name", ["csr", "csc", "bsr"])
def test_unsorted_indices_and_wide_ones_leave_no_trace(name):
    problem = LARGE["coded"]
    form = sparse(problem, name)
    for row in range(len(form.indptr) - 1):
        part = slice(form.indptr[row], form.indptr[row + 1])
        form.indices[part] = form.indices[part][::-1]
        form.data[part] = form.data[part][::-1]
    form.has_sorted_indices = False
    assert_form_gives_the_bits(problem, None, form)
    form.indices, form.indptr = form.indices.astype(np.int64), form.indptr.astype(np.int64)
    assert_form_gives_the_bits(problem, None, form)


@pytest.mark.parametrize("name", ["csr", "csc"])
def test_a_sparse_array_keeps_its_spare_room_and_its_byte_order(name):
    problem = LARGE["coded"]
    form = sparse(problem, name)
    form.data = np.append(form.data, [7.0, 8.0])
    form.indices = np.append(form.indices, np.array([0, 0], form.indices.dtype))
    assert_form_gives_the_bits(problem, None, form)
    form.data = form.data.astype(">f8")
    assert_form_gives_the_bits(problem, None, form)


@pytest.mark.parametrize("name", ["coo", "csr", "csc"])
def test_a_sparse_array_may_be_read_only(name):
    problem = LARGE["coded"]
    form = sparse(problem, name)
    for array in arrays_in(form):
        array.flags.writeable = False
    assert_form_gives_the_bits(problem, None, form)


# ---------------------------------------------------------------- in a new interpreter


def answer_of(code):
    """What the code prints in a new interpreter, where a crash kills nobody else."""
    env = os.environ | {"PYTHONPATH": str(Path(funkc.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return done.stdout


DAMAGE = {
    "csr: index too large": "A = sp.csr_array(np.eye(3)); A.indices[1] = HUGE",
    "csr: index negative": "A = sp.csr_array(np.eye(3)); A.indices[1] = -HUGE",
    "csr: indptr too large": "A = sp.csr_array(np.eye(3)); A.indptr[-1] = HUGE",
    "csr: indptr falls": "A = sp.csr_array(np.eye(3)); A.indptr[1] = 3",
    "csr: indptr begins late": "A = sp.csr_array(np.eye(3)); A.indptr[0] = 1",
    "csr: data too short": "A = sp.csr_array(np.eye(3)); A.data = A.data[:1]",
    "csc: index too large": "A = sp.csc_array(np.eye(3)); A.indices[1] = HUGE",
    "csc: indptr too large": "A = sp.csc_matrix(np.eye(3)); A.indptr[-1] = HUGE",
    "bsr: index too large": "A = sp.bsr_array(np.eye(4), blocksize=(2, 2)); A.indices[1] = HUGE",
    "coo: row too large": "A = sp.coo_array(np.eye(3)); A.row[1] = HUGE",
    "coo: row just too large": "A = sp.coo_array(np.eye(3)); A.row[1] = 3",
    "coo: row negative": "A = sp.coo_array(np.eye(3)); A.row[1] = -HUGE",
    "coo: col just negative": "A = sp.coo_matrix(np.eye(3)); A.col[1] = -1",
    "coo: col too large": "A = sp.coo_matrix(np.eye(3)); A.col[1] = HUGE",
    "coo: data too short": "A = sp.coo_array(np.eye(3)); A.data = A.data[:1]",
    "coo: data too long": "A = sp.coo_array(np.eye(3)); A.data = np.ones(HUGE // 10)",
    "lil: index too large": "A = sp.lil_array(np.eye(3)); A.rows[0] = [HUGE]",
    "dok: index too large": "A = sp.dok_array(np.eye(3)); A._dict[HUGE, 0] = 1.0",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_sparse_array_is_refused_and_never_followed(damage):
    code = f"""
import numpy as np, scipy.sparse as sp, funkc
HUGE = 10**8
{DAMAGE[damage]}
try:
    funkc.factorize(None, A, 2, n_epochs=2)
except ValueError as error:
    print(error)
"""
    assert answer_of(code).startswith("values: is not a valid sparse array (")


def test_scipy_is_not_needed():
    code = """
import sys
import numpy as np
import funkc
assert not [name for name in sys.modules if name.startswith("scipy")]
sys.modules["scipy"] = sys.modules["scipy.sparse"] = None
try:
    import scipy.sparse
except ImportError:
    pass
else:
    raise AssertionError("scipy is not blocked")
R = np.array([[1.0, np.nan], [3.0, 4.0]])
mask = ~np.isnan(R)
fits = [
    funkc.factorize(None, R, 2),
    funkc.factorize(mask, R, 2),
    funkc.factorize(mask.nonzero(), R[mask], 2),
    funkc.factorize(None, np.ma.masked_invalid(R), 2),
    funkc.factorize(None, R.tolist(), 2),
]
print(len({fit.row_factors.tobytes() for fit in fits}), fits[0].impute(mask, R)[1].tolist())
"""
    assert answer_of(code).strip() == "1 [3.0, 4.0]"
