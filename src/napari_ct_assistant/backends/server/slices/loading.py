"""Join a slice model on a server with the preset by which scans are shown to it."""

from __future__ import annotations

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import Backend
from napari_ct_assistant.backends.server.connection import Connection
from napari_ct_assistant.backends.server.slices.backend import ServedSlicesBackend
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slice_model.family import NOTICE
from napari_ct_assistant.backends.slices import find_preset
from napari_ct_assistant.backends.slices.preset import GENERIC, MEDGEMMA


def load(connection: Connection, *, settings: GenerationSettings | None = None) -> Backend:
    """Return the backend."""
    saved, model = connection.profile.saved, connection.model
    origin = connection.profile.address.origin
    fits = MEDGEMMA if "medgemma" in f"{model.id} {model.root}".lower() else GENERIC
    preset = find_preset(saved.preset or fits)
    info = ModelInfo(
        name=f"{model.id} at {origin}",
        notice=NOTICE,
        findings=preset.labels(preset.regions[0]),
        skills=("explain", "shorten", "impression"),
        server=origin,
        served_model=model.id,
        revision=saved.revision or model.root,
        engine=connection.engine,
    )
    return ServedSlicesBackend(
        info,
        settings or GenerationSettings(),
        preset,
        connection.client,
        model.id,
        model.max_model_len,
        connection.guard,
    )
