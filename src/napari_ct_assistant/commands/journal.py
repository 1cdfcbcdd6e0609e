"""`journal`: what the panel keeps on this computer about the scans that were read, and its end."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ct_assistant.commands.terminal import AsJson, fail, one_line_errors, print_json

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.journal.store import Page

app = typer.Typer(
    no_args_is_help=True,
    help="What the panel keeps of transcripts, drafts and edits, under a hash of the scan.",
)
Key = Annotated[str, typer.Argument(help="The scan's hash, or its first characters; see `list`.")]


@app.command("list")
def list_pages(as_json: AsJson = False) -> None:
    """List the scans that something is kept of, the newest first."""
    from napari_ct_assistant.assistant.journal.store import Journal

    with one_line_errors():
        journal = Journal()
        pages = journal.pages()
        if as_json:
            print_json(
                {
                    "file": journal.path.name,
                    "scans": [
                        {
                            "scan": page.scan,
                            "updated": _when(page),
                            "messages": len(page.body.get("transcript") or ()),
                            "report": bool(page.body.get("report")),
                        }
                        for page in pages
                    ],
                }
            )
            return
        for page in pages:
            messages = len(page.body.get("transcript") or ())
            report = "a report" if page.body.get("report") else "no report"
            typer.echo(f"{page.scan[:16]}  {_when(page)}  {messages} messages, {report}")
        if not pages:
            typer.echo("the journal is empty")


@app.command("show")
def show(scan: Key) -> None:
    """Print what is kept of a scan."""
    with one_line_errors():
        typer.echo(_find(scan).text)


@app.command("delete")
def delete(
    scan: Annotated[
        str | None, typer.Argument(help="The scan's hash, or its first characters.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all of it.")] = False,
) -> None:
    """Delete what is kept of a scan, or everything with --all."""
    from napari_ct_assistant.assistant.journal.store import Journal

    with one_line_errors():
        if everything == (scan is not None):
            raise fail(
                "give the hash of one scan, or --all; `ct-assistant journal list` names them"
            )
        gone = Journal().delete(None if scan is None else _find(scan).scan)
        typer.echo(f"deleted the journal of {gone} scan{'' if gone == 1 else 's'}")


def _find(scan: str) -> Page:
    from napari_ct_assistant.assistant.journal.store import Journal

    found = [page for page in Journal().pages() if page.scan.startswith(scan.lower())]
    if not scan or len(found) != 1:
        many = f"{len(found)} scans begin" if found else "no scan begins"
        raise fail(f"{many} with {scan!r}; `ct-assistant journal list` names them")
    return found[0]


def _when(page: Page) -> str:
    return datetime.fromtimestamp(page.updated).astimezone().isoformat(" ", "seconds")
