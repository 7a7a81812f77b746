"""What the system grants a process: memory, and the control groups that it is in (Linux)."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import resource as given
except ImportError:  # Windows
    given = None  # type: ignore[assignment]
resource: Any = given

ROOT = Path("/sys/fs/cgroup")


def groups(controller: str, root: Path = ROOT, own: Path | None = None) -> Iterator[Path]:
    """The folders of the process's control groups, of version 2 and 1, from the outermost."""
    try:
        lines = (own or Path("/proc/self/cgroup")).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:  # 0::/group in version 2, and 4:cpu,cpuacct:/group in version 1
        number, controllers, group = (*line.split(":", 2), "", "")[:3]
        if number == "0" or controller in controllers.split(","):
            folder = root if number == "0" else root / controllers
            names = itertools.accumulate(Path(group).parts[1:], lambda a, b: f"{a}/{b}")
            yield from (folder / name for name in (".", *names))


def _number_in(file: Path) -> float:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def memory(root: Path = ROOT, own: Path | None = None) -> tuple[float, str]:
    """The bytes that the process may have, or infinity, and who says so: the machine, a limit of
    the process, or a control group, whichever grants least.
    """
    found = [(math.inf, "")]
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found.append((pages, "this machine has"))
    except (AttributeError, ValueError, OSError):  # Windows, where the allocator will tell
        pass
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        if hasattr(resource, name):
            limit = resource.getrlimit(getattr(resource, name))[0]
            if limit != resource.RLIM_INFINITY:
                found.append((limit, f"{name} grants this process"))
    for group in groups("memory", root, own):
        for name in ("memory.max", "memory.limit_in_bytes"):
            found.append((_number_in(group / name), "its control group grants"))
    return min(found)
