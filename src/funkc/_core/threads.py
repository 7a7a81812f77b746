"""How many threads a call may use, and how many it gets."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from typing import TYPE_CHECKING

from funkc._core import limits, machine
from funkc._errors import FewerThreadsWarning, warn

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
    bound = {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"} & os.environ.keys()
    if hasattr(os, "sched_getaffinity") and not bound:  # OpenMP binds this thread to one of them
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Affinity, control group and OMP_NUM_THREADS, whichever grants least; at least 1."""
    if not machine.openmp_enabled():
        return 1
    quota = _cgroup_quota()
    granted = min(_processors(), machine.max_threads())
    return max(1, granted if math.isinf(quota) else min(granted, math.ceil(quota)))


def _stack_size() -> int:
    """The bytes of stack of OpenMP's threads that the environment asks for; 0: the default."""
    for name in ("OMP_STACKSIZE", "GOMP_STACKSIZE"):
        if found := re.fullmatch(r"\s*(\d+)\s*([bkmg]?)\s*", os.environ.get(name, ""), re.I):
            size = int(found[1]) << {"b": 0, "m": 20, "g": 30}.get(found[2].lower(), 10)
            if size < 2**63:
                return size
    return 0


machine.prepare(_stack_size())

_told = threading.local()


def warn_if_refused(*others: tuple[int, int]) -> None:
    """Warn, in the caller's line, if this thread got fewer threads than it wanted since it came
    here last, or others that worked for it: (threads granted, wanted), or (0, 0).
    """
    refusals = [refused for refused in (machine.refused(), *others) if refused[1]]
    if not refusals:
        return
    n, wanted = min(refusals)
    now, until = time.monotonic(), getattr(_told, "until", 0.0)
    _told.until = now + 1  # a call of ours may be part of another
    if now < until:
        return
    warn(
        f"n_threads: the system grants {n} of {wanted} threads; the result has the same bits, but "
        "takes longer; raise the limit of processes or memory (ulimit -u, ulimit -v, the pids of "
        f"the container), lower OMP_STACKSIZE, or pass n_threads={n}",
        FewerThreadsWarning,
    )
