"""The filter that every text passes before it is shown or written.

Names of files and models, notices and series descriptions come from elsewhere. Their control
characters can move a terminal's cursor or hide text, direction marks can reverse it, and a lone
surrogate cannot be written as UTF-8.
"""

from __future__ import annotations

import re
from typing import Final

# C0 without tab and line feed, DEL, C1; direction overrides and isolates; noncharacters of XML.
_REMOVED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
# A whole escape sequence, of which "[31m" would stay without its first character.
_ESCAPE: Final = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """Return a text without control characters; tabs and line breaks stay."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n"))
    return _SURROGATE.sub("\ufffd", _REMOVED.sub("", text))


def without_markup(text: str) -> str:
    """Return plain text that no widget takes for HTML, for the labels of other programs."""
    return plain(text).replace("<", "\u2039").replace(">", "\u203a")


# Of markdown what the panel's messages have: escapes, links, bold and italic words.
_MARKDOWN: Final = re.compile(
    r"\\(?P<escaped>[\\`*_{}\[\]<>()#+\-.!|~&])|(?P<link>\]\([^()\s]*\))|[\[*]"
)


def without_markdown(text: str) -> str:
    """Return a message of the panel as plain text: without escapes, links and marks for bold."""
    return _MARKDOWN.sub(lambda found: found["escaped"] or "", text).replace("\xa0", " ")


def escaped_json(text: str) -> str:
    """Return JSON with the characters that `plain` removes as escapes: no value changes."""
    unsafe = re.compile(f"{_REMOVED.pattern}|{_SURROGATE.pattern}")
    return unsafe.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shortened(text: str, length: int) -> str:
    """Return a text, or its first `length` characters and a mark that it was cut."""
    return text if len(text) <= length else f"{text[: length - 6]} (cut)"
