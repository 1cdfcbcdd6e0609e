"""How a model is loaded: place, precision, quantization. Importing it brings no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from napari_ct_assistant.model.errors import ModelLoadError

Quantize = Literal["8bit", "4bit"]

# Short names that people type, and torch's own.
DTYPES: Final[dict[str, str]] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class LoadOptions:
    """What `load_assistant` takes besides the model. The defaults are the best for the machine.

    Attributes
    ----------
    device : str or None
        "cpu", "cuda", "cuda:1", "mps".
    dtype : str or None
        "bfloat16", "float16" or "float32".
    quantize : "8bit", "4bit" or None
        Of the language model's weights.
    device_map : "auto" or None
        What the GPU cannot hold stays in the computer's memory.
    """

    device: str | None = None
    dtype: str | None = None
    quantize: Quantize | None = None
    device_map: Literal["auto"] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `load_assistant` that are not its defaults."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def changed(self, **changes: Any) -> LoadOptions:
        """Return these options with some replaced; a device map takes the place of a device."""
        if changes.get("device_map"):
            changes.setdefault("device", None)
        elif changes.get("device"):
            changes.setdefault("device_map", None)
        return replace(self, **changes)

    def words(self) -> str:
        """Return what was chosen in a few words, "" for the defaults."""
        chosen = [self.device or "", self.dtype or "", (self.quantize or "").replace("bit", "-bit")]
        if self.device_map:
            chosen.append("spread over GPU and computer memory")
        return ", ".join(filter(None, chosen))


BEST: Final = LoadOptions()


@dataclass(frozen=True)
class Remedy:
    """One option that would make a model fit: `field` of `LoadOptions` set to `value`."""

    field: str
    value: str
    bytes: int | None = None
    remark: str = ""

    def words(self, form: str) -> str:
        """Return it as Python writes it (`dtype="bfloat16"`), the command line, or the panel."""
        size = "" if self.bytes is None else f" ({self.bytes / 1e9:.1f} GB)"
        if form == "panel":
            return f"{self.field.replace('_', ' ')} {self.value}{size}{self.remark}"
        if form == "python":
            return f'{self.field}="{self.value}"{size}{self.remark}'
        short = {full: name for name, full in DTYPES.items()}.get(self.value, self.value)
        return f"--{self.field.replace('_', '-')} {short}{size}{self.remark}"

    def apply(self, options: LoadOptions) -> LoadOptions:
        """Return the options with this one chosen."""
        return options.changed(**{self.field: self.value})


class NotEnoughMemoryError(ModelLoadError):
    """A model that does not fit into memory.

    Attributes
    ----------
    remedies : tuple of Remedy
        What would make it fit.
    line : str
        What it needs and what is free, without the remedies.
    """

    def __init__(self, line: str, remedies: tuple[Remedy, ...] = (), form: str = "python") -> None:
        self.line, self.remedies = line, remedies
        super().__init__(self.words(form))

    def words(self, form: str) -> str:
        """Return the whole line; see `Remedy.words`."""
        remedies = " or ".join(remedy.words(form) for remedy in self.remedies)
        verb = "choose under Options" if form == "panel" else "load it with"
        return f"{self.line}, or {verb} {remedies}" if remedies else self.line
