"""Find out what reads a scan on a server, and load it. Importing it brings no torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from napari_ct_assistant.backends.protocol import Backend
from napari_ct_assistant.backends.server.connection import Connection, ServerOptions, connect
from napari_ct_assistant.backends.server.errors import ServerError, ServerRefusedError
from napari_ct_assistant.backends.server.profiles import FILE as FILE_OF_SERVERS
from napari_ct_assistant.backends.server.profiles import Profile
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.model.conversion.served import (
    ENCODER_FOLDER,
    FILE,
    ServedLanguageModel,
    hash_in_name,
)
from napari_ct_assistant.support.translation import said


def load_served(
    profile: Profile,
    options: ServerOptions,
    encoders: Sequence[Path],
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
) -> Backend:
    """Return the backend of the model that a server runs.

    Parameters
    ----------
    profile, options
    encoders
        Folders with encoders on this computer, among which the right one is looked for.
    device, dtype
        Of the encoder of a volume model.

    Raises
    ------
    ServerError, ModelLoadError
        One line.
    """
    if profile.saved.reads == "text":
        raise ServerError(
            said(
                "{value}: a text model, which reads no scan; name it as `rewriting:` in "
                "{file_of_servers}, or use `ct-assistant rewrite`",
                value=profile.name or profile.address.origin,
                file_of_servers=FILE_OF_SERVERS,
            )
        )
    connection = connect(profile, options)
    try:
        chosen = _encoder(connection, options.encoder or profile.saved.encoder, encoders)
        if chosen is not None:
            try:
                volumes = import_module("napari_ct_assistant.backends.server.volumes.loading")
            except ImportError as error:
                if (error.name or "").partition(".")[0] not in ("torch", "transformers"):
                    raise
                raise ServerError(
                    said(
                        "{id}: a volume model is encoded on this computer, which needs {name}: "
                        "pip install torch transformers. Slice models need none",
                        id=connection.model.id,
                        name=error.name,
                    )
                ) from error
            made: Backend = volumes.load(
                connection, chosen, device=device, settings=settings, dtype=dtype
            )
            return made
        slices = import_module("napari_ct_assistant.backends.server.slices.loading")
        made = slices.load(connection, settings=settings)
    except BaseException:
        connection.client.close()
        raise
    return made


def _encoder(connection: Connection, named: str, known: Sequence[Path]) -> Path | None:
    """Return the folder of the encoder that belongs to the server's model; None for other models.

    Raises
    ------
    ServerRefusedError
        If the encoder belongs to another language model.
    ServerError
        If the encoder of a volume model is not on this computer.
    """
    reads, model = connection.profile.saved.reads, connection.model
    origin = connection.profile.address.origin
    digits = hash_in_name(model.id)
    if reads in ("slices", "text") or (not reads and not named and digits is None):
        return None
    if named:
        folder = Path(named).expanduser()
        inner = folder / ENCODER_FOLDER
        folder = inner if (inner / FILE).is_file() else folder
        served = ServedLanguageModel.load(folder)
        if digits is None or not served.sha256.startswith(digits):
            states = f"is {model.id!r}" if digits else f"({model.id!r}) states no hash"
            raise ServerRefusedError(
                said(
                    "{origin}: the encoder in {name}/{name2} belongs to {served_name}, and the "
                    "server's model {states}; nothing was sent",
                    origin=origin,
                    name=folder.parent.name,
                    name2=folder.name,
                    served_name=served.served_name,
                    states=states,
                )
            )
        return folder
    for folder in known:
        if digits is not None and ServedLanguageModel.load(folder).sha256.startswith(digits):
            return folder
    raise ServerError(
        said(
            "{origin}: serves the language model {id}, whose encoder is not on this computer; "
            "give the folder `{encoder_folder}` that `ct-assistant models export-llm` wrote "
            "with --encoder, or in the server's profile",
            origin=origin,
            id=model.id,
            encoder_folder=ENCODER_FOLDER,
        )
    )
