"""How much memory this process can still take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import psutil

# Limits of a container: the file with the limit, with the use, and in the statistics the part of
# the use that the system gives back when it is needed.
_CONTAINER: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)


def available_memory() -> int:
    """Return the bytes that can be taken without swapping, within the limits of this process.

    These are the computer's, a container's, and the address space that `ulimit -v` grants.
    """
    free = int(psutil.virtual_memory().available)
    return max(0, min(free, _container_free(), _address_space_free()))


def _container_free() -> int:
    for limit, use, statistics in _CONTAINER:
        try:
            most, used = Path(limit).read_text().strip(), int(Path(use).read_text())
            if most == "max":
                return sys.maxsize
            cached = 0
            for line in Path(statistics).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name in ("inactive_file", "total_inactive_file"):
                    cached = int(value)
            return int(most) - used + cached
        except (OSError, ValueError):
            continue
    return sys.maxsize


def _address_space_free() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit in (resource.RLIM_INFINITY, -1):
        return sys.maxsize
    return int(limit) - int(psutil.Process().memory_info().vms)
