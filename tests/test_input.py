"""What factorize() refuses, with which words, and what it takes although it looks odd."""

import os
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import funkc
from funkc._input.cells import observed_cells

NAN, INF = np.nan, np.inf
QUICK = settings(
    deadline=None, database=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
measures_memory = pytest.mark.skipif(
    not hasattr(os, "sysconf"), reason="the memory of this machine is known to the allocator only"
)
MATRIX = np.array([[1.0, 2.0, NAN], [NAN, 4.0, 5.0]])
MASK = ~np.isnan(MATRIX)
FULL = np.where(MASK, MATRIX, 0.0)
PAIR = MASK.nonzero()
CELLS = MATRIX[MASK]


def refused(error, *fragments, mask=None, values=MATRIX, k=2, **options):
    """The call raises exactly `error`; its message begins with the first fragment ("argument:
    what was found") and holds the others (the offending value, the position, the remedy)."""
    with pytest.raises(error) as caught:
        funkc.factorize(mask, values, k, **options)
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert message.startswith(fragments[0]), message
    for fragment in fragments[1:]:
        assert fragment in message, f"{fragment!r} is not in {message!r}"


def fitted(mask=None, values=MATRIX, k=2, **options):
    fit = funkc.factorize(mask, values, k, **({"n_epochs": 2, "n_threads": 1} | options))
    assert_finite(fit)
    return fit


def outcome(*arguments, **options):
    """The factorization or the refusal, and None for the other; other errors pass."""
    try:
        return funkc.factorize(*arguments, **options), None
    except (TypeError, ValueError, MemoryError) as error:
        return None, error


def assert_finite(fit):
    assert np.isfinite(fit.row_factors).all()
    assert np.isfinite(fit.col_factors).all()
    assert np.isfinite(fit.offset)


def assert_same_bits(one, other):
    assert one.row_factors.tobytes() == other.row_factors.tobytes()
    assert one.col_factors.tobytes() == other.col_factors.tobytes()
    assert one.offset == other.offset


def answer_of(code):
    """What the code prints in a new interpreter, where a crash kills nobody else."""
    source = f"import numpy as np, scipy.sparse as sp, funkc\n{code}"
    env = os.environ | {"PYTHONPATH": str(Path(funkc.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", source], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    return done.stdout


def row(name, value, error, *fragments):
    """One line of a table: the argument, its bad value, and what is said of it."""
    shown = "huge" if isinstance(value, int) and abs(value) > 2**64 else f"{value!r:.40}"
    return pytest.param(name, value, error, fragments, id=f"{name}={shown}")


# ---------------------------------------------------------------- single arguments

FROM_1 = "pass an integer from 1 to "
FINITE = "pass a finite number"
BAD_OPTIONS = [
    row("k", 0, ValueError, "k: got 0", "from 1 to 65,536"),
    row("k", -1, ValueError, "k: got -1", "from 1 to 65,536"),
    row("k", 65_537, ValueError, "k: got 65537", "from 1 to 65,536"),
    row("k", 2**70, ValueError, f"k: got {2**70}", "from 1 to 65,536"),
    row("k", 10**5000, ValueError, "k: got ", "from 1 to 65,536"),
    row("k", 1.5, TypeError, "k: got 1.5 of type float", "from 1 to 65,536"),
    row("k", np.float64(2), TypeError, "k: got ", "2.0", "of type float64", FROM_1),
    row("k", True, TypeError, "k: got True", FROM_1),
    row("k", np.True_, TypeError, "k: got ", "True", FROM_1),
    row("k", "3", TypeError, "k: got '3' of type str", FROM_1),
    row("k", None, TypeError, "k: got None", FROM_1),
    row("k", [2], TypeError, "k: got [2] of type list", FROM_1),
    row("k", "x" * 500, TypeError, "k: got 'xxx", "...", FROM_1),
    row("learning_rate", 0, ValueError, "learning_rate: got 0.0", f"{FINITE} above 0"),
    row("learning_rate", -0.1, ValueError, "learning_rate: got -0.1", f"{FINITE} above 0"),
    row("learning_rate", NAN, ValueError, "learning_rate: got nan", FINITE),
    row("learning_rate", INF, ValueError, "learning_rate: got inf", FINITE),
    row("learning_rate", 10**400, ValueError, "learning_rate: got ", FINITE),
    row("learning_rate", "x", TypeError, "learning_rate: got 'x' of type str", FINITE),
    row("learning_rate", True, TypeError, "learning_rate: got True of type bool", FINITE),
    row("learning_rate", 1j, TypeError, "learning_rate: got 1j of type complex", FINITE),
    row("learning_rate", np.ones(2), TypeError, "learning_rate: got array([1., 1.])", FINITE),
    row("regularization", -1, ValueError, "regularization: got -1.0", f"{FINITE} not below 0"),
    row("regularization", NAN, ValueError, "regularization: got nan", FINITE),
    row("regularization", INF, ValueError, "regularization: got inf", FINITE),
    row("regularization", (1, 2, 3), ValueError, "regularization: got 3 numbers", "a pair"),
    row("regularization", (), ValueError, "regularization: got 0 numbers", "a pair"),
    row("regularization", (0.1, -2), ValueError, "regularization[1]: got -2.0", FINITE),
    row("regularization", (NAN, 1), ValueError, "regularization[0]: got nan", FINITE),
    row("regularization", ("x", 1), TypeError, "regularization[0]: got 'x'", FINITE),
    row("regularization", [[1, 2]], TypeError, "regularization: got [[1, 2]]", FINITE),
    row("regularization", "x", TypeError, "regularization: got 'x' of type str", FINITE),
    row("regularization", False, TypeError, "regularization: got False", FINITE),
    row("n_epochs", 0, ValueError, "n_epochs: got 0", FROM_1),
    row("n_epochs", -1, ValueError, "n_epochs: got -1", FROM_1),
    row("n_epochs", 2.5, TypeError, "n_epochs: got 2.5 of type float", FROM_1),
    row("n_epochs", True, TypeError, "n_epochs: got True", FROM_1),
    row("offset", "mean", ValueError, "offset: got 'mean'", "pass one of 'auto'"),
    row("offset", NAN, ValueError, "offset: got nan", FINITE),
    row("offset", -INF, ValueError, "offset: got -inf", FINITE),
    row("offset", -(10**400), ValueError, "offset: got ", FINITE),
    row("offset", None, TypeError, "offset: got None", FINITE),
    row("offset", b"auto", TypeError, "offset: got b'auto' of type bytes", FINITE),
    row("offset", 1e300, ValueError, "values: ", "offset", "numpy.float64"),
    row("decay", "cosine", ValueError, "decay: got 'cosine'", "'linear', 'constant'"),
    row("decay", None, TypeError, "decay: got None", "'linear', 'constant'"),
    row("decay", np.array("linear"), TypeError, "decay: got array(", "'linear', 'constant'"),
    row("decay", ["linear"], TypeError, "decay: got ['linear']", "'linear', 'constant'"),
    row("group_size", 0, ValueError, "group_size: got 0", "from 1 to 8"),
    row("group_size", 2, ValueError, "group_size: got 2", "pass 8, or 1"),
    row("group_size", 9, ValueError, "group_size: got 9", "from 1 to 8"),
    row("group_size", "8", TypeError, "group_size: got '8' of type str", "from 1 to 8"),
    row("group_size", 8.0, TypeError, "group_size: got 8.0 of type float", "from 1 to 8"),
    row("random_state", -1, ValueError, "random_state: got -1", "from 0 to 2**64 - 1"),
    row("random_state", 2**64, ValueError, f"random_state: got {2**64}", "from 0 to 2**64 - 1"),
    row("random_state", "x", TypeError, "random_state: got 'x' of type str", "Generator"),
    row("random_state", 1.5, TypeError, "random_state: got 1.5 of type float", "an int"),
    row("n_threads", 0, ValueError, "n_threads: got 0", FROM_1),
    row("n_threads", -1, ValueError, "n_threads: got -1", FROM_1),
    row("n_threads", 2**31, ValueError, f"n_threads: got {2**31}", FROM_1),
    row("n_threads", 1.5, TypeError, "n_threads: got 1.5 of type float", FROM_1),
    row("dtype", int, TypeError, "dtype: got int64", "numpy.float32 or numpy.float64"),
    row("dtype", "float16", TypeError, "dtype: got float16", "numpy.float32 or numpy.float64"),
    row("dtype", "nonsense", TypeError, "dtype: got 'nonsense'", "numpy.float32 or"),
    row("dtype", "f4,,", TypeError, "dtype: got 'f4,,'", "numpy.float32 or"),
    row("dtype", (np.float32, -1), TypeError, "dtype: got (", "numpy.float32 or"),
    row("dtype", complex, TypeError, "dtype: got complex128", "numpy.float32 or"),
    row("dtype", object(), TypeError, "dtype: got <object", "numpy.float32 or numpy.float64"),
    row("duplicates", "first", ValueError, "duplicates: got 'first'", "'last', 'mean', 'sum'"),
    row("duplicates", None, TypeError, "duplicates: got None", "'last', 'mean', 'sum'"),
    row("duplicates", 1, TypeError, "duplicates: got 1", "'last', 'mean', 'sum'"),
    row("on_interrupt", "stop", ValueError, "on_interrupt: got 'stop'", "'raise', 'return'"),
    row("on_interrupt", True, TypeError, "on_interrupt: got True", "'raise', 'return'"),
    row("callback", 3, TypeError, "callback: got 3", "(epoch, history)", "None"),
    row("callback", "print", TypeError, "callback: got 'print'", "(epoch, history)"),
    row("shape", 3, TypeError, "shape: got 3", "pass a pair (rows, columns)"),
    row("shape", (2,), TypeError, "shape: got (2,)", "pass a pair (rows, columns)"),
    row("shape", (2, 3, 4), TypeError, "shape: got (2, 3, 4)", "pass a pair (rows, columns)"),
    row("shape", "ab", TypeError, "shape: got 'ab'", "pass a pair (rows, columns)"),
    row("shape", (0, 3), ValueError, "shape[0]: got 0", FROM_1),
    row("shape", (3, 0), ValueError, "shape[1]: got 0", FROM_1),
    row("shape", (3, -3), ValueError, "shape[1]: got -3", FROM_1),
    row("shape", (2**40, 3), ValueError, f"shape[0]: got {2**40}", FROM_1),
    row("shape", (2.0, 3), TypeError, "shape[0]: got 2.0 of type float", FROM_1),
    row("shape", (2, True), TypeError, "shape[1]: got True", FROM_1),
]


@pytest.mark.parametrize(("name", "value", "error", "fragments"), BAD_OPTIONS)
def test_a_bad_option_is_named_with_its_value_and_remedy(name, value, error, fragments):
    refused(error, *fragments, mask=PAIR, values=CELLS, **{name: value})


def test_a_ragged_regularization_is_named():
    refused(ValueError, "regularization: ", "; pass a ", regularization=[1, [2, 3]])


@pytest.mark.parametrize(
    ("option", "plain"),
    [
        ({"k": np.int8(3)}, {"k": 3}),
        ({"k": np.uint64(3)}, {"k": 3}),
        ({"k": np.array(3)}, {"k": 3}),
        ({"learning_rate": np.float32(0.125)}, {"learning_rate": 0.125}),
        ({"learning_rate": Fraction(1, 8)}, {"learning_rate": 0.125}),
        ({"learning_rate": np.array(0.125)}, {"learning_rate": 0.125}),
        ({"learning_rate": np.longdouble(0.125)}, {"learning_rate": 0.125}),
        ({"regularization": (0.25, 0.25)}, {"regularization": 0.25}),
        ({"regularization": np.array([0, 0])}, {"regularization": 0.0}),
        ({"regularization": [0, np.float16(0)]}, {"regularization": 0}),
        ({"offset": np.int8(-3)}, {"offset": -3.0}),
        ({"n_epochs": np.uint8(3)}, {"n_epochs": 3}),
        ({"group_size": np.int64(1)}, {"group_size": 1}),
        ({"n_threads": np.int8(2)}, {"n_threads": 2}),
        ({"dtype": "f8"}, {"dtype": np.float64}),
        ({"dtype": float}, {"dtype": np.float64}),
        ({"dtype": np.dtype("f4")}, {"dtype": None}),
        ({"random_state": np.uint64(2**64 - 1)}, {"random_state": 2**64 - 1}),
        ({"random_state": np.random.default_rng(3)}, {"random_state": np.random.default_rng(3)}),
        (
            {"random_state": np.random.RandomState(3)},
            {"random_state": np.random.RandomState(3)},
        ),
        ({"shape": [2, np.int16(3)]}, {"shape": (2, 3)}),
    ],
    ids=lambda option: repr(option)[:60],
)
def test_another_spelling_of_an_option_means_the_same(option, plain):
    assert_same_bits(fitted(**option), fitted(**plain))


def test_fresh_entropy_is_drawn_for_no_random_state():
    one, other = fitted(random_state=None), fitted(random_state=None)
    assert one.row_factors.tobytes() != other.row_factors.tobytes()


# ---------------------------------------------------------------- shapes that do not fit


def case(error, *fragments, **arguments):
    return pytest.param(error, fragments, arguments)


@pytest.mark.parametrize(
    ("error", "fragments", "arguments"),
    [
        case(ValueError, "values: has shape ()", "pass a 2-D array", values=3.0),
        case(ValueError, "values: has shape (3,)", "pass a 2-D array", values=[1.0, 2.0, 3.0]),
        case(ValueError, "values: has shape (1, 2, 3)", "2-D", values=np.ones((1, 2, 3))),
        case(ValueError, "values: the rows differ in length", "rectangular", values=[[1, 2], [3]]),
        case(ValueError, "values: the rows differ in length", mask=PAIR, values=[[1, 2], 3, 4]),
        case(ValueError, "mask: has shape ()", "2-D", mask=np.True_, values=FULL),
        case(ValueError, "mask: has shape (3,)", "2-D", mask=MASK[0], values=FULL),
        case(ValueError, "mask: has shape (2, 3, 1)", "2-D", mask=MASK[..., None], values=FULL),
        case(
            ValueError, "mask: the rows differ in length", mask=[[True], [True, False]], values=FULL
        ),
        case(
            ValueError,
            "values: has shape (3, 2) where mask has shape (2, 3) and 4 cells",
            "R[mask]",
            mask=MASK,
            values=FULL.T,
        ),
        case(
            ValueError,
            "values: has shape (3,) where mask has shape (2, 3) and 4 cells",
            "R[mask]",
            mask=MASK,
            values=CELLS[:3],
        ),
        case(ValueError, "values: has shape () where mask", "R[mask]", mask=MASK, values=1.0),
        case(ValueError, "values: has shape (1,) where mask", "R[mask]", mask=MASK, values=[1.0]),
        case(
            ValueError,
            "values: has shape (4, 1) where mask",
            "R[mask]",
            mask=MASK,
            values=CELLS[:, None],
        ),
        case(
            ValueError,
            "values: has shape (3,) where mask lists 4 cells",
            "one value for every observed cell",
            mask=PAIR,
            values=CELLS[:3],
        ),
        case(ValueError, "values: has shape () where mask lists 4 cells", mask=PAIR, values=1.0),
        case(
            ValueError,
            "values: has shape (1, 2, 3) where mask lists 4 cells",
            mask=PAIR,
            values=FULL[None],
        ),
        case(
            ValueError,
            "mask: has 4 rows and 3 columns",
            "one row and one column",
            mask=(PAIR[0], PAIR[1][:3]),
            values=CELLS,
        ),
        case(ValueError, "mask: is a tuple of 1", "(rows, cols)", mask=PAIR[:1], values=CELLS),
        case(ValueError, "mask: is a tuple of 0", "(rows, cols)", mask=(), values=CELLS),
        case(ValueError, "mask: is a tuple of 3", "(rows, cols)", mask=(*PAIR, 0), values=CELLS),
        case(
            ValueError,
            "rows: the rows differ in length",
            mask=([[0, 1], [2]], [0, 1]),
            values=[1.0, 2.0],
        ),
        case(ValueError, "rows: has 0 dimensions", "1-D", mask=(0, [0]), values=[1.0]),
        case(ValueError, "cols: has 2 dimensions", "1-D", mask=([0], [[0]]), values=[1.0]),
        case(
            ValueError,
            "values: has shape (2, 3) where (3, 2) is expected",
            "pass a matrix of that shape",
            shape=(3, 2),
        ),
        case(
            ValueError,
            "mask: has shape (2, 3) where (5, 5) is expected",
            mask=MASK,
            values=FULL,
            shape=(5, 5),
        ),
        case(
            ValueError,
            "values: has shape (2, 3) where (5, 5) is expected",
            mask=PAIR,
            values=FULL,
            shape=(5, 5),
        ),
        case(
            ValueError,
            "values: has shape (2, 3) where (5, 5) is expected",
            values=sp.csr_array(FULL),
            shape=(5, 5),
        ),
        case(
            ValueError,
            "values: has 1 dimensions",
            "2-D sparse",
            values=sp.coo_array(np.arange(1.0, 4.0)),
        ),
        case(
            ValueError,
            "values: has 3 dimensions",
            "2-D sparse",
            values=sp.coo_array(np.ones((2, 2, 2))),
        ),
    ],
)
def test_shapes_that_do_not_fit_are_told(error, fragments, arguments):
    refused(error, *fragments, **arguments)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("values", lambda shape: (None, np.empty(shape))),
        ("mask", lambda shape: (np.empty(shape, bool), np.empty(shape))),
        ("values", lambda shape: (None, sp.csr_array(shape))),
        ("values", lambda shape: (None, np.ma.masked_all(shape))),
        ("values", lambda shape: (([], []), np.empty(shape))),
    ],
    ids=["values", "mask", "sparse", "masked", "pair"],
)
def test_a_matrix_without_a_cell_is_refused(shape, name, form):
    mask, values = form(shape)
    refused(ValueError, f"{name}: has shape {shape}", "at least one cell", mask=mask, values=values)


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (np.zeros((2, 3), bool), FULL),
        (np.zeros((2, 3), bool), []),
        (([], []), []),
        ((np.empty(0, int), np.empty(0, int)), FULL),
        (None, np.full((2, 3), NAN)),
        (None, np.ma.masked_all((2, 3))),
        (None, sp.csr_array((2, 3))),
        (None, sp.coo_matrix((2, 3))),
        (None, sp.dok_array((2, 3))),
    ],
    ids=["bool", "bool 1-D", "pair", "pair 2-D", "NaN", "masked", "csr", "coo", "dok"],
)
def test_at_least_one_cell_must_be_observed(mask, values):
    refused(
        ValueError,
        "mask: marks no cell as observed",
        "mark at least one",
        "~mask",
        mask=mask,
        values=values,
    )


