"""What leaves this computer for a server, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from napari_ct_assistant.support.translation import N_

Kind = Literal["embeddings", "pixel data", "report text", "unencrypted"]

_LINES: Final[dict[Kind, str]] = {
    "embeddings": "the scan, as image embeddings computed from its voxels, and your questions "
    "would be sent there.",
    "pixel data": "slices of the scan, as images, and your questions would be sent there.",
    "report text": "text of the report would be sent there.",
    "unencrypted": "the connection is not encrypted: everybody on the network can read what is "
    "sent.",
}
_DETAILS: Final[dict[Kind, tuple[str, ...]]] = {
    "embeddings": (
        N_(
            "Sent: numbers that the encoder on this computer makes of the voxels (image "
            "embeddings), your questions, the earlier questions and answers about this scan, and "
            "passages of the report that you have rewritten."
        ),
        N_("Embeddings are no picture, but what is in the scan can be inferred from them."),
        N_("Never sent: names, patient numbers, dates or any other field of the files' headers."),
    ),
    "pixel data": (
        N_(
            "Sent: slices of the scan as images, your questions, the earlier questions and answers "
            "about this scan, and passages of the report that you have rewritten."
        ),
        N_(
            "Text that is burned into the slices, and a face in a scan of the head, are part of "
            "them."
        ),
        N_("Never sent: names, patient numbers, dates or any other field of the files' headers."),
    ),
    "report text": (
        N_("Sent: the passage of the report that is to be explained, shortened or summed up."),
        N_("A name that somebody typed into the report is part of it."),
        N_("Never sent: the scan, or any field of the files' headers."),
    ),
    "unencrypted": (
        N_(
            "The address begins with http:// and is not this computer: everybody on the network "
            "between here and there can read and change what is sent."
        ),
        N_("Ask your department for an https:// address, or use an SSH tunnel."),
    ),
}


@dataclass(frozen=True)
class Sending:
    """One kind of content for one address.

    Attributes
    ----------
    address : str
        Scheme, host and port.
    kind : str
    """

    address: str
    kind: Kind

    @property
    def line(self) -> str:
        """What would be sent, as a sentence."""
        return _LINES[self.kind]

    @property
    def details(self) -> tuple[str, ...]:
        """What is sent and what never is, a sentence or two each."""
        return _DETAILS[self.kind]

    @property
    def key(self) -> str:
        """The name under which an agreement is kept."""
        return f"{self.address} {self.kind}"
