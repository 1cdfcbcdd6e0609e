"""The camera: fitted to the body, fitted again after a resize, and back from 3D."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.views.fitting import is_fitted
from napari_ct_assistant.viewer.views.planes import BONES
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_ct_assistant.viewer.panel import CTAssistantPanel

Maker = Callable[..., "CTAssistantPanel"]


def resize(viewer: Viewer, height: int, width: int) -> None:
    """Give the canvas another size, as its window does."""
    viewer.canvas.size = (height, width)


def test_the_body_fills_the_canvas_after_a_resize(make_panel: Maker, ct: CTVolume) -> None:
    viewer = make_panel().viewer
    layer = add_volume(viewer, ct)
    resize(viewer, 400, 600)
    assert is_fitted(viewer, layer, (400, 600))
    resize(viewer, 300, 900)
    assert is_fitted(viewer, layer, (300, 900))
    # Not after the reader has zoomed.
    viewer.scene.camera.zoom *= 2
    zoom = viewer.scene.camera.zoom
    resize(viewer, 500, 500)
    assert viewer.scene.camera.zoom == zoom


def test_3d_shows_the_bones_from_the_front_and_leads_back_to_the_place(
    make_panel: Maker, ct: CTVolume
) -> None:
    panel = make_panel()
    viewer = panel.viewer
    layer = add_volume(viewer, ct)
    panel.view_bar.show_plane("axial")
    camera = viewer.scene.camera
    viewer.dims.set_point((0, 1, 2), layer.data_to_world((5, 20, 24)))
    camera.zoom, camera.center = 7.5, (0.0, 11.0, -13.0)
    point = viewer.dims.point
    panel.view_bar.show_plane("3d")
    # Seen towards the back (P), with the head (-I) up.
    np.testing.assert_allclose(camera.view_direction, (0, 1, 0), atol=1e-6)
    np.testing.assert_allclose(camera.up_direction, (-1, 0, 0), atol=1e-6)
    assert (layer.rendering, tuple(layer.contrast_limits)) == ("attenuated_mip", BONES)
    panel.view_bar.show_plane("axial")
    assert camera.zoom == 7.5
    assert tuple(layer.contrast_limits) == (-160, 240)
    assert camera.center[1:] == (11.0, -13.0)
    assert viewer.dims.point == pytest.approx(point)
    # Another plane is fitted.
    panel.view_bar.show_plane("3d")
    panel.view_bar.show_plane("coronal")
    assert is_fitted(viewer, layer, viewer.canvas.size)


def test_the_canvas_stays_dark_in_a_light_theme(make_panel: Maker, ct: CTVolume) -> None:
    viewer = make_panel().viewer
    add_volume(viewer, ct)
    viewer.theme = "light"
    assert tuple(viewer.canvas.background_color[:3]) == (0, 0, 0)
