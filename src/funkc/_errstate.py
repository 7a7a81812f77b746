"""How NumPy handles floating-point errors: inside of this package always in the same way."""

from __future__ import annotations

import functools
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from funkc._core.threads import warn_if_refused

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")

# What the caller has set, inside of a public function.
_CALLERS: ContextVar[dict[str, Any] | None] = ContextVar("callers", default=None)


def own_errstate(function: Function) -> Function:
    """Let a public function ignore what the caller has set with numpy.seterr: numbers that are not
    finite are refused where they matter.  In the end it warns if threads were refused.
    """

    @functools.wraps(function)
    def inside(*arguments: Any, **options: Any) -> Any:
        if _CALLERS.get() is not None:
            return function(*arguments, **options)
        callers = dict(np.geterr())
        # In a context of its own, which a Ctrl-C at any moment leaves behind as a whole.
        own = copy_context()
        answer = own.run(_under, {"all": "ignore"}, callers, function, *arguments, **options)
        warn_if_refused()
        return answer

    return cast("Function", inside)


def callers_errstate(function: Function) -> Function:
    """Let a callback run under what the caller has set."""
    callers = _CALLERS.get()
    if callers is None:
        return function

    def outside(*arguments: Any) -> Any:
        return _under(callers, None, function, *arguments)

    return cast("Function", outside)


def _under(
    state: dict[str, Any],
    callers: dict[str, Any] | None,
    function: Callable[..., Any],
    *arguments: Any,
    **options: Any,
) -> Any:
    token = _CALLERS.set(callers)
    try:
        with np.errstate(**state):
            return function(*arguments, **options)
    finally:
        _CALLERS.reset(token)
