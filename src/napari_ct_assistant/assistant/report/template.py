"""Report templates: which sections a department's report has, and its standard phrases.

A template is a YAML file; the bundled ones are beside this module, a department's own are in
`user_folder()`. A wrong one is refused with one line that names the file and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from platformdirs import user_config_path

from napari_ct_assistant.support.errors import CTAssistantError

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.reading.results import Sentence
    from napari_ct_assistant.volume import CTVolume

DEFAULT: Final = "Chest CT"
FOLDER_VARIABLE: Final = "CT_ASSISTANT_TEMPLATES"
MAX_BYTES: Final = 200_000
_KEY: Final = re.compile(r"[a-z][a-z0-9_]*")
_FIELD: Final = re.compile(r"\{(\w*)\}")
_FACTS: Final = ("slices", "thickness", "voxel")
# Where a draft's own section goes when the template has no section of that name.
_ALIASES: Final = {"report": "findings", "": "findings", "conclusion": "impression"}


class TemplateError(CTAssistantError, ValueError):
    """A template cannot be used; says the file and the line."""


@dataclass(frozen=True)
class Part:
    """A section of the template, or an organ within its findings (key "findings/lungs").

    Attributes
    ----------
    words : tuple of str
        Beginnings of words; a drafted sentence goes to the organ that has most of them.
    phrases : tuple of str
        Standard sentences that the reader can put in.
    text : str
        What stands there from the start, with {slices}, {thickness} and {voxel} of the scan.
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
        """Count how many of the organ's words a sentence has."""
        return len(self._pattern.findall(text)) if self._pattern else 0

    def filled(self, volume: CTVolume | None) -> str:
        """Return `text` with the scan's facts; empty where it needs a scan and has none."""
        if not _FIELD.search(self.text):
            return self.text
        if volume is None:
            return ""
        i, p, left = volume.spacing
        return self.text.format(
            slices=volume.shape[0], thickness=f"{i:.3g}", voxel=f"{left:.3g} x {p:.3g} x {i:.3g}"
        )


@dataclass(frozen=True)
class ReportTemplate:
    """A department's template: its name and its sections, organs after the findings."""

    name: str
    sections: tuple[Part, ...]

    def place(self, sentence: Sentence) -> tuple[str, str]:
        """Return key and heading of the section that a drafted sentence belongs to."""
        said = sentence.section.strip()
        key = _ALIASES.get(said.lower(), said.lower())
        if key == "findings":
            organs = [part for part in self.sections if part.key.startswith("findings/")]
            best = max(organs, key=lambda part: part.score(sentence.text), default=None)
            if best is not None and best.score(sentence.text):
                return best.key, best.heading
        for part in self.sections:
            if part.key == key or part.heading.lower() == said.lower():
                return part.key, part.heading
        return key, said.capitalize() or "Findings"

    def phrases(self, key: str) -> tuple[str, ...]:
        """Return the standard phrases of a section."""
        return next((part.phrases for part in self.sections if part.key == key), ())


def user_folder() -> Path:
    """Return the folder that holds a department's own templates; it need not exist."""
    own = os.environ.get(FOLDER_VARIABLE)
    return Path(own) if own else user_config_path("napari-ct-assistant", False) / "templates"


def template_files() -> Iterator[Path]:
    """Yield the template files: a department's own first, then the bundled ones."""
    bundled = Path(str(files("napari_ct_assistant.assistant.report").joinpath("templates")))
    for folder in (user_folder(), bundled):
        if folder.is_dir():
            yield from sorted(
                path for path in folder.iterdir() if path.suffix.lower() in {".yaml", ".yml"}
            )


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
            wrong.append(str(error))
        else:
            found.setdefault(template.name, template)
    return found, wrong


def find_template(name: str = "") -> ReportTemplate:
    """Return the template called `name`, or at the path `name`; the default where it is empty.

    Raises
    ------
    TemplateError
        If there is none, or the file is wrong.
    """
    if name.lower().endswith((".yaml", ".yml")):
        return read_template(Path(name))
    found, wrong = list_templates()
    try:
        return found[name or DEFAULT]
    except KeyError:
        more = f"; not usable: {'; '.join(wrong)}" if wrong else ""
        raise TemplateError(
            f"no template {name or DEFAULT!r}; there are {', '.join(found)}{more}"
        ) from None


