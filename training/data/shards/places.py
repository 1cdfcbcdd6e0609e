"""Where shards lie: a folder, a server (https), or an object store that fsspec knows (s3, gs)."""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.shards.index import ShardError

# Environment variable with a bearer token for https addresses. Not in the recipe: recipes are
# copied into run folders.
TOKEN = "CT_ASSISTANT_SHARDS_TOKEN"  # noqa: S105  the name of a variable
LOOPBACK = ("127.0.0.1", "::1", "localhost")
TRIES = 6
LONGEST_PAUSE = 300.0

Result = TypeVar("Result")


class Place(Protocol):
    """A folder of files that are read by byte range."""

    shown: str

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Return `size` bytes of a file from `start`; by default the whole file.

        Raises
        ------
        ShardError
            If the file is not there, is too short or cannot be reached; one line.
        """
        ...

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None if it is not there."""
        ...


def open_place(address: str, root: Path) -> Place:
    """Return where shards lie; an address without "://" is a folder, relative to `root`.

    Raises
    ------
    RecipeError
        If the address cannot be used.
    """
    if "://" not in address:
        return FolderPlace(root / address)
    if address.partition("://")[0] in ("http", "https"):
        return HttpPlace(address, os.environ.get(TOKEN, ""))
    return FsspecPlace(address)


class FolderPlace:
    """A folder on a local or shared disk."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.shown = str(folder)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Return bytes of a file; see `Place`."""
        try:
            with (self.folder / name).open("rb") as stream:
                stream.seek(start)
                content = stream.read() if size is None else stream.read(size)
        except FileNotFoundError:
            raise _absent(self.shown, name) from None
        if size is not None and len(content) < size:
            raise _short(self.shown, name, start + size)
        return content

    def size(self, name: str) -> int | None:
        """Return a file's size; see `Place`."""
        try:
            return (self.folder / name).stat().st_size
        except FileNotFoundError:
            return None


class _Refused(Exception):  # noqa: N818  never seen outside this file
    """A server that asks for a later try; pause: the seconds that it asks for."""

    def __init__(self, reason: str, pause: float | None = None):
        super().__init__(reason)
        self.pause = pause


def _patiently(
    ask: Callable[[], Result],
    file: str,
    what: str,
    tries: int,
    pause: float,
    sleep: Callable[[float], None],
) -> Result:
    """Ask again while the answer is `_Refused`, after a pause that doubles or is asked for."""
    for attempt in range(1, tries + 1):
        try:
            return ask()
        except _Refused as refused:
            if attempt == tries:
                raise ShardError(
                    f"{file}: {refused}, after {attempt} tries; run the command again to resume "
                    f"when the {what} is there"
                ) from None
            wait = pause * random.uniform(1, 1.5) if refused.pause is None else refused.pause
            sleep(min(wait, LONGEST_PAUSE))
            pause *= 2
    raise AssertionError  # pragma: no cover


