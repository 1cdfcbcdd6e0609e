"""Text from elsewhere cannot steer a terminal or break an encoding."""

from __future__ import annotations

import json

import pytest

from napari_ct_assistant.support.plain_text import escaped_json, plain, shortened


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b2Jgone", "gone"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\x", "x"),
        ("over\rwritten", "overwritten"),
        ("\u202egnp.exe", "gnp.exe"),
        ("lone \ud800", "lone \ufffd"),
        ("Größe 3 × 5 mm², плевра, 肺", "Größe 3 × 5 mm², плевра, 肺"),
    ],
)
def test_plain(text: str, clean: str) -> None:
    assert plain(text) == clean
    assert plain(clean) == clean
    plain(text).encode()


def test_shortened() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("a" * 30, 10) == "aaaa (cut)"


def test_json_keeps_its_values() -> None:
    value = {"name": "a\x9b2J\u202eb\x1b\ud800 é\n"}
    text = escaped_json(json.dumps(value, ensure_ascii=False, indent=1))
    text.encode()
    assert plain(text) == text
    assert json.loads(text) == value
