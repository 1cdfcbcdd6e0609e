"""Whether values that were read from a file have the types that their dataclass declares."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def check_types(value: Any) -> None:
    """Check the fields of a dataclass, and of the dataclasses in it.

    Understood are classes, unions, `Literal`, `tuple[X, ...]`, tuples of several types, `dict` and
    dataclasses. A whole number passes for a float, and a truth value for no number.

    Raises
    ------
    TypeError
        With the field and its value.
    """
    hints = get_type_hints(type(value))
    for field in fields(value):
        held = getattr(value, field.name)
        if not _fits(held, hints[field.name]):
            raise TypeError(f"{type(value).__name__}.{field.name} is {str(held)[:60]!r}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inside[1:] == (...,):
            return all(_fits(item, inside[0]) for item in value)
        return len(value) == len(inside) and all(map(_fits, value, inside))
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, inside[0]) and _fits(item, inside[1]) for key, item in value.items()
        )
    if hint in (None, NoneType):
        return value is None
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    if not isinstance(value, hint):
        return False
    if is_dataclass(value):
        check_types(value)
    return True
