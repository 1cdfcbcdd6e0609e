"""API keys, in the system's keyring alone: no file of ours holds one."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.support.translation import said

SERVICE: Final = "napari-ct-assistant"


def find_key(address: str) -> str:
    """Return the key for an address; "" without one, or without a keyring."""
    try:
        import keyring
    except ModuleNotFoundError:
        return ""
    with suppress(Exception):  # a locked or missing keyring: the server says if it wants a key
        return keyring.get_password(SERVICE, address) or ""
    return ""


def store_key(address: str, key: str) -> None:
    """Keep a key for an address; "" removes it.

    Raises
    ------
    ServerError
        If there is no keyring, or it refuses.
    """
    backend = _keyring()
    try:
        if key:
            backend.set_password(SERVICE, address, key)
        elif backend.get_password(SERVICE, address):
            backend.delete_password(SERVICE, address)
    except Exception as error:
        raise ServerError(
            said(
                "{address}: the system's keyring does not take the key ({name}); unlock it, or "
                "install one",
                address=address,
                name=type(error).__name__,
            )
        ) from error


def _keyring() -> Any:
    try:
        import keyring
    except ModuleNotFoundError as error:
        raise ServerError(
            said("keys are kept by the package keyring: pip install 'napari-ct-assistant[remote]'")
        ) from error
    return keyring
