"""What a file is that is no CT volume, and what to do with it."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.support.translation import N_

_CONVERT = N_("convert it to NIfTI or give the DICOM slices")
_UNPACK = N_("unpack it first, or pack the study as .zip")
_PICTURE = N_("give the DICOM slices that the picture was made from")

# First bytes -> what it is, what to do.
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        N_("a Git LFS pointer, not the file itself"),
        N_("run git lfs pull"),
    ),
    (b"/annex/objects/", N_("a git-annex pointer, not the file itself"), N_("run git annex get")),
    (b"NRRD", N_("a NRRD file"), N_("name it .nrrd")),
    (b"ObjectType", N_("a MetaImage header"), N_("name it .mhd or .mha")),
    (b"\x89HDF", N_("an HDF5 file (MINC, h5)"), _CONVERT),
    (b"\x93NUMPY", N_("a NumPy array without geometry"), N_("write it as NIfTI with its affine")),
    (b"PK\x03\x04", N_("a zip archive"), N_("name it .zip")),
    (b"Rar!", N_("a RAR archive"), _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", N_("a 7-Zip archive"), _UNPACK),
    (b"BZh", N_("a bzip2 archive"), _UNPACK),
    (b"\xfd7zXZ", N_("an xz archive"), _UNPACK),
    (b"\x89PNG", N_("a PNG picture"), _PICTURE),
    (b"\xff\xd8\xff", N_("a JPEG picture"), _PICTURE),
    (b"II*\0", N_("a TIFF picture"), _PICTURE),
    (b"MM\0*", N_("a TIFF picture"), _PICTURE),
    (b"GIF8", N_("a GIF picture"), _PICTURE),
    (b"BM", N_("a bitmap picture"), _PICTURE),
    (b"%PDF", N_("a PDF document"), N_("give the scan")),
    (b"MATLAB", N_("a MATLAB file"), _CONVERT),
    (b"<!DOCTYPE", N_("an HTML page, perhaps a failed download"), N_("download the scan again")),
    (b"<html", N_("an HTML page, perhaps a failed download"), N_("download the scan again")),
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
        return N_("a tar archive"), _UNPACK
    if len(start) >= 348 and start[:4] in (b"\\\x01\0\0", b"\0\0\x01\\"):
        return (
            N_("an Analyze or NIfTI header without voxels"),
            N_("convert the pair to one .nii file"),
        )
    if start and not start.strip(b"\0"):
        return N_("a file filled with zeros"), N_("copy it again")
    return None
