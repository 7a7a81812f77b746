"""How many threads a call may use, and what a fork needs."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from funkc._core import limits, machine

if TYPE_CHECKING:
    from pathlib import Path


def _cgroup_quota(root: Path = limits.ROOT, own: Path | None = None) -> float:
    """Processors that the control groups grant (Linux, version 2 and 1), or infinity."""
    return min(map(_quota_of, limits.groups("cpu", root, own)), default=math.inf)


def _quota_of(group: Path) -> float:
    """The quota of one group alone."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()[:2]
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max": no quota
        return math.inf


def _processors() -> int:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Affinity, control group and OMP_NUM_THREADS, whichever grants least; at least 1."""
    if not machine.openmp_enabled():
        return 1
    quota = _cgroup_quota()
    granted = min(_processors(), machine.max_threads())
    return max(1, granted if math.isinf(quota) else min(granted, math.ceil(quota)))


machine.prepare()
