"""Which part of the body a scan shows: by its header, else by its air-filled lungs."""

from __future__ import annotations

import re
from typing import Final

from scipy import ndimage

from napari_ct_assistant.volume.ct_volume import CTVolume

_WORDS: Final = {
    "chest": re.compile(r"chest|thora|lung|pulm|\bcta?pa\b|mediast|heart|cardi|coronar", re.I),
    "abdomen": re.compile(r"abd|pelvi|liver|hepat|renal|kidney|pancrea|colon", re.I),
    "head": re.compile(r"head|brain|skull|cranium|sinus|orbit|facial|temporal|dental", re.I),
    "neck": re.compile(r"neck|cervical|carotid|larynx", re.I),
    "limb": re.compile(r"knee|ankle|foot|hand|wrist|elbow|shoulder|femur|extremit", re.I),
}
BODY_HU: Final = -500
LUNG_HU: Final = (-980, -550)
STEP_MM: Final = 4.0
# Lungs of less height are those at the upper end of an abdominal scan.
LEAST_LUNG_MM: Final = 150.0
# Part of an axial slice's body that is lung, from which on the slice shows the lungs.
LEAST_SHARE: Final = 0.08


def body_region(volume: CTVolume) -> tuple[str, str]:
    """Return the region that a scan shows, and how that is known.

    Lungs of at least `LEAST_LUNG_MM` make it a chest, whatever the header says: many chest scans
    are filed under the abdomen. Without such lungs the body part in the header or the series
    description decides, and in a long scan their absence.

    Returns
    -------
    (str, str)
        "chest", "abdomen", "head", "neck", "limb", "other" for a long scan without lungs, or "" if
        neither header nor voxels tell; and a few words such as "body part ABDOMEN".
    """
    named = []
    # The description of a series is free text and is not repeated.
    sources = (
        (f"body part {volume.body_part}", volume.body_part),
        ("by its series description", volume.series),
    )
    for why, said in sources:
        found = [region for region, words in _WORDS.items() if words.search(said)]
        if "chest" in found:
            return "chest", why
        named += [(region, why) for region in found]
    length = volume.shape[0] * volume.spacing[0]
    if length < LEAST_LUNG_MM:
        return named[0] if named else ("", "")
    height = lung_height_mm(volume)
    if height >= LEAST_LUNG_MM:
        return "chest", f"{height:.0f} mm of lung"
    if named:
        return named[0]
    if height:
        return "abdomen", f"only {height:.0f} of {length:.0f} mm show lung"
    return "other", "no lungs were found"


def lung_height_mm(volume: CTVolume) -> float:
    """Return over how many mm from head to feet the axial slices show lungs.

    Lungs are air of -980 to -550 HU that body encloses; bowel gas and room air are darker.
    """
    steps = [max(1, round(STEP_MM / mm)) for mm in volume.spacing]
    hu = volume.hu[:: steps[0], :: steps[1], :: steps[2]]
    shown = 0
    for image in hu:
        body = image > BODY_HU
        inside = ndimage.binary_fill_holes(body)
        lung = inside & (image > LUNG_HU[0]) & (image < LUNG_HU[1])
        shown += bool(inside.any()) and lung.sum() >= LEAST_SHARE * inside.sum()
    return float(shown * steps[0] * volume.spacing[0])
