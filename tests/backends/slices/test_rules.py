"""Which slices are shown and how they become images, against what the notebook's code gave."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_ct_assistant import CTVolume, open_ct
from napari_ct_assistant.backends.slices import (
    SliceRange,
    choose_slices,
    find_preset,
    rgb_slice,
    slice_input,
    through_jpeg,
)
from napari_ct_assistant.volume.replaced import ReplacedVoxels

NOTEBOOK = ((-1024.0, 1024.0), (-135.0, 215.0), (0.0, 80.0))


@pytest.fixture(scope="session")
def parity(shared_data: Path) -> Path:
    folder = shared_data.parent / "parity"
    if not (folder / "slice_rules.json").is_file():
        pytest.skip("the reference's figures are absent: no shared/parity beside the project")
    return folder


@pytest.fixture(scope="session")
def rules(parity: Path) -> Any:
    return json.loads((parity / "slice_rules.json").read_text())


def counted(number: int) -> CTVolume:
    """Return a scan whose slices hold their own index in HU."""
    hu = np.zeros((number, 4, 6), np.int16) + np.arange(number, dtype=np.int16)[:, None, None]
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = -5.0, -1.0, -1.0
    return CTVolume(hu, affine)


def test_more_than_85_slices_leave_out_the_first_and_never_the_last() -> None:
    assert choose_slices(85, 85) == tuple(range(85))
    chosen = choose_slices(275, 85)
    assert chosen[:3] == (3, 6, 10)
    assert chosen[-1] == 274
    assert choose_slices(134, 85)[:6] == (2, 3, 5, 6, 8, 9)  # 1.576..., 3.15..., 4.73...
    # Halves go to the even number: 2.5 becomes 2.
    assert choose_slices(6, 2) == (2, 5)


def test_choices_are_the_references(rules: Any) -> None:
    for total, wanted in rules["slices"].items():
        n = int(total)
        assert list(choose_slices(n, 85, "medgemma")) == wanted["medgemma_notebook_85"]
        assert list(choose_slices(n, 85, "even")) == wanted["ct_spatialvqa_85"]
        assert list(choose_slices(n, 32, "even")) == wanted["ct_spatialvqa_lingshu_32"]
        assert list(choose_slices(n, 180, "even-floor")) == wanted["hulu_med_180"]


def test_windows_are_the_references(rules: Any) -> None:
    assert [list(w) for w in NOTEBOOK] == rules["windows"]["medgemma_1_5_notebook"]
    for hu, wanted in rules["window_cases"].items():
        assert rgb_slice(np.array([[int(hu)]]), NOTEBOOK)[0, 0].tolist() == wanted


def test_windows_clip_and_round_to_even() -> None:
    hu = np.array([[-3024, 0, 40, 1, 215, 3071]])
    assert rgb_slice(hu, NOTEBOOK)[0].tolist() == [
        [0, 0, 0], [128, 98, 0], [132, 128, 128], [128, 99, 3], [154, 255, 255], [255, 255, 255],
    ]  # fmt: skip


def test_a_voxel_without_a_number_is_black() -> None:
    assert rgb_slice(np.array([[np.nan]], np.float32), NOTEBOOK)[0, 0].tolist() == [0, 0, 0]


def test_slices_that_are_not_square_are_centred_in_black() -> None:
    image = rgb_slice(np.full((2, 5), 100), NOTEBOOK, pad_to_square=True)
    assert image.shape == (5, 5, 3)
    assert (image[..., 0] > 0).sum(axis=1).tolist() == [0, 5, 5, 0, 0]


def test_the_reader_chooses_range_and_number() -> None:
    preset = find_preset("generic-vl")
    assert preset.choose(100, SliceRange(11, 20)) == tuple(range(10, 20))
    assert preset.choose(100, SliceRange(11, 20, 2)) == (10, 19)
    assert preset.choose(100, SliceRange(count=3)) == (0, 50, 99)
    assert SliceRange.parse("40-120", 8) == SliceRange(40, 120, 8)
    assert SliceRange.parse("-120") == SliceRange(None, 120)
    assert SliceRange.parse("") == SliceRange()


@pytest.mark.parametrize(
    ("text", "said"), [("40-130", "images 1 to 100"), ("0-5", "0-5"), ("9-3", "9-3")]
)
def test_a_range_outside_the_scan_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_preset("generic-vl").choose(100, SliceRange.parse(text))


@pytest.mark.parametrize("text", ["a-b", "-", "12", "1-2-3"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give first and last image"):
        SliceRange.parse(text)


def test_feet_first_takes_the_notebooks_rule_from_the_other_end() -> None:
    up = choose_slices(100, 85, "medgemma", "feet to head")
    assert up == tuple(99 - i for i in choose_slices(100, 85))


def test_labels_lead_back_to_the_slices() -> None:
    shown = slice_input(counted(275), find_preset("medgemma-1.5"))
    assert len(shown.indices) == 85
    assert shown.index_of(27) == round(27 / 85 * 274)
    assert shown.image_numbers[26] == shown.indices[26] + 1
    assert shown.index_of(0) is shown.index_of(86) is None
    images = shown.images()
    assert images[26][0, 0].tolist() == [0, 0, 0]  # beside the slice, which is not square
    assert images[26][2, 0, 2] == rgb_slice(np.array([[shown.indices[26]]]), NOTEBOOK)[0, 0, 2]


def test_low_windows_see_what_the_file_stores(small_volume: CTVolume) -> None:
    """CT-SpatialVQA's red window begins at -1225; `hu` ends at -1024."""
    from napari_ct_assistant.volume.geometry import IPLReorder

    hu = small_volume.hu[:2].copy()
    turn = IPLReorder(small_volume.affine, (2, hu.shape[1], hu.shape[2]))
    replaced = ReplacedVoxels(turn, 0)
    mask = np.zeros(hu.shape[1:], bool)
    mask[0, 0] = True
    replaced.add(0, mask, np.full(mask.shape, -1100, np.int16))
    volume = CTVolume(hu, small_volume.affine, replaced=replaced)
    low = find_preset("generic-vl").model_copy(update={"windows": ((-1225.0, 1025.0),) * 3})
    first = slice_input(volume, low).images()[0]
    assert first[0, 0, 0] == round(125 / 2250 * 255)
    assert first[0, 1, 0] == round(225 / 2250 * 255)


