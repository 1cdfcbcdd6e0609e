"""A wrong YAML file is told of in one line that names file, line and key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_ct_assistant.support.yaml_models import YamlFile, YamlFileError, explain, read_yaml

TEXT = """\
name: Ours
store:
  kind: disk
  folder: here
sizes:
  - 1
  - 2
"""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Disk(_Strict):
    kind: Literal["disk"]
    folder: str


class Cloud(_Strict):
    kind: Literal["cloud"]
    url: str


class Content(_Strict):
    name: str
    store: Disk | Cloud = Field(discriminator="kind")
    sizes: Annotated[tuple[int, ...], Field(min_length=1)]

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "Theirs":
            raise ValueError("is not ours")
        return name


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("folder: here", "foldr: here", "line 4: store.foldr: unknown key; is folder meant?"),
        ("  folder: here\n", "", "line 2: store.folder is missing [store:]"),
        ("folder: here", "folder: [1]", "line 4: store.folder: expected a text; put it in quotes"),
        ("  kind: disk\n", "", "line 2: store.kind is missing [store:]"),
        ("disk", "tape", "line 2: store: Input tag 'tape' found"),
        ("name: Ours\n", "", "line 1: name is missing"),
        ("name: Ours", "name: Theirs", "line 1: name: is not ours [name: Theirs]"),
        ("  - 2", "  - two", "line 7: sizes[1]: Input should be a valid integer"),
        ("  - 1\n  - 2\n", "", "line 5: sizes: expected a list"),
        ("\n  - 1\n  - 2\n", " []\n", "line 5: sizes: expected a list with at least one item"),
        (TEXT, "just words", "line 1: expected name, store, sizes"),
        (TEXT, "", "line 1: expected name, store, sizes"),
    ],
)
def test_errors_in_words(old: str, new: str, expected: str) -> None:
    assert old in TEXT
    file = YamlFile("own.yaml", TEXT.replace(old, new))
    with pytest.raises(ValidationError) as caught:
        Content.model_validate(file.values)
    told = file.locate(*explain(caught.value, Content)[0])
    assert told.startswith(f"own.yaml {expected}")
    assert "\n" not in told


def test_a_long_value_is_not_quoted_whole() -> None:
    file = YamlFile("own.yaml", TEXT.replace("- 2", "- " + 300 * "x"))
    with pytest.raises(ValidationError) as caught:
        Content.model_validate(file.values)
    assert "x" * 70 not in explain(caught.value, Content)[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2\n", "own.yaml line 2: not valid YAML: "),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "own.yaml line 4: 'c' is there twice [c: 2]"),
        ("a: &x {b: *x}\na: 1\n", "own.yaml line 1: not valid YAML: an alias, *x"),
        ("a: !!python/object:os.system x\n", "own.yaml line 1: not valid YAML: "),
        ("[" * 3000, "own.yaml"),
    ],
)
def test_what_is_not_yaml(text: str, expected: str) -> None:
    with pytest.raises(YamlFileError) as error:
        YamlFile("own.yaml", text)
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_scalars_as_they_are_spelled() -> None:
    assert YamlFile("own.yaml", "a: [No, 012]\n", spelled=True).values == {"a": ["No", "012"]}
    assert YamlFile("own.yaml", "a: [No, 012]\n").values == {"a": [False, 10]}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(YamlFileError, match=r"absent\.yaml: cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
    for data, problem in ((b"\xff\xfe\x00", "not UTF-8"), (b"#" * 200_001, "200000 bytes")):
        (tmp_path / "own.yaml").write_bytes(data)
        with pytest.raises(YamlFileError, match=f"^ours: .*{problem}"):
            read_yaml(tmp_path / "own.yaml", name="ours")


def test_aliases_are_refused_with_their_line() -> None:
    bomb = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\n"
    with pytest.raises(YamlFileError, match=r"^t\.yaml line 2: .*an alias, \*a; write the value"):
        YamlFile("t.yaml", bomb)


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.yaml")
    with pytest.raises(YamlFileError, match="not a file"):
        read_yaml(tmp_path / "t.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: " + "[" * 3000, "line 1: not valid YAML: nested more than 40 deep"),
        ("a: 1\nb: \0", "not valid YAML: character #0 is not allowed"),
    ],
)
def test_nesting_and_control_characters_are_refused(text: str, problem: str) -> None:
    with pytest.raises(YamlFileError) as error:
        YamlFile("x.yaml", text)
    assert str(error.value).startswith("x.yaml")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
