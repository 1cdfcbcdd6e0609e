"""CT volumes in HU with their geometry, read from DICOM and NIfTI.

>>> from napari_ct_assistant.volume import open_ct
>>> volume = open_ct("folder/of/slices")  # doctest: +SKIP
>>> volume.hu.shape, volume.spacing, volume.warnings  # doctest: +SKIP

This package does not import Qt, napari or torch. The readers, with pydicom, are imported when they
are used: a window that opens no scan yet does not wait for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.volume.ct_volume import AIR, HU_MAX, CTVolume
from napari_ct_assistant.volume.errors import CTReadError
from napari_ct_assistant.volume.model_grid import ModelGrid
from napari_ct_assistant.volume.prepare import prepare, prepare_as, prepare_minmax
from napari_ct_assistant.volume.regions import (
    Diameters,
    RegionStatistics,
    region_diameters,
    region_statistics,
)

if TYPE_CHECKING:
    from napari_ct_assistant.volume.files.nifti import write_nifti
    from napari_ct_assistant.volume.open import list_series, open_ct
    from napari_ct_assistant.volume.series_choice import SeriesInfo

_HOME = {
    "SeriesInfo": "series_choice",
    "list_series": "open",
    "open_ct": "open",
    "write_nifti": "files.nifti",
}

__all__ = [
    "AIR",
    "HU_MAX",
    "CTReadError",
    "CTVolume",
    "Diameters",
    "ModelGrid",
    "RegionStatistics",
    "SeriesInfo",
    "list_series",
    "open_ct",
    "prepare",
    "prepare_as",
    "prepare_minmax",
    "region_diameters",
    "region_statistics",
    "write_nifti",
]


def __getattr__(name: str) -> Any:
    """Import a reader on first use (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