def test_an_asymmetric_scan_has_right_on_the_left_and_the_head_first() -> None:
    """A LAS and a RAS file of one patient become the same images."""
    hu = np.full((3, 5, 5), -1000, np.int16)
    hu[0, 0, 0] = 1000  # head, front, the patient's right
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = -5.0, -1.0, -1.0
    image = slice_input(CTVolume(hu, affine), find_preset("generic-vl")).images()
    assert [int((i[..., 0] > 200).sum()) for i in image] == [1, 0, 0]
    assert image[0][0, 0, 0] > 200  # top left


@pytest.mark.parametrize("stored", ["LPS", "RAS", "LAI", "SPR", "PIR"])
def test_files_in_any_orientation_give_the_same_images(stored: str, tmp_path: Path) -> None:
    import nibabel as nib
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 400, (5, 7, 6)).astype(np.int16)
    ras = np.diag([2.0, 2.0, 4.0, 1.0])
    turn = ornt_transform(io_orientation(ras), axcodes2ornt(tuple(stored)))
    affine = ras @ inv_ornt_aff(turn, hu.shape)
    data = nib.orientations.apply_orientation(hu, turn)
    file = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), file)
    preset = find_preset("generic-vl")
    images = slice_input(open_ct(file), preset).images()
    # x to the patient's left, y to the back, z from the head.
    wanted = [rgb_slice(hu[::-1, ::-1, z].T, preset.windows) for z in range(6)[::-1]]
    assert all((a == b).all() for a, b in zip(images, wanted, strict=True))


def test_files_are_lossless_or_pillows_jpeg() -> None:
    preset = find_preset("medgemma-1.5")
    rng = np.random.default_rng(1)
    hu = rng.integers(-1000, 400, (2, 16, 16)).astype(np.int16)
    volume = CTVolume(hu, counted(2).affine)
    lossless = slice_input(volume, preset)
    jpeg = slice_input(volume, preset.model_copy(update={"encoding": "jpeg"}))
    for image, png, lossy, jpg in zip(
        lossless.images(), lossless.files(), jpeg.images(), jpeg.files(), strict=True
    ):
        assert (np.asarray(Image.open(io.BytesIO(png))) == image).all()
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, format="JPEG")
        assert jpg == stream.getvalue()
        assert (np.asarray(Image.open(io.BytesIO(jpg))) == lossy).all()
        assert (lossy != image).any()


def test_slices_of_a_real_scan_are_the_references(parity: Path, shared_data: Path) -> None:
    said = json.loads((parity / "gemma3" / "case.json").read_text())
    with np.load(parity / "gemma3" / "case.npz") as stored:
        arrays = dict(stored)
    volume = open_ct(shared_data / "chest_lidc_0314")
    preset = find_preset("medgemma-1.5")
    top, left, rows, columns = said["crop_row_col"]
    where = np.s_[top : top + rows, left : left + columns]
    for place, index in enumerate(said["positions_in_instance_order"]):
        image = slice_input(volume, preset, SliceRange(index + 1, index + 1)).images()[0]
        assert list(image.shape) == said["full_shape"]
        assert hashlib.sha256(image.tobytes()).hexdigest() == said["full_rgb_sha256"][place]
        assert (image[where] == arrays["rgb"][place]).all()
        lossy = through_jpeg(image[where])
        gap = lossy.astype(int) - arrays["rgb_after_jpeg75"][place]
        assert np.abs(gap).max() <= 3
