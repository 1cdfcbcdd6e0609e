"""Keep the catalogues of the panel's texts: extract, merge, compile.

    python scripts/translations.py             # after texts have changed
    python scripts/translations.py --add fr    # begin another language

The first form collects the texts from the source, puts new ones into each language's .po file,
drops those that are gone, and compiles the .mo files. It then names what is not translated yet.
Both files are kept in the repository, so that nobody who installs the package needs a tool.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from gettext import GNUTranslations
from io import BytesIO, StringIO
from pathlib import Path
from typing import IO

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_ct_assistant"
SOURCES = (PACKAGE, ROOT / "training")
LOCALES = PACKAGE / "locale"
DOMAIN = "napari_ct_assistant"
ISSUES = "https://github.com/napari-ct-assistant/napari-ct-assistant/issues"
# The functions of `support.translation`; the numbers are those of their arguments.
KEYWORDS = {"_": None, "N_": None, "said": (1,), "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
# A comment that begins so, above a text, is shown to the translator.
NOTE = "Translators:"
# These lines of the head change without need.
UNSTEADY = re.compile(rb'^"(?:POT-Creation-Date|Generated-By|PO-Revision-Date): .*\n', re.MULTILINE)
PLACE = re.compile(r"\{[^{}]*\}")


def extract_texts() -> Catalog:
    """Return every text of the source that is marked for translation."""
    found = Catalog(charset="utf-8")
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            # Babel warns of the values of `said`, which are no texts.
            with path.open("rb") as file, redirect_stderr(StringIO()):
                texts = list(extract("python", file, KEYWORDS, [NOTE], strip_comment_tags=True))
            name = path.relative_to(ROOT).as_posix()
            for _line, text, notes, context in texts:
                found.add(text, locations=[(name, 0)], auto_comments=notes, context=context)
    return found


def new_catalogue(language: str) -> Catalog:
    """Return the empty catalogue of a language; its head has the rule for plurals."""
    return Catalog(
        locale=language,
        header_comment="# The texts of the panel. This file has the licence of the package.",
        project="napari-ct-assistant",
        version="1",
        msgid_bugs_address=ISSUES,
        last_translator="napari-ct-assistant contributors",
        language_team="napari-ct-assistant contributors",
        charset="utf-8",
        fuzzy=False,
    )


def catalogues() -> dict[str, Path]:
    """Return the .po file of each language."""
    return {path.parents[1].name: path for path in sorted(LOCALES.glob("*/LC_MESSAGES/*.po"))}


def read(path: Path) -> Catalog:
    """Read a .po file."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parents[1].name, domain=DOMAIN)


def merged(path: Path, texts: Catalog) -> Catalog:
    """Return a language's catalogue with exactly these texts, translated where it has them."""
    catalogue = read(path)
    catalogue.update(texts, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    return catalogue


def po_bytes(catalogue: Catalog) -> bytes:
    """Return a catalogue as a .po file, the same for the same texts."""
    out = BytesIO()
    write_po(out, catalogue, width=98, sort_by_file=True, include_lineno=False)
    return UNSTEADY.sub(b"", out.getvalue())


def mo_bytes(po: bytes) -> bytes:
    """Return what a .po file compiles to."""
    out = BytesIO()
    file: IO[bytes] = BytesIO(po)
    write_mo(out, read_po(file))
    return out.getvalue()


def content(mo: bytes) -> dict[object, str]:
    """Return the translations in a .mo file with the rule for plurals; the head has dates, too."""
    read_back = GNUTranslations(BytesIO(mo))
    found = {key: text for key, text in read_back._catalog.items() if key}  # type: ignore[attr-defined]
    return {**found, "": read_back.info()["plural-forms"]}


def problems(catalogue: Catalog) -> Iterator[str]:
    """Yield what is wrong with each translation: missing, in doubt, or with other places."""
    for message in catalogue:
        if not message.id:
            continue
        english, other = _forms(message.id), _forms(message.string)
        if not all(other) or (message.pluralizable and len(other) != catalogue.num_plurals):
            yield f"not translated: {_shown(message)}"
        elif message.fuzzy:
            yield f"in doubt (fuzzy): {_shown(message)}"
        else:
            # One form of a plural may spell the number out.
            wanted = {place for form in english for place in PLACE.findall(form)}
            if any(set(PLACE.findall(form)) != wanted for form in other):
                yield f"other places than {sorted(wanted)}: {_shown(message)}"
            elif message.id != message.string and any(
                _edges(form) != _edges(english[-1]) for form in other
            ):
                yield f"begins or ends with other spaces or signs: {_shown(message)}"


def _forms(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text or ""] if text is None or isinstance(text, str) else list(text)


def _edges(text: str) -> tuple[str, str, bool]:
    """Return the spaces around a text, and whether it ends with "…"."""
    return (
        text[: len(text) - len(text.lstrip())],
        text[len(text.rstrip()) :],
        text.rstrip().endswith("…"),
    )


def _shown(message: Message) -> str:
    return repr(_forms(message.id)[0])


def main() -> int:
    """Update the catalogues; return 1 if one is not complete."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--add", metavar="LANGUAGE", help="begin a language, such as fr or pt_BR")
    added = parser.parse_args().add
    if added:
        path = LOCALES / added / "LC_MESSAGES" / f"{DOMAIN}.po"
        path.parent.mkdir(parents=True)
        path.write_bytes(po_bytes(new_catalogue(added)))
    texts = extract_texts()
    wrong = []
    for language, path in catalogues().items():
        catalogue = merged(path, texts)
        po = po_bytes(catalogue)
        path.write_bytes(po)
        compiled, mo = path.with_suffix(".mo"), mo_bytes(po)
        if not compiled.exists() or content(compiled.read_bytes()) != content(mo):
            compiled.write_bytes(mo)
        found = list(problems(catalogue))
        print(f"{language}: {len(catalogue)} texts, {len(found)} to do")
        wrong += [f"{language}: {problem}" for problem in found]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
