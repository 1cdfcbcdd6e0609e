"""The machine and the versions that a figure belongs to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "napari",
    "numpy",
    "scipy",
    "torch",
    "transformers",
    "SimpleITK",
    "pydicom",
    "monai",
)
CPU: Final = Path("/proc/cpuinfo")
MEMORY: Final = Path("/proc/meminfo")


def describe() -> str:
    """Return processor, cores and memory in one line."""
    model = platform.processor() or platform.machine()
    if CPU.exists():
        names = [line for line in CPU.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    parts = [model, f"{os.cpu_count()} cores"]
    if MEMORY.exists():
        kilobytes = int(MEMORY.read_text().split()[1])
        parts.append(f"{kilobytes / 2**20:.0f} GiB")
    return ", ".join(parts)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a figure depends on."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def usable_cores() -> tuple[int, ...]:
    """Return the numbers of cores that steps are measured on: one, and two where there are two."""
    return (1, 2) if len(_cores()) > 1 else (1,)


@contextmanager
def only_cores(count: int) -> Iterator[None]:
    """Run this process on so many cores meanwhile; both ways of a race are then on the same."""
    before = _cores()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(before)[-count:])
    try:
        yield
    finally:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, before)


def named(cores: int) -> str:
    """Return "one core" or "two cores"."""
    return "one core" if cores == 1 else "two cores"


def _cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """Let torch compute with so many threads meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
