"""The salt of a server's prefix cache: another for each user and each scan.

The server computes what requests have in common once. With a salt, only requests of the same user
about the same scan share it, so that nobody can find out by timing what others have sent.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from napari_ct_assistant.backends.server.agreements import data_folder
from napari_ct_assistant.support import atomic

FILE: Final = "server_salt"
_BYTES: Final = 32


def cache_salt(scan: str) -> str:
    """Return the salt for a scan, given the hash of its voxels."""
    return hmac.new(_secret(), scan.encode(), hashlib.sha256).hexdigest()


def _secret() -> bytes:
    """Return the user's secret; one for this process alone where no file can be written."""
    file = data_folder() / FILE
    try:
        kept = file.read_bytes()
        if len(kept) == _BYTES:
            return kept
    except OSError:
        pass
    made = secrets.token_bytes(_BYTES)
    try:
        file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        atomic.write_bytes(file, made, private=True)
    except OSError:
        return _OF_THIS_PROCESS
    return made


_OF_THIS_PROCESS: Final = secrets.token_bytes(_BYTES)
