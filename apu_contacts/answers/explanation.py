"""An answer explained to a person: contacts, repairs, and what each was taken to mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apu_contacts.answers.answer import AnswerParseError, ContactAnswer, Repair, Unexplained
from apu_contacts.answers.records import answer_of_record, record_rows
from apu_contacts.contacts import PartContact


def explain_answer(answer: ContactAnswer) -> str:
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
    """Return a model's text parsed and explained; the second value says whether all of it was read."""
    return _explained({"text": text})


def _explained(record: Mapping[str, Any]) -> tuple[str, bool]:
    try:
        answer = answer_of_record(record)
    except AnswerParseError as error:
        lines = [f"Not readable: {error}", *_unexplained(record["text"] or "", error.unexplained)]
        if error.truncated:
            lines.append("The text was cut off before its answer.")
        return "\n".join(lines), False
    return explain_answer(answer), answer.fully_explained


def explain_file(path: str | Path) -> tuple[str, bool]:
    """Return a file explained: of JSON lines with the key ``text`` each line, of anything else the whole as
    one answer.

    A line that is no record of an answer is said and counts as not read; the others are explained all the
    same.

    Returns:
        the explanation, and whether everything could be read whole. Nothing may have been left out or cut
        off;
        a refusal is read whole.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not UTF-8 text.
    """
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is no text in UTF-8; a model's answer or a file of answers is expected"
        ) from None
    rows = list(record_rows(content))
    if not any(row is not None for _, _, row in rows):
        return explain_text(content)
    parts, good = [], True
    for number, line, row in rows:
        if row is None:
            good = False
            parts.append(f"== line {number}\nNo record of an answer: {_short(line)}")
            continue
        words, whole = _explained(row)
        good &= whole
        name = row.get("id") or row.get("image") or f"line {number}"
        parts.append(f"== {name}\n{words}")
    return "\n\n".join(parts), good


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
