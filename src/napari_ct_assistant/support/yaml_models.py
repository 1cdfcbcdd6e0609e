"""YAML files that a person writes, checked against a pydantic model: errors name file and line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said

Keys = tuple[str | int, ...]
MAX_BYTES: Final = 200_000
MAX_DEPTH: Final = 40
_LONG: Final = 60  # characters of a value that a message quotes
_MANY: Final = 12  # known keys that a message lists; of more it suggests the nearest


class YamlFileError(CTAssistantError, ValueError):
    """A file that cannot be read as YAML: one line with its name and, where known, the line."""


class Problem(NamedTuple):
    """What is wrong with a value, and the keys that lead to it."""

    keys: Keys
    message: str


class YamlFile:
    """The content of a YAML file, and the line of each of its keys.

    Parameters
    ----------
    name : str
        What messages call the file.
    text : str
        Its content.
    spelled : bool
        Keep every scalar as it is spelled: `No` and `12` are texts, not a boolean and a number.

    Raises
    ------
    YamlFileError
        If the text is not YAML, or a key stands twice in one mapping.
    """

    def __init__(self, name: str, text: str, *, spelled: bool = False):
        self.name = name
        self.text = text
        self._lines = text.splitlines()
        try:
            # Neither loader makes anything but texts, numbers, lists and mappings.
            loader = (yaml.BaseLoader if spelled else yaml.SafeLoader)(text)
        except yaml.reader.ReaderError as error:
            raise YamlFileError(
                said(
                    "{name}: not valid YAML: character #{character} is not allowed",
                    name=name,
                    character=f"{error.character:x}",
                )
            ) from error
        try:
            _refuse_bombs(text)
            self._root = loader.get_single_node()
            self._refuse_repeated_keys()
            self.values: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f" line {mark.line + 1}" if mark else ""
            problem = error.problem or error.context
            raise YamlFileError(
                said(
                    "{name}{where}: not valid YAML: {problem}",
                    name=name,
                    where=where,
                    problem=problem,
                )
            ) from error
        except (yaml.YAMLError, RecursionError) as error:
            raise YamlFileError(
                said("{name}: not valid YAML ({name2})", name=name, name2=type(error).__name__)
            ) from error
        finally:
            loader.dispose()

    def find(self, keys: Sequence[str | int]) -> int | None:
        """Return the line, counted from 1, on which a key path stands; None if it is not there."""
        line, found = self._follow(keys)
        return line if found == len(keys) else None

    def locate(self, keys: Sequence[str | int], message: str) -> str:
        """Return a message with the file, the line of the nearest key that is there, and that line.

        keys: the path to a value; of a missing value, the line of what should hold it is told.
        """
        return self.at(self._follow(keys)[0], message, quote=bool(keys))

    def at(self, line: int, message: str, *, quote: bool = True) -> str:
        """Return a message with the file and a line of it."""
        shown = self._lines[line - 1].strip() if quote and line <= len(self._lines) else ""
        return f"{self.name} line {line}: {message}" + (f" [{shown}]" if shown else "")

    def _follow(self, keys: Sequence[str | int]) -> tuple[int, int]:
        """Return the line of the deepest key of a path that is there, and its depth."""
        node, line = self._root, 1
        for depth, key in enumerate(keys):
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == str(key)), None)
                if pair is None:
                    return line, depth
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                if key >= len(node.value):
                    return line, depth
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                return line, depth
        return line, len(keys)

    def _refuse_repeated_keys(self) -> None:
        """Refuse a key that stands twice: YAML would silently take the last."""
        waiting, seen = [self._root], set()
        while waiting:
            node = waiting.pop()
            if node is None or id(node) in seen:  # an alias may lead back
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                waiting += node.value
            elif isinstance(node, yaml.MappingNode):
                names = set()
                for key, value in node.value:
                    waiting.append(value)
                    if isinstance(key, yaml.ScalarNode):
                        if key.value in names:
                            line = key.start_mark.line + 1
                            raise YamlFileError(self.at(line, f"{key.value!r} is there twice"))
                        names.add(key.value)


def _refuse_bombs(text: str) -> None:
    """Refuse `*name`, a few hundred of which can stand for gigabytes, and endless nesting.

    PyYAML takes half a minute for three thousand brackets.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem=f"an alias, *{event.anchor}; write the value out",
                problem_mark=event.start_mark,
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested more than {MAX_DEPTH} deep", problem_mark=event.start_mark
            )


