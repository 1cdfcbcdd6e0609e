"""How a scan is shown to an image-text model: one preset decides everything.

A preset is a YAML file. The bundled ones lie in `presets/`, a department's own in
`user_folder()`, beside a model as `slice_preset.yaml`, or anywhere else by their path. An invalid
one is refused with one line that names the file and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_ct_assistant.backends.slices.choice import (
    WHOLE,
    Order,
    Rule,
    SliceRange,
    choose_slices,
)
from napari_ct_assistant.backends.slices.rendering import JPEG_QUALITY, Encoding, Window
from napari_ct_assistant.report_text.findings import FINDINGS, with_article
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.support.yaml_models import YamlFileError, explain, read_yaml

FOLDER_VARIABLE: Final = "CT_ASSISTANT_SLICE_PRESETS"
IN_MODEL_FOLDER: Final = "slice_preset.yaml"
MEDGEMMA: Final = "medgemma-1.5"
GENERIC: Final = "generic-vl"
JPEG: Final = "+jpeg"  # behind a name
_FIELD: Final = re.compile(r"\{(\w*)\}")
_SUFFIXES: Final = (".yaml", ".yml")


class PresetError(CTAssistantError, ValueError):
    """A slice preset that cannot be used; the message names the file and the line."""


class SlicePreset(BaseModel):
    """How a scan is shown to an image-text model.

    Attributes
    ----------
    name : str
    about : str
        Where its rules come from, in a sentence.
    windows : three (lowest, highest) HU
        For red, green and blue. A file may give one, which all three then have.
    slices : int
        How many at most.
    rule, order : str
        As for `choose_slices`.
    pad_to_square : bool
        Centre slices that are not square in a black square.
    encoding : {"lossless", "jpeg"}
        "jpeg" loses detail: with `jpeg_quality` 75, 130 HU in the red channel on average.
    jpeg_quality : int
        1 to 95.
    label : str
        Text beside each slice; {number} counts the shown slices from 1.
    label_position : {"after", "before"}
        The slice.
    instruction : str
        The message's first text; {region} is the part of the body.
    question_position : {"last", "first"}
        After the last slice, or between the instruction and the first slice.
    question : str
        What stands around a question: {question}.
    finding_question : str
        The screen's question: {finding}.
    report_question : str
        May hold {region}.
    regions : tuple of str
        Parts of the body that it is made for; the first where the scan does not tell.
    findings : mapping of region to tuple of str
        What the screen asks for. CT-RATE's 18 for the chest where nothing is stated.
    max_new_tokens : int
        Of an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str = ""
    windows: tuple[Window, Window, Window]
    slices: Annotated[int, Field(ge=1, le=2000)]
    rule: Rule = "medgemma"
    order: Order = "head to feet"
    pad_to_square: bool = False
    encoding: Encoding = "lossless"
    jpeg_quality: Annotated[int, Field(ge=1, le=95)] = JPEG_QUALITY
    label: str = "SLICE {number}"
    label_position: Literal["after", "before"] = "after"
    instruction: str = ""
    question_position: Literal["last", "first"] = "last"
    question: str = "\n\n{question}"
    finding_question: str = "Is there {finding}? Answer only yes or no."
    report_question: str
    regions: Annotated[tuple[str, ...], Field(min_length=1)] = ("chest",)
    findings: Mapping[str, tuple[str, ...]] = {}
    max_new_tokens: Annotated[int, Field(ge=1)] = 2000

    @field_validator("name")
    @classmethod
    def _is_one_line(cls, name: str) -> str:
        if not name.strip() or "\n" in name:
            raise ValueError("must be one line of text")
        return name.strip()

    @field_validator("windows", mode="before")
    @classmethod
    def _one_for_all(cls, windows: object) -> object:
        if isinstance(windows, list | tuple) and len(windows) == 1:
            return [windows[0]] * 3
        if not isinstance(windows, list | tuple) or len(windows) != 3:
            raise ValueError("give one window [lowest, highest] in HU, or three: red, green, blue")
        return windows

    @field_validator("windows")
    @classmethod
    def _have_width(cls, windows: tuple[Window, ...]) -> tuple[Window, ...]:
        for low, high in windows:
            if not low < high:
                raise ValueError(f"a window is [{low:g}, {high:g}]; give lowest, then highest HU")
        return windows

    @field_validator("label", "instruction", "question", "finding_question", "report_question")
    @classmethod
    def _has_known_fields(cls, text: str, info: object) -> str:
        known = _FIELDS[getattr(info, "field_name", "")]
        rest = _FIELD.sub("", text)
        if set(_FIELD.findall(text)) - {known} or "{" in rest or "}" in rest:
            raise ValueError(f"only {{{known}}} can stand in braces")
        if known in _NEEDED and f"{{{known}}}" not in text:
            raise ValueError(f"{{{known}}} is missing")
        return text

    @field_validator("findings")
    @classmethod
    def _are_named(cls, findings: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        empty = next((region for region, names in findings.items() if not names), None)
        if empty is not None:
            raise ValueError(f"{empty} has no findings; leave it out")
        return findings

    # ---- what it says of a scan

    def choose(self, total: int, chosen: SliceRange = WHOLE) -> tuple[int, ...]:
        """Return the indices of the slices that are shown of `total`; see `choose_slices`."""
        return choose_slices(total, self.slices, self.rule, self.order, chosen)

    def labels(self, region: str) -> tuple[str, ...]:
        """Return the findings that the screen asks for in a region."""
        return self.findings.get(region, FINDINGS if region == "chest" else ())

    def screen_question(self, finding: str) -> str:
        """Return the question whether a finding is there."""
        return self.finding_question.replace("{finding}", with_article(finding))

    def report(self, region: str) -> str:
        """Return the question for the report of a region."""
        return self.report_question.replace("{region}", region)


# The field that each text may hold.
_FIELDS: Final = {
    "label": "number",
    "instruction": "region",
    "question": "question",
    "finding_question": "finding",
    "report_question": "region",
}
_NEEDED: Final = {"number", "question", "finding"}


def user_folder() -> Path:
    """Return the folder that holds a department's own presets; it need not exist."""
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own) if own else user_config_path("napari-ct-assistant", False) / "slice-presets"


