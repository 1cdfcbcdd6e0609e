"""Open the scan and load the model that a command was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ct_assistant.commands.terminal.output import fail, note

if TYPE_CHECKING:
    from napari_ct_assistant.assistant import Assistant, ModelInfo, Reading
    from napari_ct_assistant.backends.loading.options import LoadOptions
    from napari_ct_assistant.backends.server.connection import ServerOptions
    from napari_ct_assistant.commands.terminal.options import ReadingOptions
    from napari_ct_assistant.volume import CTVolume


def open_scan(path: Path, series: str | None = None) -> CTVolume:
    """Return the CT at `path` and print its warnings."""
    from napari_ct_assistant.volume import open_ct

    volume = open_ct(path, series=series)
    for warning in volume.warnings:
        note(f"warning: {warning}")
    return volume


def load_model(
    model: str,
    options: LoadOptions,
    server: ServerOptions | None = None,
    *,
    scan_cache: bool = False,
) -> Assistant:
    """Load `model`; exit if the device cannot be used or the model does not fit in memory.

    scan_cache: whether encoded scans are kept on disk.
    """
    from napari_ct_assistant.backends.model_info import shown_name

    note(f"loading the model {shown_name(model)}")
    from napari_ct_assistant.assistant import load_assistant
    from napari_ct_assistant.backends.loading.options import NotEnoughMemoryError

    try:
        with sending_agreed():
            assistant = load_assistant(
                model, scan_cache=scan_cache, server=server, **options.arguments()
            )
    except NotEnoughMemoryError as error:
        raise fail(error.words("command line")) from error
    if assistant.info.untaught_line:
        note(f"warning: {assistant.info.untaught_line}")
    return assistant


@contextmanager
def sending_agreed(agrees: str = "--send-scan") -> Iterator[None]:
    """Exit with the option to give if something would be sent that nobody has agreed to."""
    from napari_ct_assistant.backends.server.errors import AgreementNeededError

    try:
        yield
    except AgreementNeededError as error:
        option = "--unencrypted" if error.sending.kind == "unencrypted" else agrees
        for line in error.sending.details:
            note(line)
        raise fail(f"{error} Add {option} to agree.") from error


def load_model_on(model: str, device: str | None, server: ServerOptions | None = None) -> Assistant:
    """Load `model` on `device`, or on the best device if that is None."""
    from napari_ct_assistant.backends.loading.options import LoadOptions

    return load_model(model, LoadOptions(device), server)


def read_scan(
    volume: CTVolume,
    model: str,
    load: LoadOptions,
    options: ReadingOptions | None = None,
    *,
    text: bool = True,
) -> tuple[Reading, ModelInfo]:
    """Load `model`, encode `volume` with it and print the warnings about the scan.

    Of `options`, region, crop, slices, reasoning and scan cache are used; exit if the model has
    no such region or the scan no such slices, or if `text` is wanted of a model that writes none.
    """
    from napari_ct_assistant.backends.slices.choice import WHOLE

    region, centre = ("", None) if options is None else options.view()
    assistant = load_model(
        model,
        load,
        None if options is None else options.server_options(),
        scan_cache=options is None or options.scan_cache,
    )
    slices = WHOLE if options is None else options.slice_range()
    if text and not assistant.backend.capabilities.text:
        from napari_ct_assistant.backends.screening import WritesNoTextError

        raise WritesNoTextError(assistant.info.name)
    for line in assistant.info.notes:
        note(f"note: {line}")
    if options is not None and options.reasoning is not None:
        assistant.settings = replace(assistant.settings, thinking=options.reasoning)
    try:
        with sending_agreed():
            reading = assistant.read(
                volume, region=region, centre=centre, slices=slices, progress=note
            )
    except ValueError as error:
        raise fail(str(error)) from error
    for warning in reading.warnings:
        note(f"warning: {warning}")
    return reading, assistant.info
