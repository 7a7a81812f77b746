"""Checks of single arguments: numbers, choices, paths, threads."""

from __future__ import annotations

import math
import numbers
import operator
import os
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from funkc._core import limits
from funkc._core.threads import default_threads
from funkc._errors import reject, shown
from funkc._errstate import callers_errstate

if TYPE_CHECKING:
    from collections.abc import Sequence

LITTLE_MEMORY = 1 << 26  # which is not worth a look at the limits
MOST_THREADS = max(8, 4 * (os.cpu_count() or 1))


def integer(name: str, value: object, least: int, most: int) -> int:
    remedy = f"pass an integer from {least} to {most:,}"
    if isinstance(value, (bool, np.bool_)):
        reject(name, f"got {value!r}", remedy, TypeError)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        reject(name, f"got {shown(value)} of type {type(value).__name__}", remedy, TypeError)
    if not least <= number <= most:
        reject(name, f"got {shown(number)}", remedy)
    return number


def real(name: str, value: object, least: float, *, above: bool = False) -> float:
    """A finite number, at least (or above) `least`."""
    bound = "" if least == -math.inf else f" {'above' if above else 'not below'} {least:g}"
    remedy = f"pass a finite number{bound}"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    others = (bool, np.bool_, np.timedelta64)  # which are registered as numbers
    if isinstance(value, others) or not isinstance(value, numbers.Real):
        reject(name, f"got {shown(value)} of type {type(value).__name__}", remedy, TypeError)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < least or (above and number == least):
        reject(name, f"got {number!r}", remedy)
    return number


def plain(value: Any) -> Any:
    """A text of any subclass (an enum's, NumPy's) as the text that it holds, whatever that class
    says of itself; anything else as it is.
    """
    return str.__str__(value) if issubclass(type(value), str) else value


def flag_or_none(name: str, value: object) -> bool | None:
    """True, False, or None."""
    return None if value is None else flag(name, value)


def choice(name: str, value: object, allowed: Sequence[object]) -> Any:
    value = plain(value)
    for option in allowed:
        if type(value) is type(option) and value == option:
            return option
    listed = ", ".join(repr(option) for option in allowed)
    error = ValueError if type(value) in {type(option) for option in allowed} else TypeError
    reject(name, f"got {shown(value)}", f"pass one of {listed}", error)


def seed_of(random_state: object) -> int:
    """A 64-bit seed from any usual kind of random_state."""
    if random_state is None:
        return secrets.randbits(64)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**64, dtype=np.uint64))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**64, dtype=np.uint64))
    try:
        if isinstance(random_state, (bool, np.bool_)):
            raise TypeError
        seed = operator.index(random_state)  # type: ignore[arg-type]
    except TypeError:
        reject(
            "random_state",
            f"got {shown(random_state)} of type {type(random_state).__name__}",
            "pass an int, a numpy.random.Generator, a numpy.random.RandomState or None",
            TypeError,
        )
    if not 0 <= seed < 2**64:
        reject("random_state", f"got {shown(seed)}", "pass an integer from 0 to 2**64 - 1")
    return seed


def flag(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        reject(name, f"got {shown(value)}", "pass True or False", TypeError)
    return bool(value)


def threads(n_threads: object) -> int:
    """A number of threads that any system can start; more would be idle."""
    if n_threads is None:
        return default_threads()
    return min(integer("n_threads", n_threads, 1, 2**31 - 1), MOST_THREADS)


def path(name: str, value: Any, remedy: str = "pass the name of a file") -> str:
    """The name of a file."""
    if not isinstance(value, (str, os.PathLike)):
        reject(name, f"got {shown(value)}", remedy, TypeError)
    try:
        text: str = plain(os.fsdecode(value))
    except TypeError:
        reject(name, f"got {shown(value)}", remedy, TypeError)
    try:
        if text and b"\0" not in os.fsencode(text):
            return text
    except UnicodeEncodeError:  # half of a surrogate pair
        pass
    reject(name, f"got {shown(value)}", remedy)


def new_file(name: str, value: Any) -> str:
    """A file to be written later: report errors now."""
    text = path(name, value)
    folder = os.path.dirname(os.path.abspath(text))
    if not os.path.isdir(folder):
        reject(name, f"got {shown(value)}", f"the folder {folder} does not exist: create it first")
    if os.path.isdir(text):
        reject(name, f"got {shown(value)}, a folder", "pass the name of a file in it")
    return text


def jobs(n_jobs: object) -> int:
    """scikit-learn's n_jobs: None and -1 mean all threads, -2 all except one."""
    if n_jobs is None:
        return default_threads()
    number = integer("n_jobs", n_jobs, -(2**31), 2**31 - 1)
    if number == 0:
        reject("n_jobs", "got 0", "pass a number of threads, -1 for all, or None")
    return threads(number) if number > 0 else max(1, default_threads() + 1 + number)


def callback(value: Any, arguments: str, name: str = "callback") -> Any:
    if value is not None and not callable(value):
        reject(
            name,
            f"got {shown(value)}, which can't be called",
            f"pass a function of {arguments}, or None",
            TypeError,
        )
    return value if value is None else callers_errstate(value)


def require_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse early what exceeds the memory that the process may have: asked for more, the system
    may grant it, and end the process when it is used.
    """
    if needed < LITTLE_MEMORY:
        return
    there, whose = limits.memory()
    if needed > there:
        raise MemoryError(
            f"{what} need {needed / 2**30:,.1f} GiB, but {whose} {there / 2**30:,.1f} GiB; {remedy}"
        )


def is_true(answer: object) -> bool:
    """Whether it is True of Python or NumPy, not merely truthy."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)
