"""Whether a sentence affirms, denies or suspects what it mentions.

The idea of NegEx (Chapman et al. 2001) and its successor ConText (Harkema et al. 2009): a
trigger ("no", "without", "possible", "status post") governs the words behind it up to the end
of its clause or the next verb; a few ("... is not seen", "... cannot be excluded") govern the
words in front of them. Lists joined by commas, "and" and "or" share one trigger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["affirmed", "denied", "uncertain", "historical"]


@dataclass(frozen=True)
class Mention:
    """A term in a sentence: where it stands and how it is meant.

    "uncertain" is what is suspected, cannot be excluded or is only said not to be new;
    "historical" is what was treated or is past ("status post ...", "history of ...").
    """

    start: int
    end: int
    status: Status


def _pattern(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


_BE = r"(?:is|are|was|were)"
_SEEN = (
    r"(?:seen|observed|detected|identified|found|visuali[sz]ed|noted|present|evident|"
    r"demonstrated|visible|appreciated|recogni[sz]ed|distinguished|encountered)"
)

# Triggers stand in these, but they deny nothing.
_PSEUDO = _pattern(
    r"\bno\s+(?:significant\s+|interval\s+|definite\s+|marked\s+|obvious\s+)*"
    r"(?:change|increase|decrease|progression|difference)s?\b",
    r"\bnot\s+(?:only|necessarily)\b",
    r"\bno\s+longer\s+than\b",
    r"\bnot\s+significantly\s+changed\b",
    r"\bwithout\s+(?:significant\s+|interval\s+)?change\b",
    r"\b(?:cannot|can\s*not|can't|do(?:es)?\s+not|don't)\s+(?:say|tell|know|answer|decide|judge)\b",
    r"\bnot\s+(?:sure|certain)\b",
)
_DENIES_NEXT = _pattern(
    r"\b(?:no|not|without|nor|neither|none|absence\s+of|lack\s+of|negative\s+for|"
    r"free\s+(?:of|from)|clear\s+of|devoid\s+of|(?:resolution|removal)\s+of|rather\s+than|"
    r"instead\s+of|absent(?=\s+(?!in\b|on\b|at\b|from\b)\w))\b",
    r"\b(?:cannot|(?:is|are|was|were|has|have|does|do|did|ca|could)n't)\b",
)
_DENIES_BEFORE = _pattern(
    rf"\b(?:(?:{_BE}|has|have|could|can)\s+)?(?:not|never|cannot|\w+n't|no\s+longer)\s+"
    rf"(?:been\s+|be\s+)?(?:{_SEEN}|enlarged)\b",
    rf"\b{_BE}\s+(?:now\s+)?(?:excluded|ruled\s+out|resolved|gone|no\s+more)\b",
    r"\b(?:has|have)\s+(?:now\s+|completely\s+)?(?:resolved|disappeared|cleared)\b",
    r"\b(?:has|have)\s+been\s+(?:removed|resected|drained|excluded|ruled\s+out)\b",
    rf"\b{_BE}\s+(?:now\s+)?absent\b|\babsent(?=$|[.,;])",
)
# "Pleural effusion: none", "Nodules - not seen".
_DENIED_LABEL = re.compile(
    r"\s*(?::|=|-|\u2013)\s*(?:(?:no|none|nil|absent|negative)\s*(?:$|[.,;])|"
    rf"not\s+{_SEEN}\b)",
    re.IGNORECASE,
)
_CANNOT_EXCLUDE = (
    r"\b(?:cannot|can\s*not|can't|could\s+not|does\s+not|do\s+not|not\s+possible\s+to)\s+"
    r"(?:\w+ly\s+)?(?:exclude|rule\s+out)\b"
)
# "No new nodule" leaves open whether there are old ones.
_NOTHING_NEW = r"\b(?:no|without|nor)\s+(?:any\s+)?(?:new|other|further|additional)\b"
_DOUBTS_NEXT = _pattern(
    _CANNOT_EXCLUDE,
    _NOTHING_NEW,
    r"\b(?:possible|possibly|probable|probably|questionable|suspected|presumed|potential)\b",
    r"\b(?:suspicious|concerning|worrisome)\s+(?:for|of)\b",
    r"\b(?:suspicion\s+of|question\s+of|concern\s+for|rule\s+out|to\s+exclude|differential)\b",
    r"\b(?:may|might|could)\s+(?:also\s+)?(?:be|represent|reflect|indicate|suggest)\b",
)
_WHETHER = re.compile(r"\bwhether\b", re.IGNORECASE)  # whatever verbs follow
_DOUBTS_BEFORE = _pattern(
    r"\b(?:cannot|can\s*not|can't|could\s+not)\s+be\s+(?:\w+ly\s+)?"
    r"(?:excluded|ruled\s+out|assessed|evaluated|determined)\b",
    rf"\b(?:{_BE}|seems?)\s+(?:possible|probable|suspected|questionable|questioned|unlikely|"
    r"uncertain|doubtful|not\s+(?:excluded|ruled\s+out|assessable))\b",
)
_HISTORY_NEXT = _pattern(r"\bstatus\s+post\b", r"\bs/p\b", r"\bhistory\s+of\b", r"\bh/o\b")
# "Status post sternotomy with sternal wires, small effusion": only the sternotomy is past.
_HISTORY_END = re.compile(r",|\bwith\b", re.IGNORECASE)

_CLAUSE_END = _pattern(
    r"[;:]|\s[-\u2013\u2014]\s",
    r"\b(?:but|however|although|though|yet|whereas|while|except|apart\s+from|aside\s+from|"
    r"other\s+than)\b",
    r",\s*(?:only|the|with)\s",
    r"(?:,|\band)\s+there\s+(?:is|are)\b",
    r"\band\s+(?:the|mild|moderate|severe|marked|minimal|slight|stable|multiple|several)\s",
)
_ARTICLE_NEXT = re.compile(r"(?:,|\band)\s+(?=an?\s)", re.IGNORECASE)
_ARTICLE = re.compile(r"\ban?\s", re.IGNORECASE)
# Words behind a verb of their own are no longer governed by what stands in front of it.
_VERB = _pattern(
    rf"\b(?:{_BE}|has|have|had|shows|showed|shown|remains?|appears?|contains?|measures?|"
    r"demonstrates|reveals|there)\b"
)
_LIST = re.compile(r",|\band\b|\bor\b", re.IGNORECASE)
_PREPOSITION = re.compile(r"\b(?:in|at|of|on|within|with|measuring|[cm]m)\b", re.IGNORECASE)


def find_mentions(sentence: str, term: re.Pattern[str]) -> list[Mention]:
    """Return where a term stands in a sentence, and how it is meant there."""
    return [Mention(*m.span(), status_of(sentence, *m.span())) for m in term.finditer(sentence)]


def has_negation(text: str) -> bool:
    """Say whether a text denies anything."""
    text = _masked(text, _PSEUDO, _DOUBTS_NEXT, _DOUBTS_BEFORE)
    return any(pattern.search(text) for pattern in (_DENIES_NEXT, _DENIES_BEFORE))


def status_of(sentence: str, start: int, end: int) -> Status:
    """Return how the words from `start` to `end` of a sentence are meant."""
    if _DENIED_LABEL.match(sentence, end):
        return "denied"
    first, last = clause_of(sentence, start, end)
    before, after = sentence[first:start], sentence[end:last]
    # "Effusion is not seen, nodules are": that "not" looks back, and is spent. The words of
    # the mention itself count: "heart is not enlarged".
    open_before = _masked(before, _PSEUDO, _DENIES_BEFORE, _DOUBTS_BEFORE)
    denying = _masked(open_before, _DOUBTS_NEXT) + sentence[start:end]
    if _governs_next(_DENIES_NEXT, denying, start - first):
        return "denied"
    if _WHETHER.search(before) or _governs_next(_DOUBTS_NEXT, before, start - first):
        return "uncertain"
    if _governs_before(_DOUBTS_BEFORE, before, after):
        return "uncertain"
    if _governs_before(_DENIES_BEFORE, before, after):
        return "denied"
    past = [m.end() for m in _HISTORY_NEXT.finditer(before)]
    return "historical" if past and not _HISTORY_END.search(before, past[-1]) else "affirmed"


def _governs_next(trigger: re.Pattern[str], text: str, start: int) -> bool:
    """Say whether a trigger reaches the words from `start` on: no verb stands in between."""
    return any(
        m.end() > start or not _VERB.search(text, m.end(), start) for m in trigger.finditer(text)
    )


def _governs_before(trigger: re.Pattern[str], before: str, after: str) -> bool:
    """Say whether a trigger in `after` looks back at the words between `before` and `after`.

    In "nodule, mass or effusion is not seen" it does; in "there is a nodule, effusion is not
    seen" and "a nodule in the left lung, effusion is not seen" it does not.
    """
    found = trigger.search(after)
    if found is None:
        return False
    between = after[: found.start()]
    if _VERB.search(between):
        return False
    return not _LIST.search(between) or not (_VERB.search(before) or _PREPOSITION.search(between))


def clause_of(sentence: str, start: int, end: int) -> tuple[int, int]:
    """Return where the clause of a mention begins and ends."""
    first = max((m.end() for m in _CLAUSE_END.finditer(sentence, 0, start)), default=0)
    # "No effusion, a nodule": a new clause; "without an effusion, a nodule": a list.
    for article in _ARTICLE_NEXT.finditer(sentence, first, start):
        if not _ARTICLE.search(sentence, first, article.start()):
            first = article.end()
    following = [p.search(sentence, end) for p in (_CLAUSE_END, _ARTICLE_NEXT)]
    return first, min((m.start() for m in following if m), default=len(sentence))


def _masked(text: str, *patterns: re.Pattern[str]) -> str:
    """Return a text with what the patterns find blanked out."""
    for pattern in patterns:
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    return text
