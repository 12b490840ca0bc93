"""Contacts in words: sentences, bullet lists and markdown tables.

A line is read only if all of it is understood: a body part, words for touching, another body part, and
perhaps a confidence. "The left hand is not touching the back" has a word that is none of these, so it states
no contact.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from apu_contacts.answers.collected import Collected, add_contact, join_sides
from apu_contacts.answers.keys import contact_key
from apu_contacts.answers.stance import (
    KEEPS,
    Stance,
    heading_stance,
    holds,
    negates,
    remark_stance,
    says_yes_or_no,
)
from apu_contacts.answers.vocabulary import (
    MAX_PHRASE,
    PartPhrase,
    Stated,
    UnknownWordError,
    read_confidence,
    read_part,
)
from apu_contacts.answers.weighing import mentions

MAX_LINE = 600
"""Characters; a line that states a contact is shorter."""

BULLET = re.compile(r"\s*(?:[-*•+‣–◦▪]|\(?\d{1,3}[.)、])\s*(?<=[\s、])")
# Marks before or after a statement that affirm or deny it.
_MARK = re.compile(r"\s*(?:\[(?P<box>[ xX✓✔✗✘*-]?)\]|(?P<sign>[☐☑☒✅✔✓❌✗✘🚫⛔❎❓⚠]|✖)\ufe0f?)\s*")
_DENYING_MARKS = frozenset("☐☒❌✗✘🚫⛔✖ -❎") | {""}
_STRUCK = re.compile(r"~~.+~~|<(?:s|del|strike)>.+</(?:s|del|strike)>", re.I)
# Where a statement may end and words about it begin.
_CUT = re.compile(
    r"\s*(?:[:;,?(\[]|\.(?=\s)|\s[-–—]+(?=\s)|[–—]|\||\s(?=(?:because|since|as|while|where|with|but|though"
    r"|although|in)\b))"
)
_MOST_CUTS = 16
# Without such words no line says whose the parts are; most lines of other texts end here.
_NAMES_PEOPLE = re.compile(
    r"person|individual|subject|human|people|figure|pessoa|人|\bp[12]\b"
    r"|[(\[]\s*[ab]\s*[)\]]|\bof\s+[ab]\b|\b[ab]['’]s\b"
    r"|\b(?:left|right|1|2|a|b|one|two|first|second)\b[^:]{0,60}:",
    re.IGNORECASE,
)
PERSON_AGAIN = re.compile(
    r"\b(?:person|individual|subject)[\s_]*(?:on the )?(?:left|right|[12ab])\b|\bp[12]\b|\b[AB]['’]s\b",
    re.IGNORECASE,
)
EMPHASIS = re.compile(r"\*\*|__|`")
_TOUCHING = re.compile(
    r"\s+(?:(?:is|are) )?(?:(?:gently|firmly|lightly|directly) )?(?:touching|touches|touch|in (?:direct "
    r"|physical )?contact with"
    r"|contacting|contacts|mak(?:es|ing) contact with"
    r"|(?:resting|placed|pressed|pressing|leaning|lying|flat) (?:on|against|upon|into)|rests (?:on|against"
    r"|upon)|presses (?:on|against|into)"
    r"|leans (?:on|against)|lies (?:on|against|across)|holding(?: onto)?|holds|gripping|grips|grasping"
    r"|grasps|clasping|clasps"
    r"|cupping|cups|squeezing|squeezes|pushing(?: against| on)?|pushes(?: against| on)?|patting|pats"
    r"|stroking|strokes|supporting|supports"
    r"|(?:draped|wrapped|wrapping|placed|laid|hooked|slung) (?:around|over|across|onto|through)|wraps "
    r"around|brush(?:ing|es)(?: against)?"
    r"|(?:interlocked|interlaced|linked|intertwined|joined|locked) with|against|on|with"
    r"|berührt|liegt (?:auf|an)|toca(?: a)?|touche)\s+"
    r"|\s*(?:接触|接觸|触碰|碰到|碰触|搭在|贴着)\s*"
    r"|\s*(?:<-+>|<=+>|↔|-+>|=+>|→|⟷|⇔|⇒)\s*",
    re.IGNORECASE,
)
_DASH = re.compile(r"\s+[-–—]+\s+")
_CONFIDENCE = re.compile(
    r"\s*[(\[,;:|–—-]?\s*(?:with\s+(?:a\s+)?)?\b(?:confidence|conf\.?|probability|score)\b(?:\s+(?:level"
    r"|score))?"
    r"\s*(?:of|[:=])?\s*(?P<named>[^()\[\]|;]{1,40}?)\s*[)\]]?\s*$"
    r"|\s*[(\[]\s*(?P<bracketed>(?:0?\.\d+|[01](?:\.\d+)?|\d{1,3}\s*%))\s*[)\]]\s*$"
    r"|\s*[:,;|]\s*(?P<after>(?:0?\.\d+|1\.0+|\d{1,3}\s*%))\s*$",
    re.IGNORECASE,
)
LABEL = re.compile(r"\s*(?P<key>[^:|]{1,60}?)\s*:\s*(?P<value>\S.*)")


def read_sentence(words: str, start: int, end: int, into: Collected, quiet: bool = False) -> bool:
    """Read one contact out of words. Return whether there was a statement, be it that they do not touch.

    The statement has to be understood whole; marks before it and words after it may take it back.

    Args:
        words: a line without its bullet, or an element of a list of contacts.
        start: where the raw text states it.
        end: one past that.
        into: takes the contact; or what was wrong, unless ``quiet``.
        quiet: say nothing where no contact can be read, for lines that may be prose.
    """
    line = EMPHASIS.sub("", words[: MAX_LINE + 1]).strip().rstrip(".")
    if len(line) > MAX_LINE or _NAMES_PEOPLE.search(line) is None:
        if not quiet:
            into.reject(start, end, "no contact could be read from these words")
        return False
    line, marked = _take_marks(line)
    statement = _statement(line)
    if statement is None:
        statement, heading = _after_heading(line)
        if statement is not None and heading not in KEEPS:
            marked = heading
    reason = "no contact could be read from these words"
    if statement is not None:
        stance = _weigh_tail(statement, marked)
        persons = {one.person for one in (*statement.left[0], *statement.right[0])}
        if stance is Stance.DENIES:
            into.repair("not in contact", start, end, "the line says of itself that they do not touch")
            return True
        if stance not in KEEPS:
            into.reject(start, end, "the line does not say that they touch")
            return True
        if persons == {"a", "b"}:
            (found_a, side_a), (found_b, side_b) = statement.left, statement.right
            into.repair("sentence", start, end, "a contact in words")
            if statement.confidence is None:
                into.repair("no confidence", start, end, "the default was taken")
            add_contact(
                [(one, join_sides(one, side_a)) for one in found_a],
                [(one, join_sides(one, side_b)) for one in found_b],
                statement.confidence,
                start,
                end,
                into,
                exchange=True,
            )
            if PERSON_AGAIN.search(statement.tail) and (holds(statement.tail) or mentions(statement.tail)):
                into.reject(start, end, "the line says more than the contact that was read")
            return True
        reason = "the words do not say which person each part belongs to"
    if not quiet:
        into.reject(start, end, reason)
    return False


_Side = tuple[tuple[PartPhrase, ...], str]


class _Statement(NamedTuple):
    """A contact in words, and what the line says after it."""

    left: _Side
    right: _Side
    confidence: Stated | None
    tail: str


def _take_marks(line: str) -> tuple[str, Stance]:
    """Return the line without check boxes and signs, and what they say."""
    stance = Stance.NEUTRAL
    if _STRUCK.search(line):
        stance = Stance.DENIES
        line = re.sub(r"~~|</?(?:s|del|strike)>", "", line)
    for match in (_MARK.match(line), *_MARK.finditer(line)):
        if match is None or not (match.start() == 0 or match.end() == len(line)):
            continue
        sign = match.group("box") if match.group("box") is not None else match.group("sign")
        if sign in _DENYING_MARKS:
            stance = Stance.DENIES
        elif sign in "❓⚠" and stance is not Stance.DENIES:
            stance = Stance.DOUBTS
    bare = _MARK.match(line)
    line = line[bare.end() :] if bare else line
    while (last := _LAST_MARK.search(line)) is not None:
        line = line[: last.start()]
    return line.strip().rstrip("."), stance


_LAST_MARK = re.compile(r"\s*(?:\[[ xX✓✔✗✘]?\]|[☐☑☒✅✔✓❌✗✘🚫⛔❎❓⚠✖]\ufe0f?)\s*$")


def _statement(line: str) -> _Statement | None:
    """Return the longest beginning of a line that is a contact, and the rest of it."""
    confidence, rest = _take_confidence(line)
    split = _two_parts(rest)
    if split is not None:
        return _Statement(*split, confidence, "")
    cuts = [match.start() for match in list(_CUT.finditer(line))[:_MOST_CUTS]]
    for cut in reversed(cuts):
        split = _two_parts(line[:cut]) if cut > 4 else None
        if split is None:
            continue
        tail = line[cut:]
        for piece in _TAIL_PIECE.findall(tail):
            found = read_confidence(_CONFIDENCE_NAME.sub("", piece).strip(" \t()[]:=,;–—-"))
            if found is not None:
                return _Statement(*split, found, tail.replace(piece, " ", 1))
        return _Statement(*split, None, tail)
    return None


_TAIL_PIECE = re.compile(r"(?:[^()\[\];,:–—|\s]|\s(?!-))+(?::\s*(?:[^()\[\];,:–—|\s]|\s(?!-))+)?")
_CONFIDENCE_NAME = re.compile(
    r"\b(?:with|a|an|confidence|conf|probability|score|certainty|likelihood|level|of|is|medium-)\b", re.I
)


def _take_confidence(line: str) -> tuple[Stated | None, str]:
    match = _CONFIDENCE.search(line)
    if match is None:
        return None, line
    confidence = read_confidence(match.group("named") or match.group("bracketed") or match.group("after"))
    return (None, line) if confidence is None else (confidence, line[: match.start()])


def _after_heading(line: str) -> tuple[_Statement | None, Stance]:
    """Take "Contact 1: Person 1's hand ..." or "Not touching: ...": a heading before its statement."""
    for match in list(re.finditer(r"\s*[:：]\s*|\s[-–—]\s", line))[:3]:
        prefix = line[: match.start()]
        key = contact_key(prefix)
        if len(prefix) > 60 or (key is not None and key.person):
            continue
        statement = _statement(line[match.end() :])
        if statement is not None:
            return statement, heading_stance(prefix)
    return None, Stance.NEUTRAL


def _weigh_tail(statement: _Statement, marked: Stance) -> Stance:
    """Return what marks and the words after a statement say about it."""
    if marked not in KEEPS:
        return marked
    tail = statement.tail.strip(" \t()[],;:–—-|?.")
    if not tail:
        return Stance.DOUBTS if statement.tail.strip().startswith("?") else Stance.NEUTRAL
    stance = remark_stance(tail)
    if stance is Stance.DENIES:
        return stance
    if negates(tail) and not holds(tail):
        return Stance.DENIES if says_yes_or_no(tail) else Stance.UNKNOWN
    return stance


def _two_parts(line: str) -> tuple[_Side, _Side] | None:
    """Both sides of a sentence; None unless it splits in exactly one way into parts that are understood."""
    found = []
    for pattern in (_TOUCHING, _DASH, re.compile(r"\s*[;,|]\s*")):
        for match in list(pattern.finditer(line))[:8]:
            left, right = _one_side(line[: match.start()]), _one_side(line[match.end() :])
            if left is not None and right is not None:
                found.append((left, right))
        if found:
            break
    return found[0] if len(found) == 1 else None


def _one_side(words: str) -> _Side | None:
    """Take "Person 1's left hand", or "Person 1: left hand", or "Person 1: hand (left)"."""
    if not words.strip() or len(words) > MAX_PHRASE:
        return None
    label = LABEL.fullmatch(words)
    try:
        if label is not None:
            key = contact_key(label.group("key"))
            if key is None or not key.person or key.field not in ("", "part"):
                return None
            found = tuple(
                one._replace(person=key.person) if one.person in ("", key.person) else one
                for one in read_part(label.group("value"))
            )
        else:
            found = read_part(words)
    except UnknownWordError:
        return None
    return (found, "") if found else None
