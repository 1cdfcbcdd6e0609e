"""How a model is loaded: device, precision, quantization. Importing it brings no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

Quantize = Literal["8bit", "4bit"]

# Short names -> torch's names.
DTYPES: Final[dict[str, str]] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class LoadOptions:
    """Options of `load_assistant`. The defaults choose what is best for the machine.

    Attributes
    ----------
    device : str or None
        "cpu", "cuda", "cuda:1", "mps".
    dtype : str or None
        "bfloat16", "float16" or "float32".
    quantize : "8bit", "4bit" or None
        Precision of the language model's weights, where they are quantized.
    device_map : "auto" or None
        "auto" keeps what the GPU cannot hold in the computer's memory.
    preset : str or None
        Name or file of the preset by which a model that looks at slices is shown them.
    """

    device: str | None = None
    dtype: str | None = None
    quantize: Quantize | None = None
    device_map: Literal["auto"] | None = None
    preset: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `load_assistant` that differ from its defaults."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def changed(self, **changes: Any) -> LoadOptions:
        """Return these options with some replaced; a device and a device map exclude each other."""
        if changes.get("device_map"):
            changes.setdefault("device", None)
        elif changes.get("device"):
            changes.setdefault("device_map", None)
        return replace(self, **changes)

    def words(self) -> str:
        """Return the chosen options in a few words, "" for the defaults."""
        chosen = [self.device or "", self.dtype or "", (self.quantize or "").replace("bit", "-bit")]
        if self.device_map:
            chosen.append("spread over GPU and computer memory")
        if self.preset:
            chosen.append(f"slices as {self.preset}")
        return ", ".join(filter(None, chosen))


BEST: Final = LoadOptions()


@dataclass(frozen=True)
class Remedy:
    """An option with which a model would fit: `field` of `LoadOptions` set to `value`.

    Attributes
    ----------
    field, value : str
    bytes : int or None
        What the model would need then.
    remark : str
        Added to the text as it stands.
    """

    field: str
    value: str
    bytes: int | None = None
    remark: str = ""

    def words(self, form: str) -> str:
        """Return it as text; form: "python" (`dtype="bfloat16"`), "command line" or "panel"."""
        size = "" if self.bytes is None else f" ({self.bytes / 1e9:.1f} GB)"
        if form == "panel":
            return f"{self.field.replace('_', ' ')} {self.value}{size}{self.remark}"
        if form == "python":
            return f'{self.field}="{self.value}"{size}{self.remark}'
        short = {full: name for name, full in DTYPES.items()}.get(self.value, self.value)
        return f"--{self.field.replace('_', '-')} {short}{size}{self.remark}"

    def apply(self, options: LoadOptions) -> LoadOptions:
        """Return the options with this one set."""
        return options.changed(**{self.field: self.value})


class NotEnoughMemoryError(ModelLoadError):
    """A model that does not fit in memory.

    Attributes
    ----------
    remedies : tuple of Remedy
        Options with which it would fit.
    line : str
        What it needs and what is free, without the remedies.
    """

    def __init__(self, line: str, remedies: tuple[Remedy, ...] = (), form: str = "python") -> None:
        self.line, self.remedies = line, remedies
        super().__init__(self.words(form))

    def words(self, form: str) -> str:
        """Return the whole line with the remedies; `form` as in `Remedy.words`."""
        remedies = " or ".join(remedy.words(form) for remedy in self.remedies)
        if not remedies:
            return self.line
        if form == "panel":
            return said(
                "{line}, or choose under Options {remedies}", line=self.line, remedies=remedies
            )
        return said("{line}, or load it with {remedies}", line=self.line, remedies=remedies)
