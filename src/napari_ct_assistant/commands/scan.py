"""`demo`, `view`, `info` and `phantom`: show, describe or generate a scan."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ct_assistant.commands.display_check import window_problem
from napari_ct_assistant.commands.reading import draft_in_terminal
from napari_ct_assistant.commands.terminal.loading import open_scan, read_scan
from napari_ct_assistant.commands.terminal.options import AsJson, Device, Model, Scan, Series
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.support import atomic

if TYPE_CHECKING:
    from napari_ct_assistant.volume import CTVolume, SeriesInfo


class Resolution(StrEnum):
    """Voxel grid of a phantom."""

    reading = "reading"
    model = "model"


def info(path: Scan, series: Series = None, as_json: AsJson = False) -> None:
    """Print a scan's geometry, HU range and warnings.

    Each warning says what is wrong with the file and how it was handled. Then all series at the
    path are listed with the value for --series and the reason for the default.
    """
    with one_line_errors():
        from napari_ct_assistant.volume import CTReadError, list_series, open_ct

        found = list_series(path)
        try:
            volume = open_ct(path, series=series)
        except CTReadError:
            if len(found) > 1 and not as_json:
                _print_series(found)
            raise
        facts = {**describe_volume(volume), "series_list": [_series_facts(one) for one in found]}
        if as_json:
            print_json(facts)
            return
        rows = {
            "shape (I, P, L)": " x ".join(map(str, facts["shape"])),
            "spacing (I, P, L)": " x ".join(f"{step:.3g}" for step in facts["spacing_mm"]) + " mm",
            "HU": f"{facts['hu_min']} to {facts['hu_max']}",
            "stored orientation": facts["orientation"],
            "series": facts["series"] or "(no description)",
        }
        for name, value in rows.items():
            say(f"{name:<20}{value}")
        _print_series(found)
        for warning in facts["warnings"]:
            say(f"warning: {warning}")


def _print_series(found: list[SeriesInfo]) -> None:
    """Print one line for each series: number, key, name, slices, mm, kernel."""
    say("series at this path (--series takes the number, the key or the name):")
    for one in found:
        parts = [f"{one.n_slices} slice{'' if one.n_slices == 1 else 's'}"]
        if one.length_mm:
            parts.append(f"{one.length_mm:.0f} mm")
        if one.step_mm:
            parts.append(f"one every {one.step_mm:.3g} mm")
        if one.kernel:
            parts.append(f"kernel {one.kernel}")
        if one.reason:
            parts.append(f"the default: {one.reason}")
        name = one.description or "(no description)"
        say(f"{one.number:>3}  {one.key}  {name}: {', '.join(parts)}")


def _series_facts(info: SeriesInfo) -> dict[str, Any]:
    """Return what `info --json` states about a series."""
    return {
        "number": info.number,
        "key": info.key,
        "name": info.description,
        "slices": info.n_slices,
        "length_mm": info.length_mm,
        "step_mm": info.step_mm,
        "kernel": info.kernel,
        "default": info.number == 1,
        "reason": info.reason,
    }


def describe_volume(volume: CTVolume) -> dict[str, Any]:
    """Return what `info` prints about `volume`: lengths in mm, axes (I, P, L)."""
    return {
        "shape": [int(length) for length in volume.shape],
        "spacing_mm": [float(step) for step in volume.spacing],
        "affine_ras": [[float(value) for value in row] for row in volume.affine],
        "hu_min": int(volume.hu.min()),
        "hu_max": int(volume.hu.max()),
        "orientation": volume.orientation,
        "series": volume.series,
        "warnings": list(volume.warnings),
    }


def view(path: Scan, model: Model = "demo", series: Series = None) -> None:
    """Open a scan in napari with the CT Assistant panel."""
    with one_line_errors():
        problem = window_problem()
        if problem:
            raise fail(f"napari cannot open a window here: {problem}")
        from napari_ct_assistant.viewer.app import run_viewer

        run_viewer(open_scan(path, series), draft=False, model=model)


def demo(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="DICOM folder or file, NIfTI, MetaImage or NRRD file, or a .zip of them. "
            "Default: a phantom.",
        ),
    ] = None,
    model: Model = "demo",
    series: Series = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Seed of the phantom.")
    ] = 26,
    device: Device = None,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Draft in the terminal; open no window.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Open a CT in napari and draft its report.

    The report is drafted in the terminal if no window can open, and with --terminal or --json.
    """
    with one_line_errors():
        problem = None if terminal or as_json else window_problem()
        if problem:
            note(f"no window can open here ({problem}); drafting the report in the terminal")
        if path is None:
            from napari_ct_assistant.phantoms import make_phantom

            note(f"generating a phantom chest CT (seed {seed})")
            made = make_phantom(seed, resolution="reading")
            volume, truth = made.volume, [name for name in FINDINGS if made.labels[name]]
        else:
            volume, truth = open_scan(path, series), None
        if problem or terminal or as_json:
            if volume.too_short:
                named = path.name if path else "the phantom"
                hint = "use `report --short-scan` to draft anyway"
                raise fail(f"{named}: {volume.too_short}; {hint}")
            from napari_ct_assistant.backends.loading.options import LoadOptions

            reading, _ = read_scan(volume, model, LoadOptions(device))
            draft_in_terminal(reading, as_json=as_json)
            if truth is not None:
                note(f"findings in this phantom: {', '.join(truth) or 'none'}")
        else:
            from napari_ct_assistant.viewer.app import run_viewer

            run_viewer(volume, draft=True, model=model)


