"""Whatever is passed, the answer is finite or an error with a message."""

import warnings

import numpy as np
import scipy.sparse as sp
from hypothesis import event, given, settings
from hypothesis import strategies as st
from small_calls import INF, NAN, QUICK, assert_finite, outcome

import funkc

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
        warnings.simplefilter("ignore", funkc.OutlierWarning)
        warnings.simplefilter("ignore", funkc.ConstantValuesWarning)
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
