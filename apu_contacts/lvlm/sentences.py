"""Contacts in words: sentences, bullet lists and markdown tables.

A line is read only if all of it is understood: a body part, words for touching, another body part, and
perhaps a confidence. "The left hand is not touching the back" has a word that is none of these, so it states
no contact.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from apu_contacts.lvlm.collected import Collected, add_contact, join_sides
from apu_contacts.lvlm.keys import ContactKey, contact_key, document_key, is_remark
from apu_contacts.lvlm.refusal import says_nothing_touches
from apu_contacts.lvlm.vocabulary import (
    MAX_PHRASE,
    PartPhrase,
    Stated,
    UnknownWordError,
    read_confidence,
    read_part,
    read_side,
)

MAX_LINE = 600
"""Characters; a line that states a contact is shorter."""

_BULLET = re.compile(r"\s*(?:[-*•+‣–]|\(?\d{1,3}[.)])\s+")
_EMPHASIS = re.compile(r"\*\*|__|`")
_TOUCHING = re.compile(
    r"\s+(?:(?:is|are) )?(?:touching|touches|touch|in (?:direct |physical )?contact with|contacting|contacts"
    r"|(?:resting|placed|pressed|leaning|lying) (?:on|against|upon)|rests on|pressing against|against|on"
    r"|with)\s+"
    r"|\s*(?:<->|<-->|↔|->|→|⟷)\s*",
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
_LABEL = re.compile(r"\s*(?P<key>[^:|]{1,60}?)\s*:\s*(?P<value>\S.*)")
_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")
_BREAK = re.compile(r"\s*(?:[-*_=]{3,}|#{1,6}\s.*)\s*")


def read_sentence(words: str, start: int, end: int, into: Collected, quiet: bool = False) -> bool:
    """Reads one contact out of words, all of which have to be understood. Returns whether there was one.

    Args:
        words: a line without its bullet, or an element of a list of contacts.
        start: where the raw text states it.
        end: one past that.
        into: takes the contact; or what was wrong, unless ``quiet``.
        quiet: say nothing where no contact can be read, for lines that may be prose.
    """
    line = _EMPHASIS.sub("", words[: MAX_LINE + 1]).strip().rstrip(".")
    confidence: Stated | None = None
    if len(line) <= MAX_LINE and (match := _CONFIDENCE.search(line)) is not None:
        stated = match.group("named") or match.group("bracketed") or match.group("after")
        confidence = read_confidence(stated)
        if confidence is not None:
            line = line[: match.start()]
    split = _two_parts(line) if len(line) <= MAX_LINE else None
    reason = "no contact could be read from these words"
    if split is not None:
        (found_a, side_a), (found_b, side_b) = split
        persons = {one.person for one in (*found_a, *found_b)}
        if persons == {"a", "b"}:
            into.repair("sentence", start, end, "a contact in words")
            if confidence is None:
                into.repair("no confidence", start, end, "the default was taken")
            add_contact(
                [(one, join_sides(one, side_a)) for one in found_a],
                [(one, join_sides(one, side_b)) for one in found_b],
                confidence,
                start,
                end,
                into,
                exchange=True,
            )
            return True
        reason = "the words do not say which person each part belongs to"
    if not quiet:
        into.reject(start, end, reason)
    return False


_Side = tuple[tuple[PartPhrase, ...], str]


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
    """ "Person 1's left hand", or "Person 1: left hand", or "Person 1: hand (left)"."""
    if not words.strip() or len(words) > MAX_PHRASE:
        return None
    label = _LABEL.fullmatch(words)
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


class Line(NamedTuple):
    """A line of the raw text and where it stands."""

    start: int
    end: int
    text: str


def lines_of(text: str, start: int, end: int) -> list[Line]:
    """The lines of ``text[start:end]`` that are not blank."""
    found = []
    for row in text[start:end].splitlines(keepends=True):
        if row.strip():
            found.append(Line(start, start + len(row), row.rstrip("\r\n")))
        start += len(row)
    return found


def read_lines(lines: list[Line], into: Collected) -> int:
    """Reads contacts out of prose: tables, bullets and sentences. Returns how many lines stated one.

    Lines that state none are prose, unless they are a bullet or a table row: those are logged as unexplained.
    """
    before = len(into.drafts)
    stated, i = 0, 0
    prose: list[Line] = []
    while i < len(lines):
        line = lines[i]
        if line.text.count("|") >= 1 and i + 1 < len(lines) and _RULE.fullmatch(lines[i + 1].text):
            i, rows = _table(lines, i, into)
            stated += rows
            continue
        i += 1
        bullet = _BULLET.match(line.text)
        words = line.text[bullet.end() :] if bullet else line.text
        if read_sentence(words, line.start, line.end, into, quiet=True):
            stated += 1
        elif says_nothing_touches(words):
            into.has_contacts_key = True
            into.repair("no contacts", line.start, line.end, "the line says that nothing touches")
        elif not _labelled(words, line, into):
            if bullet is None:
                prose.append(line)
            else:
                read_sentence(words, line.start, line.end, into)  # once more, to log what was wrong
    if len(into.drafts) > before:
        for line in prose:
            into.repair("prose", line.start, line.end, "states no contact; left out")
    return stated


def _labelled(words: str, line: Line, into: Collected) -> bool:
    """ "Interaction: hugging", "Person on the left: a woman in red", or a heading."""
    plain = _EMPHASIS.sub("", words).strip()
    if _BREAK.fullmatch(words):
        into.repair("prose", line.start, line.end, "a heading or a rule")
        return True
    match = _LABEL.fullmatch(plain) if len(plain) <= MAX_LINE else None
    if match is None:
        return False
    key, value = match.group("key"), match.group("value").strip()
    meaning = document_key(key)
    if meaning in ("interaction", "orientation"):
        setattr(into, meaning, getattr(into, meaning) or value)
        into.repair("labelled line", line.start, line.end, f"read as {meaning!r}")
        return True
    person = contact_key(key)
    if person is None or not person.person or person.field:
        return False
    try:
        read_part(value)
        return False
    except UnknownWordError:
        into.people["person_left" if person.person == "a" else "person_right"] = value
        into.repair("labelled line", line.start, line.end, "read as a description of a person")
        return True


def _cells(line: Line) -> list[str]:
    row = line.text.strip()
    row = row[1:] if row.startswith("|") else row
    row = row[:-1] if row.endswith("|") else row
    return [_EMPHASIS.sub("", cell).strip() for cell in row.split("|")]


_IGNORED = ContactKey("", "ignored")


def _table(lines: list[Line], i: int, into: Collected) -> tuple[int, int]:
    """Reads the table that begins at line ``i``; returns the line after it and how many rows stated a
    contact."""
    header = lines[i]
    columns = [_column(cell) for cell in _cells(header)]
    known = [column for column in columns if column is not None]
    i += 2
    rows = []
    while i < len(lines) and "|" in lines[i].text:
        rows.append(lines[i])
        i += 1
    needed = {ContactKey("a", "part"), ContactKey("b", "part")}
    if (
        None in columns
        or not needed <= set(known)
        or len(set(known) - {_IGNORED}) + known.count(_IGNORED) < len(columns)
    ):
        into.reject(
            header.start, rows[-1].end if rows else header.end, "a table whose columns are not understood"
        )
        return i, 0
    into.repair("table", header.start, header.end, "read as a list of contacts")
    return i, sum(_row(row, known, into) for row in rows)


def _column(cell: str) -> ContactKey | None:
    if cell.strip() in ("#", "") or is_remark(cell):
        return _IGNORED
    found = contact_key(cell)
    if found is None or (not found.person and found.field != "confidence"):
        return None
    return ContactKey(found.person, found.field or "part")


def _row(line: Line, columns: list[ContactKey], into: Collected) -> bool:
    cells = _cells(line)
    if len(cells) != len(columns):
        into.reject(line.start, line.end, f"a row of {len(cells)} cells under {len(columns)} columns")
        return False
    values = {column: cell for column, cell in zip(columns, cells, strict=True) if column != _IGNORED}
    try:
        sides = [read_side(values.get(ContactKey(person, "side"), "")) for person in "ab"]
        found = [read_part(values[ContactKey(person, "part")]) for person in "ab"]
    except UnknownWordError as error:
        into.unknown(str(error), line.start, line.end)
        return False
    if not all(found):
        into.repair("no part", line.start, line.end, "a row that names no body part was left out")
        return False
    stated = values.get(ContactKey("", "confidence"))
    confidence = None if stated is None else read_confidence(stated)
    if confidence is None:
        into.repair("no confidence", line.start, line.end, "the default was taken")
    add_contact(
        [(one, join_sides(one, sides[0])) for one in found[0]],
        [(one, join_sides(one, sides[1])) for one in found[1]],
        confidence,
        line.start,
        line.end,
        into,
    )
    return True
