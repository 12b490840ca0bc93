"""Words beside an answer, weighed against what it states: they take back, correct or contradict, or say more.

No contact is ever read from them. Those that they take back are left out; where it is not clear which, all of
them are. What they say beyond the answer makes it one that is not fully explained, so that it is asked again.
"""

from __future__ import annotations

import re

from apu_contacts.answers.collected import Collected, Draft
from apu_contacts.answers.part_words import SIDE_WORDS
from apu_contacts.answers.stance import (
    MOST,
    denial_of,
    doubts,
    holds,
    in_unread_script,
    negates,
    only_these,
    retracts,
    speaks_of_touch,
)
from apu_contacts.answers.vocabulary import VOCABULARY

_SENTENCE = re.compile(r"(?<=[.!?])\s+|[\n;。；！？]")
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:st|nd|rd|th)?|#\d+")
_ORDINALS = {
    word: index
    for index, words in enumerate(
        (
            "first 1st #1 erste ersten erster primero primera premier première",
            "second 2nd #2 zweite zweiten zweiter segundo segunda deuxième",
            "third 3rd #3 dritte dritten tercero tercera troisième",
            "fourth 4th #4 vierte vierten cuarto cuarta quatrième",
            "fifth 5th #5 fünfte fünften quinto quinta cinquième",
            "sixth 6th #6",
            "seventh 7th #7",
            "eighth 8th #8",
        )
    )
    for word in words.split()
}  # fmt: skip
_ENTRY = re.compile(
    r"\b(?:entry|entries|contact|contacts|item|items|pair|pairs|row|number|no\.?|point|eintrag"
    r"|kontakt)\s*#?(\d{1,2})\b",
    re.I,
)
_ORDINAL_NOUN = re.compile(
    r"\b(?:entr(?:y|ies)|contacts?|items?|pairs?|rows?|one|ones|of (?:these|those|them)"
    r"|as noise|elements?|points?|lines?|bullets?"
    r"|eintr[aä]g\w*|kontakte?|entradas?"
    r"|contactos?|entrées?)\b",
    re.I,
)
_LAST = re.compile(r"\b(?:last|final|latter|letzte[nr]?|[uú]ltim[oa]|derni[eè]re?)\b", re.I)
_REFERS = re.compile(
    r"\b(?:it|that|this|these|those|them|one|entry|entries|above|list|answer|json|sides?|left|right|person"
    r"|people|order|contacts?)\b|上述|以上|条",
    re.I,
)
_PRONOUN = re.compile(
    r"\W*(?:and |so |but |in fact,? |actually,? )*(?:they|it|these|those|this|that)\b", re.I
)
_MOST_SENTENCES = 400
# Words that are parts in a field and something else in a sentence.
_NO_MENTION = frozenset(
    [
        "back",
        "behind",
        "front",
        "root",
        "index",
        "side",
        "rear",
        "bottom",
        "cap",
        "middle",
        "main",
        "dos",
        "pie",
        "cara",
        "frente",
        "hat",
        "po",
        "cou",
        "taille",
    ]
) - {"back"}


def mentions(sentence: str) -> list[tuple[tuple[str, ...], str]]:
    """Body parts that a sentence names, each with the side before it, or ""."""
    tokens = [token.lower() for token in _TOKEN.findall(sentence)]
    found: list[tuple[tuple[str, ...], str]] = []
    i = 0
    while i < len(tokens):
        for length in (3, 2, 1):
            phrase = " ".join(tokens[i : i + length])
            parts = VOCABULARY.get(phrase)
            if parts is None or (length == 1 and phrase in _NO_MENTION):
                continue
            side = SIDE_WORDS.get(tokens[i - 1], "") if i else ""
            if (
                phrase == "back"
                and i
                and tokens[i - 1] in ("take", "takes", "took", "go", "going", "lean", "leans")
            ):
                continue
            found.append((parts, side if side in ("left", "right") else ""))
            i += length
            break
        else:
            i += 1
    return found


def _matches(draft: Draft, named: list[tuple[tuple[str, ...], str]], sides: bool) -> bool:
    """Whether both ends of a contact are among the parts that are named."""

    def fits(parts: tuple[str, ...], side: str) -> bool:
        return any(
            set(parts) & set(names) and not (sides and said and side in ("left", "right") and side != said)
            for names, said in named
        )

    return fits(draft.part_a.parts, draft.side_a) and fits(draft.part_b.parts, draft.side_b)


def _meets(draft: Draft, named: list[tuple[tuple[str, ...], str]]) -> bool:
    """Whether one end of a contact is the part that is named."""
    (names, said), *_ = named
    for parts, side in ((draft.part_a.parts, draft.side_a), (draft.part_b.parts, draft.side_b)):
        if set(parts) & set(names) and not (said and side in ("left", "right") and side != said):
            return True
    return False


def weigh_words(words: str, start: int, end: int, into: Collected) -> bool:
    """Weighs words at ``[start, end)`` of the raw text; returns whether all of them were understood.

    Contacts that they take back are removed from ``into``.
    """
    if len(words) > MOST:
        into.reject(start, end, "too many words beside the answer to be weighed")
        return False
    understood = True
    sentences = [piece for piece in _SENTENCE.split(words) if piece and piece.strip()]
    for number, sentence in enumerate(sentences):
        before = sentences[number - 1] if number else ""
        reason = (
            "too many words beside the answer to be weighed"
            if number >= _MOST_SENTENCES
            else _weigh(sentence, before, start, into)
        )
        if reason:
            if understood:
                into.reject(start, end, reason)
            understood = False
            if number >= _MOST_SENTENCES:
                break
    return understood


