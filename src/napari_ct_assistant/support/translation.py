"""The language of the panel: gettext's functions, and numbers and dates as a language writes them.

English is the source: its texts stand in the code, and no catalogue is loaded for it. A program
that chooses no language, such as the command line, therefore writes English. The catalogues are
in `locale/<language>/LC_MESSAGES`; `scripts/translations.py` keeps them.

A text that is made when a module is imported is marked with `N_`, and translated with `_` where
it is shown: the language is chosen later. Values go in after the translation::

    _("{n} of {total}").format(n=n, total=total)

A text that is made below the panel and also goes into files, such as a warning about a scan or the
text of an error, is made with `said` and stays English; the panel passes it through `shown`, and so
does an export in another language (`in_language`). Errors
that only the command line, the training package or a wrong call can meet are plain English.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

DOMAIN: Final = "napari_ct_assistant"
FOLDER: Final = Path(__file__).parents[1] / "locale"
ENGLISH: Final = "en"
# The environment variable that chooses the language where the preferences leave it open.
VARIABLE: Final = "CT_ASSISTANT_LANGUAGE"
_NUMBER: Final = re.compile(r"[+-]?\d+\.\d+")
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)%")
# Values that are called so are names, even where they look like numbers.
_NAMES: Final = ("name", "file", "folder")


@dataclass
class _Chosen:
    """A language and its texts."""

    code: str = ENGLISH
    catalogue: gettext.NullTranslations = field(default_factory=gettext.NullTranslations)


_panel = _Chosen()
# The language of a file that is being written, for as long as that takes.
_file: ContextVar[_Chosen | None] = ContextVar("language of a file", default=None)


def _now() -> _Chosen:
    return _file.get() or _panel


def languages() -> list[str]:
    """Return the codes of the languages that the texts exist in, English first."""
    found = FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")
    return [ENGLISH, *sorted(path.parents[1].name for path in found)]


def choose_language(preference: str = "", system: Iterable[str] = ()) -> str:
    """Return the language to use: the first of those asked for that the texts exist in.

    Parameters
    ----------
    preference : str, optional
        What the user chose. After it comes the environment variable CT_ASSISTANT_LANGUAGE.
    system : iterable of str, optional
        The system's languages, best first, such as "de-AT".

    Returns
    -------
    str
        One of `languages`; English if none of those asked for is there.
    """
    by_name = {code.lower(): code for code in languages()}
    for asked in (preference, os.environ.get(VARIABLE, ""), *system):
        # "de-AT", "de_AT.UTF-8": German as in Austria if there is such a catalogue, else German.
        parts = re.split(r"[-_.@]", asked.lower())
        for name in ("_".join(parts[:2]), parts[0]):
            if name in by_name:
                return by_name[name]
    return ENGLISH


def use_language(code: str) -> None:
    """Show the texts in a language from now on; English if they do not exist in it."""
    loaded = _load(code)
    _panel.code, _panel.catalogue = loaded.code, loaded.catalogue


@contextmanager
def in_language(code: str) -> Iterator[None]:
    """Make texts in another language meanwhile, in this thread only: for a file."""
    token = _file.set(_load(code))
    try:
        yield
    finally:
        _file.reset(token)


def _load(code: str) -> _Chosen:
    catalogue = gettext.translation(DOMAIN, FOLDER, [code], fallback=True)
    known = isinstance(catalogue, gettext.GNUTranslations)
    return _Chosen(code if known else ENGLISH, catalogue)


def language() -> str:
    """Return the code of the language in use."""
    return _now().code


def _(message: str) -> str:
    """Return a text in the language in use."""
    # For an empty text, gettext returns the head of the catalogue.
    return _now().catalogue.gettext(message) if message else ""


def ngettext(one: str, many: str, n: int) -> str:
    """Return the form of a text that goes with the number `n`."""
    return _now().catalogue.ngettext(one, many, n)


def pgettext(context: str, message: str) -> str:
    """Return a text whose English is ambiguous; the context tells the translator what is meant."""
    return _now().catalogue.pgettext(context, message)


def N_(message: str) -> str:  # noqa: N802 - gettext's name
    """Mark a text that is translated later, where it is shown."""
    return message


class Message(str):
    """An English text that remembers its parts: files keep the English, the panel translates it.

    Attributes
    ----------
    template : str
        The text with places for the values, as the catalogues have it.
    values : dict of str to str
    """

    template: str
    values: dict[str, str]


class Day(str):
    """A date such as "2026-01-02", which a language writes in its own way."""


class Verbatim(str):
    """A value that is shown as it is, such as a file's name, even if a text is the same."""


def said(template: str, **values: object) -> Message:
    """Return `template` with its values, in English. `shown` translates it later."""
    parts = {name: _part(value) for name, value in values.items()}
    made = Message(template.format(**parts))
    made.template, made.values = template, parts
    return made


def _part(value: object) -> str:
    """Return a value as text; that of an error, too, remembers its parts."""
    text = getattr(value, "text", value)
    return text if isinstance(text, Message | Verbatim | Day) else str(value)


def together(*parts: str, between: str = " ") -> Message:
    """Return texts as one, with something between them; empty ones are left out."""
    values = {f"part{n}": part for n, part in enumerate(filter(None, parts))}
    template = between.join(f"{{{name}}}" for name in values)
    return said(template, **values)


def shown(text: str) -> str:
    """Return a text in the language in use, if it is a `Message` or in the catalogue as it is."""
    if language() == ENGLISH:
        return str(text)
    if isinstance(text, Verbatim):
        return str(text)
    if isinstance(text, Day):
        try:
            return date_text(date.fromisoformat(text))
        except ValueError:  # as somebody typed it
            return str(text)
    if not isinstance(text, Message):
        return _(text)
    values = {name: _shown_part(name, value) for name, value in text.values.items()}
    return _(text.template).format(**values) if text else ""


def _shown_part(name: str, value: str) -> str:
    """Return a value of a text in the language in use: a length, a share, another text."""
    if isinstance(value, Verbatim) or name.startswith(_NAMES):
        # A file may be called "1.10".
        return shown(value)
    if _NUMBER.fullmatch(value):
        return localized(value)
    if share := _PERCENT.fullmatch(value):
        return pgettext("percentage", "{number}%").format(number=localized(share[1]))
    return shown(value)


class Texts(Mapping[str, str]):
    """Texts by name, each translated when it is looked up.

    Parameters
    ----------
    english : mapping of str to str
        Texts marked with `N_`.
    """

    def __init__(self, english: Mapping[str, str]) -> None:
        self._english = english

    def __getitem__(self, name: str) -> str:
        return _(self._english[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._english)

    def __len__(self) -> int:
        return len(self._english)


def localized(number: str) -> str:
    """Return a number that is written in English with the language's decimal sign."""
    return number.replace(".", pgettext("decimal sign", "."))


def decimal(value: float, digits: int, sign: str = "") -> str:
    """Return a number with `digits` decimals and the language's decimal sign.

    `sign` is "+" for a number that always has its sign.
    """
    return localized(f"{value:{sign}.{digits}f}")


def percent(fraction: float, digits: int = 0) -> str:
    """Return a fraction as a percentage, with the space that some languages put in it."""
    return pgettext("percentage", "{number}%").format(number=decimal(100 * fraction, digits))


def date_text(day: date) -> str:
    """Return a date in numbers as the language writes it."""
    return day.strftime(pgettext("date, see strftime", "%Y-%m-%d"))


def time_text(moment: datetime) -> str:
    """Return a date and the time of day in hours and minutes."""
    return f"{date_text(moment)} {moment:%H:%M}"
