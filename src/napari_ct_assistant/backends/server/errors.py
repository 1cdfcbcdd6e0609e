"""What goes wrong with a server: one line each, and the same question can be sent again."""

from __future__ import annotations

from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said


class ServerError(CTAssistantError, ValueError):
    """A server that cannot be used. The message holds neither the key nor anything of a scan."""


class ServerRefusedError(ServerError):
    """An address or a model that this computer does not talk to."""


class AgreementNeededError(ServerError):
    """Something would leave this computer for the first time, and nobody has agreed to it yet.

    Attributes
    ----------
    sending : Sending
        What, and to which address.
    """

    def __init__(self, sending: Sending) -> None:
        self.sending = sending
        super().__init__(
            said(
                "{address}: {line} Nobody has agreed to that on this computer yet; nothing was "
                "sent.",
                address=sending.address,
                line=sending.line,
            )
        )