def _weigh(sentence: str, before: str, start: int, into: Collected) -> str:
    """Remove what a sentence takes back; return why it is not understood, or ""."""
    denied, retracted = denial_of(sentence), retracts(sentence)
    if denied is None and not retracted:
        return _other_side(sentence, into) or _only_some(sentence, into) or _says_more(sentence, into)
    told = list(into.drafts)
    named = mentions(denied if denied is not None and not retracted else sentence)
    chosen = _by_place(sentence, into.drafts) if retracted or denied is not None else None
    if chosen is not None:
        gone = chosen
    elif named and len({names for names, _ in named}) >= 2:
        gone = [draft for draft in told if _matches(draft, named, sides=not retracted)]
        if retracted and not gone:
            gone = [draft for draft in told if any(_meets(draft, [one]) for one in named)]
    elif named:
        gone = [draft for draft in told if _matches(draft, named, sides=False)] or [
            draft for draft in told if _meets(draft, named if not retracted else [(named[0][0], "")])
        ]
    elif retracted and denied is None and not _REFERS.search(sentence):
        return ""  # "wait", "actually" and the like, about something else
    elif retracted and denied is None and only_these(sentence) and not told:
        return ""
    else:
        gone = told
        earlier = mentions(before) if denied is None or _PRONOUN.match(sentence) else []
        if earlier and not _by_place(before, into.drafts):
            gone = [draft for draft in told if _matches(draft, earlier, sides=False)]
    if not gone:
        return "words that correct something else" if retracted and named and denied is None else ""
    into.drafts[:] = [draft for draft in into.drafts if not any(draft is one for one in gone)]
    return "words that take a contact back or contradict the answer"


def _other_side(sentence: str, into: Collected) -> str:
    """Remove contacts whose side a sentence corrects ("it is his right hand, not the left"); returns why a
    sentence is not understood, or "".
    """
    if in_unread_script(sentence):
        return "words in a script that is not read"
    if not negates(sentence):
        return ""
    named = mentions(sentence)
    about = [draft for draft in into.drafts if any(_meets(draft, [one]) for one in named)]
    sided = [(names, side) for names, side in named if side]
    wrong = [
        draft
        for draft in into.drafts
        if any(_meets(draft, [(names, "")]) and not _meets(draft, [(names, side)]) for names, side in sided)
    ]
    if wrong and _NOT_SIDE.search(sentence):
        into.drafts[:] = [draft for draft in into.drafts if not any(draft is one for one in wrong)]
        return "words that correct a side"
    return "a negation about a part that is listed" if about and not _ASIDE.search(sentence) else ""


_NOT_SIDE = re.compile(r"\bnot (?:the |his |her |their )?(?:left|right)\b", re.I)
# What cannot be seen, was not listed or is not sure denies nothing that is listed.
_ASIDE = re.compile(
    r"\b(?:visible|seen|see|hidden|occluded|obscured|shown|list\w*|includ\w*|certain|sure|clear|rated?"
    r"|confidence|know\w*|tell|identif\w*|nam(?:e|es|ed|ing))\b",
    re.I,
)
_ONLY = re.compile(r"\b(?:only|just|solely|nur|seul\w*|s[oó]lo|solamente)\b", re.I)


def _only_some(sentence: str, into: Collected) -> str:
    """Remove the contacts that a sentence does not name where it lets only some stand ("only the first is
    real").
    """
    chosen = _by_place(sentence, into.drafts) if _ONLY.search(sentence) else None
    if not chosen or len(chosen) == len(into.drafts):
        return ""
    into.drafts[:] = chosen
    return "words that let only some of the contacts stand"


def _by_place(sentence: str, drafts: list[Draft]) -> list[Draft] | None:
    """Return the contacts that a sentence names by their place in the list ("the second entry"); None if
    none.
    """
    rows = list(dict.fromkeys((draft.start, draft.end) for draft in drafts))
    picked = {int(number) - 1 for number in _ENTRY.findall(sentence)}
    picked |= {int(number) - 1 for number in re.findall(r"#(\d{1,2})\b", sentence)}
    if _ORDINAL_NOUN.search(sentence):
        picked |= {
            _ORDINALS[word.lower()] for word in re.findall(r"#?\w+", sentence) if word.lower() in _ORDINALS
        }
        if _LAST.search(sentence) and rows:
            picked.add(len(rows) - 1)
    if not picked or max(picked) >= len(rows):
        return None
    spans = {rows[index] for index in picked}
    return [draft for draft in drafts if (draft.start, draft.end) in spans]


def _says_more(sentence: str, into: Collected) -> str:
    """Why a sentence that denies nothing says more than the answer; "" if it does not."""
    if not holds(sentence):
        return ""
    named = mentions(sentence)
    if not named or (len(named) < 2 and not speaks_of_touch(sentence)):
        return ""
    listed = {part for draft in into.drafts for part in (*draft.part_a.parts, *draft.part_b.parts)}
    new = [names for names, _ in named if not set(names) & listed]
    if not new and not re.search(r"\b(?:also|additionally|too|as well|auch|también|aussi)\b", sentence, re.I):
        return ""
    if doubts(sentence) and not speaks_of_touch(sentence):
        return ""
    return "words that speak of a contact beside those that are listed"


__all__ = ["mentions", "weigh_words"]