def read_yaml(path: Path, *, name: str | None = None, spelled: bool = False) -> YamlFile:
    """Read a YAML file.

    Parameters
    ----------
    path : Path
    name : str, optional
        What messages call it; by default its own name, without the folders above it.
    spelled : bool
        Keep every scalar as it is spelled.

    Raises
    ------
    YamlFileError
        If it cannot be read, is longer than 200,000 bytes, or is not YAML in UTF-8.
    """
    name = path.name if name is None else name
    try:
        if path.exists() and not path.is_file():
            raise YamlFileError(said("{name}: not a file", name=name))
        if path.stat().st_size > MAX_BYTES:
            raise YamlFileError(
                said(
                    "{name}: more than {max_bytes} bytes; is it the right file?",
                    name=name,
                    max_bytes=MAX_BYTES,
                )
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise YamlFileError(
            said("{name}: cannot be read ({value})", name=name, value=error.strerror or error)
        ) from error
    except UnicodeDecodeError as error:
        raise YamlFileError(
            said("{name}: not UTF-8 text (byte {start})", name=name, start=error.start)
        ) from error
    return YamlFile(name, text, spelled=spelled)


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return what a validation found wrong, in words for the author of the file.

    Unknown keys come first: a misspelt key is often the reason why another is missing.

    Parameters
    ----------
    error : ValidationError
    model : type
        The model that was validated against.
    """
    errors = error.errors(include_url=False)
    errors.sort(key=lambda one: one["type"] != "extra_forbidden")
    return [_explain(one, model) for one in errors]


def dotted(keys: Sequence[str | int]) -> str:
    """Return a key path as messages show it: training.samples, sections[0].key."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")


def _explain(error: Any, model: type[BaseModel]) -> Problem:
    keys, known, kind = _resolve(model, error["loc"])
    name = dotted(keys)
    prefix = f"{name}: " if name else ""
    match error["type"]:
        case "missing":
            message = f"{name} is missing"
        case "union_tag_not_found":
            tag = str(error["ctx"]["discriminator"]).strip("'")
            message = f"{name}.{tag} is missing"
        case "extra_forbidden":
            message = f"{name}: unknown key{_hint(str(keys[-1]), known, keys, model)}"
        case "value_error":
            message = f"{prefix}{error['ctx']['error']}"
        case "list_type" | "tuple_type":
            message = f"{prefix}expected a list"
        case "too_short":
            message = f"{prefix}expected a list with at least one item"
        case "string_type":
            message = f"{prefix}expected a text; put it in quotes if it holds a colon"
        case "model_type" | "dict_type":
            needed = _needed(kind)
            message = f"{prefix}expected {', '.join(needed) if needed else 'a group of keys'}"
        case _:
            message = f"{prefix}{error['msg']} (got {_shortened(error['input'])})"
    return Problem(keys, message)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."


def _hint(key: str, known: Sequence[str], keys: Keys, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(key, known, 1, cutoff=0.75)
    if near:
        return f"; is {near[0]} meant?"
    elsewhere = [path for path in _all_keys(model) if path != dotted(keys)]
    places = {path: path.rpartition(".")[2] for path in elsewhere}
    close = difflib.get_close_matches(key, set(places.values()), 1, cutoff=0.85)
    if close:
        found = [path for path, last in places.items() if last == close[0]]
        return f"; is {' or '.join(found[:3])} meant?"
    return f"; known are {', '.join(known)}" if 0 < len(known) <= _MANY else ""


def _all_keys(model: type[BaseModel], above: str = "", depth: int = 4) -> list[str]:
    """Return the dotted path of every key of a model and of the models in it."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        found.append(f"{above}{name}")
        for inner in _members(field.annotation):
            if depth and isinstance(inner, type) and issubclass(inner, BaseModel):
                found += _all_keys(inner, f"{above}{name}.", depth - 1)
    return list(dict.fromkeys(found))


def _needed(kind: Any) -> list[str]:
    """Return the keys that a model needs."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    return [name for name, field in kind.model_fields.items() if field.is_required()]


def _resolve(model: type[BaseModel], loc: Sequence[str | int]) -> tuple[Keys, list[str], Any]:
    """Return a pydantic location's keys in the file, the keys known beside the last, its type.

    pydantic puts the tag of a discriminated union between the keys; it is left out.
    """
    keys: list[str | int] = []
    kind: Any = model
    known: list[str] = []
    for key in loc:
        members = _members(kind)
        if len(members) > 1:
            tagged = next((m for m in members if key in _tags(m)), None)
            if tagged is not None:
                kind = tagged
                continue
        kind, known = _inside(members[0] if members else None, key)
        keys.append(key)
    return tuple(keys), known, kind


def _inside(kind: Any, key: str | int) -> tuple[Any, list[str]]:
    """Return the type of what a type holds under a key, and all keys of a model."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(key))
        return (None if field is None else field.annotation), list(kind.model_fields)
    inner = get_args(kind)
    if get_origin(kind) is dict:
        return inner[1], []
    return (inner[0] if inner else None), []


def _members(kind: Any) -> list[Any]:
    """Return the types of a union without None, flattened; of another type, itself."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [inner for member in get_args(kind) for inner in _members(member)]
    return [] if kind in (None, NoneType) else [kind]


def _tags(kind: Any) -> list[Any]:
    """Return the values by which a union's model is told from the others."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    annotations = [field.annotation for field in kind.model_fields.values()]
    return [value for a in annotations if get_origin(a) is Literal for value in get_args(a)]
