"""Arguments and options that several commands share."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ct_assistant.commands.terminal.output import fail

if TYPE_CHECKING:
    from napari_ct_assistant.backends.loading.options import LoadOptions
    from napari_ct_assistant.backends.server.connection import ServerOptions
    from napari_ct_assistant.backends.slices.choice import SliceRange

MODEL_HELP = (
    "Bundled model, local folder or Hugging Face id; or a server: its address (https://HOST:PORT) "
    "or the name it was saved under."
)

Scan = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="DICOM folder or file, NIfTI, MetaImage or NRRD file, or a .zip of them.",
    ),
]
Series = Annotated[
    str | None,
    typer.Option(
        "--series",
        metavar="SERIES",
        help="Series to read if there are several: its number or key as `ct-assistant info` lists "
        "them, or a part of its name that no other has.",
    ),
]
Model = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=MODEL_HELP)]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", help="cpu, cuda, cuda:1 or mps. Default: the best available."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

SendScan = Annotated[
    bool,
    typer.Option(
        "--send-scan",
        help="Agree that the scan, as embeddings or slices, and the questions are sent to the "
        "server. Header fields never are.",
    ),
]
Unencrypted = Annotated[
    bool,
    typer.Option(
        "--unencrypted", help="Use a server whose address is neither https nor this computer."
    ),
]

RecipeFile = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe file (.yaml) or name of a bundled recipe.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings that replace the recipe's."),
]
SeedRange = Annotated[
    str,
    typer.Option(
        "--seeds",
        metavar="A:B",
        help="Seeds of the phantoms: A to B - 1. Training uses seeds from 1000000 on.",
    ),
]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(
        "--max-new-tokens",
        metavar="N",
        min=1,
        help="Limit on an answer's tokens. Default: the model's own.",
    ),
]


class Precision(StrEnum):
    """Number format of the weights and the computation."""

    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"


class Bits(StrEnum):
    """Bits of a quantized weight."""

    eight = "8bit"
    four = "4bit"


class DevicePlacement(StrEnum):
    """How the layers are divided among the devices."""

    auto = "auto"


@dataclass(frozen=True)
class ReadingOptions:
    """Options of the commands in which a model reads one scan (`report`, `ask`, `screen`)."""

    model: Model = "demo"
    series: Series = None
    device: Device = None
    dtype: Annotated[
        Precision,
        typer.Option("--dtype", help="Precision of the weights. auto: the best for the device."),
    ] = Precision.auto
    quantize: Annotated[
        Bits | None,
        typer.Option(
            "--quantize",
            help="Load the language model in 8 or 4 bits. Needs bitsandbytes or torchao.",
        ),
    ] = None
    device_map: Annotated[
        DevicePlacement | None,
        typer.Option(
            "--device-map",
            help="auto: keep in main memory what does not fit on the GPU. Needs accelerate.",
        ),
    ] = None
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="REGION",
            help="Region of the body to read, for a model that reads several: chest, abdomen or "
            "none (the middle of the scan). Default: by the scan's header or its lungs.",
        ),
    ] = None
    crop: Annotated[
        str | None,
        typer.Option(
            "--crop",
            metavar="X,Y,Z",
            help="Centre of the part that is read, in RAS mm, for a model that reads a part of "
            "the scan. Default: where the region puts it.",
        ),
    ] = None
    slices: Annotated[
        str | None,
        typer.Option(
            "--slices",
            metavar="FIRST-LAST",
            help="Images to look at, for a model that looks at single slices, e.g. 40-120. "
            "Default: the whole scan.",
        ),
    ] = None
    slice_count: Annotated[
        int | None,
        typer.Option(
            "--slice-count",
            metavar="N",
            min=1,
            help="How many slices it is shown at most. Default: the preset's.",
        ),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="PRESET",
            help="How it is shown slices: a name (medgemma-1.5, generic-vl, or your own) or a "
            "YAML file; +jpeg behind it sends them through JPEG. Default: the model's.",
        ),
    ] = None
    reasoning: Annotated[
        bool | None,
        typer.Option(
            "--reasoning/--no-reasoning",
            help="Let a model that can reason write its reasoning first; it is printed on stderr. "
            "Default: the model's own.",
        ),
    ] = None
    scan_cache: Annotated[
        bool,
        typer.Option(
            "--scan-cache/--no-scan-cache",
            help="Keep the encoded scan on this computer, or use it if it was kept before; "
            "`ct-assistant journal delete --all` deletes it.",
        ),
    ] = True
    encoder: Annotated[
        Path | None,
        typer.Option(
            "--encoder",
            metavar="FOLDER",
            help="Of a volume model on a server: the folder `encoder` that `models export-llm` "
            "wrote. Default: the one in the server's profile or among the imported models.",
        ),
    ] = None
    send_scan: SendScan = False
    unencrypted: Unencrypted = False
    as_json: AsJson = False

    def server_options(self) -> "ServerOptions":
        """Return what the command line says about a server."""
        return agreement(self.send_scan, self.unencrypted, self.encoder)

    def slice_range(self) -> "SliceRange":
        """Return which slices are shown; exit if `--slices` is no range."""
        from napari_ct_assistant.backends.slices.choice import SliceRange

        try:
            return SliceRange.parse(self.slices or "", self.slice_count)
        except ValueError as error:
            raise fail(f"--slices: {error}") from error

    def view(self) -> tuple[str, tuple[float, float, float] | None]:
        """Return region and centre of the part to read; exit if `--crop` is no point."""
        if self.crop is None:
            return self.region or "", None
        parts = self.crop.split(",")
        try:
            point = [float(number) for number in parts]
        except ValueError:
            point = []
        if len(point) != 3 or not all(abs(number) < 1e5 for number in point):
            raise fail(f"--crop {self.crop}: write three mm, X,Y,Z, e.g. --crop 0,-20,-310.5")
        return self.region or "", (point[0], point[1], point[2])

    def load_options(self) -> "LoadOptions":
        """Return how to load the model; exit if two options exclude each other."""
        from napari_ct_assistant.backends.loading.options import LoadOptions

        if self.device is not None and self.device_map is not None:
            raise fail(
                f"--device {self.device} and --device-map auto exclude each other; use one of them"
            )
        return LoadOptions(
            self.device,
            None if self.dtype == Precision.auto else self.dtype.value,
            None if self.quantize is None else self.quantize.value,
            None if self.device_map is None else "auto",
            self.preset,
        )


def agreement(
    send_scan: bool, unencrypted: bool = False, encoder: Path | None = None
) -> "ServerOptions":
    """Return what the command line says about a server."""
    from napari_ct_assistant.backends.server.connection import ServerOptions

    agreed = {"embeddings", "pixel data", "report text"} if send_scan else set()
    if unencrypted:
        agreed.add("unencrypted")
    return ServerOptions("" if encoder is None else str(encoder), frozenset(agreed))


def with_reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `options` of `command` by the fields of `ReadingOptions`.

    Typer builds the command line from the signature. The returned function has one
    parameter for each field and passes `command` the `ReadingOptions` made of them.
    """
    fields = inspect.signature(ReadingOptions).parameters
    parameters = [
        parameter
        for own in inspect.signature(command, eval_str=True).parameters.values()
        for parameter in (fields.values() if own.name == "options" else [own])
    ]

    @functools.wraps(command)
    def run(**given: object) -> None:
        chosen = {name: given.pop(name) for name in fields}
        command(options=ReadingOptions(**chosen), **given)  # type: ignore[arg-type]

    run.__annotations__ = {}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def seed_range(text: str) -> tuple[int, int]:
    """Return the first seed and the end of the range `A:B`; exit if `text` is no range."""
    first, found, end = text.partition(":")
    if not (found and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise fail(f"--seeds {text}: write A:B with A smaller than B, e.g. 0:100")
    return int(first), int(end)
