"""A study in a .zip file, unpacked for as long as it is read."""

from __future__ import annotations

import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.errors import CTReadError, check_cancel
from napari_ct_assistant.volume.limits import check_ratio

MAX_BYTES = 16 << 30
"""Most bytes that are unpacked; a long CT examination has a tenth."""

MAX_MEMBERS = 100_000
# Free space that unpacking leaves on the disk.
_SPARE_BYTES = 1 << 30
_CHUNK = 1 << 20


def is_zip(path: Path) -> bool:
    """Return whether a file is a zip archive, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


@contextmanager
def unpacked(path: Path, cancel: threading.Event | None = None) -> Iterator[Path]:
    """Unpack an archive into a temporary folder that is removed afterwards.

    Members are written under the last part of their name, each into a numbered folder per
    directory of the archive, so that no name can lead out of the folder. Errors name the member
    inside the archive, not the temporary file.

    Raises
    ------
    CTReadError
        If the archive is damaged, encrypted or too large; `OpeningStoppedError` if `cancel` was
        set while it was unpacked.
    """
    with tempfile.TemporaryDirectory(prefix="ct-assistant-") as place:
        folder = Path(place).resolve()
        names = _unpack(path, folder, cancel)
        try:
            yield folder
        except CTReadError as error:
            inside = names.get(error.path)
            if inside is None and folder not in (error.path, *error.path.parents):
                raise
            problem = error.problem
            if str(folder) in problem:
                problem = problem.replace(str(folder), path.name)
            if inside:
                problem = said(
                    "in the archive, {inside}: {problem}", inside=inside, problem=problem
                )
            raise type(error)(path, problem) from error


def _unpack(path: Path, folder: Path, cancel: threading.Event | None) -> dict[Path, str]:
    """Write the members of an archive; return file -> name inside the archive."""
    names: dict[Path, str] = {}
    places: dict[str, Path] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            # A damaged list of contents may have a member without a name.
            members = [m for m in archive.infolist() if m.filename and not m.is_dir()]
            total = sum(member.file_size for member in members)
            check_ratio(path, total, path.stat().st_size)
            room = shutil.disk_usage(folder).free - _SPARE_BYTES
            if len(members) > MAX_MEMBERS or total > MAX_BYTES:
                raise CTReadError(
                    path,
                    said(
                        "{count} files of {number} GB are too many to unpack here; unpack it "
                        "and give the folder",
                        count=len(members),
                        number=f"{total / 1000000000.0:.1f}",
                    ),
                )
            if total > room:
                raise CTReadError(
                    path,
                    said(
                        "{number} GB do not fit into the temporary folder; unpack it elsewhere "
                        "and give the folder",
                        number=f"{total / 1000000000.0:.1f}",
                    ),
                )
            for number, member in enumerate(members):
                inside = PurePosixPath(member.filename.replace("\\", "/"))
                name = "".join(c for c in inside.name if c.isprintable() and c not in '<>:"|?*/')
                if name.startswith(".") or "__MACOSX" in inside.parts or not name:
                    continue
                parent = places.setdefault(str(inside.parent), folder / f"{len(places):05d}")
                parent.mkdir(exist_ok=True)
                target = parent / name
                if target.exists():
                    target = parent / f"{number}-{name}"
                _write(archive, member, target, path, cancel)
                names[target] = printable_name(inside)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CTReadError(path, said("the zip archive is damaged; copy it again")) from error
    except RuntimeError as error:
        raise CTReadError(
            path, said("the zip archive is encrypted; unpack it and give the folder")
        ) from error
    except OSError as error:
        raise CTReadError(
            path, said("cannot be unpacked ({value})", value=error.strerror or error)
        ) from error
    return names


def printable_name(inside: PurePosixPath) -> str:
    """Return a member's name on one line."""
    return "".join(c if c.isprintable() else "?" for c in str(inside))


def _write(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    target: Path,
    path: Path,
    cancel: threading.Event | None,
) -> None:
    """Write one member, and no more bytes than it declares."""
    left = member.file_size
    with archive.open(member) as source, target.open("wb") as out:
        while left > 0:
            check_cancel(cancel, path)
            part = source.read(min(_CHUNK, left))
            if not part:
                raise zipfile.BadZipFile("cut off")
            out.write(part)
            left -= len(part)
