"""An encoder on this computer, and the language model on a server that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from napari_ct_assistant.backends.server.agreements import Guard
from napari_ct_assistant.backends.server.client import ServerClient
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.backends.volume_language.loaded_model import LoadedModel
from napari_ct_assistant.model.conversion.served import ServedLanguageModel


@dataclass(frozen=True, eq=False)
class ServedVolumeModel(LoadedModel):
    """A `LoadedModel` whose `model` is the encoder alone.

    Attributes
    ----------
    client : ServerClient
    served : ServedLanguageModel
        What the encoder belongs to.
    served_name : str
        The model's name on the server.
    window : int
        Tokens that the server lets prompt and answer have; 0 if it does not say.
    guard : Guard
    """

    client: ServerClient = field(kw_only=True)
    served: ServedLanguageModel = field(kw_only=True)
    served_name: str = field(kw_only=True)
    window: int = field(kw_only=True, default=0)
    guard: Guard = field(kw_only=True, default_factory=Guard)

    @property
    def dtype(self) -> torch.dtype:
        """In which the server takes embeddings."""
        found: Any = getattr(torch, self.served.dtype)
        return found

    def check_agreed(self) -> None:
        """Raise `AgreementNeededError` if nobody has agreed to send embeddings there."""
        self.guard.check(Sending(self.client.address.origin, "embeddings"))