def phantom(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT.nii.gz", help="NIfTI file to write. OUT.json gets the ground truth."
        ),
    ],
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Seed of the phantom.")
    ] = 0,
    finding: Annotated[
        list[str] | None,
        typer.Option(
            "--finding",
            metavar="NAME",
            help="Finding to include; repeat for several. Default: chosen by the seed.",
        ),
    ] = None,
    healthy: Annotated[bool, typer.Option("--healthy", help="Include no findings.")] = False,
    resolution: Annotated[
        Resolution,
        typer.Option(
            "--resolution", help="Voxel size: that of a clinical scan, or of a model's input."
        ),
    ] = Resolution.reading,
    as_json: AsJson = False,
) -> None:
    """Write a phantom chest CT and its ground truth.

    OUT.json holds the labels of the 18 findings, their location and size, the correct report, and
    questions with their answers.
    """
    with one_line_errors():
        truth_path = truth_beside(out)
        names = [] if healthy else [finding_named(name) for name in finding or []]
        if healthy and finding:
            raise fail("--healthy and --finding contradict each other; use one of them")
        from napari_ct_assistant.phantoms import make_phantom
        from napari_ct_assistant.volume import write_nifti

        from_seed = not healthy and not names
        made = make_phantom(
            seed, findings=None if from_seed else names, resolution=resolution.value
        )
        write_nifti(made.volume, out)
        truth = made.to_json()
        atomic.write_text(truth_path, json.dumps(truth, indent=2) + "\n")
        if as_json:
            print_json(truth)
        else:
            present = [name for name, label in made.labels.items() if label]
            say(f"{out}: {', '.join(present) or 'no findings'}")
            say(f"{truth_path}: report, labels and {len(made.questions)} questions")


def truth_beside(out: Path) -> Path:
    """Return OUT.json for OUT.nii.gz or OUT.nii; exit if `out` cannot be written."""
    for suffix in (".nii.gz", ".nii"):
        if out.name.endswith(suffix) and out.name != suffix:
            break
    else:
        raise fail(f"{out.name}: phantoms are written as NIfTI; use a name such as phantom.nii.gz")
    if not out.parent.is_dir():
        raise fail(f"{out.name}: its folder does not exist; create it first")
    return out.with_name(out.name.removesuffix(suffix) + ".json")


def finding_named(name: str) -> str:
    """Return the CT-RATE finding called `name`, ignoring case; exit if there is none."""
    for known in FINDINGS:
        if known.casefold() == name.strip().casefold():
            return known
    raise fail(f"unknown finding {name!r}; choose from: {', '.join(FINDINGS)}")
