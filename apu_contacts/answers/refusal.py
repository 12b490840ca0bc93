"""Telling that a model declined to answer, or said that nothing touches."""

from __future__ import annotations

import re

from apu_contacts.answers.stance import denial_of, doubts, holds, negates, retracts, speaks_of_touch

LOOK_AT = 2000
"""Characters at the beginning of the text in which a refusal is looked for."""

_CANNOT = (
    r"(?:can(?:no|['’]?)t|can not|could(?:n['’]t| not)|am (?:not able|unable)|['’]m (?:not able|unable)"
    r"|won['’]t|will not|would(?:n['’]t| not)|do(?:n['’]t| not) feel comfortable|must decline|have to decline"
    r"|need to decline|decline|refuse|prefer not|['’]?d (?:prefer|rather) not|would (?:prefer|rather) not"
    r"|unable"
    r"|(?:am|['’]m) not (?:allowed|permitted|going|comfortable|willing|in a position|designed|supposed)"
    r"|must refuse)"
)
_VERB = (
    r"(?:assist|help|identify|recogni[sz]e|analy[sz](?:e|ing)|provide|process|comply|fulfil+|describ(?:e"
    r"|ing)|comment"
    r"|annotat(?:e|ing)|answer|do (?:that|this|so)|continue|engage|discuss|make|generate|create|support"
    r"|give|share|proceed"
    r"|(?:view|see|look at|access|open) (?:any |the |this |that |your |these |those )?(?:images?|pictures?"
    r"|photo\w*|file))"
)
# What cannot be seen or told is no refusal: "I cannot see any contact", "I am unable to determine".
_REFUSAL = re.compile(
    rf"\b(?:i|we|this model|the assistant)\s?(?:really |also |must |have to |simply |just )?{_CANNOT}\b"
    rf"(?![^.\n]{{0,40}}?\b(?:any|a single) (?:\w+ )?(?:contact|touch))[^.\n]{{0,60}}?\b{_VERB}"
    rf"|\bsorry\b[^.\n]{{0,40}}\b(?:i|we|but)\b[^.\n]{{0,20}}?{_CANNOT}(?! (?:see|find|spot|detect|make "
    rf"out)\b)"
    rf"|\b(?:unable|not able|not allowed|not permitted) to {_VERB}"
    r"|\bas an ai\b[^.\n]{0,80}?\b(?:can|not|unable)"
    r"|\bagainst (?:my|our|the) (?:guidelines|polic(?:y|ies)|programming|rules)"
    r"|\b(?:violat\w+|breach\w*) (?:\w+ ){0,3}(?:guidelines|polic(?:y|ies)|rules)"
    r"|\b(?:content|safety|usage) (?:polic(?:y|ies)|filter|guidelines)\b"
    r"|\bi must decline\b|\bi(?:['’]m| am) declining\b|\bi(?:['’]d| would) (?:rather|prefer) not\b|\bi "
    r"(?:decline|refuse)\b"
    r"|\b(?:image|request|prompt|content|response) (?:was|has been|is) (?:blocked|flagged|filtered"
    r"|rejected|refused|withheld)\b"
    # German
    r"|\b(?:kann|darf|werde|möchte|will)(?: \w+){0,2}? ich(?: \w+){0,5}? (?:nicht|keine?n?)\b(?![^.\n]{0,"
    r"40}\b(?:kontakt|berühr\w*) (?:sehen|erkennen))"
    r"|\bich (?:kann|darf|werde|möchte|will)(?: \w+){0,9}? (?:nicht|keine?n?)\b[^.\n]{0,80}?\b(?:helfen"
    r"|beantworten|beschreiben|analysieren|"
    r"machen|geben|identifizieren|nachkommen|unterstützen|bereitstellen|äußern|beurteilen|kommentieren)"
    r"|\b(?:tut mir leid|entschuldigung)\b[^\n]{0,60}?\b(?:nicht|keine?n?)\b[^.\n]{0,60}(?:helfen"
    r"|beantworten|möglich|machen|beschreiben|analysieren)"
    # Spanish, Portuguese, Italian
    r"|\bno (?:puedo|podemos|me es posible|me está permitido|estoy autorizado|soy capaz de)\b(?! ver\b| "
    r"apreciar| distinguir| observar)"
    r"|\bnão posso\b(?! ver)|\bnon posso\b(?! vedere)|\blo siento\b[^.\n]{0,40}\bno\b (?!hay|se tocan)"
    # French
    r"|\bje (?:ne peux|ne suis|ne pourrai|refuse|préfère ne|regrette)\b(?![^.\n]{0,12}\b(?:voir|vois"
    r"|distinguer))[^.\n]{0,60}"
    r"|\bje n['’]ai pas le droit\b|\bdésolée?\b[^.\n]{0,60}\bne (?:peux|puis|suis)\b"
    # Chinese, Japanese
    r"|(?:抱歉|对不起|很遗憾|不好意思)[^\n]{0,20}(?:无法|不能|不可以|没法|不便)(?!看到|看出|确定|判断)"
    r"|我(?:无法|不能|不便|没法|拒绝)(?:[^。\n]{0,20})(?:帮|协助|分析|描述|识别|提供|回答|评论|处理)|(?:申し訳|すみません)[^\n]{0,40}(?:できません"
    r"|できかねます)",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"(?:(?:\*\*)?(?:contacts?|answer)\s*:?\s*(?:\*\*)?\s*)?"
    r"(?:none|nothing|\[\s*\]|no contacts?|n/a|empty"
    r"|kein(?:e|en)?(?: körper)?kontakte?|nichts|keine|sin contacto|ning[uú]n(?:o| contacto)?|nada|aucun "
    r"contact|aucun|rien"
    r"|(?:没有|无|無|沒有)(?:身体)?(?:接触|接觸)?)"
    r"[\s.!*`。！]*",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|[\n;。；！？]|(?<=[^\s\d]):\s|,\s+(?:and|but|so)\s")
_OPEN = re.compile(
    r"\b(?:unable|cannot tell|can['’]?t tell|can(?:no|['’])t (?:be )?(?:determine|say|confirm|rule"
    r"|judge)\w*|unclear|not sure|uncertain|"
    r"hard to (?:say|tell)|difficult to (?:say|tell)|not visible|whether|maybe|perhaps|possibly|might|may "
    r"be|could be|probably"
    r"|unklar|vielleicht|quiz[aá]s?|peut-être)\b|不确定|无法判断|无法确定|可能",
    re.IGNORECASE,
)
_PLENTY = re.compile(r"[{\[|]|^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_REFUSED = re.compile(
    r"\b(?:refus\w*|declin\w*|block\w*|reject\w*|filter\w*|denied|policy|prohibited\w*|safety|forbidden)\b",
    re.I,
)
_STATUS = frozenset(
    [
        "status",
        "state",
        "finish_reason",
        "stop_reason",
        "outcome",
        "verdict",
        "reason",
        "message",
        "detail",
        "msg",
        "block_reason",
        "refusal_reason",
    ]
)


def leaves_open(text: str) -> bool:
    """Whether the words say that something could not be told."""
    return _OPEN.search(text, 0, LOOK_AT) is not None or _CANNOT_TELL.search(text, 0, LOOK_AT) is not None


_CANNOT_TELL = re.compile(
    r"\b(?:can(?:no|['’]?)t|can not|could(?:n['’]t| not)|not able to|impossible to) (?:be )?"
    r"(?:determin\w*|tell|told|say|said|see|seen|judg\w*|confirm\w*|assess\w*|make out|recogni\w*)\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether the words, which hold no contacts, decline to answer."""
    return _REFUSAL.search(text, 0, LOOK_AT) is not None and not says_nothing_touches(text)


def is_refusal_status(key: str, value: object) -> bool:
    """Whether a field beside no contacts says that the answer was withheld (``"status": "refused"``)."""
    if not isinstance(value, str) or key.lower().strip() not in _STATUS:
        return False
    return _REFUSED.search(value, 0, LOOK_AT) is not None or is_refusal(value)


def says_none(text: str) -> bool:
    """Whether the text is no more than "none" or "no contact", which may hold for a section only."""
    return _NOTHING.fullmatch(text.strip().strip("`\"' \n")) is not None


def says_nothing_touches(text: str) -> bool:
    """Whether the whole text says that there is no contact, and states none and leaves none open."""
    if len(text) > LOOK_AT:
        return False
    plain = text.strip().strip("`\"' \n")
    if _NOTHING.fullmatch(plain):
        return True
    if (
        _PLENTY.search(plain)
        or _OPEN.search(plain)
        or _REFUSAL.search(plain)
        or plain.rstrip("* ").endswith((":", "："))
    ):
        return False
    from apu_contacts.answers.weighing import mentions  # the vocabulary is not needed for anything else here

    denied = False
    for sentence in _SENTENCE.split(plain):
        if not sentence or not sentence.strip():
            continue
        clause = denial_of(sentence)
        if clause is not None and speaks_of_touch(clause):
            if mentions(clause):
                return False  # it denies one contact, not all
            denied = True
        elif (
            (clause is None and (holds(sentence) and not negates(sentence)))
            or doubts(sentence)
            or retracts(sentence)
        ):
            return False
    return denied
