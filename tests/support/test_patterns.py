"""Patterns that take endless time are told from those of usual tokenizers."""

from __future__ import annotations

import pytest

from napari_ct_assistant.support.patterns import may_explode

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
    r"\s*[\r\n]|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(.*)*x",
        "(?:a|aa)+$",
        "((a{1,100}){1,100}){1,100}",
        "(([ab]+))+",
        "(a|b|ab)*c",
        r"(\w+\s?)+$",
        ".*.*=",
        "(?:(?:x?))*",
    ],
)
def test_endless_patterns(pattern: str) -> None:
    assert may_explode(pattern)


@pytest.mark.parametrize(
    "pattern",
    [CL100K, O200K, GPT2, "", " ", r"\p{L}+", "[+*(|]+a", r"\(a+\)+", "(?:ab){2}x", "(a+)b", "("],
)
def test_usual_patterns(pattern: str) -> None:
    assert not may_explode(pattern)
