"""Rulers and outlines in the SR: each lies on the pixels of the original files it was drawn on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.sr import (
    PlanarROIMeasurementsAndQualitativeEvaluations,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray

from napari_ct_assistant.assistant.export import export_report, read_identifiers
from napari_ct_assistant.assistant.export.dicom_sr import (
    COMPREHENSIVE_3D_SR,
    COMPREHENSIVE_SR,
    ENHANCED_SR,
)
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.label_mask import LabelMask, outlines_of
from napari_ct_assistant.assistant.report.measurement import DrawnShape, Measurement, Plane
from napari_ct_assistant.assistant.report.parts import Line, Section
from napari_ct_assistant.volume import CTVolume, open_ct
from napari_ct_assistant.volume.regions import polygon_mask
from tests.assistant.export.test_export import dciodvfy, items
from tests.volume.samples import dataset, enhanced, save

ROWS, COLUMNS, SLICES = 14, 18, 9
SPACING = (0.8, 0.7)
Index = tuple[int, int, int]

# Direction cosines of columns and rows, and whether the files are numbered against the normal.
_TILT = np.radians(20)
ORIENTATIONS = {
    "axial": ((1, 0, 0, 0, 1, 0), False),
    "from the feet, seen from above": ((-1, 0, 0, 0, 1, 0), True),
    "prone": ((-1, 0, 0, 0, -1, 0), True),
    "oblique": (
        (np.cos(_TILT), np.sin(_TILT), 0, -np.sin(_TILT) * 0.8, np.cos(_TILT) * 0.8, -0.6),
        False,
    ),
    "sagittal": ((0, 1, 0, 0, 0, -1), True),
}


def pixels(n: int) -> NDArray[np.uint16]:
    """Return slice n of a scan in which no two voxels have the same value."""
    count = ROWS * COLUMNS
    return np.arange(n * count, (n + 1) * count, dtype=np.uint16).reshape(ROWS, COLUMNS)


def write_scan(folder: Path, orientation: Sequence[float], *, backwards: bool) -> CTVolume:
    cosines = np.asarray(orientation, float).reshape(2, 3)
    normal = np.cross(*cosines)
    for n in range(SLICES):
        place = np.array([-30.0, 20.0, 100.0]) + normal * 2.5 * n
        number = SLICES - n if backwards else n + 1
        ds = dataset(
            pixels(n),
            position=place,
            orientation=orientation,
            spacing=SPACING,
            number=number,
            FrameOfReferenceUID="1.2.3.99",
        )
        ds.ImagePositionPatient = [f"{v:.8f}" for v in place]
        save(folder / f"{(n * 4) % SLICES}.dcm", ds, pixels(n))
    return open_ct(folder)


def drawn(
    volume: CTVolume, kind: str, corners: Sequence[Sequence[float]], plane: Plane = "axial"
) -> Measurement:
    """Return what the panel measures for a shape with these indices (i, p, l)."""
    points = tuple(
        (round(float(x), 2), round(float(y), 2), round(float(z), 2))
        for x, y, z in volume.index_to_ras(np.array(corners, float))
    )
    ras = volume.index_to_ras(np.mean(corners, axis=0))
    ruler = kind == "line"
    return Measurement(
        "length" if ruler else "region",
        (f"{kind}-key",),
        (float(ras[0]), float(ras[1]), float(ras[2])),
        round(float(np.mean(corners, axis=0)[0])),
        "left",
        plane,
        long_mm=12.5,
        area_mm2=None if ruler else 100.0,
        shapes=(DrawnShape(kind, points),),
    )


def exported(
    folder: Path, volume: CTVolume, measurement: Measurement, path: Path
) -> pydicom.Dataset:
    line = Line(measurement.sentence("nodule"), measurement=0)
    report = ReportDocument(
        (Section("findings", "Findings", 1, (line,)),), measurements=(measurement,)
    )
    written = export_report(report, path, identifiers=read_identifiers(folder, volume))
    if shutil.which("dciodvfy") is not None:
        dciodvfy(written)
    return pydicom.dcmread(written)


def coordinates(item: pydicom.Dataset) -> NDArray[np.float64]:
    width = 3 if item.ValueType == "SCOORD3D" else 2
    return np.array(item.GraphicData, float).reshape(-1, width)


def on_file(folder: Path, item: pydicom.Dataset) -> NDArray[np.uint16]:
    """Return the values of the original file under the points of an SCOORD item."""
    (source,) = item.ContentSequence
    assert source.RelationshipType == "SELECTED FROM"
    uid = source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    (file,) = (
        found
        for found in (pydicom.dcmread(path) for path in folder.iterdir())
        if found.SOPInstanceUID == uid
    )
    picture = file.pixel_array
    number = source.ReferencedSOPSequence[0].get("ReferencedFrameNumber")
    if number is not None:
        picture = picture[number - 1]
    column, row = np.floor(coordinates(item)).astype(int).T
    values: NDArray[np.uint16] = picture[row, column]
    return values


def values_at(volume: CTVolume, corners: Sequence[Sequence[float]]) -> list[int]:
    """Return what the files store at indices of the volume."""
    return [int(volume.hu[i, p, at]) + 1024 for i, p, at in np.array(corners, int)]


def scoords(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [item for item in items(dataset) if item.ValueType in ("SCOORD", "SCOORD3D")]


def slice_axis(volume: CTVolume) -> int:
    """Return the axis of (I, P, L) along which the files lie."""
    numbers = volume.instance_numbers
    assert numbers is not None
    return numbers.axis


def corners_in_slice(volume: CTVolume, flat: Sequence[tuple[int, int]], at: int) -> list[Index]:
    axis = slice_axis(volume)
    found = [np.insert(np.array(one), axis, at) for one in flat]
    return [(int(i), int(p), int(left)) for i, p, left in found]


@pytest.mark.parametrize("name", list(ORIENTATIONS))
def test_a_ruler_lies_on_the_pixels_of_its_file(name: str, tmp_path: Path) -> None:
    orientation, backwards = ORIENTATIONS[name]
    folder = tmp_path / "scan"
    volume = write_scan(folder, orientation, backwards=backwards)
    ends = corners_in_slice(volume, [(2, 3), (9, 11)], 6)
    dataset = exported(folder, volume, drawn(volume, "line", ends), tmp_path / "a.dcm")
    assert dataset.SOPClassUID == ENHANCED_SR
    (line,) = scoords(dataset)
    (number,) = (item for item in items(dataset) if item.ValueType == "NUM")
    assert number.ContentSequence[0] == line
    assert (line.RelationshipType, line.GraphicType) == ("INFERRED FROM", "POLYLINE")
    assert on_file(folder, line).tolist() == values_at(volume, ends)
    # The ends lie in the middle of their pixels.
    assert np.allclose(coordinates(line) % 1, 0.5, atol=0.02)
    (evidence,) = dataset.CurrentRequestedProcedureEvidenceSequence
    (cited,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    source = line.ContentSequence[0].ReferencedSOPSequence[0]
    assert cited.ReferencedSOPInstanceUID == source.ReferencedSOPInstanceUID


@pytest.mark.parametrize("name", ["oblique", "prone"])
def test_a_region_is_the_image_region_of_a_planar_group(name: str, tmp_path: Path) -> None:
    orientation, backwards = ORIENTATIONS[name]
    folder = tmp_path / "scan"
    volume = write_scan(folder, orientation, backwards=backwards)
    corners = corners_in_slice(volume, [(2, 3), (3, 12), (9, 8)], 4)
    dataset = exported(folder, volume, drawn(volume, "polygon", corners), tmp_path / "a.dcm")
    (outline,) = scoords(dataset)
    assert outline.ConceptNameCodeSequence[0].CodeValue == "111030"
    points = coordinates(outline)
    assert outline.GraphicType == "POLYLINE"
    assert points[0].tolist() == points[-1].tolist()
    assert on_file(folder, outline)[:-1].tolist() == values_at(volume, corners)
    (group,) = groups(dataset)
    read = PlanarROIMeasurementsAndQualitativeEvaluations.from_sequence([group])
    assert {float(one.value) for one in read.get_measurements()} == {12.5, 100.0}
    assert read.tracking_identifier == "Nodule"
    assert dataset.SOPClassUID == COMPREHENSIVE_SR
    again = exported(folder, volume, drawn(volume, "polygon", corners), tmp_path / "b.dcm")
    read_again = PlanarROIMeasurementsAndQualitativeEvaluations.from_sequence(groups(again))
    assert read_again.tracking_uid == read.tracking_uid


def groups(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    """Return the measurement groups, as they are where a container holds them."""
    found = [item for item in items(dataset) if item.get("ContentTemplateSequence")]
    for item in found:
        item.RelationshipType = "CONTAINS"
    return [
        item
        for item in found
        if item.ContentTemplateSequence[0].TemplateIdentifier in ("1410", "1411")
    ]


def test_an_ellipse_has_the_ends_of_its_axes(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    volume = write_scan(folder, orientation=ORIENTATIONS["prone"][0], backwards=True)
    corners = [(4, 3, 4), (4, 3, 14), (4, 9, 14), (4, 9, 4)]
    dataset = exported(folder, volume, drawn(volume, "ellipse", corners), tmp_path / "a.dcm")
    (outline,) = scoords(dataset)
    assert outline.GraphicType == "ELLIPSE"
    ends = [(4, 6, 4), (4, 6, 14), (4, 3, 9), (4, 9, 9)]
    found = on_file(folder, outline).tolist()
    assert sorted(found[:2]) == sorted(values_at(volume, ends[:2])), "the long axis is not first"
    assert sorted(found[2:]) == sorted(values_at(volume, ends[2:]))


@pytest.mark.parametrize("name", ["axial", "oblique", "sagittal"])
def test_a_label_has_an_outline_on_each_image(name: str, tmp_path: Path) -> None:
    orientation, backwards = ORIENTATIONS[name]
    folder = tmp_path / "scan"
    volume = write_scan(folder, orientation, backwards=backwards)
    mask = np.ones((3, 5, 5), bool)
    mask[1, 2, 2:4] = False  # a hole
    mask[0, :2] = mask[:, 0, 0] = False
    first = (2, 3, 4)
    label = LabelMask.of(volume, mask, first)
    assert label is not None
    base = drawn(volume, "line", [(3, 4, 5), (3, 5, 6)])
    measurement = Measurement(
        "outline", ("k",), base.ras, 3, "left", long_mm=3.0, volume_ml=0.5, mask=label
    )
    dataset = exported(folder, volume, measurement, tmp_path / "a.dcm")
    (group,) = groups(dataset)
    read = VolumetricROIMeasurementsAndQualitativeEvaluations.from_sequence([group])
    assert {float(one.value) for one in read.get_measurements()} == {3.0, 0.5}
    # Enhanced SR infers no text from a group.
    assert dataset.SOPClassUID == COMPREHENSIVE_SR
    wanted = {int(v) + 1024 for v in volume.hu[2:5, 3:8, 4:9][mask]}
    assert inside(folder, scoords(dataset)) == wanted


def label_between_images(volume: CTVolume, shape: Index) -> tuple[Measurement, float]:
    """Return a label 1.2 mm above the images, as one of another grid, and its first height."""
    label = LabelMask.of(volume, np.ones(shape, bool), (2, 3, 4))
    assert label is not None
    (x, y, z), *steps = label.affine
    between = LabelMask(label.first, label.shape, ((x, y, z + 1.2), *steps), label.packed)
    base = drawn(volume, "line", [(3, 4, 5), (3, 5, 6)])
    measurement = Measurement("outline", ("k",), base.ras, 3, "left", volume_ml=0.5, mask=between)
    return measurement, z + 1.2


def test_a_label_between_images_is_a_surface_in_the_frame_of_reference(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    volume = write_scan(folder, ORIENTATIONS["axial"][0], backwards=False)
    measurement, height = label_between_images(volume, (2, 3, 4))
    dataset = exported(folder, volume, measurement, tmp_path / "a.dcm")
    assert dataset.SOPClassUID == COMPREHENSIVE_3D_SR
    (group,) = groups(dataset)
    read = VolumetricROIMeasurementsAndQualitativeEvaluations.from_sequence([group])
    assert [float(one.value) for one in read.get_measurements()] == [0.5]
    heights = sorted({round(z, 2) for one in scoords(dataset) for *_, z in coordinates(one)})
    assert heights == sorted(round(height - 2.5 * n, 2) for n in range(2))


def test_a_label_on_one_slice_between_images_is_a_region_in_space(tmp_path: Path) -> None:
    """A surface needs two outlines."""
    folder = tmp_path / "scan"
    volume = write_scan(folder, ORIENTATIONS["axial"][0], backwards=False)
    measurement, height = label_between_images(volume, (1, 3, 4))
    dataset = exported(folder, volume, measurement, tmp_path / "a.dcm")
    assert dataset.SOPClassUID == COMPREHENSIVE_3D_SR
    (group,) = groups(dataset)
    read = PlanarROIMeasurementsAndQualitativeEvaluations.from_sequence([group])
    assert [float(one.value) for one in read.get_measurements()] == [0.5]
    (outline,) = scoords(dataset)
    assert {round(float(at), 2) for *_, at in coordinates(outline)} == {round(height, 2)}


@pytest.mark.parametrize("kind", ["polygon", "rectangle", "ellipse"])
def test_a_region_on_an_oblique_plane_of_no_image_is_flat(kind: str, tmp_path: Path) -> None:
    """Points are kept to a hundredth of a millimetre, which no plane goes through."""
    folder = tmp_path / "scan"
    volume = write_scan(folder, ORIENTATIONS["oblique"][0], backwards=False)
    flat = {
        "polygon": [(1.1, 3.3), (1.7, 9.1), (4.2, 13.7), (6.9, 10.2), (7.3, 4.9), (3.1, 2.2)],
        "rectangle": [(1.3, 3.1), (1.3, 12.7), (6.9, 12.7), (6.9, 3.1)],
        "ellipse": [(1.3, 3.1), (1.3, 12.7), (6.9, 12.7), (6.9, 3.1)],
    }[kind]
    across = next(axis for axis in range(3) if axis != slice_axis(volume))
    corners = [np.insert(np.array(one), across, 5.37) for one in flat]
    measurement = drawn(volume, kind, corners, plane="coronal")
    dataset = exported(folder, volume, measurement, tmp_path / "a.dcm")
    assert dataset.SOPClassUID == COMPREHENSIVE_3D_SR
    (outline,) = scoords(dataset)
    points = coordinates(outline)
    kept = np.array(measurement.shapes[0].points) * (-1, -1, 1)
    if kind != "ellipse":
        assert np.allclose(points[: len(kept)], kept, atol=0.02)


def inside(folder: Path, outlines: Sequence[pydicom.Dataset]) -> set[int]:
    """Return the values of the files' pixels whose centres lie in the outlines."""
    files = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, folder.iterdir())}
    found: set[int] = set()
    for outline in outlines:
        source = outline.ContentSequence[0].ReferencedSOPSequence[0]
        picture = files[source.ReferencedSOPInstanceUID].pixel_array
        # Row and column, whole numbers in the middle of a pixel.
        corners = coordinates(outline)[:, ::-1] - 0.5
        mask, (row, column) = polygon_mask(corners, picture.shape)
        part = picture[row : row + mask.shape[0], column : column + mask.shape[1]]
        found |= {int(v) for v in part[mask]}
    return found


