"""The measurements of a report as exports give them: as rows in words, and as coded values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.measurement import Measurement
from napari_ct_assistant.assistant.report.parts import Line


@dataclass(frozen=True)
class Quantity:
    """A measured value with its codes: the concept in SNOMED CT, the unit in UCUM."""

    code: str
    meaning: str
    value: float
    unit: str
    unit_meaning: str


def quantities(measurement: Measurement) -> Iterator[Quantity]:
    """Yield each value of a measurement."""
    m = measurement
    mm, hu = ("mm", "millimeter"), ("[hnsf'U]", "Hounsfield unit")
    axes = m.short_mm is not None
    rows: tuple[tuple[str, str, float | None, tuple[str, str]], ...] = (
        ("410668003", "Length", None if axes else m.long_mm, mm),
        ("103339001", "Long axis", m.long_mm if axes else None, mm),
        ("103340004", "Short axis", m.short_mm, mm),
        ("81827009", "Diameter", m.max_mm, mm),
        ("42798000", "Area", m.area_mm2, ("mm2", "square millimeter")),
        ("118565006", "Volume", m.volume_ml, ("ml", "milliliter")),
        ("373098007", "Mean", m.mean_hu, hu),
        ("386136009", "Standard Deviation", m.sd_hu, hu),
        ("255605001", "Minimum", m.min_hu, hu),
        ("56851009", "Maximum", m.max_hu, hu),
    )
    for code, meaning, value, (unit, unit_meaning) in rows:
        if value is not None:
            # No more digits than a scan's voxels can bear.
            yield Quantity(code, meaning, float(f"{value:.5g}"), unit, unit_meaning)


def name_of(line: Line) -> str:
    """Return what was measured, as the sentence calls it."""
    return line.text.partition(",")[0].strip(" .")


def measurement_rows(report: ReportDocument) -> list[tuple[str, str]]:
    """Return what each measurement is called in its sentence, and its figures."""
    return [(name_of(line), measurement.figures) for line, measurement in report.measured()]
