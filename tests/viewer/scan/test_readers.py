"""Which paths the plugin reads, how little it opens to decide that, and what it returns."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from napari_ct_assistant.viewer.scan.layers import scan_name, volume_of
from napari_ct_assistant.viewer.scan.readers import get_reader
from napari_ct_assistant.volume import CTReadError, CTVolume, write_nifti
from tests.viewer.conftest import box_volume
from tests.volume.samples import dataset, ramp, save

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def nifti(tmp_path: Path, ct: CTVolume) -> Path:
    path = tmp_path / "scan.nii.gz"
    write_nifti(ct, path)
    return path


def test_nifti_becomes_the_layer_of_the_same_volume(nifti: Path, ct: CTVolume) -> None:
    reader = get_reader(str(nifti))
    assert reader is not None
    ((data, kwargs, kind),) = reader(str(nifti))
    assert kind == "image"
    np.testing.assert_array_equal(data, ct.hu)
    np.testing.assert_allclose(kwargs["scale"], ct.spacing)


def test_napari_opens_it_with_the_plugin(
    nifti: Path, ct: CTVolume, make_napari_viewer: Callable[..., Any]
) -> None:
    viewer = make_napari_viewer()
    (layer,) = viewer.open(nifti, plugin="napari-ct-assistant")
    volume = volume_of(layer)
    assert volume is not None
    np.testing.assert_array_equal(volume.hu, ct.hu)


def test_dicom_of_each_shape(shared_data: Path) -> None:
    folder = shared_data / "abdomen_ts" / "example_ct_dicom"
    files = sorted(str(path) for path in folder.iterdir() if path.is_file())
    whole = get_reader(str(folder))
    assert whole is not None
    ((data, _, _),) = whole(str(folder))
    many = get_reader(files)
    assert many is not None
    layers = many(files)
    assert len(layers) == 1
    np.testing.assert_array_equal(layers[0][0], data)


def test_extensionless_dicom_is_known_by_its_mark(tmp_path: Path) -> None:
    dicom = tmp_path / "1.2.840.113619.2.5"
    dicom.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 64)
    assert get_reader(str(dicom)) is not None
    assert get_reader(str(tmp_path)) is not None


@pytest.mark.parametrize("name", ["notes.txt", "cells.tif", "no_ending"])
def test_other_files_are_declined(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"x" * 400)
    assert get_reader(str(path)) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "absent")) is None


def test_a_large_folder_of_other_files_is_declined_after_a_few_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """napari asks about every folder that is opened."""
    for number in range(300):
        (tmp_path / f"{number}.tif").write_bytes(b"x" * 140)
    opened: list[Path] = []
    really_open = Path.open

    def counted(path: Path, *args: Any, **kwargs: Any) -> Any:
        opened.append(path)
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counted)
    assert get_reader(str(tmp_path)) is None
    assert 0 < len(opened) <= 16


def test_what_cannot_be_read_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.nii"
    path.write_bytes(b"not a nifti")
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(CTReadError, match=r"broken\.nii"):
        reader(str(path))


def test_a_layer_is_named_by_its_series_and_never_by_its_file(tmp_path: Path) -> None:
    volume = box_volume()
    path = tmp_path / "Doe_Jane" / "doe_jane.nii.gz"
    path.parent.mkdir()
    write_nifti(volume, path)
    reader = get_reader(str(path))
    assert reader is not None
    assert reader(str(path))[0][1]["name"] == "CT, 20 images, 5 mm"
    assert scan_name(volume) == volume.series == "Chest"


def write_slices(folder: Path) -> Path:
    for k in range(6):
        pixels = ramp(k)
        save(folder / f"IM{k}", dataset(pixels, position=(0, 0, 5.0 * k), number=k + 1), pixels)
    return folder


def test_a_patients_folder_as_a_disc_has_it(tmp_path: Path) -> None:
    """Patient/Study/Series: the slices are three folders down."""
    write_slices(tmp_path / "patient" / "study" / "series")
    reader = get_reader(str(tmp_path / "patient"))
    assert reader is not None
    ((data, _, _),) = reader(str(tmp_path / "patient"))
    assert data.shape == (6, 12, 10)


@pytest.mark.parametrize("name", ["ct.nii.gz", "SCAN01.NII.GZ", "ct.mha"])
def test_a_folder_with_a_volume_file(tmp_path: Path, ct: CTVolume, name: str) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    sitk.WriteImage(ct.to_simpleitk(), str(tmp_path / name.lower()))
    (tmp_path / name.lower()).rename(folder / name)
    reader = get_reader(str(folder))
    assert reader is not None
    ((data, _, _),) = reader(str(folder))
    assert data.shape == ct.shape


def test_an_archive_is_taken_if_a_scan_is_in_it(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "study")
    packed = shutil.make_archive(str(tmp_path / "study"), "zip", folder)
    reader = get_reader(packed)
    assert reader is not None
    ((data, _, _),) = reader(packed)
    assert data.shape == (6, 12, 10)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("no scan")
    assert get_reader(shutil.make_archive(str(tmp_path / "text"), "zip", tmp_path / "text")) is None