# ---------------------------------------------------------------- values that are no numbers


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f8"])
@pytest.mark.parametrize(
    "form",
    [
        lambda full: (MASK, full),
        lambda full: (MASK, full[MASK]),
        lambda full: (PAIR, full),
        lambda full: (PAIR, full[MASK]),
        lambda full: (None, np.ma.array(full, mask=~MASK)),
    ],
    ids=["bool", "bool 1-D", "pair 2-D", "pair", "masked"],
)
def test_an_observed_cell_that_is_not_finite_is_named_with_its_place(bad, dtype, form):
    full = FULL.astype(dtype)
    full[1, 2] = bad
    mask, values = form(full)
    refused(
        ValueError,
        f"values: is {'NaN' if np.isnan(bad) else 'infinite'} at row 1, column 2",
        "mark the cell as missing",
        mask=mask,
        values=values,
    )


@pytest.mark.parametrize("bad", [INF, -INF])
@pytest.mark.parametrize("wrap", [np.asarray, np.ndarray.tolist])
def test_an_infinite_value_is_not_taken_for_a_hole(bad, wrap):
    values = MATRIX.copy()
    values[1, 0] = bad
    refused(ValueError, "values: is infinite at row 1, column 0", values=wrap(values))


@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("name", ["coo", "csr", "csc", "bsr", "lil", "dok"])
def test_what_is_stored_in_a_sparse_array_must_be_finite(bad, name):
    full = FULL.copy()
    full[1, 1] = bad
    what = "NaN" if np.isnan(bad) else "infinite"
    values = sp.coo_array(full).asformat(name)
    refused(ValueError, f"values: is {what} at row 1, column 1", "replace the value", values=values)


