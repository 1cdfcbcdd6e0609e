"""Study date, region and comparison, which the reader may add to an exported report.

A `ReportDocument` has none of them, so that no journal keeps them: the date is patient data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ct_assistant.assistant.export.identifiers import read_identifiers
from napari_ct_assistant.support.plain_text import plain
from napari_ct_assistant.support.translation import N_, Day

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume


@dataclass(frozen=True, repr=False)
class StudyDetails:
    """What the reader adds to one export; "" leaves an entry out. Its `repr` shows none of it.

    Attributes
    ----------
    study_date : str
        Such as "2025-03-01".
    region : str
        The part of the body that was examined.
    comparison : str
        The earlier examination that was compared, or that there is none.
    """

    study_date: str = ""
    region: str = ""
    comparison: str = ""

    def __post_init__(self) -> None:
        for name in ("study_date", "region", "comparison"):
            object.__setattr__(self, name, " ".join(plain(getattr(self, name)).split()))

    @property
    def date(self) -> date | None:
        """The study date, None if it is not given as year, month and day."""
        try:
            return date.fromisoformat(self.study_date)
        except ValueError:
            return None

    def rows(self) -> list[tuple[str, str]]:
        """Return the entries as pairs of a name and a value."""
        rows = (
            (N_("Study date"), Day(self.study_date)),
            (N_("Region"), self.region),
            (N_("Comparison"), self.comparison),
        )
        return [(name, value) for name, value in rows if value]


NO_DETAILS = StudyDetails()
NO_COMPARISON = N_("None")


def region_of(volume: CTVolume) -> str:
    """Return the region that a scan shows, in English as the report, "" if that is not known."""
    from napari_ct_assistant.volume.body_region import body_region

    region = body_region(volume)[0]
    return region.capitalize() if region not in ("", "other") else volume.body_part.capitalize()


def study_date(folder: Path, volume: CTVolume) -> str:
    """Return the study date in the files of a scan as year-month-day, "" if they have none.

    Raises
    ------
    ExportError
        If they are no DICOM files, or not the scan's.
    """
    text = read_identifiers(folder, volume).values["StudyDate"]
    try:
        return datetime.strptime(text, "%Y%m%d").date().isoformat()
    except ValueError:
        return ""
