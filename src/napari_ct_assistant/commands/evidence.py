"""`evidence`: is what a model's sentences are tied to where the finding is?"""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ct_assistant.commands.extras import training_extra
from napari_ct_assistant.commands.terminal import (
    AsJson,
    Device,
    fail,
    load_model,
    load_options,
    note,
    one_line_errors,
    print_json,
)
from napari_ct_assistant.commands.training import _seed_range, in_words


def evidence(
    model: Annotated[
        str, typer.Argument(help="A bundled name, a local folder or a hub id.")
    ] = "demo",
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="A:B", help="Phantoms A to B - 1; training used none.")
    ] = "0:40",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Also measure this way to make a heat map: encoder gradient, attention rollout, "
            "occlusion. Can be given several times.",
        ),
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether a model's evidence is right.

    On phantoms it was not trained on: does the hottest place lie in the finding, does a wrong
    sentence get less support than a true one?
    """
    with one_line_errors(), training_extra():
        first, end = _seed_range(seeds)
        from napari_ct_assistant.training.evaluation.audit.evidence_audit import audit_evidence
        from napari_ct_assistant.training.evaluation.audit.evidence_methods import METHODS

        for name in method or ():
            if name not in METHODS:
                raise fail(f"--method {name}: choose one of {', '.join(METHODS)}")
        assistant = load_model(model, load_options(device))
        found = audit_evidence(
            assistant,
            first_seed=first,
            count=end - first,
            methods=method or (),
            progress=lambda done, count: note(f"phantom {done} of {count}"),
        )
        result = {**found, "model": assistant.info.to_json()}
        if as_json:
            print_json(result)
        else:
            typer.echo(in_words(result))
