"""The attributes by which scanners tell the passes of one series apart."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from napari_ct_assistant.volume.dicom.tags import DIMENSION_INDEX_VALUES
from napari_ct_assistant.volume.dicom.values import HeaderValues, printable

# What the pixels mean or how they were made: name -> tags, the first that is present counts.
# A name is how the parts are called in the list of series.
_SETTINGS = {
    "values": (0x00281054,),
    "image type": (0x00089007, 0x00080008),
    "kernel": (0x00181210,),
    "kVp": (0x00180060,),
    "keV": (0x0018937C,),
    "energy weight": (0x00189353,),
    "thickness": (0x00180050,),
    "contrast": (0x00189344, 0x00180010),
    "series": (0x00200011,),
    "description": (),
}
# When or in which pass they were taken.
_PASSES = {
    "acquisition": (0x00200012,),
    "frame acquisition": (0x00209156,),
    "time point": (0x00200100, 0x00209128),
    "time offset": (0x0020930D,),
    "stack": (0x00209056,),
    "cardiac phase": (0x00209241,),
    "respiratory phase": (0x00209245,),
    "trigger time": (0x00181060, 0x00209153),
    "series time": (0x00080031,),
}
TIME = "acquired"
NAMES = (*_SETTINGS, *_PASSES, TIME)
"""Every separator but the components of DimensionIndexValues, in order of preference."""

PASS_NAMES = frozenset({*_PASSES, TIME})

_NAME_OF = {
    tag: name for table in (_SETTINGS, _PASSES) for name, tags in table.items() for tag in tags
}
_DECIMAL = frozenset({0x00180050, 0x00180060, 0x00181060})
_BINARY = {
    0x00209128: "int", 0x00209156: "int", 0x00209241: "float", 0x00209245: "float",
    0x00189353: "float", 0x0018937C: "float", 0x00209153: "float", 0x0020930D: "float",
}  # fmt: skip


def read_separators(values: HeaderValues) -> dict[str, str]:
    """Return the separators that a frame states: name -> value, as text to compare and show."""
    found: dict[str, str] = {}
    for tag, name in _NAME_OF.items():
        if tag in values and name not in found:
            text = _text(tag, values.raw(tag), values.order)
            if text:
                found[name] = text
    if 0x0008103E in values:
        found["description"] = values.description()
    moment = next((t for tag in (0x00189074, 0x0008002A) if (t := values.text(tag))), "")
    date, time = values.text(0x00080022), values.text(0x00080032)
    if not moment and (date or time):
        moment = date + (time or "000000")
    if moment:
        found[TIME] = printable(moment)
    for n, index in enumerate(values.binary(DIMENSION_INDEX_VALUES)):
        found[f"dimension {n + 1}"] = str(index)
    return found


@lru_cache(maxsize=4096)
def _text(tag: int, raw: bytes, order: str) -> str:
    """Return a value as text; the slices of a series mostly repeat theirs."""
    values = HeaderValues(Path(), {tag: raw}, order)
    kind = _BINARY.get(tag)
    if kind:
        return values.number_text(tag, floating=kind == "float")
    text = values.label(tag)
    if tag in _DECIMAL:
        # 120 and 120.0 are one kVp.
        try:
            return f"{float(text):g}" if text else ""
        except ValueError:
            return text
    return text.upper() if tag == 0x00281054 else text


def seconds(moment: str) -> float | None:
    """Return an acquisition time (DT, or DA and TM joined) in seconds, None if unreadable."""
    digits = moment.split("+")[0].split("-")[0].replace(":", "").strip()
    whole, _, fraction = digits.partition(".")
    if not whole.isdigit():
        return None
    days = 0
    if len(whole) > 8:
        year, month, day = int(whole[:4]), int(whole[4:6] or 1), int(whole[6:8] or 1)
        days = (year * 12 + month) * 31 + day
        whole = whole[8:]
    whole = whole.ljust(6, "0")[:6]
    clock = int(whole[:2]) * 3600 + int(whole[2:4]) * 60 + int(whole[4:6])
    return days * 86400.0 + clock + (float(f"0.{fraction}") if fraction.isdigit() else 0.0)


def clock(moment: str) -> str:
    """Return the time of day of an acquisition, "11:02:31", without the date."""
    at = seconds(moment)
    if at is None:
        return ""
    at = int(at) % 86400
    return f"{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}"


def part_name(name: str, value: str) -> str:
    """Return what a part is called: "kernel Br40", "100 kVp", "acquired 11:02:31"."""
    if not value:
        return f"no {name}"
    if name == TIME:
        return f"{TIME} {clock(value)}"
    if name in ("kVp", "keV"):
        return f"{value} {name}"
    if name == "thickness":
        return f"{value} mm thick"
    if name.startswith("dimension"):
        return f"{name} = {value}"
    if name in ("image type", "description"):
        return value.replace("\\", " ")
    return f"{name} {value}"