def test_a_coronal_ruler_is_given_in_the_frame_of_reference(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    volume = write_scan(folder, ORIENTATIONS["axial"][0], backwards=False)
    ends = [(1, 5, 3), (7, 5, 12)]
    dataset = exported(
        folder, volume, drawn(volume, "line", ends, plane="coronal"), tmp_path / "a.dcm"
    )
    assert dataset.SOPClassUID == COMPREHENSIVE_3D_SR
    (line,) = scoords(dataset)
    assert line.ReferencedFrameOfReferenceUID == "1.2.3.99"
    lps = volume.index_to_ras(ends) * (-1, -1, 1)
    assert np.allclose(coordinates(line), lps, atol=0.01)


def test_a_frame_of_a_multi_frame_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    stack = np.stack([pixels(n) for n in range(SLICES)])
    # From the feet to the head, so that the volume's order is the reverse.
    ds = enhanced(stack, [(-30, 20, 100 + 2.5 * n) for n in range(SLICES)])
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.PixelValueTransformationSequence[0].RescaleSlope = 1
        group.PixelValueTransformationSequence[0].RescaleIntercept = -1024
    save(folder / "a.dcm", ds, stack)
    volume = open_ct(folder)
    ends = [(1, 5, 3), (1, 8, 12)]
    dataset = exported(folder, volume, drawn(volume, "line", ends), tmp_path / "b.dcm")
    (line,) = scoords(dataset)
    source = line.ContentSequence[0].ReferencedSOPSequence[0]
    assert source.ReferencedFrameNumber == SLICES - 1
    assert on_file(folder, line).tolist() == values_at(volume, ends)


def test_without_images_the_values_stay(tmp_path: Path) -> None:
    volume = write_scan(tmp_path / "scan", ORIENTATIONS["axial"][0], backwards=False)
    measurement = drawn(volume, "line", [(1, 5, 3), (1, 8, 12)])
    line = Line(measurement.sentence(), measurement=0)
    report = ReportDocument(
        (Section("findings", "Findings", 1, (line,)),), measurements=(measurement,)
    )
    dataset = pydicom.dcmread(export_report(report, tmp_path / "a.dcm"))
    assert scoords(dataset) == []
    assert [float(n.MeasuredValueSequence[0].NumericValue) for n in items(dataset)
            if n.ValueType == "NUM"] == [12.5]  # fmt: skip


def test_outlines_hold_the_pixels_and_no_others() -> None:
    random = np.random.default_rng(0)
    for share in (0.2, 0.5, 0.8):
        for _ in range(10):
            mask = random.random((9, 11)) < share
            found = np.zeros_like(mask)
            for outline in outlines_of(mask):
                assert outline[0].tolist() == outline[-1].tolist()
                part, (row, column) = polygon_mask(outline[:-1], mask.shape)
                found[row : row + part.shape[0], column : column + part.shape[1]] ^= part
            assert np.array_equal(found, mask)


def test_a_kept_label_is_the_label_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    volume = write_scan(tmp_path / "scan", ORIENTATIONS["axial"][0], backwards=False)
    mask = np.random.default_rng(1).random((3, 5, 7)) < 0.5
    label = LabelMask.of(volume, mask, (1, 2, 3))
    assert label is not None
    assert np.array_equal(label.array(), mask)
    with pytest.raises(ValueError, match=r"damaged|bytes of voxels"):
        LabelMask(label.first, (30, 5, 7), label.affine, label.packed).array()
    with pytest.raises(ValueError, match="voxels at"):
        LabelMask.from_json({**vars(label), "shape": (0, 5, 7)})