def read_template(path: Path) -> ReportTemplate:
    """Read a template.

    Raises
    ------
    TemplateError
        One line with the file's name and the line that is wrong.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TemplateError(f"{path.name}: more than {MAX_BYTES} bytes; not a template")
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise TemplateError(f"{path.name}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path.name}: not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise TemplateError(f"{path.name}{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise TemplateError(f"{path.name}: not YAML ({type(error).__name__})") from error
    return _Reader(path.name).template(node)


class _Reader:
    """Turns YAML nodes into a template; a node still knows its line."""

    def __init__(self, file: str) -> None:
        self.file = file

    def wrong(self, node: Any, problem: str) -> TemplateError:
        line = 1 if node is None else node.start_mark.line + 1
        return TemplateError(f"{self.file}:{line}: {problem}")

    def template(self, node: Any) -> ReportTemplate:
        top = self.mapping(node, {"name", "sections"}, {"name", "sections"})
        parts: list[Part] = []
        for item in self.items(top["sections"]):
            parts += self.section(item)
        keys = [part.key for part in parts]
        double = next((key for key in keys if keys.count(key) > 1), None)
        if double is not None:
            raise self.wrong(top["sections"], f"two sections are called {double!r}")
        return ReportTemplate(self.text(top["name"]), tuple(parts))

    def section(self, node: Any) -> Iterator[Part]:
        known = {"key", "heading", "text", "phrases", "organs"}
        fields = self.mapping(node, known, {"key", "heading"})
        key = self.text(fields["key"])
        if not _KEY.fullmatch(key):
            raise self.wrong(
                fields["key"], f"key {key!r} must be a word in small letters, such as findings"
            )
        yield Part(
            key,
            self.text(fields["heading"]),
            text=self.filled_text(fields.get("text")),
            phrases=self.texts(fields.get("phrases")),
        )
        for organ in self.items(fields["organs"]) if "organs" in fields else ():
            inner = self.mapping(organ, {"heading", "words", "phrases"}, {"heading"})
            heading = self.text(inner["heading"])
            slug = "_".join(re.findall(r"\w+", heading.lower()))
            yield Part(
                f"{key}/{slug}",
                heading,
                level=2,
                words=self.texts(inner.get("words")),
                phrases=self.texts(inner.get("phrases")),
            )

    def mapping(self, node: Any, known: set[str], needed: set[str]) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"expected {', '.join(sorted(needed))}")
        fields: dict[str, Any] = {}
        for name, value in node.value:
            word = self.text(name)
            if word not in known:
                raise self.wrong(name, f"unknown {word!r}; known are {', '.join(sorted(known))}")
            if word in fields:
                raise self.wrong(name, f"{word!r} is there twice")
            fields[word] = value
        missing = sorted(needed - set(fields))
        if missing:
            raise self.wrong(node, f"{', '.join(missing)} is missing")
        return fields

    def items(self, node: Any) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.wrong(node, "expected a list with at least one item")
        return list(node.value)

    def text(self, node: Any) -> str:
        # A bare `No` or `12` is YAML's boolean or number; the file's own spelling is meant.
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise self.wrong(node, "expected a text; put it in quotes if it holds a colon")
        return " ".join(node.value.split())

    def texts(self, node: Any) -> tuple[str, ...]:
        return () if node is None else tuple(self.text(item) for item in self.items(node))

    def filled_text(self, node: Any) -> str:
        if node is None:
            return ""
        text = self.text(node)
        unknown = [name for name in _FIELD.findall(text) if name not in _FACTS]
        if unknown or "{" in _FIELD.sub("", text) or "}" in _FIELD.sub("", text):
            said = ", ".join(f"{{{name}}}" for name in _FACTS)
            raise self.wrong(node, f"only {said} can stand in braces")
        return text
