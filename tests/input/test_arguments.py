"""Single arguments: what factorize() refuses, in which words, and what means the same."""

from fractions import Fraction

import numpy as np
import pytest
from small_calls import CELLS, INF, NAN, PAIR, assert_same_bits, fitted, refused


def row(name, value, error, *fragments):
    """One line of a table: the argument, its bad value, and what is said of it."""
    shown = "huge" if isinstance(value, int) and abs(value) > 2**64 else f"{value!r:.40}"
    return pytest.param(name, value, error, fragments, id=f"{name}={shown}")


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