def test_a_long_double_beyond_double_is_refused_as_infinite():
    if np.finfo(np.longdouble).maxexp == np.finfo(float).maxexp:
        pytest.skip("a long double is a double here")
    huge = FULL.astype(np.longdouble)
    huge[1, 2] = np.longdouble("1e4000")
    refused(ValueError, "values: is infinite at row 1, column 2", mask=MASK, values=huge)


STRANGE = {
    "object": (np.array([[1, None, 2], [3, 4, 5]], object), "NaN for None"),
    "None": (None, "has dtype object"),
    "str": (np.array([["1", "2", "3"]] * 2), ".astype(float)"),
    "bytes": (np.array([[b"1", b"2", b"3"]] * 2), ".astype(float)"),
    "datetime": (np.zeros((2, 3), "M8[s]"), "datetime64[s]"),
    "timedelta": (np.ones((2, 3), "m8[s]"), "timedelta64[s]"),
    "complex": (np.ones((2, 3), complex), "real part"),
    "structured": (np.zeros((2, 3), [("a", float), ("b", int)]), ".astype(float)"),
    "void": (np.zeros((2, 3), "V4"), ".astype(float)"),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("mask", [None, MASK, PAIR], ids=["None", "bool", "pair"])
def test_values_that_are_not_real_numbers_are_refused(name, mask):
    values, fragment = STRANGE[name]
    refused(
        TypeError,
        "values: has dtype ",
        "does not hold real numbers",
        fragment,
        mask=mask,
        values=values,
    )


def test_values_hidden_in_a_masked_or_sparse_array_are_refused_alike():
    fragments = ("values: has dtype complex128", "real part")
    refused(TypeError, *fragments, values=np.ma.array(FULL + 0j, mask=~MASK))
    refused(TypeError, *fragments, values=sp.csr_array(FULL + 0j))


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (MASK.astype(int), "int64"),
        (MASK.astype(np.uint8), "uint8"),
        (MASK.astype(float), "float64"),
        (MASK.astype(object), "object"),
        (MASK.astype(str), "<U5"),
        (np.zeros((2, 3), "M8[s]"), "datetime64[s]"),
        (np.zeros((2, 3), [("a", bool)]), "'a'"),
        ([[0, 1], [1, 0]], "int64"),
        ("mask", "<U4"),
        ({}, "object"),
        (np.ma.array(MASK.astype(int), mask=MASK), "int64"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mask_that_is_not_boolean_is_refused(mask, found):
    refused(
        TypeError,
        "mask: has dtype ",
        found,
        "True where observed",
        "(rows, cols)",
        mask=mask,
        values=FULL,
    )


def test_a_mask_that_is_itself_masked_is_refused():
    refused(
        TypeError,
        "mask: is itself a masked array",
        "plain boolean",
        mask=np.ma.array(MASK, mask=~MASK),
        values=FULL,
    )


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix, sp.coo_array, sp.lil_matrix])
def test_a_sparse_mask_is_refused_with_the_way_out(kind):
    mask = kind(MASK)
    refused(TypeError, "mask: is a sparse array", "mask=None", "nonzero()", mask=mask, values=FULL)
    assert_same_bits(fitted(mask.nonzero(), FULL), fitted())


