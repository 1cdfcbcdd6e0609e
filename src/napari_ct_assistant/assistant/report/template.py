"""Report templates: which sections a department's report has, and its standard phrases.

A template is a YAML file. The bundled ones lie beside this module, a department's own in
`user_folder()`. An invalid one is refused with one line that names the file and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from platformdirs import user_config_path
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from napari_ct_assistant.report_text.questions import fill
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said
from napari_ct_assistant.support.yaml_models import YamlFileError, explain, read_yaml

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.reading.results import Sentence
    from napari_ct_assistant.volume import CTVolume

DEFAULT: Final = "Chest CT"
_BUNDLED: Final = Path(str(files("napari_ct_assistant.assistant.report").joinpath("templates")))
FOLDER_VARIABLE: Final = "CT_ASSISTANT_TEMPLATES"
_KEY: Final = re.compile(r"[a-z][a-z0-9_]*")
_FIELD: Final = re.compile(r"\{(\w*)\}")
_FACTS: Final = ("slices", "thickness", "voxel")
# A drafted section -> the template's section that takes its sentences.
_ALIASES: Final = {"report": "findings", "": "findings", "conclusion": "impression"}


class TemplateError(CTAssistantError, ValueError):
    """A template that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class Part:
    """A section of the template, or an organ within its findings (key "findings/lungs").

    Attributes
    ----------
    words : tuple of str
        Beginnings of words. A drafted sentence goes to the organ of which it has most words.
    phrases : tuple of str
        Standard sentences that the reader can insert.
    text : str
        Initial text; {slices}, {thickness} and {voxel} stand for the scan's.
    """

    key: str
    heading: str
    level: int = 1
    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    text: str = ""

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        if not self.words:
            return None
        either = "|".join(re.escape(word) for word in self.words)
        return re.compile(rf"\b(?:{either})", re.IGNORECASE)

    def score(self, text: str) -> int:
        """Return how many of the organ's words a sentence has."""
        return len(self._pattern.findall(text)) if self._pattern else 0

    def filled(self, volume: CTVolume | None) -> str:
        """Return `text` with the scan's values; empty if it needs a scan and there is none."""
        if not _FIELD.search(self.text):
            return self.text
        if volume is None:
            return ""
        i, p, left = volume.spacing
        return fill(
            self.text,
            slices=str(volume.shape[0]),
            thickness=f"{i:.3g}",
            voxel=f"{left:.3g} x {p:.3g} x {i:.3g}",
        )


@dataclass(frozen=True)
class ReportTemplate:
    """A department's template: its name and its sections, organs after the findings."""

    name: str
    sections: tuple[Part, ...]

    def place(self, sentence: Sentence) -> tuple[str, str]:
        """Return key and heading of the section for a drafted sentence."""
        name = sentence.section.strip()
        key = _ALIASES.get(name.lower(), name.lower())
        if key == "findings":
            organs = [part for part in self.sections if part.key.startswith("findings/")]
            best = max(organs, key=lambda part: part.score(sentence.text), default=None)
            if best is not None and best.score(sentence.text):
                return best.key, best.heading
        for part in self.sections:
            if part.key == key or part.heading.lower() == name.lower():
                return part.key, part.heading
        return key, name.capitalize() or "Findings"

    def phrases(self, key: str) -> tuple[str, ...]:
        """Return the standard phrases of a section."""
        return next((part.phrases for part in self.sections if part.key == key), ())


def user_folder() -> Path:
    """Return the folder that holds a department's own templates; it need not exist."""
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own) if own else user_config_path("napari-ct-assistant", False) / "templates"


def template_files(*, bundled: bool = False) -> Iterator[Path]:
    """Yield the template files: a department's own first, unless `bundled`, then the bundled."""
    own = [] if bundled else [user_folder()]
    for folder in (
        *own,
        _BUNDLED,
    ):
        if folder.is_dir():
            yield from sorted(
                path for path in folder.iterdir() if path.suffix.lower() in {".yaml", ".yml"}
            )


def default_template() -> ReportTemplate:
    """Return the default template as it comes with the package: one small file is read."""
    return read_template(_BUNDLED / "chest.yaml")


def list_templates() -> tuple[dict[str, ReportTemplate], list[str]]:
    """Return the templates by name, and one line for each file that cannot be used.

    A department's template hides a bundled one of the same name.
    """
    found: dict[str, ReportTemplate] = {}
    wrong: list[str] = []
    for path in template_files():
        try:
            template = read_template(path)
        except TemplateError as error:
            wrong.append(error.text)
        else:
            found.setdefault(template.name, template)
    return found, wrong


def find_template(name: str = "") -> ReportTemplate:
    """Return the template with this name, or at this path; the default if `name` is empty.

    Raises
    ------
    TemplateError
        If there is none, or the file is invalid.
    """
    if name.lower().endswith((".yaml", ".yml")):
        return read_template(Path(name))
    found, wrong = list_templates()
    try:
        return found[name or DEFAULT]
    except KeyError:
        more = f"; invalid: {'; '.join(wrong)}" if wrong else ""
        raise TemplateError(
            said(
                "no template {value}; give one of {list}{more}",
                value=repr(name or DEFAULT),
                list=", ".join(found),
                more=more,
            )
        ) from None


def read_template(path: Path) -> ReportTemplate:
    """Read a template.

    Raises
    ------
    TemplateError
        One line with the file's name and the line that is invalid.
    """
    try:
        file = read_yaml(path, name=path.name, spelled=True)
    except YamlFileError as error:
        raise TemplateError(error.text) from error
    try:
        content = _Template.model_validate(file.values)
    except ValidationError as error:
        raise TemplateError(file.locate(*explain(error, _Template)[0])) from error
    return ReportTemplate(content.name, tuple(_parts(content)))


def _parts(content: _Template) -> Iterator[Part]:
    for section in content.sections:
        yield Part(section.key, section.heading, text=section.text, phrases=section.phrases)
        for organ in section.organs:
            slug = "_".join(re.findall(r"\w+", organ.heading.lower()))
            yield Part(
                f"{section.key}/{slug}",
                organ.heading,
                level=2,
                words=organ.words,
                phrases=organ.phrases,
            )


def _one_line(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return " ".join(text.split())


_Text = Annotated[str, AfterValidator(_one_line)]
_Texts = Annotated[tuple[_Text, ...], Field(min_length=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Organ(_Checked):
    heading: _Text
    words: _Texts = ()
    phrases: _Texts = ()


class _Section(_Checked):
    key: _Text
    heading: _Text
    text: _Text = ""
    phrases: _Texts = ()
    organs: Annotated[tuple[_Organ, ...], Field(min_length=1)] = ()

    @field_validator("key")
    @classmethod
    def _is_a_word(cls, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} must be one lower-case word, such as findings")
        return key

    @field_validator("text")
    @classmethod
    def _has_known_fields(cls, text: str) -> str:
        unknown = [name for name in _FIELD.findall(text) if name not in _FACTS]
        if unknown or "{" in _FIELD.sub("", text) or "}" in _FIELD.sub("", text):
            known = ", ".join(f"{{{name}}}" for name in _FACTS)
            raise ValueError(f"only {known} can stand in braces")
        return text


class _Template(_Checked):
    name: _Text
    sections: Annotated[tuple[_Section, ...], Field(min_length=1)]

    @field_validator("sections")
    @classmethod
    def _keys_differ(cls, sections: tuple[_Section, ...]) -> tuple[_Section, ...]:
        keys = [section.key for section in sections]
        double = next((key for key in keys if keys.count(key) > 1), None)
        if double is not None:
            raise ValueError(f"two sections are called {double!r}")
        return sections
