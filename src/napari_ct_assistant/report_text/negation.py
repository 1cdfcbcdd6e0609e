"""Whether a sentence affirms, denies or suspects what it mentions.

This follows NegEx (Chapman et al. 2001) and its successor ConText (Harkema et al. 2009): a
trigger ("no", "without", "possible", "status post") applies to the words after it, up to the
end of its clause or the next verb; some triggers ("... is not seen", "... cannot be excluded")
apply to the words before them. A list joined by commas, "and" or "or" shares one trigger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from napari_ct_assistant.report_text.patterns import any_case, one_of

Status = Literal["affirmed", "denied", "uncertain", "historical"]


@dataclass(frozen=True)
class Mention:
    """A term in a sentence: the place of its characters and its status.

    The status is "uncertain" if the term is suspected, not excluded or only said not to be new,
    and "historical" if it is past or was treated ("status post ...", "history of ...").
    """

    start: int
    end: int
    status: Status


_BE = "(?:is|are|was|were)"
_SEEN = (
    "(?:seen|observed|detected|identified|found|visuali[sz]ed|noted|present|evident|demonstrated|"
    "visible|appreciated|recogni[sz]ed|distinguished|encountered)"
)

# Phrases that contain a trigger but deny nothing.
_PSEUDO = any_case(
    one_of(
        "no (?:(?:significant|interval|definite|marked|obvious) )*"
        "(?:change|increase|decrease|progression|difference)s?",
        "not (?:only|necessarily|significantly changed|sure|certain)",
        "no longer than",
        "without (?:(?:significant|interval) )?change",
        r"(?:cannot|can\s*not|can't|do(?:es)? not|don't) (?:say|tell|know|answer|decide|judge)",
    )
)
_DENIES_NEXT = any_case(
    one_of(
        "no|not|without|nor|neither|none|cannot",
        "(?:is|are|was|were|has|have|does|do|did|ca|could)n't",
        "(?:absence|lack|clear|free|devoid|resolution|removal|instead) of",
        "free from|negative for|rather than",
        r"absent(?= (?!in\b|on\b|at\b|from\b)\w)",
    ),
    # "Partly resolved" and "not resolved" leave something.
    r"^\s*(?:(?:now|interval|completely)\s+)?resolved(?=\s\w)",
)
_DENIES_BEFORE = any_case(
    one_of(
        rf"(?:(?:{_BE}|has|have|could|can) )?(?:not|never|cannot|\w+n't|no longer) "
        f"(?:been |be )?(?:{_SEEN}|enlarged)",
        f"{_BE} (?:now )?(?:absent|excluded|ruled out|resolved|gone|no more)",
        "(?:has|have) (?:now |completely )?(?:resolved|disappeared|cleared)",
        "(?:has|have) been (?:removed|resected|drained|excluded|ruled out)",
        r"absent(?=$|[.,;])",
    )
)
# "Pleural effusion: none", "Nodules - not seen".
_DENIED_LABEL = any_case(
    rf"\s*[:=\u2013-]\s*(?:(?:no|none|nil|absent|negative)\s*(?:$|[.,;])|not\s+{_SEEN}\b)"
)
_DOUBTS_NEXT = any_case(
    one_of(
        r"(?:cannot|can\s*not|can't|could not|does not|do not|not possible to) (?:\w+ly )?"
        "(?:exclude|rule out)",
        # "No new nodule" leaves open whether there are old ones.
        "(?:no|without|nor) (?:any )?(?:new|other|further|additional)",
        "possible|possibly|probable|probably|questionable|suspected|presumed|potential",
        "(?:suspicious|concerning|worrisome) (?:for|of)",
        "suspicion of|question of|concern for|rule out|to exclude|differential",
        "(?:may|might|could) (?:also )?(?:be|represent|reflect|indicate|suggest)",
    )
)
_WHETHER = any_case(one_of("whether"))  # applies beyond verbs
_DOUBTS_BEFORE = any_case(
    one_of(
        r"(?:cannot|can\s*not|can't|could not) be (?:\w+ly )?"
        "(?:excluded|ruled out|assessed|evaluated|determined)",
        f"(?:{_BE}|seems?) (?:possible|probable|suspected|questionable|questioned|unlikely|"
        "uncertain|doubtful|not (?:excluded|ruled out|assessable))",
    )
)
_HISTORY_NEXT = any_case(one_of("status post", "s/p", "history of", "h/o"))
# "Status post sternotomy with sternal wires, small effusion": only the sternotomy is past.
_HISTORY_END = any_case(",", one_of("with"))

_CLAUSE_END = any_case(
    "[;:]",
    r"\s[-\u2013\u2014]\s",
    one_of("but|however|although|though|yet|whereas|while|except|(?:apart|aside) from|other than"),
    r",\s*(?:only|the|with)\s",
    r"(?:,|\band)\s+there\s+(?:is|are)\b",
    r"\band\s+(?:the|mild|moderate|severe|marked|minimal|slight|stable|multiple|several)\s",
)
_ARTICLE_NEXT = any_case(r"(?:,|\band)\s+(?=an?\s)")
_ARTICLE = any_case(r"\ban?\s")
# A trigger does not apply to words that follow another verb.
_VERB = any_case(
    one_of(
        f"{_BE}|has|have|had|shows|showed|shown|remains?|appears?|contains?|measures?|"
        "demonstrates|reveals|there"
    )
)
_LIST = any_case(",", one_of("and|or"))
_PREPOSITION = any_case(one_of("in|at|of|on|within|with|measuring|[cm]m"))


def find_mentions(sentence: str, term: re.Pattern[str]) -> list[Mention]:
    """Return the mentions of a term in a sentence."""
    return [Mention(*m.span(), status_of(sentence, *m.span())) for m in term.finditer(sentence)]


def has_negation(text: str) -> bool:
    """Say whether a text denies anything."""
    text = _masked(text, _PSEUDO, _DOUBTS_NEXT, _DOUBTS_BEFORE)
    return any(pattern.search(text) for pattern in (_DENIES_NEXT, _DENIES_BEFORE))


def status_of(sentence: str, start: int, end: int) -> Status:
    """Return the status of the words from `start` to `end` in a sentence."""
    if _DENIED_LABEL.match(sentence, end):
        return "denied"
    first, last = clause_of(sentence, start, end)
    before, after = sentence[first:start], sentence[end:last]
    # In "effusion is not seen, nodules are" the "not" belongs to the effusion alone. A trigger
    # within the words themselves counts: "heart is not enlarged".
    open_before = _masked(before, _PSEUDO, _DENIES_BEFORE, _DOUBTS_BEFORE)
    denying = _masked(open_before, _DOUBTS_NEXT) + sentence[start:end]
    if _applies_to_next(_DENIES_NEXT, denying, start - first):
        return "denied"
    if _WHETHER.search(before) or _applies_to_next(_DOUBTS_NEXT, before, start - first):
        return "uncertain"
    if _applies_to_before(_DOUBTS_BEFORE, before, after):
        return "uncertain"
    if _applies_to_before(_DENIES_BEFORE, before, after):
        return "denied"
    past = [m.end() for m in _HISTORY_NEXT.finditer(before)]
    return "historical" if past and not _HISTORY_END.search(before, past[-1]) else "affirmed"


def _applies_to_next(trigger: re.Pattern[str], text: str, start: int) -> bool:
    """Say whether a trigger applies to the words from `start` on: no verb comes between."""
    return any(
        m.end() > start or not _VERB.search(text, m.end(), start) for m in trigger.finditer(text)
    )


def _applies_to_before(trigger: re.Pattern[str], before: str, after: str) -> bool:
    """Say whether a trigger in `after` applies to the words between `before` and `after`.

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
    """Return the start and end of the clause that holds the words from `start` to `end`."""
    first = max((m.end() for m in _CLAUSE_END.finditer(sentence, 0, start)), default=0)
    # "No effusion, a nodule" begins a new clause; "without an effusion, a nodule" is a list.
    for article in _ARTICLE_NEXT.finditer(sentence, first, start):
        if not _ARTICLE.search(sentence, first, article.start()):
            first = article.end()
    following = [p.search(sentence, end) for p in (_CLAUSE_END, _ARTICLE_NEXT)]
    return first, min((m.start() for m in following if m), default=len(sentence))


def _masked(text: str, *patterns: re.Pattern[str]) -> str:
    """Return a text with the matches of the patterns replaced by blanks."""
    for pattern in patterns:
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    return text
