"""The types of a dataclass's fields are checked when it was read from a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from napari_ct_assistant.support.typed import check_types


@dataclass(frozen=True)
class Inner:
    text: str


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...] = (Inner("a"),)
    place: tuple[float, float] | None = (1.0, 2)
    kind: Literal["a", "b"] = "a"
    words: dict[str, str] | None = None
    count: int = 0


def test_sound_values_pass() -> None:
    check_types(Outer())
    check_types(Outer(place=None, kind="b", words={"a": "b"}, inner=()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inner", (Inner(3),)),  # type: ignore[arg-type]
        ("inner", ("a",)),
        ("inner", [Inner("a")]),
        ("place", (1.0, "x")),
        ("place", (1.0,)),
        ("kind", "c"),
        ("words", {"a": 1}),
        ("count", 1.5),
        ("count", True),
        ("count", None),
    ],
)
def test_other_types_are_refused(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match="is "):
        check_types(replace(Outer(), **{field: value}))