@pytest.mark.parametrize("mask", [MASK, PAIR, MASK.tolist()], ids=["bool", "pair", "list"])
def test_a_mask_beside_sparse_values_is_refused(mask):
    refused(
        TypeError,
        "values: is a sparse array beside a mask",
        "mask=None",
        mask=mask,
        values=sp.csr_array(FULL),
    )


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (~MASK, np.ma.array(FULL, mask=~MASK)),
        (~MASK, np.ma.array(MATRIX, mask=~MASK)),
        (~MASK, np.ma.array(FULL, mask=~MASK)[~MASK]),
        ((~MASK).nonzero(), np.ma.array(FULL, mask=~MASK)),
        ((~MASK).nonzero(), np.ma.masked_all(2)),
        (np.ones((2, 3), bool), np.ma.array(FULL, mask=~MASK)),
    ],
    ids=["arr.mask", "NaN beneath", "1-D", "pair 2-D", "pair", "all True"],
)
def test_a_masked_cell_is_never_observed_so_an_inverted_mask_is_found_out(mask, values):
    refused(
        ValueError,
        "values: is masked at row 0, column 2, which mask marks as observed",
        "mask=None",
        "~mask",
        mask=mask,
        values=values,
    )


@pytest.mark.parametrize("form", [np.asarray, np.nonzero], ids=["bool", "pair"])
def test_NaN_beneath_an_inverted_mask_brings_the_hint(form):
    refused(
        ValueError,
        "values: is NaN at row 0, column 2",
        "pass ~mask",
        mask=form(np.isnan(MATRIX)),
        values=MATRIX,
    )


