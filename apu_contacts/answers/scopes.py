"""Lines and the headings that they stand under."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from apu_contacts.answers.stance import KEEPS, Stance, heading_stance

_MARKDOWN = re.compile(r"\s*(#{1,6})\s+(\S.*)")
_BOLD_LINE = re.compile(r"\s*(?:\*\*|__)([^*_]{1,200}?)(?:\*\*|__)\s*[:：]?\s*")
_LEVEL = 7.0
"""Of headings without number signs; deeper than all that have them."""
_SENTENCE = 4
"""Words from which on a line without marks is a sentence, if it is not understood as a heading."""
_LAST_SENTENCE = re.compile(r"(?<=[.!?。])\s+")


class Line(NamedTuple):
    """A line of the raw text and where it stands."""

    start: int
    end: int
    text: str

    @property
    def indent(self) -> int:
        """Columns before its first character; a tab counts four."""
        space = self.text[: len(self.text) - len(self.text.lstrip())]
        return len(space.expandtabs(4))


def lines_of(text: str, start: int, end: int) -> list[Line]:
    """Return the lines of ``text[start:end]`` that are not blank."""
    found = []
    for row in text[start:end].splitlines(keepends=True):
        if row.strip():
            found.append(Line(start, start + len(row), row.rstrip("\r\n")))
        start += len(row)
    return found


class Heading(NamedTuple):
    """A heading: what its last sentence says, how deep it is, the sentences before the last, its
    indentation, and
    whether it is a bullet with bullets further in.
    """

    stance: Stance
    level: float
    before: str
    indent: int
    bullet: bool = False


def read_heading(line: Line, words: str, leads: bool) -> Heading | None:
    """Return a heading, or None.

    Args:
        line: the line.
        words: the line without its bullet.
        leads: what stands under it is a list, a table, or further in: a line without marks is a heading then.
    """
    level, text = _LEVEL + line.indent / 1000, words.strip()
    if (markdown := _MARKDOWN.fullmatch(words)) is not None:
        level, text = float(len(markdown.group(1))), markdown.group(2).strip()
    marked = (
        markdown is not None
        or _BOLD_LINE.fullmatch(words) is not None
        or text.rstrip("*_ ").endswith((":", "："))
    )
    if not marked and not leads:
        return None
    pieces = _LAST_SENTENCE.split(text)
    stance = heading_stance(pieces[-1])
    if stance is Stance.UNKNOWN and not marked and len(text.split()) >= _SENTENCE:
        return None  # a sentence before a list; it is weighed with the other words
    return Heading(stance, level, " ".join(pieces[:-1]), line.indent)


@dataclass
class Scopes:
    """The headings that are open, outermost first. A statement stands only if all of them let it."""

    open: list[Heading] = field(default_factory=list)

    def enter(self, heading: Heading) -> None:
        """Open a heading and close those that it ends.

        A heading that says nothing of touching ("Hands", "Contact 2") never lifts a denial of its own level.
        """
        while self.open and self.open[-1].level >= heading.level:
            top = self.open[-1]
            if heading.stance is Stance.NEUTRAL and top.stance not in KEEPS and top.level == heading.level:
                return
            self.open.pop()
        self.open.append(heading)

    def stance(self) -> Stance:
        """Return the first stance that keeps nothing, or `Stance.NEUTRAL`."""
        return next((heading.stance for heading in self.open if heading.stance not in KEEPS), Stance.NEUTRAL)
