"""What the verbs share: notes, JSON, one-line errors, Ctrl-C."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from napari_ct_assistant.support.errors import CTAssistantError

if TYPE_CHECKING:
    from types import FrameType

    from napari_ct_assistant.assistant import Assistant, ModelInfo, Reading
    from napari_ct_assistant.assistant.models.options import LoadOptions
    from napari_ct_assistant.volume import CTVolume

Scan = Annotated[Path, typer.Argument(help="A DICOM folder or file, or a NIfTI file.")]
Series = Annotated[
    str | None,
    typer.Option(
        "--series", help="Which series of a folder that holds several; `info` names them."
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="A bundled name, a local folder or a hub id."),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda, cuda:1, mps ... The best there is, if left out."),
]


class Precision(StrEnum):
    """In which numbers a model computes; `auto` is the best for the device."""

    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"


class Bits(StrEnum):
    """Of a quantized weight."""

    eight = "8bit"
    four = "4bit"


class Spread(StrEnum):
    """How a model's layers are spread over devices."""

    auto = "auto"


Dtype = Annotated[
    Precision, typer.Option("--dtype", help="Precision; auto is the best for the device.")
]
Quantized = Annotated[
    Bits | None,
    typer.Option(
        "--quantize", help="Language model in 8 or 4 bits (needs bitsandbytes or torchao)."
    ),
]
DeviceMap = Annotated[
    Spread | None,
    typer.Option(
        "--device-map",
        help="auto: what the GPU cannot hold stays in the computer's memory (needs accelerate).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

INTERRUPTED: Final = 130  # what a shell reports for a program ended by Ctrl-C


def note(text: str) -> None:
    """Print a line about the work, not a result: it goes to stderr."""
    typer.echo(text, err=True)


def fail(text: str) -> typer.Exit:
    """Print `text` as the one line of an error and return the exit to raise."""
    note(f"error: {' '.join(text.split())}")
    return typer.Exit(1)


def print_json(result: Any) -> None:
    """Print `result` as indented JSON on stdout; what is not a finite number becomes null."""
    typer.echo(json.dumps(_finite(result), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """Return `value` with None for each number that JSON lacks."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn bad input into one line on stderr and exit status 1, Ctrl-C into 130.

    Any other exception is a fault of ours and keeps its traceback.
    """
    try:
        yield
    except BrokenPipeError:  # `ct-assistant ... | head`: nobody reads on
        raise
    except KeyboardInterrupt:
        note("stopped")
        raise typer.Exit(INTERRUPTED) from None
    except CTAssistantError as error:
        raise fail(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise fail(f"{where}{error.strerror or error}") from error
    except Exception as error:
        if _out_of_device_memory(error):
            raise fail(
                "the device is out of memory; close other programs or use --device cpu"
            ) from error
        raise


def _out_of_device_memory(error: Exception) -> bool:
    """Return whether `error` is torch's; it cannot be where torch has not been imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


@contextmanager
def cancel_on_interrupt() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second interrupts as usual.

    The model's loop reads the event between two tokens, so what was drafted is
    kept.
    """
    cancel = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.is_set():
            signal.default_int_handler(number, frame)
        cancel.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


def end_if_stopped(stopped: bool, kept: str) -> None:
    """Exit with the status of Ctrl-C where the work was stopped, and say what was kept."""
    if stopped:
        note(f"stopped: {kept}")
        raise typer.Exit(INTERRUPTED)


def open_scan(path: Path, series: str | None = None) -> CTVolume:
    """Return the CT at `path`; its warnings are printed as notes."""
    from napari_ct_assistant.volume import open_ct

    volume = open_ct(path, series=series)
    for warning in volume.warnings:
        note(f"warning: {warning}")
    return volume


def load_options(
    device: str | None,
    dtype: Precision = Precision.auto,
    quantize: Bits | None = None,
    device_map: Spread | None = None,
) -> LoadOptions:
    """Return what was asked of the load; options that exclude each other are an error."""
    from napari_ct_assistant.assistant.models.options import LoadOptions

    if device is not None and device_map is not None:
        raise fail(f"--device {device} and --device-map auto exclude each other; leave one out")
    return LoadOptions(
        device,
        None if dtype == Precision.auto else dtype.value,
        None if quantize is None else quantize.value,
        None if device_map is None else "auto",
    )


def load_model(model: str, options: LoadOptions) -> Assistant:
    """Return the model called `model`, loaded as asked."""
    note(f"loading the model {model}")
    from napari_ct_assistant.assistant import load_assistant
    from napari_ct_assistant.assistant.models.options import NotEnoughMemoryError

    if options.device is not None:
        _check_device(options.device)
    try:
        return load_assistant(model, **options.arguments())
    except NotEnoughMemoryError as error:
        raise fail(error.words("command line")) from error


def read_scan(volume: CTVolume, model: str, options: LoadOptions) -> tuple[Reading, ModelInfo]:
    """Return `volume` encoded by `model`, and who that is; what is being done is noted."""
    assistant = load_model(model, options)
    reading = assistant.read(volume, progress=note)
    for warning in reading.warnings:
        note(f"warning: {warning}")
    return reading, assistant.info


def _check_device(device: str) -> None:
    """Exit where torch has no device of that name, or cannot use it here."""
    import torch

    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either
        reason = str(error).partition("\n")[0]
        raise fail(f"--device {device}: {reason}; leave it out for the best there is") from error


def print_notice(notice: str) -> None:
    """Print the model's own warning beneath a result, where it has one."""
    if notice:
        typer.echo(f"\n{notice}")
