"""`journal`: list, show and delete what the panel has saved about the scans read here."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ct_assistant.commands.terminal.options import AsJson
from napari_ct_assistant.commands.terminal.output import fail, one_line_errors, print_json, say

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.journal.pages import Page

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show or delete saved transcripts, drafts and edits.",
)
Key = Annotated[
    str,
    typer.Argument(
        metavar="HASH", help="Hash of the scan, or its first characters. See `journal list`."
    ),
]


@app.command("list")
def list_pages(as_json: AsJson = False) -> None:
    """List the scans that have a journal, newest first."""
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
                            "updated": _updated(page),
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
            say(f"{page.scan[:16]}  {_updated(page)}  {messages} messages, {report}")
        if not pages:
            say("the journal is empty")


@app.command("show")
def show(scan: Key) -> None:
    """Print the transcript and report saved for a scan."""
    with one_line_errors():
        say(_find(scan).text)


@app.command("delete")
def delete(
    scan: Annotated[
        str | None,
        typer.Argument(metavar="HASH", help="Hash of the scan, or its first characters."),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Delete the journal of every scan, and every encoded scan."),
    ] = False,
) -> None:
    """Delete the journal of one scan, or of every scan with --all.

    Encoded scans are deleted with it.
    """
    from napari_ct_assistant.assistant.journal.store import Journal

    with one_line_errors():
        if everything == (scan is not None):
            raise fail(
                "give the hash of one scan, or --all; `ct-assistant journal list` shows the hashes"
            )
        deleted = Journal().delete(None if scan is None else _find(scan).scan)
        say(f"deleted the journal of {deleted} scan{'' if deleted == 1 else 's'}")


def _find(scan: str) -> Page:
    from napari_ct_assistant.assistant.journal.store import Journal

    found = [page for page in Journal().pages() if page.scan.startswith(scan.lower())]
    if not scan or len(found) != 1:
        many = f"{len(found)} hashes begin" if found else "no hash begins"
        raise fail(f"{many} with {scan!r}; `ct-assistant journal list` shows the hashes")
    return found[0]


def _updated(page: Page) -> str:
    return datetime.fromtimestamp(page.updated).astimezone().isoformat(" ", "seconds")
