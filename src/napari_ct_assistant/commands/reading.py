"""`report`, `ask`, `screen`: a model reads a scan in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ct_assistant.commands.terminal import (
    AsJson,
    Device,
    DeviceMap,
    Dtype,
    Model,
    Precision,
    Quantized,
    Scan,
    Series,
    cancel_on_interrupt,
    end_if_stopped,
    fail,
    load_options,
    note,
    one_line_errors,
    open_scan,
    print_json,
    print_notice,
    read_scan,
)

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Reading, ReportDraft


def report(
    path: Scan,
    model: Model = "demo",
    series: Series = None,
    device: Device = None,
    dtype: Dtype = Precision.auto,
    quantize: Quantized = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            help="Also write the draft to a file: .docx, .pdf, .txt, .json (FHIR), .dcm (SR). "
            "May be repeated.",
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option("--template", help="The files' template: a name, or a YAML file."),
    ] = "",
    with_identifiers: Annotated[
        bool,
        typer.Option(
            "--with-identifiers",
            help="Take patient and study from the scan's DICOM files into .json and .dcm.",
        ),
    ] = False,
) -> None:
    """Draft the report of a scan.

    It is streamed as it is written; Ctrl-C stops and keeps what is there. A file says that it
    is a machine-written draft; only the panel can sign a report off.
    """
    with one_line_errors():
        options = load_options(device, dtype, quantize, device_map)
        save = _saver(path, out or [], template, identified=with_identifiers)
        reading, _ = read_scan(open_scan(path, series), model, options)
        draft_in_terminal(reading, as_json=as_json, save=save)


def _saver(
    scan: Path, out: list[Path], template: str, *, identified: bool
) -> Callable[[Reading, ReportDraft], None]:
    """Return what writes a draft to files; what cannot work is refused before the model runs."""
    from napari_ct_assistant.assistant.export import check_path, export_report, read_identifiers
    from napari_ct_assistant.assistant.report.document import ReportDocument
    from napari_ct_assistant.assistant.report.template import find_template

    layout = find_template(template)
    for path in out:
        check_path(path, identified=identified)
    if identified and not out:
        raise fail("--with-identifiers needs --out with a .json or .dcm file")

    def save(reading: Reading, draft: ReportDraft) -> None:
        report = ReportDocument.from_draft(draft, layout, reading.volume)
        identifiers = read_identifiers(scan, reading.volume) if identified else None
        for path in out:
            export_report(report, path, identifiers=identifiers)
            note(f"wrote {path.name}")

    return save


def draft_in_terminal(
    reading: Reading,
    *,
    as_json: bool,
    save: Callable[[Reading, ReportDraft], None] | None = None,
) -> None:
    """Draft the report of `reading` on stdout: streamed text, or JSON at the end."""
    with cancel_on_interrupt() as cancel:
        draft = reading.draft_report(on_text=None if as_json else write, cancel=cancel)
    if save is not None:
        save(reading, draft)
    if as_json:
        print_json(draft.to_json())
    else:
        typer.echo()
        print_notice(draft.model.notice)
    end_if_stopped(draft.stopped, "what was drafted is above")


def ask(
    path: Scan,
    question: Annotated[str, typer.Argument(help="A question about the scan, in quotes.")],
    model: Model = "demo",
    series: Series = None,
    device: Device = None,
    dtype: Dtype = Precision.auto,
    quantize: Quantized = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question about a scan.

    The answer is streamed as it is written; Ctrl-C stops and keeps what is there.
    """
    with one_line_errors():
        options = load_options(device, dtype, quantize, device_map)
        if not question.strip():
            raise fail('the question is empty; ask e.g. "Is there a pleural effusion?"')
        reading, _ = read_scan(open_scan(path, series), model, options)
        with cancel_on_interrupt() as cancel:
            answer = reading.ask(question, on_text=None if as_json else write, cancel=cancel)
        if as_json:
            print_json(answer.to_json())
        else:
            typer.echo()
            print_notice(answer.model.notice)
        end_if_stopped(answer.stopped, "what was answered is above")


def screen(
    path: Scan,
    model: Model = "demo",
    series: Series = None,
    device: Device = None,
    dtype: Dtype = Precision.auto,
    quantize: Quantized = None,
    device_map: DeviceMap = None,
    as_json: AsJson = False,
) -> None:
    """Give the probability of 18 chest findings.

    They are those of CT-RATE, in CT-RATE's order.
    """
    with one_line_errors():
        options = load_options(device, dtype, quantize, device_map)
        reading, info = read_scan(open_scan(path, series), model, options)
        with cancel_on_interrupt() as cancel:
            findings = reading.screen(cancel=cancel)
        if as_json:
            print_json(
                {
                    "findings": [finding.to_json() for finding in findings],
                    "model": info.to_json(),
                }
            )
        else:
            for finding in findings:
                # Of a finding that the model does not recognise its number says nothing.
                said = f"{finding.probability:>7.1%}" if finding.judged else "      -  not judged"
                typer.echo(f"{finding.name:<36}{said}")
            print_notice(info.notice)
        end_if_stopped(cancel.is_set(), "what was screened is above")


def write(piece: str) -> None:
    """Print a piece of streamed text at once."""
    typer.echo(piece, nl=False)
