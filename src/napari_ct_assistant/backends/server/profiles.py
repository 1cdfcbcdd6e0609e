"""Saved servers: a department's file and the user's own, `servers.yaml`.

    servers:
      gpu1:
        address: https://gpu1:8000
        encoder: /srv/models/e3d-gpt/encoder

A department's file is named by `CT_ASSISTANT_SERVERS`, or lies in the site's configuration folder.
What it says of a name or an address holds over the user's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from platformdirs import site_config_path, user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_ct_assistant.backends.server.address import ServerAddress, is_address, read_address
from napari_ct_assistant.backends.server.agreements import Consent
from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.support.yaml_models import explain, read_yaml

SITE_VARIABLE: Final = "CT_ASSISTANT_SERVERS"
USER_VARIABLE: Final = "CT_ASSISTANT_CONFIG"
FILE: Final = "servers.yaml"
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Reads = Literal["", "volumes", "slices", "text"]


class SavedServer(BaseModel):
    """An entry of a file.

    Attributes
    ----------
    address : str
        `https://HOST:PORT`.
    model : str
        Its name there; "" where the server has only one.
    reads : "volumes", "slices", "text" or ""
        "" finds out.
    encoder : str
        Folder with the encoder of a volume model.
    revision : str
        Of the model, for the provenance, where the server does not say.
    preset : str
        How slices are chosen and shown to a slice model.
    consent : "ask", "granted" or "refused"
        Whether scans may be sent; heeded in a department's file alone.
    unencrypted : bool
        Use an address that is neither https nor this computer; as `consent`.
    timeout : float
        Seconds of silence after which the server counts as dead.
    """

    model_config = ConfigDict(extra="forbid")

    address: str
    model: str = ""
    reads: Reads = ""
    encoder: str = ""
    revision: str = ""
    preset: str = ""
    consent: Consent = "ask"
    unencrypted: bool = False
    timeout: float = Field(120.0, gt=0, le=3600)

    @field_validator("address")
    @classmethod
    def _an_address(cls, text: str) -> str:
        if read_address(text).model:
            raise ValueError("write the model's name as `model:`")
        return text


class ServersFile(BaseModel):
    """The content of a file.

    Attributes
    ----------
    servers : dict of name to entry
    consent : "ask", "granted" or "refused"
        Of a department's file, for every address that it does not name.
    rewriting : str
        Name or address of the server whose text model explains, shortens and sums up passages of
        reports; "" leaves that to the model that read the scan.
    """

    model_config = ConfigDict(extra="forbid")

    servers: dict[str, SavedServer] = Field(default_factory=dict)
    consent: Consent = "ask"
    rewriting: str = ""

    @field_validator("servers")
    @classmethod
    def _names(cls, servers: dict[str, SavedServer]) -> dict[str, SavedServer]:
        for name in servers:
            if not re.match(NAME, name) or name == "demo":
                raise ValueError(f"{name!r} is no name for a server; use letters, digits, - and .")
        return servers


@dataclass(frozen=True)
class Profile:
    """A server as it is used.

    Attributes
    ----------
    name : str
        "" for an address that was not saved.
    address : ServerAddress
    saved : SavedServer
    fixed_by : str
        The department's file where it decides; "" otherwise.
    """

    name: str
    address: ServerAddress
    saved: SavedServer
    fixed_by: str = ""


def user_file() -> Path:
    """Return the user's own file; it need not exist."""
    own = os.environ.get(USER_VARIABLE)
    return (
        Path(own).expanduser() if own else user_config_path("napari-ct-assistant", False)
    ) / FILE


def site_file() -> Path:
    """Return the department's file; it need not exist."""
    named = os.environ.get(SITE_VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(site_config_path("napari-ct-assistant", False)) / FILE


def read_servers(file: Path) -> ServersFile:
    """Read a file; an empty one if it does not exist.

    Raises
    ------
    YamlFileError
        If it is no YAML.
    ServerError
        One line with file, line and key if something in it is wrong.
    """
    if not file.exists():
        return ServersFile()
    content = read_yaml(file)
    try:
        return ServersFile.model_validate({} if content.values is None else content.values)
    except ValidationError as error:
        problem = explain(error, ServersFile)[0]
        raise ServerError(content.locate(problem.keys, problem.message)) from error


def profiles() -> Iterator[Profile]:
    """Yield the saved servers: the department's first, then the user's own."""
    site = site_file()
    if os.environ.get(SITE_VARIABLE) and not site.is_file():
        raise ServerError(
            said(
                "{name}: {site_variable} names it, and it is not there",
                name=site.name,
                site_variable=SITE_VARIABLE,
            )
        )
    fixed = read_servers(site).servers
    for name, saved in fixed.items():
        yield _profile(name, saved, site.name)
    for name, saved in read_servers(user_file()).servers.items():
        if name not in fixed:
            yield _under_the_department(_profile(name, saved))


def find_profile(model: str) -> Profile | None:
    """Return the server that a name or an address stands for; None for another model.

    An address of a saved server has that server's settings.
    """
    known = list(profiles())
    if not is_address(model):
        return next((one for one in known if one.name == model), None)
    address = read_address(model)
    for one in known:
        if one.address.origin == address.origin and address.model in ("", one.address.model):
            return one
    return _under_the_department(
        Profile("", address, SavedServer(address=address.origin, model=address.model))
    )


def rewriting_profile() -> Profile | None:
    """Return the server that rewrites text; None if the model that read the scan does."""
    named = read_servers(site_file()).rewriting or read_servers(user_file()).rewriting
    if not named:
        return None
    found = find_profile(named)
    if found is None:
        raise ServerError(
            said(
                "rewriting: {named} is no saved server; see `ct-assistant servers list`",
                named=repr(named),
            )
        )
    return found


def save_profile(name: str, saved: SavedServer) -> Path:
    """Add a server to the user's own file, or replace it there; return the file."""
    file = user_file()
    content = read_servers(file)
    servers = {n: s.model_dump() for n, s in {**content.servers, name: saved}.items()}
    _write(file, ServersFile.model_validate({**content.model_dump(), "servers": servers}))
    return file


def remove_profile(name: str) -> bool:
    """Remove a server from the user's own file; return whether it was there."""
    file = user_file()
    content = read_servers(file)
    if name not in content.servers:
        return False
    rest = {n: saved for n, saved in content.servers.items() if n != name}
    _write(file, content.model_copy(update={"servers": rest}))
    return True


def _write(file: Path, content: ServersFile) -> None:
    plain: dict[str, Any] = content.model_dump(exclude_defaults=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(file, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _profile(name: str, saved: SavedServer, fixed_by: str = "") -> Profile:
    address = replace(read_address(saved.address), model=saved.model)
    return Profile(name, address, saved, fixed_by)


def _under_the_department(profile: Profile) -> Profile:
    """Return a profile with what the department has fixed for its address.

    A user's own file cannot grant what a person has to be asked for.
    """
    site = site_file()
    content = read_servers(site)
    of_site = next(
        (
            saved
            for saved in content.servers.values()
            if read_address(saved.address).origin == profile.address.origin
        ),
        None,
    )
    consent: Consent = content.consent if of_site is None else of_site.consent
    unencrypted = of_site is not None and of_site.unencrypted
    saved = profile.saved.model_copy(update={"consent": consent, "unencrypted": unencrypted})
    return replace(profile, saved=saved, fixed_by=site.name if consent != "ask" else "")
