"""What is passed and what comes out: in words, as bytes to compare, and whether it is finite."""

import hashlib
import numbers
import re

import numpy as np

import funkc


def _is_of(value, package):
    """Whether it is of a package that need not be imported."""
    return type(value).__module__.startswith(package)


def shown(value):
    """The value, on one line."""
    if isinstance(value, tuple) and len(value) < 4:
        return f"({', '.join(map(shown, value))})"
    kind = type(value).__name__
    try:
        if isinstance(value, np.ndarray):
            plain = np.ndarray.view(value, np.ndarray)
            few = " ".join(np.array2string(plain.reshape(-1)[:12], threshold=50).split())
            return f"<{kind} {plain.dtype} {plain.shape} {few}>"
        if _is_of(value, "scipy.sparse"):
            parts = {k: shown(v) for k, v in vars(value).items() if isinstance(v, np.ndarray)}
            return f"<{kind} {value.dtype} {value.shape} {parts}>"
        text = re.sub(" at 0x[0-9a-fA-F]+", "", " ".join(repr(value).split()))
    except Exception as error:
        return f"<{kind} whose repr raises {type(error).__name__}>"
    return text if len(text) < 300 else f"{text[:300]}..."


def fingerprint(value, depth=0):
    """Bytes that change when the value does; of what can't be seen into, nothing."""
    if depth > 6:
        return b""
    if type(value) in (list, tuple):
        return b"[" + b",".join(fingerprint(part, depth + 1) for part in value[:1000]) + b"]"
    if isinstance(value, dict):
        return fingerprint([[key, part] for key, part in value.items() if key != "seconds"], depth)
    if isinstance(value, np.ma.MaskedArray):
        return fingerprint([value.data, np.ma.getmaskarray(value)], depth + 1)
    if isinstance(value, np.ndarray):
        plain = np.ndarray.view(value, np.ndarray)
        what = f"{plain.dtype.str}{plain.shape}".encode()
        if plain.dtype.hasobject:
            return what + fingerprint(plain.tolist(), depth + 1)
        if plain.dtype.char in "gG":  # whose padding is anything
            near = plain.astype("c16" if plain.dtype.kind == "c" else "f8")
            return what + fingerprint([near, (plain - near).astype(near.dtype)], depth + 1)
        if plain.size > 10**7:
            return what
        return what + hashlib.sha256(np.ascontiguousarray(plain)).digest()
    if _is_of(value, "scipy.sparse"):
        parts = [part for part in vars(value).values() if isinstance(part, np.ndarray)]
        return fingerprint([value.format, *parts], depth + 1)
    if _is_of(value, "pandas.") and hasattr(value, "iloc"):
        return repr(value.to_numpy(object).tolist()).encode()
    if isinstance(value, funkc.Factorization):
        return fingerprint(of_fit(value), depth + 1)
    if isinstance(value, funkc.Ratings):
        names = ("rows", "cols", "values", "row_ids", "col_ids", "names", "weights", "times")
        return fingerprint([getattr(value, name) for name in names], depth + 1)
    if isinstance(value, funkc.evaluation.Split):
        return fingerprint([value.train, value.test, value.given], depth + 1)
    if isinstance(value, funkc.evaluation.Evaluation):
        return fingerprint(value.table, depth + 1)
    if isinstance(value, funkc.CrossValidation):
        return fingerprint([value.table, value.best_parameters, value.fit], depth + 1)
    if type(value) in (int, float, complex, str, bytes, bool, type(None), slice, range):
        return f"{type(value).__name__}{value!r}"[:200].encode()
    if isinstance(value, np.generic):
        return fingerprint(np.asarray(value), depth + 1)
    return type(value).__name__.encode()


def of_fit(fit):
    """The numbers of a factorization."""
    names = ("row_factors", "col_factors", "row_bias", "col_bias", "offset", "noise",
             "history", "baseline_loss", "validation_loss", "stages", "row_ids", "col_ids",
             "clip")  # fmt: skip
    return [getattr(fit, name) for name in names]


def require_finite(value, name, depth=0):
    """Refuse NaN and infinity in what came out."""
    if isinstance(value, funkc.Factorization):
        require_finite(of_fit(value)[:-1], name, depth + 1)
        # Its predictions too; read all that is public, for it must not raise.
        with np.errstate(all="ignore"):
            made = value.reconstruct()
        assert np.isfinite(made).all(), "a prediction is not finite"
        for public in dir(value):
            if not public.startswith("_"):
                getattr(value, public)
        repr(value)
        assert made.shape == value.shape, "another shape"
        assert made.dtype == value.dtype, "another dtype"
    elif isinstance(value, funkc.CrossValidation):
        repr(value)
        if value.fit is not None:
            require_finite(value.fit, name, depth + 1)
    elif _is_of(value, "pandas") and hasattr(value, "iloc"):
        require_finite(value.to_numpy(float, na_value=np.nan), name, depth + 1)
    elif isinstance(value, (list, tuple)):
        for part in value:
            require_finite(part, name, depth + 1)
    elif isinstance(value, dict):
        require_finite(list(value.values()), name, depth + 1)
    elif isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)):
        assert np.isfinite(float(value)), f"{value!r} came out"
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        value = np.ndarray.view(value, np.ndarray)
        allowed = np.isfinite(value)
        if name in (
            "Factorization.top",
            "Factorization.similar_rows",
            "Factorization.similar_cols",
            "FunkRecommender.recommend",
        ):
            allowed |= value == -np.inf
        assert allowed.all(), "not finite"
