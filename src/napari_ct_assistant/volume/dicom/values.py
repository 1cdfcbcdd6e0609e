"""Typed, checked access to the raw attribute values of a header."""

from __future__ import annotations

import math
import struct
import warnings
from functools import lru_cache
from pathlib import Path

from napari_ct_assistant.support.translation import said
from napari_ct_assistant.volume.dicom.tags import WANTED
from napari_ct_assistant.volume.errors import CTReadError

_DESCRIPTION = 0x0008103E
_CHARACTER_SET = 0x00080005
_PLAIN_SETS = {"": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "iso8859", "ISO_IR 192": "utf-8"}
# Binary numbers of other lengths than these are damaged.
_BINARY = {2: "H", 4: "L"}
_TEXT_NUMBERS = frozenset({0x00280008, 0x00200011, 0x00200012, 0x00200013, 0x00200100})
# Attributes that only order or name slices: nonsense in them must not cost the scan.
_UNIMPORTANT = frozenset({0x00200012, 0x00200013})
_LONGEST = 64


class HeaderValues:
    """The values of one header or frame.

    Parameters
    ----------
    path
        The file to name in errors.
    values
        tag -> raw bytes.
    order
        Byte order of binary numbers, "<" or ">".
    """

    def __init__(self, path: Path, values: dict[int, bytes], order: str) -> None:
        self._path = path
        self._values = values
        self.order = order

    def __contains__(self, tag: int) -> bool:
        return tag in self._values

    def raw(self, tag: int) -> bytes:
        """Return the stored bytes, b"" if absent."""
        return self._values.get(tag, b"")

    def text(self, tag: int) -> str:
        """Return a text value of ASCII, "" if absent."""
        raw = self._values.get(tag)
        return raw.decode("ascii", "replace").strip(" \0") if raw else ""

    def label(self, tag: int) -> str:
        """Return a short printable text for a person, "" if absent."""
        return printable(self.text(tag))

    def description(self) -> str:
        """Return the series description in the character set of the file."""
        raw = self._values.get(_DESCRIPTION, b"").rstrip(b" \0")
        return printable(decode(raw, self.text(_CHARACTER_SET)))

    def numbers(self, tag: int, count: int, *, limit: float) -> list[float] | None:
        """Return `count` decimal strings within +-limit; None if absent or empty."""
        raw = self._values.get(tag, b"").strip(b" \0")
        if not raw:
            return None
        found = _numbers(raw, count, limit)
        if not found:
            raise CTReadError(
                self._path, said("impossible {wanted}; export it again", wanted=WANTED[tag])
            )
        return list(found)

    def decimals(self, tag: int) -> list[int]:
        """Return how many decimals each part of a decimal string has, trailing zeros apart."""
        found = []
        for part in self.text(tag).lower().split("\\"):
            fraction = part.strip().partition(".")[2]
            found.append(9 if "e" in part else len(fraction.rstrip("0")))
        return found

    def length(self, tag: int) -> float | None:
        """Return a length in mm; None if it is absent or nonsense, which costs nothing."""
        try:
            found = self.numbers(tag, 1, limit=1e3)
        except CTReadError:
            return None
        return found[0] if found and found[0] > 0 else None

    def whole(self, tag: int, default: int | None, *, low: int, high: int) -> int:
        """Return a whole number, binary or as text, within low to high."""
        raw = self._values.get(tag, b"")
        try:
            if tag in _TEXT_NUMBERS:
                text = raw.split(b"\\")[0].strip(b" \0")
                value = int(text) if text else default
            elif len(raw) in _BINARY:
                value = struct.unpack(self.order + _BINARY[len(raw)], raw)[0]
            else:
                value = default if not raw else None
        except ValueError:
            value = default if tag in _UNIMPORTANT else None
        if value is not None and tag in _UNIMPORTANT:
            return min(max(value, low), high)
        if value is None or not low <= value <= high:
            shown = (
                said("is missing or unreadable")
                if value is None
                else said("is {value}", value=value)
            )
            raise CTReadError(
                self._path,
                said("{wanted} {shown}; export it again", wanted=WANTED[tag], shown=shown),
            )
        return value

    def stored(self, tag: int, signed: bool) -> int | None:
        """Return a stored pixel value (US or SS) in the sign of the pixels."""
        raw = self._values.get(tag, b"")
        if len(raw) < 2:
            return None
        unsigned: int = struct.unpack(self.order + "H", raw[:2])[0]
        if not signed:
            return unsigned
        return unsigned - 65536 if unsigned >= 32768 else unsigned

    def number_text(self, tag: int, *, floating: bool) -> str:
        """Return a binary number as text, "" if it is absent or of another length."""
        raw = self._values.get(tag, b"")
        kinds = {4: "f", 8: "d"} if floating else _BINARY
        if len(raw) not in kinds:
            return ""
        value = struct.unpack(self.order + kinds[len(raw)], raw)[0]
        return f"{value:g}" if floating else str(value)

    def binary(self, tag: int) -> tuple[int, ...]:
        """Return an array of 32-bit unsigned numbers, empty if absent or damaged."""
        raw = self._values.get(tag, b"")
        if len(raw) % 4 or len(raw) > 64:
            return ()
        return struct.unpack(f"{self.order}{len(raw) // 4}L", raw)


@lru_cache(maxsize=256)
def _numbers(raw: bytes, count: int, limit: float) -> tuple[float, ...]:
    """Return `count` decimal strings within +-limit, () if they are others.

    The slices of a series mostly repeat theirs.
    """
    try:
        found = [float(part) for part in raw.split(b"\\")]
    except ValueError:
        return ()
    if count == 1:
        found = found[:1]
    fits = len(found) == count and all(math.isfinite(v) and abs(v) <= limit for v in found)
    return tuple(found) if fits else ()


def printable(text: str) -> str:
    """Return `text` on one line, without control characters, at most 64 characters long."""
    if text.isprintable() and "  " not in text and len(text) <= _LONGEST:
        return text.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]


def decode(raw: bytes, character_set: str) -> str:
    r"""Decode text in a DICOM character set (PS3.5 6.1), ISO 2022 escapes included.

    Parameters
    ----------
    raw
        The stored bytes.
    character_set
        SpecificCharacterSet, several values separated by backslashes.
    """
    if raw.isascii() and b"\x1b" not in raw and "13" not in character_set:
        return raw.decode("ascii")
    if character_set in _PLAIN_SETS:
        codec = _PLAIN_SETS[character_set]
        # Many files with umlauts or UTF-8 declare no character set.
        return _undeclared(raw) if codec == "ascii" else raw.decode(codec, "replace")
    from pydicom.charset import convert_encodings, decode_bytes

    names = [name.strip() for name in character_set.split("\\")]
    try:
        with warnings.catch_warnings():
            # A character set that pydicom does not know is shown as far as it goes.
            warnings.simplefilter("ignore")
            return str(decode_bytes(raw, convert_encodings(names), set(b"\r\n\t\f")))
    except (LookupError, UnicodeError, ValueError):
        return _undeclared(raw)


def _undeclared(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("iso8859", "replace")
