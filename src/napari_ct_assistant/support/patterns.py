"""Regular expressions of a tokenizer whose matching may take endless time.

A pattern that can match one text in many ways, such as (a+)+ or (a|aa)+, is tried in all of them
before it fails: the time grows exponentially with the text.
"""

from __future__ import annotations

import re
from typing import Final

# What follows an atom: how often it is repeated.
_REPEATED: Final = re.compile(r"[*+?]|\{\d*(,?)\d*\}")
# A dot repeated without end; two of them in a row can share a text in many ways.
_ANYTHING: Final = re.compile(r"(?<!\\)\.[*+]")
_MOST_ANYTHING: Final = 1
_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(?:[pPxou]\{[^}]*\}|.)", re.DOTALL)


def may_explode(pattern: str) -> bool:
    """Return whether a group that is repeated without end holds a choice or a repetition."""
    if len(_ANYTHING.findall(pattern)) > _MOST_ANYTHING:
        return True
    # For each open group: whether it can match in several ways.
    groups = [False]
    at = 0
    # Whether what stands before is a group that can.
    varies = False
    while at < len(pattern):
        atom = _ESCAPED.match(pattern, at) or _CLASS.match(pattern, at)
        if atom is not None:
            at, varies = atom.end(), False
            continue
        repeated = _REPEATED.match(pattern, at)
        character = pattern[at]
        if character == "(":
            groups.append(False)
            # The question mark after it is no repetition.
            at += pattern.startswith("?", at + 1)
            varies = False
        elif character == ")":
            varies = groups.pop() if len(groups) > 1 else False
            groups[-1] |= varies
        elif character == "|":
            groups[-1] = True
            varies = False
        elif repeated is not None and (character in "*+?" or repeated[1]):
            if varies and character != "?":
                return True
            groups[-1] = True
            varies = False
            at = repeated.end()
            # Lazy or possessive.
            at += pattern.startswith(("?", "+"), at)
            continue
        else:
            varies = False
        at += 1
    return False
