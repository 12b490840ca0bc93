"""Contacts in words, line by line: headings and what stands under them, bullets, tables, outlines, prose."""

from __future__ import annotations

import re

from apu_contacts.answers.collected import Collected
from apu_contacts.answers.keys import contact_key, document_key
from apu_contacts.answers.outline import read_record
from apu_contacts.answers.refusal import says_none, says_nothing_touches
from apu_contacts.answers.scopes import Heading, Line, Scopes, read_heading
from apu_contacts.answers.sentences import BULLET, EMPHASIS, LABEL, MAX_LINE, PERSON_AGAIN, read_sentence
from apu_contacts.answers.stance import KEEPS, Stance, holds, marks_a_heading, negates, remark_stance
from apu_contacts.answers.tables import begins_table, read_table, separator_of
from apu_contacts.answers.vocabulary import UnknownWordError, read_confidence, read_part
from apu_contacts.answers.weighing import mentions, weigh_words

_RULER = re.compile(r"\s*[-*_=]{3,}\s*")
_SHORT = 3
"""Words of a line that is a heading without any mark."""
_CONFIDENCE = re.compile(
    r"\s*(?:confidence|conf\.?|probability|score|certainty)\s*[:=]?\s*(.{1,30}?)\s*", re.I
)


def read_lines(lines: list[Line], into: Collected) -> None:
    """Read contacts out of words. A contact stands only if every heading above it, every mark and every word
    beside it lets it; what is not understood is logged.
    """
    _Lines(lines, into).read()


class _Lines:
    def __init__(self, lines: list[Line], into: Collected) -> None:
        self.lines = lines
        self.into = into
        self.scopes = Scopes()
        self.prose: list[Line] = []
        self.stated: tuple[int, int] | None = None  # indent and first draft of the last statement
        self.removed = _removed_lines(lines)

    def read(self) -> None:
        i = 0
        while i < len(self.lines):
            i = self.line(i)
        for line in self.prose:
            if weigh_words(line.text, line.start, line.end, self.into):
                if PERSON_AGAIN.search(line.text) and holds(line.text) and mentions(line.text):
                    self.into.reject(
                        line.start, line.end, "words about a contact that are no list of contacts"
                    )
                else:
                    self.into.repair("prose", line.start, line.end, "states no contact; left out")

    def line(self, i: int) -> int:
        """Read the line, or the table or outline that begins there; return the line after it."""
        line = self.lines[i]
        bullet = BULLET.match(line.text)
        words = line.text[bullet.end() :] if bullet else line.text
        self.leave(line)
        if i in self.removed:
            self.stated = None
            self.into.reject(line.start, line.end, "among lines with + and -, this one may be taken out")
            return i + 1
        before = len(self.into.drafts)
        separator = "|" if begins_table(self.lines, i) else separator_of(line)
        if separator:
            after, _ = read_table(self.lines, i, self.into, separator)
            self.settle(before, line)
            return after
        if (after := read_record(self.lines, i, self.into)) > i:
            self.settle(before, line)
            return after
        if read_sentence(words, line.start, line.end, self.into, quiet=True):
            self.settle(before, line)
            self.stated = line.indent, before
            return i + 1
        if self.stated is not None and line.indent > self.stated[0]:
            self.beside(line, words)
            return i + 1
        self.stated = None
        self.other(i, line, words, bullet is not None)
        return i + 1

    def leave(self, line: Line) -> None:
        """End the headings that were bullets themselves, or further in, where a line stands outside them."""
        scopes = self.scopes.open
        while scopes and (
            scopes[-1].indent > line.indent or (scopes[-1].bullet and scopes[-1].indent >= line.indent)
        ):
            scopes.pop()

    def settle(self, before: int, line: Line) -> None:
        """Take back what was read under a heading that does not let it stand."""
        stance = self.scopes.stance()
        if stance in KEEPS or len(self.into.drafts) == before:
            return
        gone = self.into.drafts[before:]
        del self.into.drafts[before:]
        for draft in gone:
            if stance is Stance.DENIES:
                self.into.repair(
                    "not in contact", draft.start, draft.end, "it stands under a heading that denies it"
                )
            else:
                self.into.reject(
                    draft.start, draft.end, "it stands under a heading that does not say that they touch"
                )

    def beside(self, line: Line, words: str) -> None:
        """Return a line further in than the statement above it: a confidence, or a remark that may take it
        back.
        """
        assert self.stated is not None
        own = self.into.drafts[self.stated[1] :]
        plain = EMPHASIS.sub("", words).strip()
        match = _CONFIDENCE.fullmatch(plain)
        stated = read_confidence(match.group(1)) if match is not None else None
        if stated is not None:
            for draft in own:
                draft.confidence = stated
            self.into.repair(
                "labelled line", line.start, line.end, "read as the confidence of the line above"
            )
            return
        stance = remark_stance(plain)
        if match is not None or stance not in KEEPS or (negates(plain) and not holds(plain)):
            del self.into.drafts[self.stated[1] :]
            self.into.reject(line.start, line.end, "it does not let the contact above it stand")
        else:
            self.into.repair("remark", line.start, line.end, "words about the contact above, left out")

    def other(self, i: int, line: Line, words: str, bullet: bool) -> None:
        """Return a line that states no contact: a heading, a label, words that nothing touches, or prose."""
        into = self.into
        # A marked line after other headings is one more of them, be its section empty.
        below = self.leads(i, line, bullet) or (bool(self.scopes.open) and marks_a_heading(words))
        heading = read_heading(line, words, below)
        if (
            heading is not None
            and bullet
            and i + 1 < len(self.lines)
            and self.lines[i + 1].indent > line.indent
        ):
            heading = heading._replace(bullet=True)
        if heading is not None and below and not _RULER.fullmatch(words) and not _labelled(words, line, into):
            self.enter(heading, line)
            return
        if says_nothing_touches(words):
            into.has_contacts_key = True
            into.repair("no contacts", line.start, line.end, "the line says that nothing touches")
            if not (says_none(words) and (bullet or self.scopes.open)):
                self.prose.append(line)  # it holds for the whole answer, and is weighed against it
            return
        if _RULER.fullmatch(words):
            into.repair("prose", line.start, line.end, "a heading or a rule")
            return
        if _labelled(words, line, into):
            return
        if heading is not None or (
            not bullet and len(words.split()) <= _SHORT and not words.rstrip().endswith((".", "!"))
        ):
            self.enter(heading or read_heading(line, words, True), line)
        elif bullet:
            read_sentence(words, line.start, line.end, into)  # once more, to log what was wrong
        else:
            self.prose.append(line)

    def leads(self, i: int, line: Line, bullet: bool) -> bool:
        """Whether a list begins under this line."""
        if i + 1 >= len(self.lines):
            return False
        below = self.lines[i + 1]
        if below.indent > line.indent:
            return True
        return not bullet and (
            BULLET.match(below.text) is not None
            or begins_table(self.lines, i + 1)
            or len(line.text.split()) <= 4
        )

    def enter(self, heading: Heading | None, line: Line) -> None:
        """Open a heading; sentences before its last are prose."""
        assert heading is not None
        self.scopes.enter(heading)
        if heading.before:
            self.prose.append(line._replace(text=heading.before))
        self.into.repair("prose", line.start, line.end, "a heading or a rule")


