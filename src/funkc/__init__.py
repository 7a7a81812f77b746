"""funkc: Funk matrix factorization for matrices with holes, fast and the same to the bit."""

from funkc._api import factorize, resume
from funkc._errors import DivergedError, ModelFileError
from funkc._machine import openmp_enabled
from funkc.factorization import Factorization, load
from funkc.images import inpaint
from funkc.ratings import Ratings
from funkc.selection import CrossValidation, cross_validate

__all__ = [
    "CrossValidation",
    "DivergedError",
    "Factorization",
    "ModelFileError",
    "Ratings",
    "cross_validate",
    "factorize",
    "inpaint",
    "load",
    "openmp_enabled",
    "resume",
]
__version__ = "0.1.0"
