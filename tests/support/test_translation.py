"""The choice of a language, and what its catalogue does to texts, numbers and dates."""

from __future__ import annotations

import copy
import gettext
import json
import struct
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from napari_ct_assistant.support import translation
from napari_ct_assistant.support.translation import (
    Day,
    Texts,
    Verbatim,
    _,
    choose_language,
    date_text,
    decimal,
    in_language,
    language,
    languages,
    ngettext,
    percent,
    pgettext,
    said,
    shown,
    time_text,
    use_language,
)

HEAD = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"
DANISH = {
    "": HEAD,
    "slice": "snit",
    "{n} gaps of {size} mm, {status}": "{n} huller på {size} mm, {status}",
    "{n} slice\0{n} slices": "{n} snit\0{n} snitter",
    "decimal sign\x04.": ",",
    "percentage\x04{number}%": "{number} %",
    "date, see strftime\x04%Y-%m-%d": "%d/%m/%Y",
    "button\x04Report": "Skriv",
}


def write_mo(path: Path, texts: dict[str, str]) -> None:
    """Write a catalogue in the form that GNU gettext's manual describes."""
    path.parent.mkdir(parents=True)
    pairs = [(one.encode(), other.encode()) for one, other in sorted(texts.items())]
    tables, at = [b"", b""], 28 + 16 * len(pairs)
    body = b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), at + len(body))
            body += pair[column] + b"\0"
    head = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    path.write_bytes(struct.pack("<7I", *head) + tables[0] + tables[1] + body)


@pytest.fixture
def danish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a folder of catalogues with Danish and the German of Austria alone."""
    monkeypatch.setattr(translation, "FOLDER", tmp_path)
    monkeypatch.delenv(translation.VARIABLE, raising=False)
    for code in ("da", "de_AT"):
        write_mo(tmp_path / code / "LC_MESSAGES" / f"{translation.DOMAIN}.mo", DANISH)
    yield
    use_language("en")


@pytest.mark.parametrize(
    ("preference", "variable", "system", "chosen"),
    [
        ("", "", (), "en"),
        ("", "", ("da-DK", "en-GB"), "da"),
        ("", "", ("da_DK.UTF-8",), "da"),
        ("", "", ("fr-FR", "da"), "da"),
        ("", "", ("en-GB", "da"), "en"),
        ("", "", ("C",), "en"),
        ("", "", ("de-AT",), "de_AT"),
        ("", "", ("de-DE",), "en"),
        ("", "da", ("en-GB",), "da"),
        ("", "nonsense", ("da",), "da"),
        ("en", "da", ("da",), "en"),
        ("da", "en", ("en",), "da"),
        ("automatic", "", ("da",), "da"),
    ],
)
@pytest.mark.usefixtures("danish")
def test_preference_then_variable_then_system(
    preference: str,
    variable: str,
    system: tuple[str, ...],
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(translation.VARIABLE, variable)
    assert choose_language(preference, system) == chosen


@pytest.mark.usefixtures("danish")
def test_a_catalogue_translates_texts_numbers_and_dates() -> None:
    assert languages() == ["en", "da", "de_AT"]
    texts = Texts({"a": "slice", "b": "unknown"})
    use_language("da")
    assert language() == "da"
    assert _("slice") == texts["a"] == "snit"
    assert _("unknown") == texts["b"] == "unknown"
    assert _("") == ""
    assert [ngettext("{n} slice", "{n} slices", n) for n in (1, 2)] == ["{n} snit", "{n} snitter"]
    assert pgettext("button", "Report") == "Skriv"
    assert _("Report") == "Report"
    assert decimal(-1234.56, 1) == "-1234,6"
    assert decimal(0.25, 1, "+") == "+0,2"
    assert percent(0.254) == "25 %"
    assert percent(0.254, 1) == "25,4 %"
    assert date_text(date(2026, 3, 1)) == "01/03/2026"
    assert time_text(datetime(2026, 3, 1, 8, 5)) == "01/03/2026 08:05"


@pytest.mark.usefixtures("danish")
def test_english_needs_no_catalogue() -> None:
    use_language("da")
    use_language("en")
    assert language() == "en"
    assert isinstance(translation._panel.catalogue, gettext.NullTranslations)
    assert _("slice") == "slice"
    assert [ngettext("{n} slice", "{n} slices", n) for n in (1, 2)] == ["{n} slice", "{n} slices"]
    assert decimal(1.25, 1) == "1.2"
    assert percent(0.25) == "25%"
    assert date_text(date(2026, 3, 1)) == "2026-03-01"


@pytest.mark.usefixtures("danish")
def test_a_language_without_catalogue_is_english() -> None:
    use_language("da")
    use_language("fr")
    assert language() == "en"
    assert _("slice") == "slice"


@pytest.mark.usefixtures("danish")
def test_what_is_said_in_english_is_shown_in_the_language() -> None:
    text = said("{n} gaps of {size} mm, {status}", n=2, size="1.25", status="slice")
    assert text == "2 gaps of 1.25 mm, slice"
    assert shown(text) == text
    use_language("da")
    assert shown(text) == "2 huller på 1,25 mm, snit"
    assert shown(said("outer: {text}", text=text)) == "outer: 2 huller på 1,25 mm, snit"
    assert shown("slice") == "snit"
    assert shown("unknown {n}") == "unknown {n}"
    # Files get the English.
    assert json.loads(json.dumps([text])) == ["2 gaps of 1.25 mm, slice"]
    assert copy.deepcopy(text) == text
    assert shown(copy.deepcopy(text)) == shown(text)


def test_names_and_dates_that_are_none_stay_as_they_are() -> None:
    text = said("{name}: on {day}, {mm} mm", name="1.10", day=Day("2026-03-01"), mm="1.5")
    folder = said("{name}: {problem}", name="2024-01-15", problem=Verbatim("2024-01-15"))
    with in_language("de"):
        assert shown(text) == "1.10: on 01.03.2026, 1,5 mm"
        assert shown(folder) == "2024-01-15: 2024-01-15"
        assert shown(said("{day}", day=Day("2024-02-30"))) == "2024-02-30"
    assert shown(text) == "1.10: on 2026-03-01, 1.5 mm"
