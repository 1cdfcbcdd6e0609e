"""Stalls of napari itself, without the plugin, at what a reading does with the same scan.

    python -m benchmarks.napari_alone [--chest FOLDER] [--where]

A viewer of the reading's size shows the scan's voxels, draws another image over them, moves to
another slice, draws a line and shows the volume in 3D. Compare the figures with those of
`python -m benchmarks.keyboard_reading`. Without a display the viewer runs under Xvfb, which
draws with the processor.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.keyboard_reading import CHEST, Step, table, under_xvfb, where
from benchmarks.stalls import StallWatch


def read(chest: Path) -> list[Step]:
    """Do with napari alone what a reading does; return the steps."""
    import napari
    import numpy as np
    from qtpy.QtWidgets import QApplication

    from napari_ct_assistant.viewer.scan.layers import layer_kwargs
    from napari_ct_assistant.volume import open_ct

    volume = open_ct(chest)
    kwargs: dict[str, Any] = layer_kwargs(volume) | {"metadata": {}}
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.showMaximized()  # as the panel's viewer is
    watch, steps = StallWatch(), []

    def rest(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.001)

    def step(name: str, do: Callable[[], object]) -> None:
        rest(0.5)
        watch.take()
        began = time.perf_counter()
        watch.during = name
        do()
        rest(0.3)
        steps.append(Step(name, 0, time.perf_counter() - began, watch.take()))

    middle = [size // 2 for size in volume.shape]
    step("add the scan", lambda: viewer.add_image(volume.hu, **kwargs))
    step("another slice", lambda: viewer.dims.set_current_step(0, middle[0] + 9))
    small = np.linspace(0, 1, 48**3, dtype=np.float32).reshape(48, 48, 48)
    scale = np.asarray(volume.shape) / 48 * kwargs["scale"]
    place = {name: kwargs[name] for name in ("translate", "units", "axis_labels")}
    step("add a second image", lambda: viewer.add_image(small, scale=scale, opacity=0.6, **place))
    step("hide it", lambda: setattr(viewer.layers[-1], "visible", False))
    step("show it, another slice", lambda: _show(viewer, middle[0] - 9))
    line = np.array([middle, [middle[0], middle[1], middle[2] + 12]])
    step("draw a line", lambda: viewer.add_shapes([line], shape_type="line"))
    step("3D", lambda: setattr(viewer.dims, "ndisplay", 3))
    watch.stop()
    viewer.close()
    return steps


def _show(viewer: Any, slice_: int) -> None:
    viewer.layers[1].visible = True
    viewer.dims.set_current_step(0, slice_)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chest", type=Path, default=CHEST, help="folder of DICOM slices")
    parser.add_argument("--where", action="store_true", help="show where the stalls are")
    options = parser.parse_args()
    other = under_xvfb("benchmarks.napari_alone")
    if other is not None:
        return other
    steps = read(options.chest)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print(table(steps))
    if options.where:
        print(where(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
