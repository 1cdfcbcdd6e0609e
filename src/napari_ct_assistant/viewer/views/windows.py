"""Window presets and the right-button drag that changes window width and level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.viewer.scan.layers import volume_of, widen_contrast_range


@dataclass(frozen=True)
class Window:
    """A display window: `width` HU wide around `level` HU."""

    name: str
    width: float
    level: float

    @property
    def limits(self) -> tuple[float, float]:
        """HU shown black and HU shown white."""
        return self.level - self.width / 2, self.level + self.width / 2


PRESETS: Final = (
    Window("Soft tissue", 400, 40),
    Window("Lung", 1500, -600),
    Window("Bone", 1800, 400),
    Window("Brain", 80, 40),
    Window("Liver", 150, 30),
    Window("Mediastinum", 350, 50),
)


def window_of(layer: Any) -> Window:
    """Return the window `layer` is shown with; the name is the preset's or empty."""
    low, high = (float(limit) for limit in layer.contrast_limits)
    match = next((preset for preset in PRESETS if preset.limits == (low, high)), None)
    return match or Window("", high - low, (high + low) / 2)


def apply_window(layer: Any, window: Window) -> None:
    """Show `layer` with `window`, widening the slider range where the window needs it."""
    low, high = window.limits
    range_low, range_high = layer.contrast_limits_range
    if low < range_low or high > range_high:
        layer.contrast_limits_range = (min(low, range_low), max(high, range_high))
    layer.contrast_limits = window.limits


def dragged_window(start: Window, right: float, down: float) -> Window:
    """Return the window after a drag of so many pixels from `start`.

    A pixel to the right widens the window, a pixel up lowers the level, in steps
    that grow with the width.
    """
    step = max(start.width / 400, 0.25)
    width = max(1.0, start.width + right * step)
    return Window("", round(width), round(start.level + down * step))


def drag_window(viewer: Any, event: Any) -> Iterator[None]:
    """Change the active CT layer's window while the right button is dragged (2D only).

    A napari mouse-drag callback, see `dragged_window`.
    """
    layer = viewer.layers.selection.active
    if event.button != 2 or viewer.dims.ndisplay != 2 or volume_of(layer) is None:
        return
    widen_contrast_range(layer)
    start = window_of(layer)
    x, y = event.pos
    # The right button zooms in napari; the camera must not follow this drag.
    pan, viewer.scene.camera.mouse_pan = viewer.scene.camera.mouse_pan, False
    try:
        yield
        while event.type == "mouse_move":
            apply_window(layer, dragged_window(start, event.pos[0] - x, event.pos[1] - y))
            yield
    finally:
        viewer.scene.camera.mouse_pan = pan
