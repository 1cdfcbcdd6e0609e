"""A CT lies in napari's world where it lies in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_ct_assistant.viewer.scan.layers import (
    HU_RANGE,
    index_to_world,
    is_oblique,
    layer_data,
    volume_of,
    widen_contrast_range,
    world_to_index,
)
from napari_ct_assistant.volume import CTVolume


def layer_of(volume: CTVolume) -> Image:
    data, kwargs, kind = layer_data(volume)
    assert kind == "image"
    return Image(data, **kwargs)


def turned(volume: CTVolume, degrees: float) -> CTVolume:
    """Return `volume` turned about the patient's left-right axis through the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])
    return CTVolume(volume.hu, turn @ volume.affine)


def test_world_points_are_patient_points(ct: CTVolume) -> None:
    layer = layer_of(ct)
    for index in ((0, 0, 0), (3, 7, 11), (19, 39, 47)):
        world = index_to_world(layer, index)
        np.testing.assert_allclose(world, layer.data_to_world(index))
        x, y, z = ct.index_to_ras(index)
        np.testing.assert_allclose(world, (-z, -y, -x), atol=1e-9)
        np.testing.assert_allclose(world_to_index(layer, world), index, atol=1e-9)


def test_layer_is_in_mm_and_keeps_int16(ct: CTVolume) -> None:
    layer = layer_of(ct)
    assert layer.data is ct.hu
    assert layer.data.dtype == np.int16
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert tuple(layer.axis_labels) == ("I", "P", "L")
    np.testing.assert_allclose(layer.scale, ct.spacing)


def test_contrast_slider_reaches_all_of_ct(ct: CTVolume) -> None:
    layer = layer_of(ct)
    widen_contrast_range(layer)
    assert tuple(layer.contrast_limits) == (-160, 240)
    assert tuple(layer.contrast_limits_range) == HU_RANGE


def test_oblique_volume_keeps_its_centre_and_is_never_rotated(ct: CTVolume) -> None:
    oblique = turned(ct, 15)
    assert is_oblique(oblique)
    assert not is_oblique(ct)
    layer = layer_of(oblique)
    centre = (np.array(ct.shape) - 1) / 2
    np.testing.assert_allclose(layer.data_to_world(centre), -oblique.index_to_ras(centre)[::-1])
    np.testing.assert_array_equal(layer.rotate, np.eye(3))
    np.testing.assert_allclose(layer.scale, ct.spacing)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 0.05])
def test_rounding_in_a_header_is_not_oblique(ct: CTVolume, degrees: float) -> None:
    assert not is_oblique(turned(ct, degrees))


def test_a_crop_is_not_the_scan_it_was_cut_from(ct: CTVolume) -> None:
    layer = layer_of(ct)
    assert volume_of(layer) is ct
    assert volume_of(Image(ct.hu[:10], metadata=layer.metadata)) is None
    assert volume_of(Image(ct.hu)) is None
    assert volume_of(None) is None
