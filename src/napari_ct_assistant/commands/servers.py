"""`servers`: the servers that run models, what may be sent to them, and their keys."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.terminal.loading import sending_agreed
from napari_ct_assistant.commands.terminal.options import AsJson
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)


class Reads(StrEnum):
    """What a model on a server reads."""

    volumes = "volumes"
    slices = "slices"
    text = "text"


app = typer.Typer(
    help="Servers that run models: save, check, keys, agreements.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a saved server.")]
Server = Annotated[
    str, typer.Argument(metavar="SERVER", help="Name of a saved server, or an address.")
]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Address: https://HOST:PORT.")]


@app.command("list")
def list_servers(as_json: AsJson = False) -> None:
    """List the saved servers, and what may be sent to them.

    Nothing is connected.
    """
    with one_line_errors():
        from napari_ct_assistant.backends.server.agreements import agreements
        from napari_ct_assistant.backends.server.profiles import profiles

        agreed = agreements()
        rows = [
            {
                "name": profile.name,
                "address": profile.address.origin,
                **profile.saved.model_dump(exclude={"address"}),
                "fixed_by": profile.fixed_by,
                "agreed": sorted(
                    key.removeprefix(f"{profile.address.origin} ")
                    for key in agreed
                    if key.startswith(f"{profile.address.origin} ")
                ),
            }
            for profile in profiles()
        ]
        if as_json:
            print_json({"servers": rows})
            return
        for row in rows:
            say(f"{row['name']}  {row['address']}")
            for key in ("model", "reads", "encoder", "preset", "fixed_by"):
                if row[key]:
                    say(f"    {key.replace('_', ' ')}: {row[key]}")
            say(f"    may be sent: {_may_be_sent(row['consent'], row['agreed'])}")


def _may_be_sent(consent: str, agreed: list[str]) -> str:
    if consent == "ask":
        return ", ".join(agreed) or "nothing yet; the panel asks, and --send-scan agrees"
    return "everything (fixed)" if consent == "granted" else "nothing (fixed)"


@app.command("add")
def add_server(
    name: Name,
    address: Address,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="Its name there, if there are several."
        ),
    ] = "",
    reads: Annotated[
        Reads | None,
        typer.Option("--reads", help="What the model reads. Default: found out."),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option("--encoder", metavar="FOLDER", help="Encoder of a volume model."),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="PRESET",
            help="Slice preset of a slice model: a name or a YAML file.",
        ),
    ] = "",
    revision: Annotated[
        str,
        typer.Option(
            "--revision", metavar="TEXT", help="The model's revision, for the provenance."
        ),
    ] = "",
) -> None:
    """Save a server under a name, for --model and the panel.

    Nothing is connected.
    """
    with one_line_errors():
        from pydantic import ValidationError

        from napari_ct_assistant.backends.server.address import read_address
        from napari_ct_assistant.backends.server.profiles import SavedServer, save_profile

        read_address(address)
        try:
            saved = SavedServer(
                address=address,
                model=model,
                reads="" if reads is None else reads.value,
                encoder="" if encoder is None else str(encoder.expanduser().resolve()),
                preset=preset,
                revision=revision,
            )
            file = save_profile(name, saved)
        except ValidationError as error:
            raise fail(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
        say(str(file))


@app.command("remove")
def remove_server(name: Name) -> None:
    """Forget a saved server and what may be sent there.

    Its key stays in the keyring.
    """
    with one_line_errors():
        from napari_ct_assistant.backends.server.agreements import withdraw
        from napari_ct_assistant.backends.server.profiles import find_profile, remove_profile

        profile = find_profile(name)
        if not remove_profile(name):
            raise fail(f"{name}: no server of that name among your own; see `servers list`")
        if profile is not None:
            withdraw(profile.address.origin)


@app.command("check")
def check_server(
    server: Server,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Connect without encryption.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Connect to a server and print what it runs.

    Nothing of a scan is sent.
    """
    with one_line_errors():
        from napari_ct_assistant.backends.server.connection import ServerOptions, connect
        from napari_ct_assistant.backends.server.profiles import find_profile

        profile = find_profile(server)
        if profile is None:
            raise fail(f"{server}: no saved server; see `servers list`, or give https://HOST:PORT")
        agreed = frozenset({"unencrypted"} if unencrypted else ())
        with sending_agreed():
            connection = connect(profile, ServerOptions(agreed=agreed))
        model = connection.model
        connection.client.close()
        if as_json:
            print_json(
                {
                    "address": profile.address.origin,
                    "model": model.id,
                    "root": model.root,
                    "max_model_len": model.max_model_len,
                    "engine": connection.engine,
                }
            )
            return
        say(f"{profile.address.origin}  {connection.engine or 'unknown engine'}")
        say(f"    {model.id}")
        if model.max_model_len:
            say(f"    at most {model.max_model_len:,} tokens for scan, questions and answer")


@app.command("key")
def store_server_key(
    address: Address,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the stored key.")] = False,
) -> None:
    """Store the API key for an address in the system's keyring.

    It is asked for, and not shown while it is typed.
    """
    with one_line_errors():
        from napari_ct_assistant.backends.server.address import read_address
        from napari_ct_assistant.backends.server.keys import store_key

        origin = read_address(address).origin
        key = "" if remove else typer.prompt("API key", hide_input=True, err=True).strip()
        store_key(origin, key)
        note(f"{origin}: key {'removed' if remove else 'stored'}")


@app.command("withdraw")
def withdraw_agreement(address: Address) -> None:
    """Withdraw the agreement to send anything to an address.

    The panel then asks again.
    """
    with one_line_errors():
        from napari_ct_assistant.backends.server.address import read_address
        from napari_ct_assistant.backends.server.agreements import withdraw

        origin = read_address(address).origin
        gone = withdraw(origin)
        note(f"{origin}: {len(gone)} agreement(s) withdrawn")
