"""Picks the engine that was built for this processor.

The engines are one source compiled for several instruction sets, and they give the same
bits, so the choice shows in time alone.  ``FUNKC_ISA=base|v3|v4`` overrides it.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from funkc._core import machine
from funkc._errors import reject

if TYPE_CHECKING:
    from types import ModuleType

LEVELS = {"base": 0, "v3": 3, "v4": 4}


def _usable() -> list[str]:
    """The instruction sets that were built and that this processor has, best last."""
    here = machine.x86_level()
    return [
        name
        for name, level in LEVELS.items()
        if level <= here and find_spec(f"funkc._core.engine_{name}") is not None
    ]


def _choose() -> str:
    usable = _usable()
    wanted = os.environ.get("FUNKC_ISA")
    if wanted is None:
        return usable[-1]
    if wanted not in usable:
        reject(
            "FUNKC_ISA",
            f"{wanted!r} is not among what this processor and this build offer",
            f"use one of {', '.join(usable)}, or unset it",
            ImportError,
        )
    return wanted


name: str = _choose()
biases: ModuleType = import_module(f"funkc._core.biases_{name}")
newton: ModuleType = import_module(f"funkc._core.newton_{name}")
engine: ModuleType = import_module(f"funkc._core.engine_{name}")
serve: ModuleType = import_module(f"funkc._core.serve_{name}")
average: ModuleType = import_module(f"funkc._core.average_{name}")
pictures: ModuleType = import_module(f"funkc._core.pictures_{name}")
