"""Ways to damage scan files: their bytes, and their structure before it is compressed."""

from __future__ import annotations

import copy
import gzip
import random
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS: tuple[Any, ...] = (0, 1, -1, 2, 3, 255, 8192, 8193, 65535, 2**31 - 1, -(2**31))
TEXTS = ("", "0", "-1", "1e308", "nan", "inf", "1\\2\\3", "x" * 300, "\0", "ä", "0.0\\0.0", "..")

# Attributes on which the geometry and the values of a slice depend, and what may stand there.
_WHOLE = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
          "SamplesPerPixel")  # fmt: skip
_TEXT = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
         "RescaleIntercept", "SliceThickness", "InstanceNumber", "NumberOfFrames",
         "SpacingBetweenSlices")  # fmt: skip
_OTHER = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality", "ImageType",
          "SOPClassUID", "PatientID", "SeriesDescription", "RescaleType", "KVP",
          "AcquisitionNumber", "AcquisitionTime", "ConvolutionKernel")  # fmt: skip


def damaged_bytes(data: bytes, rng: random.Random, start: int = 0) -> bytes:
    """Return a damaged copy of bytes; the beginning is hit more often than the rest.

    start: where the part that may be damaged begins.
    """
    new = bytearray(data[start:])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        size = len(new)
        if size < 16:
            break
        head = min(size, rng.choice((400, 2000, size)))
        at = rng.randrange(head)
        kind = rng.randrange(8)
        if kind <= 1:
            new[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            new[at : at + 4] = rng.randbytes(4)
        elif kind == 3:
            width = rng.choice((1, 2, 4))
            value = rng.choice(EXTREMES) & ((1 << 8 * width) - 1)
            new[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 4:
            del new[at : at + rng.choice((1, 2, 4, 64, 1000))]
        elif kind == 5:
            part = new[at : at + rng.choice((1, 8, 64, 1000))]
            other = rng.randrange(size)
            new[other:other] = part
        elif kind == 6:
            del new[rng.randrange(size) :]
        else:
            new[at : at + 8] = rng.choice((b"\xff" * 8, b"\0" * 8, b"nan\\inf ", b"-1e308\\9"))
    return data[:start] + bytes(new)


def flipped_pixels(data: bytes, rng: random.Random, start: int) -> tuple[bytes, set[int]]:
    """Return a copy with some bytes from `start` on changed, and which they are."""
    new = bytearray(data)
    places = {rng.randrange(start, len(new)) for _ in range(rng.choice((1, 3, 40)))}
    for at in places:
        new[at] ^= rng.randrange(1, 256)
    return bytes(new), places


def changed_dataset(ds: Dataset, rng: random.Random) -> Dataset:
    """Return a copy of a data set in which attributes are missing, or say something else."""
    ds = copy.deepcopy(ds)
    for _ in range(rng.choice((1, 1, 2, 4))):
        within = ds
        for sequence in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
            if sequence in ds and ds[sequence].value and rng.random() < 0.4:
                group = rng.choice(list(ds[sequence].value))
                inner = [element for element in group if element.VR == "SQ" and element.value]
                within = rng.choice(inner).value[0] if inner else group
        keyword = rng.choice((*_WHOLE, *_TEXT, *_OTHER))
        if rng.random() < 0.2:
            present = [element.tag for element in within]
            if present:
                del within[rng.choice(present)]
        elif keyword in _WHOLE:
            _set(within, keyword, rng.choice(NUMBERS) & 0xFFFF)
        elif keyword in _TEXT:
            count = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
            one = [str(rng.choice((0, 1, -1, 1e-9, 1e9, 0.5, 7, 100000)))
                   for _ in range(count.get(keyword, 1))]  # fmt: skip
            text = rng.choice((rng.choice(TEXTS), "\\".join(one)))
            _set(within, keyword, text.encode("latin1", "replace"))
        else:
            _set(within, keyword, rng.choice(TEXTS).encode("latin1", "replace"))
    return ds


def _set(ds: Dataset, keyword: str, value: bytes | int) -> None:
    """Set an attribute to bytes that pydicom itself would not write there."""
    tag = Tag(keyword)
    raw = value.to_bytes(2, "little") if isinstance(value, int) else value + b" " * (len(value) % 2)
    ds[tag] = RawDataElement(tag, dictionary_VR(tag), len(raw), raw, 0, False, True)


def changed_nifti(data: bytes, rng: random.Random) -> bytes:
    """Return a NIfTI file with fields of its header changed, compressed as it was."""
    zipped = data[:2] == b"\x1f\x8b"
    plain = gzip.decompress(data) if zipped else data
    kind = nib.Nifti2Header if plain[:4] == b"\x1c\x02\0\0" else nib.Nifti1Header
    size = kind.template_dtype.itemsize
    header = np.frombuffer(plain[:size], kind.template_dtype).copy()
    for _ in range(rng.choice((1, 1, 2, 4))):
        field = rng.choice(kind.template_dtype.names)
        values = header[field]
        if values.dtype.kind in "iu":
            info = np.iinfo(values.dtype)
            value = min(max(rng.choice(NUMBERS), info.min), info.max)
        elif values.dtype.kind == "f":
            value = rng.choice((0.0, 1.0, -1.0, 1e30, -1e30, 1e-30, np.nan, np.inf, 0.5, 352.0))
        else:
            value = rng.randbytes(4)
        if values.ndim == 2:
            header[field][0, rng.randrange(values.shape[1])] = value
        else:
            header[field] = value
    changed = header.tobytes() + plain[size:]
    return gzip.compress(changed, 1) if zipped else changed


def changed_text_header(data: bytes, rng: random.Random) -> bytes:
    """Return a MetaImage or NRRD file with values of its header changed."""
    end = data.find(b"ElementDataFile = LOCAL\n")
    end = end + 24 if end >= 0 else data.find(b"\n\n") + 2
    lines = data[:end].decode("latin1").split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        k = rng.randrange(len(lines))
        numbers = list(re.finditer(r"-?\d+(?:\.\d+)?", lines[k]))
        if numbers and rng.random() < 0.8:
            found = rng.choice(numbers)
            value = str(rng.choice((*NUMBERS, 1e300, "nan", "1e9", 99999999999999)))
            lines[k] = lines[k][: found.start()] + value + lines[k][found.end() :]
        elif rng.random() < 0.5:
            del lines[k]
        else:
            lines[k] = lines[k][: rng.randrange(len(lines[k]) + 1)]
        if not lines:
            break
    return "\n".join(lines).encode("latin1") + data[end:]


def damaged_folder(folder: Path, rng: random.Random) -> set[str]:
    """Damage, remove, double or add files of a folder; return the names of the damaged ones."""
    names = sorted(path.name for path in folder.iterdir())
    touched: set[str] = set()
    for _ in range(rng.choice((1, 1, 2, 3))):
        path = folder / rng.choice(names)
        if not path.exists():
            continue
        touched.add(path.name)
        data = path.read_bytes()
        match rng.randrange(8):
            case 0 | 1 | 2:
                path.write_bytes(damaged_bytes(data, rng))
            case 3:
                path.write_bytes(b"")
            case 4:
                path.write_bytes(bytes(len(data)))
            case 5:
                path.unlink()
            case 6:
                (folder / f"copy of {path.name}").write_bytes(data)
            case 7:
                path.unlink()
                path.symlink_to(folder / "nothing")
    if rng.random() < 0.3:
        (folder / rng.choice(("notes.txt", "DICOMDIR", ".hidden", "x.nii"))).write_bytes(
            rng.choice((b"", b"text", rng.randbytes(4000), bytes(128) + b"DICM"))
        )
    return touched