def preset_files() -> Iterator[Path]:
    """Yield the preset files: a department's own first, then the bundled ones."""
    bundled = Path(str(files("napari_ct_assistant.backends.slices").joinpath("presets")))
    for folder in (user_folder(), bundled):
        if folder.is_dir():
            yield from sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)


def list_presets() -> tuple[dict[str, SlicePreset], list[str]]:
    """Return the presets by name, and one line for each file that cannot be used.

    A department's preset hides a bundled one of the same name.
    """
    found: dict[str, SlicePreset] = {}
    wrong: list[str] = []
    for path in preset_files():
        try:
            preset = read_preset(path)
        except PresetError as error:
            wrong.append(error.text)
        else:
            found.setdefault(preset.name, preset)
    return found, wrong


def find_preset(name: str = GENERIC) -> SlicePreset:
    """Return the preset with this name, or in the file at this path.

    "+jpeg" behind either sends the slices through JPEG, as MedGemma's notebook does.

    Raises
    ------
    PresetError
        If there is none, or the file is invalid.
    """
    if name.endswith(JPEG):
        lossy: dict[str, Encoding] = {"encoding": "jpeg"}
        return find_preset(name.removesuffix(JPEG)).model_copy(update=lossy)
    if name.lower().endswith(_SUFFIXES):
        return read_preset(Path(name).expanduser())
    found, wrong = list_presets()
    if name not in found:
        more = f"; invalid: {'; '.join(wrong)}" if wrong else ""
        raise PresetError(
            said(
                "no slice preset {name}; give one of {list}, or a YAML file{more}",
                name=repr(name),
                list=", ".join(found),
                more=more,
            )
        )
    return found[name]


def read_preset(path: Path) -> SlicePreset:
    """Read a preset.

    Raises
    ------
    PresetError
        One line with the file's name and the line that is invalid.
    """
    try:
        file = read_yaml(path)
    except YamlFileError as error:
        raise PresetError(error.text) from error
    try:
        return SlicePreset.model_validate(file.values)
    except ValidationError as error:
        raise PresetError(file.locate(*explain(error, SlicePreset)[0])) from error
