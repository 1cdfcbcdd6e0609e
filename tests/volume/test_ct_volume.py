"""A volume converted to other libraries lies where it lay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name

from napari_ct_assistant.volume import CTVolume

FLIP = np.array([-1.0, -1.0, 1.0])


def oblique() -> CTVolume:
    """Return a small scan with axes 20 degrees off and three different spacings."""
    a = np.radians(20)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, 0, -0.7], [0, -0.8, 0], [-2.5, 0, 0]])
    affine[:3, 3] = (11, -7, 300)
    hu = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6) - 60
    return CTVolume(hu, affine)


def test_simpleitk_puts_every_voxel_where_it_was() -> None:
    volume = oblique()
    image = volume.to_simpleitk()
    assert np.linalg.det(np.reshape(image.GetDirection(), (3, 3))) > 0.999
    for index in np.ndindex(volume.shape):
        lps = volume.index_to_ras(index) * FLIP
        there = image.TransformPhysicalPointToIndex(lps.tolist())
        assert image[there] == volume.hu[index]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(there), lps, atol=1e-9)


def test_a_file_written_by_simpleitk_has_the_same_geometry(tmp_path: Path) -> None:
    from napari_ct_assistant.volume import open_ct

    volume = oblique()
    sitk.WriteImage(volume.to_simpleitk(), str(tmp_path / "a.nii.gz"))
    again = open_ct(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(again.hu, volume.hu)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-4)


def test_the_ras_array_of_the_docs_page() -> None:
    volume = oblique()
    ras = volume.hu[::-1, ::-1, ::-1].transpose(2, 1, 0)
    assert ras.shape == (6, 5, 4)
    x, y, z = np.unravel_index(int(ras.argmax()), ras.shape)
    index = (3 - z, 4 - y, 5 - x)
    assert volume.hu[index] == volume.hu.max()
