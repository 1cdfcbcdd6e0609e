"""`report`, `ask`, `screen` and `places`: a model reads a scan in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from napari_ct_assistant.commands.terminal.loading import open_scan, read_scan
from napari_ct_assistant.commands.terminal.options import ReadingOptions, Scan, with_reading_options
from napari_ct_assistant.commands.terminal.output import (
    cancel_on_interrupt,
    end_if_cut,
    end_if_stopped,
    fail,
    kept_in_json,
    note,
    one_line_errors,
    print_json,
    print_notice,
    say,
)
from napari_ct_assistant.support.translation import ENGLISH, languages

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import FindingProbability, Reading, ReportDraft
    from napari_ct_assistant.assistant.export import StudyDetails
    from napari_ct_assistant.backends.heat_map import PointRAS
    from napari_ct_assistant.volume import CTVolume

FROM_SCAN: Final = "scan"


@with_reading_options
def report(
    path: Scan,
    options: ReadingOptions,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Also write the draft to this file: .docx, .pdf, .txt, .json (FHIR) or .dcm "
            "(DICOM SR). Repeat for several files.",
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            "--template", metavar="TEMPLATE", help="Template for the files: a name or a YAML file."
        ),
    ] = "",
    with_identifiers: Annotated[
        bool,
        typer.Option(
            "--with-identifiers",
            help="Copy patient and study from the scan's DICOM files to the .json and .dcm files.",
        ),
    ] = False,
    date: Annotated[
        str,
        typer.Option(
            "--study-date",
            metavar="DATE",
            help="Study date for the files: year-month-day, or 'scan' to read it from the DICOM "
            "files. Without it no date is written.",
        ),
    ] = "",
    study_region: Annotated[
        str,
        typer.Option(
            "--study-region",
            metavar="WORDS",
            help="Region for the files, or 'scan' for the one that the scan shows.",
        ),
    ] = "",
    comparison: Annotated[
        str,
        typer.Option(
            "--comparison",
            metavar="WORDS",
            help="Earlier examination for the files, or 'none'.",
        ),
    ] = "",
    language: Annotated[
        str,
        typer.Option(
            "--language",
            metavar="CODE",
            help="Language of notice and headings in .docx, .pdf and .txt files, such as de.",
        ),
    ] = ENGLISH,
    short_scan: Annotated[
        bool,
        typer.Option(
            "--short-scan", help="Draft even if the scan has under 5 slices or covers under 20 mm."
        ),
    ] = False,
) -> None:
    """Draft the report of a scan.

    The text is printed as the model writes it. Ctrl-C stops and keeps the text so far. Files are
    marked as machine-written drafts; a report can be signed off only in the napari panel.
    """
    with one_line_errors():
        load = options.load_options()
        details = {"--study-date": date, "--study-region": study_region, "--comparison": comparison}
        if language not in languages():
            known = ", ".join(languages())
            raise fail(f"--language {language!r}: there is no such language; give one of {known}")
        save = _saver(path, out or [], template, details, language, identified=with_identifiers)
        volume = open_scan(path, options.series)
        if volume.too_short and not short_scan:
            raise fail(
                f"{path.name}: {volume.too_short}; add --short-scan to draft a report anyway"
            )
        study = _study(path, volume, date, study_region, comparison)
        reading, _ = read_scan(volume, options.model, load, options)
        draft_in_terminal(
            reading, as_json=options.as_json, save=lambda read, draft: save(read, draft, study)
        )


def _study(path: Path, volume: CTVolume, date: str, region: str, comparison: str) -> StudyDetails:
    """Return what was given for the files; "scan" and "none" are filled in."""
    from napari_ct_assistant.assistant.export import (
        NO_COMPARISON,
        StudyDetails,
        region_of,
        study_date,
    )

    if date.strip().lower() == FROM_SCAN:
        date = study_date(path, volume)
        if not date:
            raise fail(f"--study-date scan: {path.name}: its files have no study date; give one")
    if region.strip().lower() == FROM_SCAN:
        region = region_of(volume)
        if not region:
            raise fail(
                f"--study-region scan: {path.name}: it is not known what it shows; give words"
            )
    if comparison.strip().lower() == NO_COMPARISON.lower():
        comparison = NO_COMPARISON
    return StudyDetails(date, region, comparison)


def _saver(
    scan: Path,
    out: list[Path],
    template: str,
    details: dict[str, str],
    language: str,
    *,
    identified: bool,
) -> Callable[[Reading, ReportDraft, StudyDetails], None]:
    """Check files and template before the model runs; return what writes a draft to the files."""
    from napari_ct_assistant.assistant.export import check_path, export_report, read_identifiers
    from napari_ct_assistant.assistant.report.document import ReportDocument
    from napari_ct_assistant.assistant.report.template import find_template

    layout = find_template(template)
    for path in out:
        check_path(path, identified=identified)
    if identified and not out:
        raise fail("--with-identifiers needs --out with a .json or .dcm file")
    given = next((name for name, value in details.items() if value.strip()), "")
    if given and not out:
        raise fail(f"{given} needs --out with a file")

    def save(reading: Reading, draft: ReportDraft, study: StudyDetails) -> None:
        report = ReportDocument.from_draft(draft, layout, reading.volume)
        identifiers = read_identifiers(scan, reading.volume) if identified else None
        for path in out:
            export_report(report, path, identifiers=identifiers, study=study, language=language)
            note(f"wrote {path.name}")

    return save


def draft_in_terminal(
    reading: Reading,
    *,
    as_json: bool,
    save: Callable[[Reading, ReportDraft], None] | None = None,
) -> None:
    """Draft the report of `reading` on stdout: streamed text, or JSON at the end."""
    from napari_ct_assistant.assistant.report.checks import check_draft

    # A hash of the voxels: it tells scans apart and names no patient.
    scan = reading.volume.fingerprint
    with cancel_on_interrupt() as cancel, kept_in_json("report", scan=scan) as keep:
        draft = reading.draft_report(
            on_text=keep if as_json else write,
            on_reasoning=None if as_json else write_aside,
            cancel=cancel,
        )
    if save is not None:
        save(reading, draft)
    checks = check_draft(draft)
    if as_json:
        more = {
            "checks": [check.to_json() for check in checks],
            "scan": scan,
        }
        print_json(draft.to_json() | more)
    else:
        say()
        print_notice(draft.incomplete)
        print_notice(draft.model.notice)
        for check in checks:
            note(f"check: {check.text}")
    for line in draft.label_differences:
        note(f"warning: {line}")
    end_if_stopped(draft.stopped, "the text drafted so far is above")
    end_if_cut(draft.incomplete)


@with_reading_options
def ask(
    path: Scan,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="Question about the scan, in quotes.")
    ],
    options: ReadingOptions,
) -> None:
    """Answer a question about a scan.

    The answer is printed as the model writes it. Ctrl-C stops and keeps the text so far.
    """
    with one_line_errors():
        load = options.load_options()
        if not question.strip():
            raise fail('the question is empty; ask e.g. "Is there a pleural effusion?"')
        reading, _ = read_scan(open_scan(path, options.series), options.model, load, options)
        kept = kept_in_json("answer", question=question)
        with cancel_on_interrupt() as cancel, kept as keep:
            answer = reading.ask(
                question,
                on_text=keep if options.as_json else write,
                on_reasoning=None if options.as_json else write_aside,
                cancel=cancel,
            )
        if options.as_json:
            print_json(answer.to_json())
        else:
            say()
            print_notice(answer.incomplete)
            print_notice(answer.model.notice)
        end_if_stopped(answer.stopped, "the answer so far is above")
        end_if_cut(answer.incomplete)


@with_reading_options
def screen(
    path: Scan,
    options: ReadingOptions,
    finding: Annotated[
        list[str] | None,
        typer.Option(
            "--finding",
            metavar="WORDS",
            help="Screen for this finding, in your own words, in place of the model's. Repeat for "
            "several. Only for models that compare a scan with words.",
        ),
    ] = None,
) -> None:
    """Print the probability of each finding that the model knows.

    The findings and their order are the model's: CT-RATE's 18 chest findings, or those of the
    region that is read. A model whose scores are no probabilities gives a rank and a margin.
    """
    with one_line_errors():
        load = options.load_options()
        words = [one.strip() for one in finding or ()]
        if "" in words:
            raise fail('--finding is empty; give words, e.g. "pleural effusion"')
        volume = open_scan(path, options.series)
        reading, info = read_scan(volume, options.model, load, options, text=False)
        if words and not reading.backend.capabilities.free_findings:
            raise fail(f"--finding: {info.name} screens only for its own findings")
        with cancel_on_interrupt() as cancel:
            findings = reading.screen(words, cancel=cancel)
        if options.as_json:
            print_json(
                {
                    "findings": [finding.to_json() for finding in findings],
                    "checks": list(reading.checks),
                    "region": reading.scan.region,
                    "model": info.to_json(),
                }
            )
        else:
            for row in findings:
                say(f"{row.name:<36}{_shown(row)}")
            if any(row.rank is not None for row in findings):
                note(RANKS)
            for line in reading.checks:
                note(line)
            print_notice(info.notice)
        end_if_stopped(cancel.is_set(), "the findings screened so far are above")


@with_reading_options
def places(
    path: Scan,
    options: ReadingOptions,
    finding: Annotated[
        list[str] | None,
        typer.Option(
            "--finding",
            metavar="NAME",
            help="Only this finding, one of the model's. Repeat for several.",
        ),
    ] = None,
) -> None:
    """Print the places of a scan that look most like a finding.

    For models such as astra-backbone. Every scan has a best place for each finding: it does not
    mean that the finding is there.
    """
    with one_line_errors():
        load = options.load_options()
        volume = open_scan(path, options.series)
        reading, info = read_scan(volume, options.model, load, options, text=False)
        known = reading.backend.capabilities.labels.get(reading.scan.region, ())
        unknown = [name for name in finding or () if name not in known]
        if unknown:
            raise fail(f"--finding {unknown[0]}: {info.name} knows {', '.join(known) or 'none'}")
        found = {name: reading.finding_evidence(name).places for name in finding or known}
        if not any(found.values()):
            raise fail(f"{info.name}: offers no places; add a model that does: astra-backbone")
        if options.as_json:
            rows = {
                name: [
                    {"rank": n, "ras": list(point), "slice": _slice(volume, point)}
                    for n, point in enumerate(points, start=1)
                ]
                for name, points in found.items()
            }
            print_json({"places": rows, "region": reading.scan.region, "model": info.to_json()})
            return
        for name, points in found.items():
            say(name)
            for n, point in enumerate(points, start=1):
                x, y, z = point
                say(f"    {n}. slice {_slice(volume, point)}  ({x:.0f}, {y:.0f}, {z:.0f}) mm RAS")
        note("places ranked within this scan; they do not say whether a finding is there")
        print_notice(info.notice)


def _slice(volume: CTVolume, point: PointRAS) -> int:
    return round(float(volume.ras_to_index(point)[0]))


RANKS: Final = (
    "ranks and margins, not probabilities: how much closer the scan is to the finding than to its "
    "absence"
)


def _shown(row: FindingProbability) -> str:
    """Return the number of a row; it means nothing for a finding that is not assessable."""
    if not row.assessable:
        return "      -  not assessable"
    if row.probability is not None:
        return f"{row.probability:>7.1%}"
    if row.rank is None or row.margin is None:
        return "      -  no score: see its places (ct-assistant places)"
    return f"{row.rank:>7}  margin {row.margin:+.4f}"


def write_aside(piece: str) -> None:
    """Print a piece of a model's reasoning on stderr, apart from the result."""
    note(piece, line_break=False)


def write(piece: str) -> None:
    """Print a piece of streamed text without a line break."""
    say(piece, line_break=False)
