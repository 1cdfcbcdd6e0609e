"""The shared libraries that Qt and OpenGL take from the system on Linux.

Qt's wheels do not contain the X11, OpenGL and font libraries that Qt needs. If
one is missing, Qt aborts the process, which no `except` can catch. They are
therefore looked up before Qt starts.
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
    """A library, program or file that must be installed, and its Debian package.

    Attributes
    ----------
    name : str
        Name of a shared object (`libGL.so.1`) or program, or a file pattern.
    package : str
        The Debian 12 package.
    kind : str
        `"library"` (loaded by name), `"program"` (looked up in PATH) or `"file"`
        (looked up in the library folders).
    """

    name: str
    package: str
    kind: str = "library"

    def present(self) -> bool:
        """Return whether it is installed."""
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


# Needed to open a window.
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
# Also needed by the tests: a virtual display and a software renderer.
TEST_LIBRARIES: Final = (
    SystemLibrary("*-linux-gnu*/dri/swrast_dri.so", "libgl1-mesa-dri", kind="file"),
    SystemLibrary("Xvfb", "xvfb", kind="program"),
)


def missing_libraries(*, tests: bool = False) -> list[SystemLibrary]:
    """Return what is missing to open a window or, with `tests`, to run the tests.

    The list is empty on other systems than Linux, where Qt's wheels are complete.
    """
    if sys.platform != "linux":
        return []
    wanted = WINDOW_LIBRARIES + (TEST_LIBRARIES if tests else ())
    return [library for library in wanted if not library.present()]


def describe(libraries: list[SystemLibrary]) -> str:
    """Return one line that names `libraries` and the Debian command that installs them."""
    names = ", ".join(Path(library.name).name for library in libraries)
    packages = " ".join(library.package for library in libraries)
    return f"missing system libraries: {names}; on Debian: apt-get install {packages}"
