"""Draw what a phantom shows: its findings with place and size, before any voxel is painted."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_ct_assistant.report_text.findings import FINDINGS

BoxMm = tuple[tuple[float, float, float], tuple[float, float, float]]
LOBES = (
    "right upper lobe",
    "right middle lobe",
    "right lower lobe",
    "left upper lobe",
    "left lower lobe",
)


@dataclass(frozen=True)
class FindingTruth:
    """One finding that is present.

    Attributes
    ----------
    side : {"left", "right", "both"} or None
    lobe : str or None
        One of `LOBES`.
    size_mm : float or None
        Diameter or thickness of the largest.
    severity : str or None
        The size class or grade that the texts use.
    detail : str or None
        What else the report says: kind of device, nodal station, ...
    count : int
    box_ras_mm : ((x0, y0, z0), (x1, y1, z1)) or None
        Box of the voxel mask in RAS mm; None until the phantom is rendered.
    """

    name: str
    side: str | None = None
    lobe: str | None = None
    size_mm: float | None = None
    severity: str | None = None
    detail: str | None = None
    count: int = 1
    box_ras_mm: BoxMm | None = None


def part_rng(seed: int, part: str) -> np.random.Generator:
    """Return the random stream of one part of one phantom, the same in every process."""
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def size_class(size: float, small: float, large: float, names: Sequence[str]) -> str:
    """Return the name of the class of `size`: below `small`, between, above `large`."""
    return names[0] if size < small else names[1] if size <= large else names[2]


SIZES = ("small", "moderate", "large")
NODULE_SIZES = ("small", "medium-sized", "large")
GRADES = ("mild", "moderate", "severe")
# The degrees in which a finding occurs, and its kinds.
DEGREES: dict[str, tuple[str, ...]] = {
    "Arterial wall calcification": GRADES,
    "Cardiomegaly": ("mild", "severe"),
    "Pericardial effusion": SIZES,
    "Coronary artery wall calcification": GRADES,
    "Hiatal hernia": ("small", "large"),
    "Lymphadenopathy": ("moderate", "large"),
    "Emphysema": GRADES,
    "Lung nodule": NODULE_SIZES,
    "Lung opacity": SIZES,
    "Pleural effusion": SIZES,
    "Peribronchial thickening": ("mild", "severe"),
    "Consolidation": SIZES,
}
KINDS: dict[str, tuple[str, ...]] = {
    "Medical material": ("pacemaker", "port catheter", "sternal wires", "endotracheal tube"),
    "Lymphadenopathy": ("paratracheal", "subcarinal", "prevascular", "axillary"),
    "Atelectasis": ("linear", "segmental"),
}


def _pick(rng: np.random.Generator, items: Sequence[str], p: Sequence[float] | None = None) -> str:
    return items[int(rng.choice(len(items), p=p))]


def draw_attributes(seed: int) -> dict[str, FindingTruth]:
    """Draw for each of the 18 findings how it looks in this patient, should it be present.

    Each finding has its own random stream, so that adding one changes no other. Each focal lung
    finding gets a lobe of its own, so that none hides another.
    """
    layout = part_rng(seed, "layout")
    lobes = [LOBES[i] for i in layout.permutation(5)]
    consolidation, nodule, opacity, bronchiectasis, fibrosis = lobes
    side_of = {lobe: lobe.split()[0] for lobe in LOBES}
    free = ["right lower lobe", "left lower lobe", "right middle lobe"]
    free = [x for x in free if x not in (consolidation, nodule)]
    atelectasis = free[int(layout.integers(len(free)))]
    crowded = {
        side_of[x] for x in (consolidation, nodule, opacity, atelectasis) if "upper" not in x
    }
    out: dict[str, FindingTruth] = {}

    def rng_of(name: str) -> np.random.Generator:
        return part_rng(seed, "attributes of " + name)

    def add(name: str, **kw: object) -> None:
        out[name] = FindingTruth(name, **kw)  # type: ignore[arg-type]

    r = rng_of("Medical material")
    kind = _pick(r, KINDS["Medical material"])
    side = {"pacemaker": _pick(r, ("left", "right"), (0.7, 0.3)), "port catheter": "right"}
    add("Medical material", detail=kind, side=side.get(kind))
    r = rng_of("Arterial wall calcification")
    add("Arterial wall calcification", severity=_pick(r, DEGREES["Arterial wall calcification"]))
    r = rng_of("Cardiomegaly")
    add("Cardiomegaly", severity=_pick(r, DEGREES["Cardiomegaly"]))
    r = rng_of("Pericardial effusion")
    grade = _pick(r, DEGREES["Pericardial effusion"])
    span = {"small": (9, 11), "moderate": (13, 16), "large": (20, 26)}[grade]
    add("Pericardial effusion", severity=grade, size_mm=round(float(r.uniform(*span)), 1))
    r = rng_of("Coronary artery wall calcification")
    add(
        "Coronary artery wall calcification",
        severity=_pick(r, DEGREES["Coronary artery wall calcification"]),
    )
    r = rng_of("Hiatal hernia")
    grade = _pick(r, DEGREES["Hiatal hernia"])
    span = {"small": (34, 42), "large": (55, 70)}[grade]
    add("Hiatal hernia", severity=grade, size_mm=round(float(r.uniform(*span)), 1))
    r = rng_of("Lymphadenopathy")
    station = _pick(r, KINDS["Lymphadenopathy"])
    grade = _pick(r, DEGREES["Lymphadenopathy"])
    size = float(r.uniform(15, 18) if grade == "moderate" else r.uniform(23, 30))
    side_ = {"paratracheal": "right", "axillary": _pick(r, ("left", "right"))}.get(station)
    add(
        "Lymphadenopathy",
        detail=station,
        side=side_,
        severity=grade,
        size_mm=round(size, 1),
        count=int(r.integers(2, 5)),
    )
    r = rng_of("Emphysema")
    add("Emphysema", side="both", severity=_pick(r, DEGREES["Emphysema"]))
    r = rng_of("Atelectasis")
    form = "linear" if "middle" in atelectasis else _pick(r, KINDS["Atelectasis"])
    add("Atelectasis", side=side_of[atelectasis], lobe=atelectasis, detail=form)
    r = rng_of("Lung nodule")
    # Sizes stay away from the limits between classes, so that the class can be seen.
    spans = ((6.5, 9.0), (11.0, 17.0), (21.0, 25.0))
    size = float(r.uniform(*spans[int(r.choice(3, p=[0.3, 0.4, 0.3]))]))
    add(
        "Lung nodule",
        side=side_of[nodule],
        lobe=nodule,
        size_mm=round(size, 1),
        count=int(r.choice([1, 2, 3], p=[0.6, 0.2, 0.2])),
        severity=size_class(size, 10, 20, DEGREES["Lung nodule"]),
    )
    r = rng_of("Lung opacity")
    grade = _pick(r, DEGREES["Lung opacity"])
    add("Lung opacity", side=side_of[opacity], lobe=opacity, severity=grade)
    add("Pulmonary fibrotic sequela", side=side_of[fibrosis], lobe=fibrosis)
    r = rng_of("Pleural effusion")
    side_ = _pick(r, ("left", "right", "both"))
    grade = _pick(r, DEGREES["Pleural effusion"])
    if grade == "large" and (side_ == "both" or side_ in crowded):
        grade = "moderate"
    span = {"small": (13, 18), "moderate": (28, 38), "large": (55, 75)}[grade]
    add("Pleural effusion", side=side_, severity=grade, size_mm=round(float(r.uniform(*span)), 1))
    add("Mosaic attenuation pattern", side="both")
    r = rng_of("Peribronchial thickening")
    grade = _pick(r, DEGREES["Peribronchial thickening"])
    add("Peribronchial thickening", side="both", severity=grade)
    r = rng_of("Consolidation")
    grade = _pick(r, DEGREES["Consolidation"])
    add("Consolidation", side=side_of[consolidation], lobe=consolidation, severity=grade)
    add("Bronchiectasis", side=side_of[bronchiectasis], lobe=bronchiectasis)
    add("Interlobular septal thickening", side="both")
    return {name: out[name] for name in FINDINGS}


# Prevalence of each finding, and how much others add to it: name -> (base, {other: added}).
PREVALENCE: dict[str, tuple[float, dict[str, float]]] = {
    "Medical material": (0.22, {}),
    "Arterial wall calcification": (0.26, {}),
    "Cardiomegaly": (0.22, {}),
    "Pericardial effusion": (0.16, {"Cardiomegaly": 0.15}),
    "Coronary artery wall calcification": (0.18, {"Arterial wall calcification": 0.3}),
    "Hiatal hernia": (0.22, {}),
    "Lymphadenopathy": (0.24, {}),
    "Emphysema": (0.22, {}),
    "Lung nodule": (0.28, {"Emphysema": 0.15}),
    "Lung opacity": (0.24, {}),
    "Pulmonary fibrotic sequela": (0.24, {"Emphysema": 0.1}),
    "Pleural effusion": (0.18, {"Cardiomegaly": 0.2, "Pericardial effusion": 0.1}),
    "Atelectasis": (0.18, {"Pleural effusion": 0.3}),
    "Mosaic attenuation pattern": (0.18, {}),
    "Peribronchial thickening": (0.2, {}),
    "Consolidation": (0.22, {"Lung opacity": 0.1}),
    "Bronchiectasis": (0.2, {"Peribronchial thickening": 0.1}),
    "Interlobular septal thickening": (0.16, {"Pleural effusion": 0.15}),
}


def draw_presence(seed: int) -> tuple[str, ...]:
    """Draw which findings a patient has; about one in ten has none."""
    rng = part_rng(seed, "presence")
    if rng.random() < 0.1:
        return ()
    present: set[str] = set()
    for name, (base, company) in PREVALENCE.items():
        p = base + sum(extra for other, extra in company.items() if other in present)
        if rng.random() < p:
            present.add(name)
    return tuple(name for name in FINDINGS if name in present)
