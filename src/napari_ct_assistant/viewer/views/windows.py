"""Window presets, and the right-button drag that changes the window width and level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from napari_ct_assistant.support.translation import N_
from napari_ct_assistant.viewer.scan.layers import volume_of, widen_contrast_range


@dataclass(frozen=True)
class Window:
    """A display window: `width` HU wide around `level` HU.

    Attributes
    ----------
    short : str
        A name for a narrow button.
    """

    name: str
    width: float
    level: float
    short: str = ""

    @property
    def limits(self) -> tuple[float, float]:
        """The HU that are shown as black and as white."""
        return self.level - self.width / 2, self.level + self.width / 2


PRESETS: Final = (
    Window(N_("Soft tissue"), 400, 40, N_("Soft")),
    Window(N_("Lung"), 1500, -600, N_("Lung")),
    Window(N_("Bone"), 1800, 400, N_("Bone")),
    Window(N_("Brain"), 80, 40, N_("Brain")),
    Window(N_("Liver"), 150, 30, N_("Liver")),
    Window(N_("Mediastinum"), 350, 50, N_("Med")),
)


def window_of(layer: Any) -> Window:
    """Return the window of `layer`; its name is that of the preset, or empty."""
    low, high = (float(limit) for limit in layer.contrast_limits)
    match = next((preset for preset in PRESETS if preset.limits == (low, high)), None)
    return match or Window("", high - low, (high + low) / 2)


def apply_window(layer: Any, window: Window) -> None:
    """Show `layer` with `window`, and extend the range of the contrast slider if needed."""
    low, high = window.limits
    range_low, range_high = layer.contrast_limits_range
    if low < range_low or high > range_high:
        layer.contrast_limits_range = (min(low, range_low), max(high, range_high))
    layer.contrast_limits = window.limits


def dragged_window(start: Window, right: float, down: float) -> Window:
    """Return the window after a drag of `right` and `down` pixels from `start`.

    A drag to the right makes the window wider, a drag down raises the level. The steps grow with
    the width.
    """
    step = max(start.width / 400, 0.25)
    width = max(1.0, start.width + right * step)
    return Window("", round(width), round(start.level + down * step))


def drag_window(viewer: Any, event: Any) -> Iterator[None]:
    """Change the active CT layer's window while the right button is dragged (2D only).

    This is a napari mouse-drag callback; see `dragged_window`.
    """
    layer = viewer.layers.selection.active
    if event.button != 2 or viewer.dims.ndisplay != 2 or volume_of(layer) is None:
        return
    widen_contrast_range(layer)
    start = window_of(layer)
    x, y = event.pos
    # In napari the right button zooms; the camera must not follow this drag.
    pan, viewer.scene.camera.mouse_pan = viewer.scene.camera.mouse_pan, False
    try:
        yield
        while event.type == "mouse_move":
            apply_window(layer, dragged_window(start, event.pos[0] - x, event.pos[1] - y))
            yield
    finally:
        viewer.scene.camera.mouse_pan = pan
