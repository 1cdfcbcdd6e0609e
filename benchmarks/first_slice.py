"""Time from the call that opens a scan to the first frame of it on the canvas.

Each way has a napari window of its own in each round, and opens the scan twice: the first time,
which pays for imports, does not count. A second and a third way in the same process would find the
memory that the others left in pieces, and the window with their widgets; after some rounds every
way then takes up to twice as long. A frame counts when the canvas has drawn with the scan's layer
in it; the first time, a screenshot must show more than background. Without a display the window is
under Xvfb.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.display import on_display
from benchmarks.rows import Cost, Groups, MissingPeerError, Row, Settings, clock, faster
from benchmarks.volumes import CHEST, simpleitk
from napari_ct_assistant.volume.dicom.header import Header, read_header

OURS, SCRIPT, PLUGIN = "napari-ct-assistant", "SimpleITK", "napari-itk-io"
PATIENCE: Final = 60.0
Way = Callable[[Any], object]


def first_slice(settings: Settings) -> Iterator[Row]:
    """Open the chest until it is drawn, beside SimpleITK with add_image and another plugin."""
    if settings.quick or not CHEST.is_dir():
        return
    sitk = simpleitk()
    with tempfile.TemporaryDirectory() as folder:
        # Some readers take the folder's first file for a slice, whatever it is.
        for file in CHEST.iterdir():
            if isinstance(read_header(file), Header):
                (Path(folder) / file.name).symlink_to(file.resolve())
        taken: dict[str, list[list[float]]] = {name: [] for name in ways(folder)}
        for _ in range(settings.repeat):
            for name, each in taken.items():
                each.append(in_a_window(name, folder))
    found = {
        name: Cost(*(statistics.median(part) for part in zip(*each, strict=True)))
        for name, each in taken.items()
    }
    step = "file to drawn slice, 275 slices"
    script = f"SimpleITK {sitk.Version.VersionString()} and add_image"
    yield Row(step, script, found[OURS], found[SCRIPT], (faster(2),))
    if PLUGIN in found:
        plugin = f"{PLUGIN} {importlib.metadata.version(PLUGIN)}"
        yield Row(f"{step}, by a plugin", plugin, found[OURS], found[PLUGIN], (faster(2),))
    else:
        print(f"left out: {PLUGIN} is not installed (pip install {PLUGIN})", file=sys.stderr)


GROUPS: Final[Groups] = {"first_slice": first_slice}


def in_a_window(way: str, folder: str) -> list[float]:
    """Return what a way takes in a process of its own: seconds, and processor seconds."""
    command = on_display([sys.executable, "-m", "benchmarks.first_slice", folder, way])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingPeerError(f"the viewer did not start: {done.stderr.strip().splitlines()[-1]}")
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


# -- in the process that has the window


def main() -> int:
    folder, name = sys.argv[1:]
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    viewer.window.resize(1200, 800)
    QApplication.processEvents()
    way = ways(folder)[name]
    drawn(viewer, way)
    check_picture(viewer, name)
    viewer.layers.clear()
    QApplication.processEvents()
    seconds = clock(lambda: drawn(viewer, way))
    viewer.close()
    print(json.dumps(seconds), flush=True)
    # Qt and VTK may crash where they are torn down together.
    os._exit(0)


def ways(folder: str) -> dict[str, Way]:
    """Return how each opens a folder in a viewer."""
    found: dict[str, Way] = {
        OURS: lambda viewer: viewer.open(folder, plugin=OURS),
        SCRIPT: lambda viewer: by_script(viewer, folder),
    }
    if importlib.util.find_spec(PLUGIN.replace("-", "_")):
        found[PLUGIN] = lambda viewer: viewer.open(folder, plugin=PLUGIN)
    return found


def by_script(viewer: Any, folder: str) -> None:
    """Do what a script does without a plugin."""
    import SimpleITK as sitk  # noqa: N813 - its usual name

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    image = reader.Execute()
    viewer.add_image(sitk.GetArrayFromImage(image), scale=image.GetSpacing()[::-1])


def drawn(viewer: Any, way: Way) -> None:
    """Open the scan, and return when the canvas has drawn with its layer."""
    from qtpy.QtWidgets import QApplication

    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    frames: list[bool] = []

    def note(_: object) -> None:
        frames.append(bool(viewer.layers))

    way(viewer)
    # A frame that was drawn while the layer was being added may lack its slice.
    canvas.events.draw.connect(note)
    canvas.update()
    try:
        deadline = time.monotonic() + PATIENCE
        while not any(frames):
            QApplication.processEvents()
            if time.monotonic() > deadline:
                raise SystemExit(f"no frame was drawn in {PATIENCE:g} s")
    finally:
        canvas.events.draw.disconnect(note)


def check_picture(viewer: Any, name: str) -> None:
    """Refuse a canvas that shows nothing."""
    picture = viewer.window.screenshot(canvas_only=True, flash=False)
    if picture[..., :3].std() < 1:
        raise SystemExit(f"{name}: the canvas is blank")


if __name__ == "__main__":
    raise SystemExit(main())