def _removed_lines(lines: list[Line]) -> set[int]:
    """Return the lines with a minus of lists that have plus signs too, as a comparison of two versions
    has.
    """
    removed: set[int] = set()
    run: list[int] = []
    for i, line in enumerate([*lines, None]):
        sign = line.text.lstrip()[:2] if line is not None else ""
        if line is not None and sign in ("- ", "+ ") and (not run or line.indent == lines[run[-1]].indent):
            run.append(i)
            continue
        if any(lines[k].text.lstrip()[0] == "+" for k in run):
            removed.update(k for k in run if lines[k].text.lstrip()[0] == "-")
        run = [i] if sign in ("- ", "+ ") else []
    return removed


def _labelled(words: str, line: Line, into: Collected) -> bool:
    """Take "Interaction: hugging", or "Person on the left: a woman in red"."""
    plain = EMPHASIS.sub("", words).strip()
    match = LABEL.fullmatch(plain) if len(plain) <= MAX_LINE else None
    if match is None:
        return False
    key, value = match.group("key"), match.group("value").strip()
    meaning = document_key(key)
    if meaning in ("interaction", "orientation"):
        setattr(into, meaning, getattr(into, meaning) or value)
        into.repair("labelled line", line.start, line.end, f"read as {meaning!r}")
        return True
    if meaning == "contacts" and says_nothing_touches(value):
        into.has_contacts_key = True
        into.repair("no contacts", line.start, line.end, "the line says that nothing touches")
        return True
    person = contact_key(re.sub(r"\([^()]*\)", "", key))
    if person is None or not person.person or person.field:
        return False
    try:
        read_part(value)
        return False
    except UnknownWordError:
        into.people["person_left" if person.person == "a" else "person_right"] = value
        into.repair("labelled line", line.start, line.end, "read as a description of a person")
        return True
