"""Small CT files of every kind, written with pydicom for the tests to read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, generate_uid

SECRETS = ("Doe^Jane", "ID-4711", "19700102", "ACC-0815")
"""What stands in the patient fields of every sample and must appear nowhere else."""

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"

ENCODERS: dict[str, Callable[[NDArray[Any]], bytes]] = {
    "1.2.840.10008.1.2.4.57": lambda a: imagecodecs.jpeg8_encode(a, lossless=True),
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.jpeg8_encode(a, lossless=True),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(
        a, codecformat="j2k", reversible=True
    ),
    "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode,
    RLE: lambda a: _rle(a),
    # Lossy.
    "1.2.840.10008.1.2.4.50": lambda a: imagecodecs.jpeg8_encode(a, level=95),
    "1.2.840.10008.1.2.4.51": lambda a: imagecodecs.jpeg8_encode(a, level=95, bitspersample=12),
}
LOSSLESS = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, *list(ENCODERS)[:6])

_PER_FRAME = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SliceThickness",
)


def ramp(k: int = 0, shape: tuple[int, int] = (12, 10), step: int = 17) -> NDArray[np.uint16]:
    """Return stored values [rows, columns], different in every pixel and slice."""
    values = 24 + step * np.arange(shape[0] * shape[1]) + 31 * k
    return (values.reshape(shape) % 3000).astype(np.uint16)


def dataset(
    pixels: NDArray[Any],
    *,
    position: Sequence[float] = (0, 0, 0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    spacing: Sequence[float] = (0.8, 0.7),
    number: int = 1,
    series: str = "1.2.3.4",
    **more: Any,
) -> Dataset:
    """Return one CT slice; `more` sets (or, with None, removes) attributes by keyword."""
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = generate_uid()
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesDescription = "Chest"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.AccessionNumber = SECRETS
    ds.StudyInstanceUID = "1.2.3"
    ds.SeriesInstanceUID = series
    ds.InstanceNumber = number
    ds.SliceThickness = 2.0
    ds.ImagePositionPatient = [f"{v:.6g}" for v in position]
    ds.ImageOrientationPatient = [f"{v:.8f}" for v in orientation]
    ds.PixelSpacing = list(spacing)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated = ds.BitsStored = pixels.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
    for keyword, value in more.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def save(path: Path, ds: Dataset, pixels: NDArray[Any] | None, syntax: str = EXPLICIT) -> Path:
    """Write a data set with its pixels [rows, columns] or [frames, rows, columns]."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "1.2.3.4.5")
    file = copy.deepcopy(ds)
    file.file_meta = meta
    if pixels is not None:
        frames = pixels if pixels.ndim == 3 else pixels[None]
        if syntax in ENCODERS:
            encoded = [ENCODERS[syntax](np.ascontiguousarray(f)) for f in frames]
            file.PixelData = encapsulate([e + b"\0" * (len(e) % 2) for e in encoded])
        else:
            order = ">" if syntax == BIG_ENDIAN else "<"
            data = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
            file.PixelData = data + b"\0" * (len(data) % 2)
        file["PixelData"].VR = "OW" if pixels.dtype.itemsize == 2 or syntax in ENCODERS else "OB"
        if syntax in ENCODERS:
            file["PixelData"].VR = "OB"
            file["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path


def save_series(
    folder: Path,
    positions: Sequence[Sequence[float]],
    *,
    syntax: str = EXPLICIT,
    shape: tuple[int, int] = (12, 10),
    **more: Any,
) -> Path:
    """Write one slice to each position, named so that file order is not slice order."""
    for k, position in enumerate(positions):
        pixels = ramp(k, shape)
        ds = dataset(pixels, position=position, number=k + 1, **more)
        save(folder / f"{(k * 7) % 10}_{k}.dcm", ds, pixels, syntax)
    return folder


def enhanced(pixels: NDArray[Any], positions: Sequence[Sequence[float]], **more: Any) -> Dataset:
    """Return an enhanced multi-frame CT of [frames, rows, columns]."""
    ds = dataset(pixels, **more)
    for keyword in _PER_FRAME:
        delattr(ds, keyword)
    ds.SOPClassUID = EnhancedCTImageStorage
    ds.NumberOfFrames = len(pixels)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.8, 0.7], SliceThickness=2)]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k, position in enumerate(positions):
        group = Dataset()
        group.FrameContentSequence = [_item(FrameAcquisitionNumber=1)]
        group.PlanePositionSequence = [_item(ImagePositionPatient=list(position))]
        # A rescale of its own for every frame.
        group.PixelValueTransformationSequence = [
            _item(RescaleSlope=k + 1, RescaleIntercept=-1000 - k, RescaleType="HU")
        ]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return ds


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _rle(pixels: NDArray[Any]) -> bytes:
    """Encode PS3.5 annex G, row by row, the high byte first."""
    planes = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8)
    planes = planes.reshape(*pixels.shape, pixels.dtype.itemsize)
    segments = []
    for k in range(pixels.dtype.itemsize):
        rows = (imagecodecs.packbits_encode(row.tobytes()) for row in planes[:, :, k])
        segment = b"".join(rows)
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [64 + sum(map(len, segments[:k])) for k in range(len(segments))]
    header = np.zeros(16, dtype="<u4")
    header[0], header[1 : 1 + len(offsets)] = len(segments), offsets
    return header.tobytes() + b"".join(segments)