def test_a_mask_that_agrees_with_numpy_ma_is_taken():
    values = np.ma.array(MATRIX, mask=~MASK)
    assert_same_bits(fitted(~values.mask, values), fitted())


# ---------------------------------------------------------------- index pairs


@pytest.mark.parametrize(
    ("index", "error", "fragments"),
    [
        ([0, 2, -1], ValueError, ("[2] = -1 is negative", "count from 0")),
        ([0, -1, 1, -7], ValueError, ("[1] = -1 is negative", "count from 0")),
        (np.array([0, 1, -128], np.int8), ValueError, ("[2] = -128 is negative",)),
        ([0, 1, 5], ValueError, ("[2] = 5 lies outside shape", "5 of them", "0 to 4")),
        ([9, 0, 5], ValueError, ("[0] = 9 lies outside shape", "larger shape")),
        (np.array([0, 2**64 - 1], np.uint64), ValueError, (f"[1] = {2**64 - 1} lies outside",)),
        (np.array([0, 2**63], np.uint64), ValueError, (f"[1] = {2**63} lies outside",)),
        ([0, 2**40], ValueError, (f"[1] = {2**40} lies outside",)),
        ([0, -(2**63)], ValueError, (f"[1] = {-(2**63)} is negative",)),
        ([0.0, 1.0], TypeError, ("has dtype float64", "np.unique")),
        ([0, NAN], TypeError, ("has dtype float64", "np.unique")),
        ([True, False], TypeError, ("has dtype bool", "pass integers")),
        (["a", "b"], TypeError, ("has dtype <U1", "np.unique")),
        ([None, 0], TypeError, ("has dtype object", "pass integers")),
        ([0, 2**64], TypeError, ("has dtype object", "pass integers")),
        (np.zeros(2, "m8[s]"), TypeError, ("has dtype timedelta64[s]", "pass integers")),
        ([[0, 1]], ValueError, ("has 2 dimensions", "1-D")),
        (1, ValueError, ("has 0 dimensions", "1-D")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("side", [0, 1])
def test_a_bad_index_is_named_with_its_place(index, error, fragments, side):
    name = ("rows", "cols")[side]
    good = np.zeros(np.size(index), int)
    mask = (index, good) if side == 0 else (good, index)
    fragments = (f"{name}: ", *fragments)
    refused(error, *fragments, mask=mask, values=np.ones(np.size(index)), shape=(5, 5))
    refused(error, *fragments, mask=mask, values=np.ones((5, 5)))


@pytest.mark.parametrize("huge", [2**32 - 1, 2**40, 2**63, 2**64 - 1])
@pytest.mark.parametrize("side", [0, 1])
def test_an_index_that_is_an_id_is_told_apart_without_a_shape(huge, side):
    mask = [np.zeros(3, np.uint64), np.arange(3)]
    mask[0][1] = huge
    refused(
        ValueError,
        f"{('rows', 'cols')[side]}: {('rows', 'cols')[side]}[1] = {huge} is larger than",
        "np.unique",
        mask=tuple(mask[::-1] if side else mask),
        values=np.ones(3),
    )


@pytest.mark.parametrize("hidden", [0, -(10**8), 10**8])
@pytest.mark.parametrize("side", [0, 1])
def test_a_masked_index_is_refused_and_never_followed(hidden, side):
    code = f"""
pair = [np.ma.array([0, {hidden}], mask=[False, True]), [0, 1]]
try:
    funkc.factorize(tuple(pair[::{-1 if side else 1}]), [1.0, 2.0], 2, shape=(3, 3))
except (TypeError, ValueError) as error:
    print(type(error).__name__, error)
"""
    answer = answer_of(code)
    assert answer.startswith(("TypeError ", "ValueError "))
    assert ("rows", "cols")[side] in answer
    assert "mask" in answer


@measures_memory
def test_a_shape_too_large_for_this_machine_is_refused_at_once():
    huge = (4_000_000_000, 4_000_000_000)
    refused(
        MemoryError,
        f"factors of k = 2 for shape {huge} need ",
        "GiB",
        "lower k",
        mask=([0], [0]),
        values=[1.0],
        shape=huge,
    )


@measures_memory
def test_an_index_of_32_bits_is_never_taken_for_a_negative_one():
    huge = 2**31
    for pair, shape in [(([huge], [0]), (huge + 1, 1)), (([0], [huge]), (1, huge + 1))]:
        start = f"factors of k = 65536 for shape {shape} need "
        refused(MemoryError, start, mask=pair, values=[1.0], k=65_536)
        problem = observed_cells(pair, [1.0])  # what the core would get on a larger machine
        assert problem.rows.dtype == problem.cols.dtype == np.int64
        assert (problem.rows[0], problem.cols[0]) == (pair[0][0], pair[1][0])


@measures_memory
def test_a_k_too_large_for_this_machine_is_refused_at_once():
    refused(
        MemoryError,
        "factors of k = 65536 for shape (1000000000, 1) need ",
        "lower k",
        mask=([0], [0]),
        values=[1.0],
        shape=(10**9, 1),
        k=65_536,
    )


# ---------------------------------------------------------------- duplicates

LISTED = [(3, 1, 1.5), (0, 2, 4.0), (3, 1, 2.25), (2, 0, -1.0), (0, 2, 0.5), (3, 1, -0.75)]
SHAPE = (4, 3)


def columns(cells):
    """The pair and the values of (row, column, value) triples."""
    rows, cols, values = zip(*cells, strict=True)
    return (np.array(rows), np.array(cols)), np.array(values)


def settled(cells, policy):
    """A dictionary does what `duplicates` promises."""
    found = {}
    for i, j, value in cells:
        found.setdefault((i, j), []).append(value)
    rule = {"last": lambda v: v[-1], "sum": sum, "mean": lambda v: sum(v) / len(v)}[policy]
    return [(i, j, rule(values)) for (i, j), values in found.items()]


FORMS_WITH_DUPLICATES = {
    "pair": lambda cells: columns(cells),
    "coo": lambda cells: (None, sp.coo_array(columns(cells)[::-1], shape=SHAPE)),
    "coo_matrix": lambda cells: (None, sp.coo_matrix(columns(cells)[::-1], shape=SHAPE)),
    "csr": lambda cells: (None, unsummed_csr(cells)),
}


def unsummed_csr(cells):
    cells = sorted(cells, key=lambda cell: cell[0])
    indptr = np.searchsorted([cell[0] for cell in cells], np.arange(SHAPE[0] + 1))
    (_, cols), values = columns(cells)
    return sp.csr_array((values, cols, indptr), shape=SHAPE)


@pytest.mark.parametrize("form", FORMS_WITH_DUPLICATES)
def test_a_cell_listed_twice_is_refused_and_named(form):
    mask, values = FORMS_WITH_DUPLICATES[form]([(1, 0, 2.0), (3, 1, 1.0), (0, 2, 3.0), (3, 1, 1.0)])
    for dtype in (np.float32, np.float64):
        refused(
            ValueError,
            "mask: row 3, column 1 is listed more than once",
            'duplicates="last", "mean" or "sum"',
            mask=mask,
            values=values,
            dtype=dtype,
        )


def test_a_cell_listed_twice_is_named_among_many_blocks_and_values():
    rng = np.random.default_rng(0)
    full = rng.permutation(80 * 90).reshape(80, 90) + 0.5  # too many values for 8-bit codes
    rows, cols = np.indices(full.shape).reshape(2, -1)
    rows, cols = np.append(rows, 71), np.append(cols, 33)
    for values in (full[rows, cols], np.ones(rows.size)):
        refused(
            ValueError, "mask: row 71, column 33 is listed more", mask=(rows, cols), values=values
        )


@pytest.mark.parametrize("policy", ["last", "mean", "sum"])
@pytest.mark.parametrize("form", FORMS_WITH_DUPLICATES)
def test_duplicates_are_settled_as_a_dictionary_would(form, policy):
    mask, values = FORMS_WITH_DUPLICATES[form](LISTED)
    expected = columns(settled(LISTED, policy))
    fit = fitted(mask, values, shape=SHAPE, duplicates=policy)
    assert_same_bits(fit, fitted(*expected, shape=SHAPE))
    assert np.array_equal(fit.impute(mask, values, duplicates=policy)[expected[0]], expected[1])


cells_with_duplicates = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-40, 40).map(lambda n: n / 4)),
    min_size=1,
    max_size=30,
)


