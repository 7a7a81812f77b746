"""Addresses of the C functions that funkc.h describes, for callers in other languages."""

from __future__ import annotations

from funkc._capi import addresses

__all__ = ["addresses"]
