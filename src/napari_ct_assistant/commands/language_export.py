"""`models export-llm`: the language model of a model folder, for a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ct_assistant.commands.models.files import WeightType, torch_dtype
from napari_ct_assistant.commands.terminal.options import AsJson, ModelArgument
from napari_ct_assistant.commands.terminal.output import note, one_line_errors, print_json, say
from napari_ct_assistant.commands.terminal.progress import byte_progress


def export_llm(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    dtype: Annotated[
        WeightType | None,
        typer.Option(help="Convert the language model to this type. Default: keep its type."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the language model of a model for a server.

    OUT is for the server, as vLLM loads it. OUT/encoder is for the workstations: it holds the
    hash of the language model, and no other is talked to. The logits of what was written are
    compared with the model's. The lines that serve it on one GPU, several GPUs and two machines
    are printed.
    """
    with one_line_errors():
        from napari_ct_assistant.assistant.models.installed import find_model
        from napari_ct_assistant.backends.model_info import shown_name
        from napari_ct_assistant.model.conversion.language_export import (
            export_language_model,
            serve_lines,
        )

        with byte_progress() as show:
            made = export_language_model(
                find_model(model),
                out.expanduser().resolve(),
                shown_name(model),
                dtype=torch_dtype(dtype),
                progress=lambda _, written, total: show(written, total),
            )
        lines = serve_lines(made)
        if as_json:
            print_json(
                {
                    "path": str(made.folder),
                    "encoder": str(made.encoder),
                    "served_name": made.served.served_name,
                    "sha256": made.served.sha256,
                    "dtype": made.served.dtype,
                    "largest_difference_of_a_logit": made.difference,
                    "serve": [{"on": title, "commands": commands} for title, commands in lines],
                }
            )
            return
        say(str(made.folder))
        note(f"largest difference of a logit: {made.difference:.3g}")
        for title, commands in lines:
            say(f"\n{title}:")
            for command in commands:
                say(f"  {command}")
        say(f"\nFor the workstations: {made.encoder}")
        say(
            "  ct-assistant servers add NAME https://HOST:PORT --encoder FOLDER\n"
            "  ct-assistant report SCAN --model NAME --send-scan"
        )
        note(
            "vLLM takes embeddings from everybody who can reach it: let it listen on this machine "
            "only, and put a proxy with TLS and keys before it (docs/server.md)"
        )
