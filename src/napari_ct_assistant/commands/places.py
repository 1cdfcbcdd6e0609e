"""`places`: where in a scan to look for a finding, by a model that offers places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_ct_assistant.commands.terminal.loading import open_scan, read_scan
from napari_ct_assistant.commands.terminal.options import ReadingOptions, Scan, with_reading_options
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    print_notice,
    say,
)

if TYPE_CHECKING:
    from napari_ct_assistant.backends.heat_map import PointRAS
    from napari_ct_assistant.volume import CTVolume


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
    """Print the places of a scan that look most like each finding, ranked.

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