@QUICK
@given(cells_with_duplicates, st.sampled_from(["last", "mean", "sum"]), st.data())
def test_any_duplicates_are_settled_as_a_dictionary_would(cells, policy, data):
    fit = fitted(*columns(cells), shape=SHAPE, duplicates=policy)
    assert_same_bits(fit, fitted(*columns(settled(cells, policy)), shape=SHAPE))
    if policy != "last":
        shuffled = data.draw(st.permutations(cells))
        assert_same_bits(fit, fitted(*columns(shuffled), shape=SHAPE, duplicates=policy))


@QUICK
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(-1e30, 1e30)),
        min_size=2,
        max_size=12,
    ),
    st.sampled_from(["mean", "sum"]),
    st.data(),
)
def test_the_order_of_listing_leaves_no_trace_in_means_and_sums_that_round(cells, policy, data):
    shuffled = data.draw(st.permutations(cells))
    options = {"shape": (2, 2), "duplicates": policy, "dtype": np.float64}
    assert_same_bits(fitted(*columns(cells), **options), fitted(*columns(shuffled), **options))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float16, np.float32, np.bool_])
def test_sums_of_duplicates_do_not_wrap_in_a_narrow_dtype(dtype):
    top = np.array([1 if dtype == np.bool_ else 100] * 3, dtype)
    fit = fitted(([0, 0, 0], [0, 0, 0]), top, shape=(2, 2), duplicates="sum")
    total = float(top[0]) * 3
    assert_same_bits(fit, fitted(([0], [0]), [total], shape=(2, 2)))


