"""What a file is that is no CT volume, and what to do with it."""

from __future__ import annotations

from pathlib import Path

_CONVERT = "convert it to NIfTI or give the DICOM slices"
_UNPACK = "unpack it first, or pack the study as .zip"
_PICTURE = "give the DICOM slices that the picture was made from"

# First bytes -> what it is, what to do.
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer, not the file itself", "run git annex get"),
    (b"NRRD", "a NRRD file", "name it .nrrd"),
    (b"ObjectType", "a MetaImage header", "name it .mhd or .mha"),
    (b"\x89HDF", "an HDF5 file (MINC, h5)", _CONVERT),
    (b"\x93NUMPY", "a NumPy array without geometry", "write it as NIfTI with its affine"),
    (b"PK\x03\x04", "a zip archive", "name it .zip"),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ", "an xz archive", _UNPACK),
    (b"\x89PNG", "a PNG picture", _PICTURE),
    (b"\xff\xd8\xff", "a JPEG picture", _PICTURE),
    (b"II*\0", "a TIFF picture", _PICTURE),
    (b"MM\0*", "a TIFF picture", _PICTURE),
    (b"GIF8", "a GIF picture", _PICTURE),
    (b"BM", "a bitmap picture", _PICTURE),
    (b"%PDF", "a PDF document", "give the scan"),
    (b"MATLAB", "a MATLAB file", _CONVERT),
    (b"<!DOCTYPE", "an HTML page, perhaps a failed download", "download the scan again"),
    (b"<html", "an HTML page, perhaps a failed download", "download the scan again"),
)


def describe(path: Path) -> tuple[str, str] | None:
    """Return what a file is and what to do, None where nothing is recognised.

    Only the first bytes are read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return None
    for magic, what, remedy in _STARTS:
        if start.startswith(magic):
            return what, remedy
    name = path.name.lower()
    if start[257:262] == b"ustar" or name.endswith((".tar", ".tar.gz", ".tgz")):
        return "a tar archive", _UNPACK
    if len(start) >= 348 and start[:4] in (b"\\\x01\0\0", b"\0\0\x01\\"):
        return "an Analyze or NIfTI header without voxels", "convert the pair to one .nii file"
    if start and not start.strip(b"\0"):
        return "a file filled with zeros", "copy it again"
    return None
