"""A bar that shows how far the work has come."""

from __future__ import annotations

from typing import Any

from funkc._errors import missing_extra


def bar(title: str, unit: str) -> Any:
    """A tqdm bar on stderr, silent where that is no terminal."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise missing_extra("tqdm", "progress", "a progress bar") from error
    return tqdm(desc=title, unit=f" {unit}", disable=None, ascii=True, leave=False)
