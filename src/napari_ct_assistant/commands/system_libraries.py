"""The shared libraries that Qt and OpenGL take from the system on Linux.

A wheel of Qt carries Qt itself but not the X11, OpenGL and font libraries under
it. Where one is absent Qt ends the whole process, which no `except` can catch:
so they are looked for beforehand and named.
"""

from __future__ import annotations

import ctypes
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class SystemLibrary:
    """One thing that must be on the machine, and the Debian package that brings it.

    Attributes
    ----------
    name : str
        A shared object's name (`libGL.so.1`), a program's, or a file pattern.
    package : str
        The Debian 12 package.
    kind : str
        `"library"` (loadable by name), `"program"` (on the path) or `"file"`
        (some library folder holds a match).
    """

    name: str
    package: str
    kind: str = "library"

    def present(self) -> bool:
        """Return whether this machine has it."""
        if self.kind == "program":
            return shutil.which(self.name) is not None
        if self.kind == "file":
            folders = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
            return any(any(Path(folder).glob(self.name)) for folder in folders)
        try:
            ctypes.CDLL(self.name)
        except OSError:
            return False
        return True


# What a window needs.
WINDOW_LIBRARIES: Final = (
    SystemLibrary("libGL.so.1", "libgl1"),
    SystemLibrary("libEGL.so.1", "libegl1"),
    SystemLibrary("libglib-2.0.so.0", "libglib2.0-0"),
    SystemLibrary("libdbus-1.so.3", "libdbus-1-3"),
    SystemLibrary("libfontconfig.so.1", "libfontconfig1"),
    SystemLibrary("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
    SystemLibrary("libxcb-cursor.so.0", "libxcb-cursor0"),
    SystemLibrary("libxcb-icccm.so.4", "libxcb-icccm4"),
    SystemLibrary("libxcb-image.so.0", "libxcb-image0"),
    SystemLibrary("libxcb-keysyms.so.1", "libxcb-keysyms1"),
    SystemLibrary("libxcb-randr.so.0", "libxcb-randr0"),
    SystemLibrary("libxcb-render-util.so.0", "libxcb-render-util0"),
    SystemLibrary("libxcb-shape.so.0", "libxcb-shape0"),
    SystemLibrary("libxcb-xinerama.so.0", "libxcb-xinerama0"),
)
# What the tests need besides: a display of their own and a renderer in software.
TEST_LIBRARIES: Final = (
    SystemLibrary("*-linux-gnu*/dri/swrast_dri.so", "libgl1-mesa-dri", kind="file"),
    SystemLibrary("Xvfb", "xvfb", kind="program"),
)


def missing_libraries(*, tests: bool = False) -> list[SystemLibrary]:
    """Return what this machine lacks for a window, or for the tests.

    Only Linux takes these from the system: elsewhere the list is empty.
    """
    if sys.platform != "linux":
        return []
    wanted = WINDOW_LIBRARIES + (TEST_LIBRARIES if tests else ())
    return [library for library in wanted if not library.present()]


def describe(libraries: list[SystemLibrary]) -> str:
    """Return one line that names `libraries` and the Debian command that brings them."""
    names = ", ".join(Path(library.name).name for library in libraries)
    packages = " ".join(library.package for library in libraries)
    return f"missing system libraries: {names}; on Debian: apt-get install {packages}"
