"""Contacts in tables, with bars or with separators: columns of parts and sides, and columns that may deny a
row.
"""

from __future__ import annotations

import csv
import re

from apu_contacts.answers.collected import Collected, add_contact, join_sides
from apu_contacts.answers.fields import field_stance
from apu_contacts.answers.keys import ContactKey, contact_key, is_remark, says_whether
from apu_contacts.answers.lenient import Node
from apu_contacts.answers.scopes import Line
from apu_contacts.answers.sentences import EMPHASIS
from apu_contacts.answers.stance import KEEPS, Stance, heading_stance, remark_stance, says_yes_or_no
from apu_contacts.answers.vocabulary import UnknownWordError, read_confidence, read_part, read_side

_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")
_NEEDED = {ContactKey("a", "part"), ContactKey("b", "part")}
_OTHER = ContactKey("", "other")
_STRUCK = re.compile(r"~~[^|]+~~")


def begins_table(lines: list[Line], i: int) -> bool:
    """Whether a table with bars begins at line ``i``: a row and a rule below it."""
    return "|" in lines[i].text and i + 1 < len(lines) and _RULE.fullmatch(lines[i + 1].text) is not None


def separator_of(line: Line) -> str:
    """Return the separator of a header of values ("," ";" or a tab) that names parts of two people; "" if it
    is none.
    """
    for separator in ("\t", ";", ",", "|"):
        if line.text.count(separator) < 1:
            continue
        columns = [_column(cell) for cell in _cells(line, separator)]
        if None not in columns and set(columns) >= _NEEDED and len(columns) > 2:
            return separator
    return ""


def read_table(lines: list[Line], i: int, into: Collected, separator: str = "|") -> tuple[int, int]:
    """Read the table from line ``i`` on; return the line after it and how many rows stated a contact."""
    header = lines[i]
    titles = _cells(header, separator)
    columns = [_column(title) for title in titles]
    known = [column for column in columns if column is not None]
    i += 2 if begins_table(lines, i) and separator == "|" else 1
    rows = []
    while i < len(lines) and separator in lines[i].text:
        if not _RULE.fullmatch(lines[i].text):
            rows.append(lines[i])
        i += 1
    counted = [column for column in known if column != _OTHER]
    if None in columns or not set(known) >= _NEEDED or len(set(counted)) < len(counted):
        end = rows[-1].end if rows else header.end
        into.reject(header.start, end, "a table whose columns are not understood")
        return i, 0
    into.repair("table", header.start, header.end, "read as a list of contacts")
    section = Stance.NEUTRAL
    stated = 0
    for row in rows:
        heading = _section(_cells(row, separator), len(known))
        if heading is not Stance.NEUTRAL:
            section = heading
            into.repair("prose", row.start, row.end, "a heading or a rule")
        elif section in KEEPS:
            stated += _row(row, titles, known, into, separator)
        elif section is Stance.DENIES:
            into.repair("not in contact", row.start, row.end, "it stands under a row that denies it")
        else:
            into.reject(row.start, row.end, "it stands under a row that does not say that they touch")
    return i, stated


def _section(cells: list[str], columns: int) -> Stance:
    """Return what a row says that is a heading over those below it: its only words stand in one cell."""
    words = {cell for cell in cells if cell.strip(" -–—*_")}
    if columns < 2 or len(words) != 1 or (len(cells) == columns and "" not in cells):
        return Stance.NEUTRAL
    return heading_stance(words.pop())


def _cells(line: Line, separator: str) -> list[str]:
    row = line.text.strip()
    if separator == "|":
        row = row[1:] if row.startswith("|") else row
        row = row[:-1] if row.endswith("|") else row
        cells = row.split("|")
    else:
        cells = next(csv.reader([row], delimiter=separator, skipinitialspace=True), [])
    return [EMPHASIS.sub("", cell).strip() for cell in cells]


def _column(title: str) -> ContactKey | None:
    """Return what a column holds; None if it may belong to a person, but does not say to which."""
    if title.strip() in ("#", "") or is_remark(title) or says_whether(title):
        return _OTHER
    found = contact_key(title)
    if found is None or found == ContactKey("", ""):
        return _OTHER
    if not found.person and found.field != "confidence":
        return None
    return ContactKey(found.person, found.field or "part")


def _row(line: Line, titles: list[str], columns: list[ContactKey], into: Collected, separator: str) -> bool:
    cells = _cells(line, separator)
    if len(cells) != len(columns):
        into.reject(line.start, line.end, f"a row of {len(cells)} cells under {len(columns)} columns")
        return False
    stance = _row_stance(line, titles, columns, cells, into)
    if stance is Stance.DENIES:
        into.repair("not in contact", line.start, line.end, "the row says of itself that they do not touch")
        return False
    if stance not in KEEPS:
        into.reject(line.start, line.end, "the row does not say that they touch")
        return False
    values = {column: cell for column, cell in zip(columns, cells, strict=True) if column != _OTHER}
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
        if stated and _cell_stance("contact_status", stated) is Stance.DENIES:
            into.repair(
                "not in contact", line.start, line.end, "the row says of itself that they do not touch"
            )
            return False
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


def _cell_stance(title: str, cell: str) -> Stance:
    return field_stance(title, Node("string", 0, 0, cell))


def _row_stance(
    line: Line, titles: list[str], columns: list[ContactKey], cells: list[str], into: Collected
) -> Stance:
    """Return what the cells that are neither part, side nor confidence say about their row."""
    if _STRUCK.search(line.text):
        return Stance.DENIES
    for title, column, cell in zip(titles, columns, cells, strict=True):
        if column != _OTHER or cell in ("", "-", "–", "—"):
            continue
        if title.strip() in ("#", ""):
            if says_yes_or_no(cell) is Stance.DENIES and cell != "0":
                return Stance.DENIES
            continue
        stance = _cell_stance(title, cell)
        if remark_stance(cell) is Stance.UNKNOWN:
            return Stance.UNKNOWN
        if stance is Stance.UNKNOWN:
            into.reject(line.start, line.end, f"the column {title[:40]!r} is not known")
        elif stance not in KEEPS:
            return stance
    return Stance.NEUTRAL