@pytest.mark.parametrize("policy", ["mean", "sum"])
def test_duplicates_whose_sum_overflows_are_refused_by_place(policy):
    refused(
        ValueError,
        "values: is infinite at row 1, column 0",
        mask=([0, 1, 1], [0, 0, 0]),
        values=[1.0, 1.5e308, 1.5e308],
        dtype=np.float64,
        duplicates=policy,
    )


# ---------------------------------------------------------------- how large, how small


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([[1e39, 0.0]], {}),
        ([[1e39, 1e39]], {}),
        ([[-1e39, -1e39]], {"offset": 0}),
        ([[-3e38, 3e38]], {}),
        ([[-3e38, 3e38]], {"offset": 0}),
        ([[0.0, 1.0]], {"offset": 1e39}),
    ],
    ids=str,
)
def test_values_too_wide_for_float32_are_refused_and_fit_float64(values, options):
    refused(
        ValueError,
        "values: the largest and the smallest (or the offset) lie farther apart",
        "divide the values",
        "numpy.float64",
        values=values,
        **options,
    )
    fitted(None, values, dtype=np.float64, **options)


@pytest.mark.parametrize("largest", [1e39, 1e100, 1e140])
def test_values_of_any_usual_size_fit_float64(largest):
    fitted(None, np.array([[-largest, largest / 2], [largest / 4, 0.0]]), dtype=np.float64)


@pytest.mark.parametrize("largest", [1e154, 1e200, 1e300, 4e307, 1.5e308])
@pytest.mark.parametrize("sign", [-1, 1])
def test_values_whose_squares_exceed_float64_are_factorized_or_refused_in_words(largest, sign):
    values = np.array([[sign * largest, largest / 2], [0.0, 1.0]])
    fit, error = outcome(None, values, k=2, n_epochs=2, n_threads=1, dtype=np.float64)
    if fit is not None:
        assert_finite(fit)
    else:
        assert type(error) is ValueError
        assert str(error).startswith("values: the largest and the smallest")
        assert "divide the values" in str(error)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 5.0, -1e-3, 1e30])
def test_constant_values_are_predicted(value, dtype):
    fit = fitted(None, np.full((4, 3), value), dtype=dtype, n_epochs=20)
    assert np.allclose(fit.reconstruct(), value, rtol=1e-6, atol=0.1)


