"""Load the encoder of a volume model and join it with its server."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.ood import OutOfDistributionDetector
from napari_ct_assistant.backends.protocol import Backend
from napari_ct_assistant.backends.server.connection import Connection
from napari_ct_assistant.backends.server.volumes.backend import ServedVolumeBackend
from napari_ct_assistant.backends.server.volumes.encoder import load_encoder
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.conversion.served import ENCODER_WEIGHTS, ServedLanguageModel
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import settings_sha256
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support.translation import said


def load(
    connection: Connection,
    folder: Path,
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
) -> Backend:
    """Return the backend; `device` and `dtype` are the encoder's."""
    served = ServedLanguageModel.load(folder)
    origin = connection.profile.address.origin
    name = f"{served.name} at {origin}"
    network = load_encoder(folder, name, device, dtype)
    if network.config.hidden_size != served.hidden_size:
        raise ModelLoadError(
            said(
                "{name}: its encoder makes embeddings of {hidden_size} channels, and the "
                "language model takes {hidden_size2}; copy the folder again",
                name=name,
                hidden_size=network.config.hidden_size,
                hidden_size2=served.hidden_size,
            )
        )
    processor = VolumeLanguageProcessor.from_pretrained(folder, local_files_only=True)
    config = network.config
    info = ModelInfo(
        name=name,
        trained_on=config.trained_on,
        notice=config.notice,
        findings=FINDINGS,
        unreliable_findings=tuple(config.unreliable_findings),
        files=(folder / ENCODER_WEIGHTS,),
        skills=tuple(config.skills),
        settings_sha256=settings_sha256(folder),
        untaught=processor.untaught,
        server=origin,
        served_model=connection.model.id,
        revision=served.sha256,
        engine=connection.engine,
    )
    return ServedVolumeBackend(
        network,  # the part of the network that runs here
        processor,
        info,
        OutOfDistributionDetector.load(folder),
        settings or GenerationSettings(),
        client=connection.client,
        served=served,
        served_name=connection.model.id,
        window=connection.model.max_model_len,
        guard=connection.guard,
    )
