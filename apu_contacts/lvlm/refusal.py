"""Telling that a model declined to answer, or said that nothing touches."""

from __future__ import annotations

import re

LOOK_AT = 2000
"""Characters at the beginning of the text in which a refusal is looked for."""

_CANNOT = (
    r"(?:can(?:no|['’]?)t|can not|could(?:n['’]t| not)|am (?:not able|unable)|['’]m (?:not able|unable)"
    r"|won['’]t"
    r"|will not|do(?:n['’]t| not) feel comfortable|must decline|have to decline|need to decline|decline"
    r"|unable"
    r"|am not allowed|['’]m not allowed|am not permitted|['’]m not permitted)"
)
_VERB = (
    r"(?:assist|help|identify|recogni[sz]e|analy[sz]e|provide|process|comply|fulfil+|describe|comment"
    r"|annotate|answer"
    r"|do (?:that|this)|view|see|continue|engage|discuss|make|generate|create|support|determine|give)"
)
_REFUSAL = re.compile(
    rf"\b(?:i|we|this model|the assistant)\s?{_CANNOT}\b[^.\n]{{0,60}}?\b{_VERB}"
    rf"|\bsorry\b[^.\n]{{0,40}}\b(?:i|we|but)\b[^.\n]{{0,20}}?{_CANNOT}"
    rf"|\b(?:unable|not able) to {_VERB}"
    r"|\bas an ai\b[^.\n]{0,80}?\b(?:can|not|unable)"
    r"|\bagainst (?:my|our|the) (?:guidelines|polic(?:y|ies)|programming)"
    r"|\b(?:content|safety|usage) polic(?:y|ies)\b"
    r"|\bi must decline\b|\bi(?:['’]m| am) declining\b",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"(?:(?:\*\*)?(?:contacts?|answer)\s*:?\s*(?:\*\*)?\s*)?"
    r"(?:none|nothing|\[\s*\]|no contacts?|n/a|empty"
    r"|(?:there (?:is|are)|i (?:see|observe)) no (?:visible |physical |direct |body )*contacts?(?: points?)?"
    r"(?: (?:visible|between|of|in|the|two|both|people|persons|individuals|subjects|them|image|picture"
    r"|photo))*"
    r"|(?:the )?(?:(?:two |both )?(?:people|persons|individuals|subjects)|they) (?:are not|aren['’]t|do "
    r"not|don['’]t)"
    r" (?:touch(?:ing)?|(?:in|have|make|making)(?: any)?(?: physical)? contact)(?: (?:with )?(?:each other"
    r"|one another))?)"
    r"[\s.!*`]*",
    re.IGNORECASE,
)


_TAKES_BACK = re.compile(
    r"\b(?:not|no|never|without)\b[^.;\n]{0,30}\b(?:touch|contact)|n['’]t\b[^.;\n]{0,30}\b(?:touch|contact)",
    re.IGNORECASE,
)


def takes_back(remark: str) -> bool:
    """Whether a remark beside a contact says that there is none."""
    return _TAKES_BACK.search(remark, 0, LOOK_AT) is not None


def is_refusal(text: str) -> bool:
    """Whether the words, which hold no contacts, decline to answer."""
    return _REFUSAL.search(text, 0, LOOK_AT) is not None


def says_nothing_touches(text: str) -> bool:
    """Whether the whole text says that there is no contact, and nothing else."""
    return len(text) <= LOOK_AT and _NOTHING.fullmatch(text.strip().strip("`\"' \n")) is not None