class HttpPlace:
    """A folder on a web server or object store that serves byte ranges.

    Only the host of the address is talked to: a redirect to another address is an error.

    Parameters
    ----------
    address
        Its query, such as the SAS token of an Azure container, is added to each file's address
        and never shown.
    token
        Sent as a bearer token. Over plain http it goes to this machine only.
    tries
        How often a file is asked for if the server is busy (429), fails (5xx) or is unreachable.
    pause
        Seconds before the second try, doubled before each further one. A pause that the server
        asks for takes precedence.
    """

    def __init__(
        self,
        address: str,
        token: str = "",
        *,
        tries: int = TRIES,
        pause: float = 0.5,
        timeout: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ):
        parts = urlsplit(address)
        if not parts.hostname or parts.username or parts.password:
            raise RecipeError(
                f"data.shards: {parts.scheme}://{parts.hostname or ''}: give https://HOST/FOLDER "
                f"without user or password; a token is read from {TOKEN}"
            )
        self.local = parts.hostname in LOOPBACK
        if token and parts.scheme == "http" and not self.local:
            raise RecipeError(
                f"data.shards: {TOKEN} would be sent unencrypted to {parts.hostname}; use https"
            )
        self._parts = parts._replace(path=parts.path.rstrip("/"), fragment="")
        self.shown = urlunsplit(self._parts._replace(query=""))
        self._token = token
        self._tries, self._pause, self._timeout, self._sleep = tries, pause, timeout, sleep
        self._client: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Return bytes of a file; see `Place`."""
        return self._patiently(name, lambda: self._get(name, start, size)[0])

    def size(self, name: str) -> int | None:
        """Return a file's size; see `Place`."""
        try:
            return self._patiently(name, lambda: self._get(name, 0, 1)[1])
        except _AbsentError:
            return None

    def _get(self, name: str, start: int, size: int | None) -> tuple[bytes, int]:
        """Return bytes of a file and the size of the whole file."""
        import httpx

        headers = {"Accept-Encoding": "identity"}
        if size is not None:
            headers["Range"] = f"bytes={start}-{start + size - 1}"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url = urlunsplit(self._parts._replace(path=f"{self._parts.path}/{name}"))
        try:
            with self._connection().stream("GET", url, headers=headers) as answer:
                self._check(name, answer.status_code, answer.headers, size, start)
                body = answer.read()
                total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        except httpx.TransportError as error:
            raise _Refused(f"{type(error).__name__}: {error}" if str(error) else "no answer") from (
                error
            )
        whole = int(total) if total.isdigit() else len(body)
        if size is not None and len(body) != size:
            if whole < start + size:
                raise _short(self.shown, name, start + size)
            raise _Refused(f"{len(body)} bytes came instead of {size}")
        return body, whole

    def _check(self, name: str, status: int, headers: Any, size: int | None, start: int) -> None:
        if status in (408, 425, 429) or status >= 500:
            asked = headers.get("Retry-After", "")
            raise _Refused(f"HTTP {status}", float(asked) if asked.isdigit() else None)
        if status == 416:
            raise _short(self.shown, name, start + (size or 0))
        if status in (404, 410):
            raise _absent(self.shown, name)
        if status in (401, 403):
            raise ShardError(
                f"{self.shown}/{name}: refused (HTTP {status}); check the address and the token in "
                f"{TOKEN}"
            )
        if status in (301, 302, 303, 307, 308):
            host = urlsplit(headers.get("Location", "")).hostname or "another address"
            raise ShardError(
                f"{self.shown}/{name}: redirected to {host}, which the recipe does not name; set "
                "data.shards to the final address"
            )
        if size is not None and status == 200:
            raise ShardError(
                f"{self.shown}: the server ignores byte ranges, which shards are read by; use an "
                "object store, nginx or Apache, or copy the shards to a folder"
            )
        if status not in (200, 206):
            raise ShardError(f"{self.shown}/{name}: HTTP {status}; check the address")

    def _patiently(self, name: str, ask: Callable[[], Result]) -> Result:
        return _patiently(
            ask, f"{self.shown}/{name}", "server", self._tries, self._pause, self._sleep
        )

    def _connection(self) -> Any:
        """Return this process's connections: loader processes are forked and need their own."""
        import httpx

        if self._client is None or self._client[0] != os.getpid():
            # A proxy of the environment is not asked for this machine's own server.
            client = httpx.Client(timeout=self._timeout, trust_env=not self.local)
            weakref.finalize(self, client.close)
            self._client = (os.getpid(), client)
        return self._client[1]


class FsspecPlace:
    """A folder of any store that fsspec reads: s3://, gs://, az://, hf://.

    Its package (s3fs, gcsfs, adlfs) takes the credentials from where it usually does.
    """

    def __init__(
        self,
        address: str,
        *,
        tries: int = TRIES,
        pause: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.address = address.rstrip("/")
        self.shown = self.address.partition("?")[0]
        self._tries, self._pause, self._sleep = tries, pause, sleep
        self._fs: tuple[int, Any, str] | None = None
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fs": None}

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Return bytes of a file; see `Place`."""
        end = None if size is None else start + size
        content: bytes = self._patiently(name, lambda fs, path: fs.cat_file(path, start, end))
        if size is not None and len(content) < size:
            raise _short(self.shown, name, start + size)
        return content

    def size(self, name: str) -> int | None:
        """Return a file's size; see `Place`."""
        try:
            return int(self._patiently(name, lambda fs, path: fs.info(path)["size"]))
        except _AbsentError:
            return None

    def _patiently(self, name: str, ask: Callable[[Any, str], Result]) -> Result:
        def once() -> Result:
            fs, folder = self._open()
            try:
                return ask(fs, f"{folder}/{name}")
            except FileNotFoundError:
                raise _absent(self.shown, name) from None
            except PermissionError as error:
                raise ShardError(
                    f"{self.shown}/{name}: refused ({error}); check address and credentials"
                ) from None
            except OSError as error:
                raise _Refused(str(error)) from None

        return _patiently(
            once, f"{self.shown}/{name}", "store", self._tries, self._pause, self._sleep
        )

    def _open(self) -> tuple[Any, str]:
        if self._fs is None or self._fs[0] != os.getpid():
            scheme = self.address.partition("://")[0]
            try:
                from fsspec.core import url_to_fs

                fs, folder = url_to_fs(self.address)
            except ImportError:
                package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs"}
                needed = package.get(scheme, f"the fsspec package for {scheme}")
                raise RecipeError(f"data.shards: {scheme}:// needs: pip install {needed}") from None
            except ValueError:
                raise RecipeError(
                    f"data.shards: {scheme}:// is no address that is known; give a folder, "
                    "https://, s3:// or another address of fsspec"
                ) from None
            self._fs = (os.getpid(), fs, folder.rstrip("/"))
        return self._fs[1], self._fs[2]


class _AbsentError(ShardError):
    """A file that is not there."""


def _absent(place: str, name: str) -> _AbsentError:
    return _AbsentError(f"{place}/{name}: not there; copy it again, or check data.shards")


def _short(place: str, name: str, end: int) -> ShardError:
    return ShardError(
        f"{place}/{name}: shorter than the {end} bytes that are needed of it; copy it again, or "
        "run ct-assistant prepare --shards --verify where the shards are written"
    )
