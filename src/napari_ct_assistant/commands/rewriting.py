"""`rewrite`: a text model on a server explains, shortens or sums up a passage of a report."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.terminal.loading import sending_agreed
from napari_ct_assistant.commands.terminal.options import AsJson
from napari_ct_assistant.commands.terminal.output import (
    cancel_on_interrupt,
    end_if_cut,
    end_if_stopped,
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)

MAX_BYTES = 200_000


class Task(StrEnum):
    """What is made of the passage."""

    explain = "explain"
    shorten = "shorten"
    impression = "impression"


def rewrite(
    task: Annotated[Task, typer.Argument(metavar="TASK", help="explain, shorten or impression.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Text file with the passage; - for stdin.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="SERVER",
            help="Address or saved name of a server with a text model. Default: the one that "
            "`rewriting:` in servers.yaml names.",
        ),
    ] = "",
    send_text: Annotated[
        bool, typer.Option("--send-text", help="Agree that the passage is sent to the server.")
    ] = False,
    unencrypted: Annotated[
        bool,
        typer.Option(
            "--unencrypted", help="Use a server whose address is neither https nor this computer."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Explain, shorten or sum up a passage of a report.

    A text model on a server does it. What was added, left out or changed is printed as warnings.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.reading.rewriting import prompt, rewriting_notes
        from napari_ct_assistant.assistant.reading.rewriting_server import rewrite_on_server
        from napari_ct_assistant.backends.server.connection import ServerOptions
        from napari_ct_assistant.backends.server.profiles import find_profile, rewriting_profile

        profile = find_profile(model) if model else rewriting_profile()
        if profile is None:
            raise fail(f"{model or 'no server'}: give --model https://HOST:PORT or a saved name")
        stream = sys.stdin.buffer.read(MAX_BYTES + 1) if str(file) == "-" else file.read_bytes()
        if len(stream) > MAX_BYTES:
            raise fail(f"{file.name}: more than {MAX_BYTES} bytes; is it a passage of a report?")
        passage = stream.decode("utf-8", "replace")
        agreed = {"report text"} if send_text else set()
        options = ServerOptions(
            agreed=frozenset(agreed | ({"unencrypted"} if unencrypted else set()))
        )
        try:
            request = prompt(task.value, passage)
        except ValueError as error:
            raise fail(str(error)) from error
        with cancel_on_interrupt() as cancel, sending_agreed("--send-text"):
            answer = rewrite_on_server(
                profile,
                request,
                on_text=None if as_json else lambda piece: say(piece, line_break=False),
                cancel=cancel,
                options=options,
            )
        notes = rewriting_notes(task.value, passage, answer.text, answer.model)
        if as_json:
            print_json(
                {"text": answer.text, "notes": notes, "model": answer.model.to_json(),
                 "stopped": answer.stopped, "incomplete": answer.incomplete}
            )  # fmt: skip
        else:
            say()
            for line in notes:
                note(f"warning: {line}")
        end_if_stopped(answer.stopped, "the text so far is above")
        end_if_cut(answer.incomplete)
