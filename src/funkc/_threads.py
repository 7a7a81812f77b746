"""How many threads a call may use, and what a fork needs."""

from __future__ import annotations

import math
import os
from pathlib import Path

from funkc import _machine


def _cgroup_quota() -> float:
    """Processors that the control group grants (Linux, version 2 and 1), or infinity."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            folder = Path("/sys/fs/cgroup/cpu")
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return math.inf
    try:
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (ValueError, ZeroDivisionError):  # "max": no quota
        return math.inf


def _processors() -> int:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Affinity, control group and OMP_NUM_THREADS, whichever grants least; at least 1."""
    if not _machine.openmp_enabled():
        return 1
    quota = _cgroup_quota()
    granted = min(_processors(), _machine.max_threads())
    return max(1, granted if math.isinf(quota) else min(granted, math.ceil(quota)))


# libgomp's workers do not survive a fork, and a child that waits for them never returns.
# The pool is built anew at the next call, in parent and child alike.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_machine.release_workers)
