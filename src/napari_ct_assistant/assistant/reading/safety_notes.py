"""What a reader should know about a scan and a model before trusting the model's output."""

from __future__ import annotations

from torch import Tensor

from napari_ct_assistant.assistant.models.loaded_model import LoadedModel
from napari_ct_assistant.assistant.reading.results import OUTSIDE, ModelInfo
from napari_ct_assistant.report_text.finding_mentions import named_findings
from napari_ct_assistant.report_text.findings import in_a_sentence
from napari_ct_assistant.volume import CTVolume, ModelGrid

_AXES = ("head to feet", "front to back", "right to left")


def scan_notes(loaded: LoadedModel, volume: CTVolume, grid: ModelGrid, tokens: Tensor) -> list[str]:
    """Return notes on a scan: what of it the model cannot see, and whether it is unusual.

    Parameters
    ----------
    grid : ModelGrid
        Where the model's input lies in the scan.
    tokens : Tensor [N, C]
        The encoder's output for the scan.
    """
    notes = []
    box = [n * s for n, s in zip(grid.shape, grid.spacing, strict=True)]
    scan = [n * s for n, s in zip(volume.shape, volume.spacing, strict=True)]
    cut = [
        f"{b:.0f} of {s:.0f} mm {axis}"
        for axis, s, b in zip(_AXES, scan, box, strict=True)
        if s > b + 1
    ]
    if cut:
        notes.append(f"The model sees only the middle of this scan: {', '.join(cut)}.")
    if loaded.ood is not None:
        distance = loaded.ood.distance(tokens)
        if distance > 1:
            trained = loaded.info.trained_on or "its training scans"
            notes.append(
                f"{OUTSIDE}, {trained} "
                f"({distance:.1f}x the threshold); treat the output as unreliable."
            )
    return notes


def finding_notes(info: ModelInfo, *texts: str) -> tuple[str, ...]:
    """Return a note for each finding in the texts that the model cannot reliably detect.

    Any usual word for a finding counts (`report_text.finding_terms`), affirmed or denied.
    """
    named = {name for text in texts for name in named_findings(text)}
    return tuple(
        f"This model cannot reliably detect {in_a_sentence(name)}; "
        "disregard what it says about this finding."
        for name in info.unreliable_findings
        if name in named
    )
