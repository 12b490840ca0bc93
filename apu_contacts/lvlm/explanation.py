"""An answer explained to a person: contacts, repairs, and what each was taken to mean."""

from __future__ import annotations

from pathlib import Path

from apu_contacts.contact_map import PartContact
from apu_contacts.lvlm.answer import AnswerParseError, ContactAnswer, Repair, Unexplained
from apu_contacts.lvlm.parse import parse_answer
from apu_contacts.reading import json_lines, parse_json, read_text


def explain(answer: ContactAnswer) -> str:
    """Several lines of plain text about one answer."""
    if answer.refused:
        return f"The model declined to answer: {_short(answer.refusal or '', 300)}"
    lines = []
    if answer.interaction:
        lines.append(f"Interaction: {_short(answer.interaction)}")
    for key, title in (("person_left", "Person a (left)"), ("person_right", "Person b (right)")):
        if key in answer.people:
            lines.append(f"{title}: {_short(answer.people[key])}")
    if answer.orientation:
        lines.append(f"Orientation: {_short(answer.orientation)}")
    count = len(answer.contacts)
    nothing = ": the two do not touch" if answer.fully_explained else ""
    lines.append(f"{count} contact{'' if count == 1 else 's'}{':' if count else nothing}")
    lines += [f"  {describe(contact)}" for contact in answer.contacts]
    if answer.conforms and not answer.repairs:
        lines.append("The text conforms to the schema.")
    if answer.truncated:
        lines.append("The text ends before the answer does; contacts after that point are missing.")
    if answer.repairs:
        lines.append("Repairs:")
        lines += [
            f"  {_where(answer.raw, repair)}: {repair.kind}: {repair.meaning}" for repair in answer.repairs
        ]
    lines += _unexplained(answer.raw, answer.unexplained)
    if answer.unknown_words:
        lines.append("Words that the vocabulary does not know: " + ", ".join(map(repr, answer.unknown_words)))
    return "\n".join(lines)


def describe(contact: PartContact) -> str:
    """``"left hand of a - back of b (0.80)"``."""
    ends = []
    for part, more, side in (
        (contact.part_a, contact.alternatives_a, contact.side_a),
        (contact.part_b, contact.alternatives_b, contact.side_b),
    ):
        name = " or ".join((part, *more))
        ends.append(name if side == "none" else f"{side} {name}")
    return f"{ends[0]} of a - {ends[1]} of b ({contact.confidence:.2f})"


def explain_text(text: str) -> tuple[str, bool]:
    """A model's text parsed and explained; the second value says whether it could be read at all."""
    try:
        return explain(parse_answer(text)), True
    except AnswerParseError as error:
        return "\n".join([f"Not readable: {error}", *_unexplained(text, error.unexplained)]), False


def explain_file(path: str | Path) -> tuple[str, bool]:
    """A file explained: of JSON lines with the key ``text`` each line, of anything else the whole as one
    answer.

    Returns:
        the explanation, and whether everything could be read.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not UTF-8 text.
    """
    content = read_text(path)
    rows = _answer_rows(content)
    if rows is None:
        return explain_text(content)
    parts, good = [], True
    for number, row in enumerate(rows, 1):
        text, readable = explain_text(row["text"])
        good &= readable
        name = row.get("id") or row.get("image") or f"line {number}"
        parts.append(f"== {name}\n{text}")
    return "\n\n".join(parts), good


def _answer_rows(content: str) -> list[dict[str, str]] | None:
    rows = []
    for number, line in json_lines(content):
        try:
            row = parse_json(line, f"line {number}", finite=False)
        except ValueError:
            return None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            return None
        rows.append(row)
    return rows or None


def _unexplained(raw: str, entries: tuple[Unexplained, ...]) -> list[str]:
    if not entries:
        return []
    return [
        "Left out:",
        *(f"  {_where(raw, entry)}: {_short(entry.text)!r}: {entry.reason}" for entry in entries),
    ]


def _where(raw: str, entry: Repair | Unexplained) -> str:
    start = min(entry.start, len(raw))
    return f"line {raw.count(chr(10), 0, start) + 1}, column {start - (raw.rfind(chr(10), 0, start) + 1) + 1}"


def _short(words: str, length: int = 100) -> str:
    words = " ".join(words.split())
    return words if len(words) <= length else words[: length - 3] + "..."
