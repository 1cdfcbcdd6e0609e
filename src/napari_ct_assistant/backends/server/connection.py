"""Connect to a server and choose the model on it. Nothing of a scan is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_ct_assistant.backends.server.agreements import Guard, agreements
from napari_ct_assistant.backends.server.client import ModelOnServer, ServerClient
from napari_ct_assistant.backends.server.errors import AgreementNeededError, ServerError
from napari_ct_assistant.backends.server.keys import find_key
from napari_ct_assistant.backends.server.profiles import Profile
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.support.translation import said


@dataclass(frozen=True)
class ServerOptions:
    """What one call says about a server, besides its profile.

    Attributes
    ----------
    encoder : str
        Folder with the encoder of a volume model; the profile's when "".
    agreed : frozenset of str
        Kinds of content that may be sent without asking (`sending.Kind`).
    """

    encoder: str = ""
    agreed: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, eq=False)
class Connection:
    """A server that answered, and the model that is used on it.

    Attributes
    ----------
    profile : Profile
    client : ServerClient
    model : ModelOnServer
    engine : str
        Such as "vLLM 0.32.0"; "" if the server does not say.
    guard : Guard
    """

    profile: Profile
    client: ServerClient
    model: ModelOnServer
    engine: str
    guard: Guard


def connect(profile: Profile, options: ServerOptions) -> Connection:
    """Connect to a server; nothing of a scan is sent.

    Raises
    ------
    ServerRefusedError
        If the department does not allow it.
    AgreementNeededError
        If the connection is not encrypted and nobody has agreed to that.
    ServerError
        If there is no answer, or the model is not there.
    """
    address, saved = profile.address, profile.saved
    guard = Guard(saved.consent, options.agreed, profile.fixed_by)
    if saved.consent == "refused":
        guard.check(Sending(address.origin, "embeddings"))
    if not address.is_private and not saved.unencrypted:
        sending = Sending(address.origin, "unencrypted")
        if sending.kind not in options.agreed and sending.key not in agreements():
            raise AgreementNeededError(sending)
    client = ServerClient(address, find_key(address.origin), saved.timeout)
    try:
        model = _choose(client.models(), address.model, address.origin)
        version = client.version()
    except BaseException:
        client.close()
        raise
    return Connection(profile, client, model, f"vLLM {version}" if version else "", guard)


def _choose(models: Sequence[ModelOnServer], wanted: str, origin: str) -> ModelOnServer:
    names = ", ".join(model.id[:80] for model in models[:8])
    if wanted:
        found = next((model for model in models if model.id == wanted), None)
        if found is None:
            raise ServerError(
                said(
                    "{origin}: serves no {wanted}; it serves {value}",
                    origin=origin,
                    wanted=repr(wanted),
                    value=names or "no model",
                )
            )
        return found
    if len(models) != 1:
        raise ServerError(
            said(
                "{origin}: serves {names}; add the name of one: {origin}#NAME",
                origin=origin,
                names=names,
            )
            if models
            else said("{origin}: serves no model", origin=origin)
        )
    return models[0]
