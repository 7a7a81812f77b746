"""funkc: fast, bit-reproducible Funk matrix factorization of incomplete matrices."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import_module("numpy")  # before the core, which would otherwise settle in another interpreter
except ImportError as error:
    raise ImportError(
        f"funkc needs NumPy, and importing it failed: {error} (in a process with several "
        "interpreters, NumPy and funkc work in one interpreter, the first that imports NumPy)"
    ) from error

from funkc import _capi as _capi  # PyCapsule_Import needs it imported
from funkc import evaluation as evaluation
from funkc._api import factorize, resume
from funkc._core.machine import openmp_enabled
from funkc._errors import (
    ConstantValuesWarning,
    DivergedError,
    FewerThreadsWarning,
    HotPixelWarning,
    ModelFileError,
    OutlierWarning,
    UnknownIdError,
    UnknownIdWarning,
)
from funkc._explain import Explanation
from funkc.factorization import Factorization, load
from funkc.images import inpaint
from funkc.ratings import Ratings
from funkc.selection import CrossValidation, cross_validate

if TYPE_CHECKING:
    from funkc.estimator import FunkImputer as FunkImputer
    from funkc.recommender import FunkRecommender as FunkRecommender

__all__ = [
    "ConstantValuesWarning",
    "CrossValidation",
    "DivergedError",
    "Explanation",
    "Factorization",
    "FewerThreadsWarning",
    "HotPixelWarning",
    "ModelFileError",
    "OutlierWarning",
    "Ratings",
    "UnknownIdError",
    "UnknownIdWarning",
    "cross_validate",
    "factorize",
    "get_include",
    "inpaint",
    "load",
    "openmp_enabled",
    "resume",
]
__version__ = "0.1.0"


def get_include() -> str:
    """The directory of funkc.h and funkc_import.h, for extensions that call the core from C.

    Returns
    -------
    str
        Pass it to the compiler: ``Extension(..., include_dirs=[funkc.get_include()])``.

    Examples
    --------
    >>> import os
    >>> import funkc
    >>> "funkc.h" in os.listdir(funkc.get_include())
    True
    """
    return str(Path(__file__).with_name("include"))


def __getattr__(name: str) -> object:
    # Not in __all__, and imported on demand: scikit-learn is an extra.
    if name == "FunkImputer":
        from funkc.estimator import FunkImputer

        return FunkImputer
    if name == "FunkRecommender":
        from funkc.recommender import FunkRecommender

        return FunkRecommender
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    estimators = ["FunkImputer", "FunkRecommender"] if find_spec("sklearn") else []
    return sorted([*__all__, "__version__", *estimators])
