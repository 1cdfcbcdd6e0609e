"""What a person has agreed to send, kept in a file of the user's data folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from platformdirs import user_data_path

from napari_ct_assistant.backends.server.errors import AgreementNeededError, ServerRefusedError
from napari_ct_assistant.backends.server.sending import Sending
from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.translation import said

FOLDER_VARIABLE: Final = "CT_ASSISTANT_DATA"
FILE: Final = "server_agreements.json"
Consent = Literal["ask", "granted", "refused"]


def data_folder() -> Path:
    """Return the folder of what is kept about the user's servers; it need not exist."""
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own).expanduser() if own else user_data_path("napari-ct-assistant", False)


def agreements() -> dict[str, str]:
    """Return what was agreed to, with the time; {} if nothing was, or the file is damaged."""
    try:
        content = json.loads((data_folder() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    known = content if isinstance(content, dict) else {}
    return {str(key): str(time) for key, time in known.items()}


def agree(sending: Sending) -> None:
    """Remember that a person agreed."""
    _write(agreements() | {sending.key: datetime.now(UTC).isoformat(timespec="seconds")})


def withdraw(address: str) -> list[str]:
    """Forget every agreement for an address; return what they were."""
    kept = agreements()
    gone = [
        key for key in kept if key.rpartition(" ")[0] == address or key.startswith(f"{address} ")
    ]
    if gone:
        _write({key: time for key, time in kept.items() if key not in gone})
    return gone


def _write(content: Mapping[str, str]) -> None:
    folder = data_folder()
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)
    text = json.dumps(dict(content), indent=2) + "\n"
    atomic.write_bytes(folder / FILE, text.encode(), private=True)


@dataclass(frozen=True)
class Guard:
    """Decides whether something may be sent to a server.

    Attributes
    ----------
    consent : "ask", "granted" or "refused"
        What the department has fixed; "ask" leaves it to the person at the keyboard.
    agreed : frozenset of str
        Kinds of content that this call was told to send (the command line's options).
    fixed_by : str
        The file that fixed it, for the message of a refusal.
    """

    consent: Consent = "ask"
    agreed: frozenset[str] = field(default_factory=frozenset)
    fixed_by: str = ""

    def check(self, sending: Sending) -> None:
        """Return if it may be sent.

        Raises
        ------
        ServerRefusedError
            If the department does not allow it.
        AgreementNeededError
            If nobody has agreed yet.
        """
        if self.consent == "refused":
            raise ServerRefusedError(
                said(
                    "{address}: {value} does not allow to send {kind} there; choose another model",
                    address=sending.address,
                    value=self.fixed_by or "your department",
                    kind=sending.kind,
                )
            )
        if self.consent == "granted" or sending.kind in self.agreed:
            return
        if sending.key not in agreements():
            raise AgreementNeededError(sending)
