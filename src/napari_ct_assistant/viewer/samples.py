"""Sample scans: procedural chest phantoms, one for each of several findings."""

from __future__ import annotations

from typing import Any

SAMPLE_SEED = 7

LayerDataTuple = tuple[Any, dict[str, Any], str]


def phantom(*findings: str, seed: int = SAMPLE_SEED) -> list[LayerDataTuple]:
    """Return the phantom of `seed` with exactly `findings` as napari layer data."""
    from napari_ct_assistant.training.phantoms import make_phantom
    from napari_ct_assistant.viewer.layers import layer_data

    made = make_phantom(seed, findings=findings, resolution="reading")
    return [layer_data(made.volume, "Phantom: " + (", ".join(findings).lower() or "normal"))]


def normal() -> list[LayerDataTuple]:
    """Return a chest phantom without any finding."""
    return phantom()


def pleural_effusion() -> list[LayerDataTuple]:
    """Return a chest phantom with a pleural effusion."""
    return phantom("Pleural effusion")


def lung_nodule() -> list[LayerDataTuple]:
    """Return a chest phantom with a lung nodule."""
    return phantom("Lung nodule")


def consolidation() -> list[LayerDataTuple]:
    """Return a chest phantom with a consolidation."""
    return phantom("Consolidation")


def emphysema() -> list[LayerDataTuple]:
    """Return a chest phantom with emphysema."""
    return phantom("Emphysema")


def cardiomegaly() -> list[LayerDataTuple]:
    """Return a chest phantom with an enlarged heart."""
    return phantom("Cardiomegaly")


def pericardial_effusion() -> list[LayerDataTuple]:
    """Return a chest phantom with a pericardial effusion."""
    return phantom("Pericardial effusion")


def lymphadenopathy() -> list[LayerDataTuple]:
    """Return a chest phantom with enlarged lymph nodes."""
    return phantom("Lymphadenopathy")


def hiatal_hernia() -> list[LayerDataTuple]:
    """Return a chest phantom with a hiatal hernia."""
    return phantom("Hiatal hernia")
