"""The address of a server, and the model on it: `https://gpu1:8000` or `https://gpu1:8000#NAME`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from napari_ct_assistant.backends.server.errors import ServerRefusedError
from napari_ct_assistant.support.translation import said


@dataclass(frozen=True)
class ServerAddress:
    """Where a server is.

    Attributes
    ----------
    scheme : "https" or "http"
    host : str
    port : int or None
    path : str
        What comes before `/v1`; usually "".
    model : str
        The model on it; "" where it has only one.
    """

    scheme: str
    host: str
    port: int | None = None
    path: str = ""
    model: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host, port and path: what agreements and keys are kept for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this computer itself."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Whether nobody on a network can read along: https, or this computer itself."""
        return self.scheme == "https" or self.is_loopback


def is_address(model: object) -> bool:
    """Return whether what a user named as a model is the address of a server."""
    return str(model).lower().startswith(("https://", "http://"))


def read_address(text: str) -> ServerAddress:
    """Return the address that a text holds.

    Raises
    ------
    ServerRefusedError
        If it is none, or holds a user name or a password.
    """
    shown = text.split("#")[0].rpartition("@")[2][:80]
    try:
        parts = urlsplit(text.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise ServerRefusedError(
            said("{shown}: no address; write https://HOST:PORT", shown=shown)
        ) from error
    if parts.scheme not in ("http", "https") or not host or not host.isprintable():
        raise ServerRefusedError(said("{shown}: no address; write https://HOST:PORT", shown=shown))
    if parts.username is not None or parts.password is not None:
        raise ServerRefusedError(
            said(
                "{shown}: a user name or password in an address ends up in files; store the "
                "key with `ct-assistant servers key`",
                shown=shown,
            )
        )
    if parts.query:
        raise ServerRefusedError(
            said("{shown}: an address has no `?`; write https://HOST:PORT", shown=shown)
        )
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return ServerAddress(parts.scheme, host, port, path, parts.fragment)
