"""Doors for callers in other languages: the table of C functions that funkc.h describes."""

from __future__ import annotations

from funkc._capi import addresses

__all__ = ["addresses"]
