"""`evidence`: measure whether heat maps and support point to the findings."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ct_assistant.commands.figures import figures_as_text
from napari_ct_assistant.commands.terminal.extras import training_extra
from napari_ct_assistant.commands.terminal.loading import load_model_on, sending_agreed
from napari_ct_assistant.commands.terminal.options import (
    AsJson,
    Device,
    ModelArgument,
    SeedRange,
    SendScan,
    Unencrypted,
    agreement,
    seed_range,
)
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)


def evidence(
    model: ModelArgument = "demo",
    seeds: SeedRange = "0:40",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="Also measure this heat map method: encoder gradient, attention rollout or "
            "occlusion. Repeat for several.",
        ),
    ] = None,
    device: Device = None,
    send_scan: SendScan = False,
    unencrypted: Unencrypted = False,
    as_json: AsJson = False,
) -> None:
    """Measure the quality of a model's evidence on phantoms.

    On phantoms that the model was not trained on, it measures how often the maximum of the heat
    map lies in the finding, and whether correct sentences get more support than wrong ones.
    """
    with one_line_errors(), training_extra():
        first, end = seed_range(seeds)
        from napari_ct_assistant.training.evaluation.audit.evidence_audit import audit_evidence
        from napari_ct_assistant.training.evaluation.audit.evidence_methods import METHODS

        for name in method or ():
            if name not in METHODS:
                raise fail(f"--method {name}: choose from {', '.join(METHODS)}")
        assistant = load_model_on(model, device, agreement(send_scan, unencrypted))
        with sending_agreed():
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
            say(figures_as_text(result))