DENORMAL = {
    "float64 denormals": np.array([[5e-324, 1e-320], [3e-320, 0.0]]),
    "float32 denormals": np.array([[1e-45, 1e-44], [3e-45, 0.0]]),
    "between": np.array([[1e-300, 1e-310], [3e-305, 0.0]]),
    "tiny": np.array([[1e-39, 2e-39], [4e-39, 0.0]]),
    "a last digit": np.array([[1.0, 1.0 + 2**-52], [1.0, 1.0]]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DENORMAL)
def test_values_that_hardly_differ_are_factorized(name, dtype):
    fit = fitted(None, DENORMAL[name], dtype=dtype, n_epochs=20)
    assert np.allclose(fit.reconstruct(), DENORMAL[name], atol=0.1)


def test_a_row_or_column_without_observation_is_allowed():
    fit = fitted(([0, 4, 4], [1, 1, 6]), [1.0, 2.0, 3.0], shape=(6, 9))
    assert fit.row_factors.shape == (6, 2)
    assert fit.col_factors.shape == (9, 2)
    assert np.isfinite(fit.reconstruct()).all()
    assert fitted(None, np.array([[1.0, NAN], [NAN, NAN]])).shape == (2, 2)


@pytest.mark.parametrize("k", [2, 3, 16, 100, 65_536])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_k_may_exceed_the_shape(k, dtype):
    fit = fitted(([0], [0]), [3.0], k, dtype=dtype)
    assert (fit.shape, fit.k) == ((1, 1), k)


def test_the_shape_of_a_pair_is_one_more_than_the_largest_index():
    assert fitted(([0, 4], [7, 2]), [1.0, 2.0]).shape == (5, 8)
    assert fitted(([0, 4], [7, 2]), [1.0, 2.0], shape=(6, 9)).shape == (6, 9)


# ---------------------------------------------------------------- anything at all

POOL = [0.0, -0.0, 1.0, -2.5, 3.0, 7.0, 1e30, -1e30, 1e39, 1e-44, 1e-310, NAN, INF]
DTYPES = [
    "?", "i1", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f4", "f8", ">f8", "g", "c16",
    "O", "U3", "S2", "M8[D]", "m8[s]", "V2", "i4,f4",
]  # fmt: skip
VIEWS = {
    "plain": lambda a: a,
    "Fortran": np.asfortranarray,
    "backward": lambda a: a[(slice(None, None, -1),) * a.ndim],
    "every other": lambda a: np.repeat(a, 2, 0)[::2] if a.ndim else a,
    "inside": lambda a: np.stack([a, a], -1)[..., 1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and a.size else a,
    "matrix": lambda a: a.view(np.matrix) if a.ndim == 2 else a,
    "masked": lambda a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) % 3 == 1),
    "list": np.ndarray.tolist,
    "one more dimension": lambda a: a[None],
    "transposed": np.transpose,
}


@st.composite
def anything(draw, shape, dtypes=DTYPES, elements=POOL, views=tuple(VIEWS)):
    """An array of any make."""
    size = int(np.prod(shape))
    drawn = draw(st.lists(st.sampled_from(elements), min_size=size, max_size=size))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = np.array(drawn, object if dtype.kind == "O" else float).reshape(shape)
        if dtype.kind in "mM":
            source = source.astype(np.int64)
        array = source.astype("f4" if dtype.names else dtype)
        array = array.astype(dtype)
    array.flags.writeable = draw(st.booleans())
    view = draw(st.sampled_from(views))
    return VIEWS[view](array)


@st.composite
def any_call(draw):
    """A call of factorize that may or may not make sense, most often nearly."""
    shape = draw(
        st.one_of(
            st.tuples(st.integers(1, 4), st.integers(1, 4)),
            st.lists(st.integers(0, 3), max_size=3).map(tuple),
        )
    )
    real = [name for name in DTYPES if np.dtype(name).kind in "buif"]
    tame = [value for value in POOL if abs(value) < 10]
    dtypes, elements = draw(st.sampled_from([(real, tame), (real, POOL), (DTYPES, POOL)]))
    values = draw(anything(shape, dtypes, elements))
    kind = draw(st.sampled_from(["none", "bool", "pair", "anything", "sparse"]))
    if kind == "none":
        mask = None
    elif kind == "bool":
        mask = draw(anything(shape, ["?"]))
    elif kind == "anything":
        mask = draw(anything(shape))
    elif kind == "pair":
        n = draw(st.integers(0, 4))
        integers = ["i1", "u1", ">i2", "u8", "i8"]
        views = [name for name in VIEWS if name not in ("masked", "one more dimension")]
        mask = tuple(
            draw(
                anything(
                    (n,), draw(st.sampled_from([integers, DTYPES])), [0, 1, 2, 3, -1, 99], views
                )
            )
            for _ in range(2)
        )
        if draw(st.booleans()):
            values = draw(anything((n,), dtypes, elements))
    else:
        mask = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                name = draw(st.sampled_from(["coo", "csr", "csc", "bsr", "lil", "dok", "dia"]))
                values = sp.coo_array(values).asformat(name)
            except Exception:  # what scipy can't hold stays an array
                pass
    options = {
        "k": draw(st.sampled_from([1, 2, 17, 0, None])),
        "shape": draw(st.sampled_from([None, None, (4, 4), shape, (100, 100)])),
        "duplicates": draw(st.sampled_from(["error", "last", "mean", "sum"])),
        "dtype": draw(st.sampled_from([None, np.float64])),
        "offset": draw(st.sampled_from(["auto", 0.0, -1e30])),
        "n_threads": draw(st.sampled_from([1, 1, 1, 3])),
    }
    return mask, values, options


@settings(QUICK, max_examples=400)
@given(any_call())
def test_whatever_is_passed_the_answer_is_finite_or_an_error_in_words(call):
    mask, values, options = call
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit, error = outcome(mask, values, **options, n_epochs=2)
    if fit is not None:
        event("factorized")
        assert_finite(fit)
        assert np.isfinite(fit.reconstruct()).all()
    else:
        event(f"{type(error).__name__} {str(error)[:20]}")
        assert type(error) in (TypeError, ValueError, MemoryError)
        argument, _, remedy = str(error).partition("; ")
        assert ": " in argument, str(error)
        assert remedy, str(error)
