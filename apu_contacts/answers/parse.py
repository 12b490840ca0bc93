"""A model's text read into a `ContactAnswer`.

The rule that stands over all: every character of the text is accounted for, and no contact appears that the
text does not state. A contact is read whole or not at all; what departs from the schema is repaired by a
fixed rule and logged, or logged as unexplained. Nothing is executed, and the time is linear in the length of
the text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from apu_contacts.answers.answer import AnswerParseError, ContactAnswer, Repair, Unexplained
from apu_contacts.answers.attributes import attributes_of_document
from apu_contacts.answers.blocks import blank_spans, read_text
from apu_contacts.answers.collected import Collected, Draft, finish_contacts
from apu_contacts.answers.interpret import read_value
from apu_contacts.answers.legend import settle_people, settle_sides
from apu_contacts.answers.lenient import Node, Reading, check_length
from apu_contacts.answers.lines import read_lines
from apu_contacts.answers.refusal import is_refusal, leaves_open, says_nothing_touches
from apu_contacts.answers.schema import conforms
from apu_contacts.answers.scopes import lines_of
from apu_contacts.answers.stance import KEEPS, Stance, is_label, lead_in_stance, marks_a_heading
from apu_contacts.answers.weighing import weigh_words
from apu_contacts.contacts import PartContact

DEFAULT_CONFIDENCE = 0.5
"""For contacts that state no confidence, or one that cannot be read."""


def parse_answer(text: str, default_confidence: float = DEFAULT_CONFIDENCE) -> ContactAnswer:
    """Read the answer of a vision language model, in the paper's format (Figure S9) or near it.

    The shapes that are taken, with an example of each repair, are listed in ``docs/repairs``.

    Args:
        text: what the model wrote.
        default_confidence: of contacts without a confidence that can be read.

    Returns:
        the answer; a refusal is an answer too, with ``refusal`` set and no contacts.

    Raises:
        AnswerParseError: if the text holds no answer and is no refusal, if it holds several answers that
            differ, or if it is longer or nested deeper than any answer.

    Example:
        >>> from apu_contacts import parse_answer
        >>> text = '{"contacts": [{"part_a": "hand", "side_a": "left", "part_b": "back", "confidence": 0.8}]}'
        >>> answer = parse_answer(text)
        >>> answer.contacts[0].part_b, answer.contacts[0].confidence
        ('back', 0.8)
    """
    if not 0 <= default_confidence <= 1:
        raise ValueError(f"default_confidence must lie in [0, 1], got {default_confidence}")
    check_length(text)
    document = _strict_json(text)
    if document is not None and conforms(document):
        answer = _from_conforming(document, text)
    else:
        answer = _from_any(text, default_confidence)
    if not answer.contacts and answer.refusal is None and is_refusal(answer.interaction):
        return _as_refusal(answer, answer.interaction)
    if not answer.contacts and answer.refusal is None and leaves_open(answer.interaction):
        # An empty list beside it is no statement that nothing touches.
        said = Unexplained(0, len(text), answer.interaction[:200], "the answer says that it could not tell")
        return replace(answer, unexplained=(*answer.unexplained, said))
    return answer


class _NotStrictError(ValueError):
    """JSON that the json module takes and the standard, or this schema, does not."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotStrictError("a key occurs twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _NotStrictError(f"{name} is no JSON")


def _strict_json(text: str) -> Any:
    """Return the document, or None if the text is not exactly one JSON object without surprises."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _from_conforming(document: dict[str, Any], text: str) -> ContactAnswer:
    contacts: dict[tuple[str, str, str, str], PartContact] = {}
    repairs = []
    for row in document["contacts"]:
        left, right = row["body_part_person_left"], row["body_part_person_right"]
        key = (left["part_name"], left["body_side"], right["part_name"], right["body_side"])
        contact = PartContact(*key, confidence=float(row["confidence"]))
        if key in contacts:
            repairs.append(Repair("duplicate", 0, len(text), "merged with the same contact before it"))
        if key not in contacts or contacts[key].confidence < contact.confidence:
            contacts[key] = contact
    return ContactAnswer(
        document["interaction"],
        dict(document["people"]),
        document["orientation"],
        tuple(contacts.values()),
        repairs=tuple(repairs),
        conforms=True,
        raw=text,
        attributes=attributes_of_document(document),
    )


def _as_refusal(answer: ContactAnswer, words: str) -> ContactAnswer:
    return ContactAnswer(
        refusal=words,
        truncated=answer.truncated,
        repairs=answer.repairs,
        unexplained=answer.unexplained,
        conforms=answer.conforms,
        raw=answer.raw,
    )


def _from_any(text: str, default_confidence: float) -> ContactAnswer:
    reading = read_text(text)
    into = Collected(text)
    into.repairs.extend(reading.repairs)
    into.unexplained.extend(reading.unexplained)
    used = _read_values(reading, into)
    if used:
        _account_for_gaps(reading, used, into)
    else:
        into.unexplained.clear()
        _read_prose(text, reading, into)
    _leave_out_around_reasoning(into)
    _weigh_remarks(into)
    settle_people(reading.shown, into)
    settle_sides(reading.shown, into)
    contacts = finish_contacts(into, default_confidence)
    repairs = tuple(sorted(into.repairs, key=_place))
    unexplained = tuple(sorted(into.unexplained, key=_place))
    if not contacts and into.refusal is None and not into.has_contacts_key and is_refusal(text):
        into.refusal = text.strip()
    if into.refusal is not None and contacts:
        into.reject(0, len(text), "an answer beside a refusal")
        unexplained = tuple(into.unexplained)
        into.refusal = None
    if into.refusal is None and not into.has_contacts_key and not contacts:
        raise AnswerParseError(
            f"the text states no contacts and does not say that there are none: {_excerpt(text)}",
            repairs,
            unexplained,
            reading.truncated,
        )
    return ContactAnswer(
        into.interaction if into.refusal is None else "",
        into.people,
        into.orientation,
        contacts,
        into.refusal,
        reading.truncated,
        repairs,
        unexplained,
        tuple(into.unknown_words),
        False,
        text,
        into.attributes,
    )


def _place(entry: Repair | Unexplained) -> tuple[int, int]:
    return entry.start, entry.end


def _excerpt(text: str) -> str:
    words = " ".join(text[:400].split())
    return repr(words if len(words) <= 120 else words[:117] + "...") if words else "it is empty"


def _read_values(reading: Reading, into: Collected) -> list[Node]:
    """Read the values that are answers or contacts, and return them; log the others as unexplained."""
    if len(reading.values) == 1 and reading.values[0].kind == "string":
        return _read_quoted(reading.values[0], into)
    units: list[_Unit] = []
    unused: list[Node] = []
    says_contacts = False
    stance, end = Stance.NEUTRAL, 0
    for node in _without_empty(reading, into):
        before, documents = len(into.drafts), into.documents
        stance, end = _stance_before(reading, end, node, stance), node.end
        into.has_contacts_key = False
        if not read_value(node, into):
            unused.append(node)
            continue
        whole = into.has_contacts_key and into.documents > documents
        units.append(_Unit(node, stance, whole, into.drafts[before:]))
        says_contacts |= into.has_contacts_key and stance in KEEPS
    into.has_contacts_key = says_contacts
    used = [unit.node for unit in units]
    if used:
        for node in unused:
            into.reject(node.start, node.end, "no part of an answer")
    into.drafts[:] = _standing(units, into)
    if len(used) > 1:
        into.repair("several values", used[0].start, used[-1].end, "read as one answer")
    return used


@dataclass
class _Unit:
    """A value that was read, what leads to it, whether it is a whole answer, and the contacts it lists."""

    node: Node
    stance: Stance
    whole: bool
    drafts: list[Draft]

    def stated(self) -> set[tuple[object, ...]]:
        return {(one.part_a.parts, one.side_a, one.part_b.parts, one.side_b) for one in self.drafts}


def _stance_before(reading: Reading, end: int, node: Node, stance: Stance) -> Stance:
    """Return what the words before a value say about it. Without words the stance of the value before goes
    on, and a heading that says nothing of touching does not lift a denial.
    """
    words = reading.shown[max(end, node.start - 2000) : node.start]
    words = _FENCE_LINE.sub("\n", words).strip(" \t\r\n,;[]{}")
    if not words:
        return stance if stance is not Stance.FINAL else Stance.NEUTRAL
    found = lead_in_stance(words)
    if found is Stance.NEUTRAL and stance in _LASTING and (marks_a_heading(words) or is_label(words)):
        return stance
    return found


# A further heading that says nothing ("Hands:") ends a sample or a draft, not a denial.
_LASTING = (Stance.DENIES, Stance.DOUBTS, Stance.UNKNOWN)
_FENCE_LINE = re.compile(r"(?:`{3,}|~{3,})[A-Za-z0-9_+.-]{0,20}")


def _standing(units: list[_Unit], into: Collected) -> list[Draft]:
    """Return the contacts of the values that the words before them let stand.

    A value that is called final, or follows drafts, is the answer. Several whole answers without such words
    are
    taken only if they state the same contacts.
    """
    final = [unit for unit in units if unit.stance is Stance.FINAL]
    kept: list[_Unit] = []
    for unit in units:
        if (
            final
            and unit is not final[-1]
            and unit.node.start < final[-1].node.start
            and unit.stance is not Stance.DENIES
        ):
            into.repair("draft", unit.node.start, unit.node.end, "left out: a later one is called final")
        elif unit.stance in KEEPS:
            kept.append(unit)
        elif unit.stance is Stance.DENIES:
            into.repair(
                "not in contact", unit.node.start, unit.node.end, "left out: the words before it deny it"
            )
        elif unit.stance is Stance.SAMPLE:
            into.repair(
                "sample", unit.node.start, unit.node.end, "left out: the words before it call it an example"
            )
        elif unit.stance is Stance.DRAFT and any(other.stance in KEEPS for other in units):
            into.repair(
                "draft", unit.node.start, unit.node.end, "left out: the words before it call it a draft"
            )
        else:
            into.reject(
                unit.node.start, unit.node.end, "the words before it do not say that this is what touches"
            )
    whole = [unit for unit in kept if unit.whole]
    if whole:
        # A further answer under words that are not understood may be the one that is meant.
        whole += [unit for unit in units if unit.whole and unit.stance is Stance.UNKNOWN]
    stated = [unit.stated() for unit in whole]
    beside = [
        unit for unit in kept if whole and not unit.whole and unit.drafts and not unit.stated() <= stated[0]
    ]
    if any(each != stated[0] for each in stated[1:]) or beside:
        raise AnswerParseError(
            f"the text holds {len(whole) + len(beside)} answers that state different contacts; which one is "
            f"meant is not said",
            tuple(into.repairs),
            tuple(into.unexplained),
        )
    return [draft for unit in kept for draft in unit.drafts]


def _without_empty(reading: Reading, into: Collected) -> list[Node]:
    """Return the values without empty lists and objects, unless there is nothing else: then an empty list is
    the answer.
    """
    full = [node for node in reading.values if node.kind not in ("object", "array") or node.value]
    if not full:
        return reading.values
    for node in reading.values:
        if node.kind in ("object", "array") and not node.value:
            into.repair("empty value", node.start, node.end, "left out")
    return full


def _read_quoted(node: Node, into: Collected) -> list[Node]:
    """JSON inside a JSON string, one level deep."""
    words = str(node.value)
    inner_reading = read_text(words)
    inner = Collected(words)
    used = [value for value in inner_reading.values if value.kind != "string" and read_value(value, inner)]
    if not used:
        return []
    into.repair("JSON in a string", node.start, node.end, "read as JSON")
    for draft in inner.drafts:
        draft.start, draft.end = node.start, node.end
    into.drafts, into.documents, into.has_contacts_key = inner.drafts, inner.documents, inner.has_contacts_key
    into.interaction, into.people, into.orientation = inner.interaction, inner.people, inner.orientation
    into.attributes = inner.attributes
    into.refusal, into.unknown_words = inner.refusal, inner.unknown_words
    for log in (inner.unexplained, inner_reading.unexplained):
        into.unexplained.extend(Unexplained(node.start, node.end, one.text, one.reason) for one in log)
    for repairs in (inner.repairs, inner_reading.repairs):
        into.repairs.extend(Repair(one.kind, node.start, node.end, one.meaning) for one in repairs)
    for start, end in inner_reading.gaps:
        into.unexplained.append(Unexplained(node.start, node.end, words[start:end][:200], "inside a string"))
    return [node]


def _account_for_gaps(reading: Reading, used: list[Node], into: Collected) -> None:
    """Words before and after the answer are weighed against it; words inside of it are unexplained, unless
    they
    are a heading.
    """
    first, last = used[0].start, used[-1].end
    for start, end in reading.gaps:
        words = reading.shown[start:end]
        if not words.strip():
            continue
        if end <= first or start >= last:
            if weigh_words(words, start, end, into):
                into.repair("prose", start, end, "words around the answer, left out")
        elif _known_heading(words):
            into.repair("prose", start, end, "a heading or a rule")
        else:
            logged = len(into.unexplained)
            if weigh_words(words, start, end, into):
                into.reject(start, end, "words between two parts of the answer")
            del into.unexplained[logged + 1 :]


def _known_heading(words: str) -> bool:
    lines = [line for line in words.splitlines() if line.strip()]
    return len(lines) == 1 and marks_a_heading(lines[0]) and lead_in_stance(lines[0]) is not Stance.UNKNOWN


def _leave_out_around_reasoning(into: Collected) -> None:
    """Refuse a contact with reasoning in its middle: its halves were never said together."""
    blocks = [(one.start, one.end) for one in into.repairs if one.kind == "reasoning"]
    torn = [
        draft
        for draft in into.drafts
        if any(draft.start < start and end < draft.end for start, end in blocks)
    ]
    for draft in torn:
        into.reject(draft.start, draft.end, "reasoning stands in the middle of this contact")
    into.drafts[:] = [draft for draft in into.drafts if not any(draft is one for one in torn)]


def _weigh_remarks(into: Collected) -> None:
    """Remarks about the whole answer are words beside it too; an empty answer is denied by none of them."""
    for start, end, words in into.words:
        if into.drafts or not says_nothing_touches(words):
            weigh_words(words, start, end, into)


def _read_prose(text: str, reading: Reading, into: Collected) -> None:
    """Read a text without JSON: tables, bullets, sentences, or words that nothing touches."""
    fences = [repair for repair in into.repairs if repair.kind in ("code fence", "reasoning", "removed line")]
    into.repairs[:] = fences
    spans = [(repair.start, repair.end) for repair in fences if repair.kind == "code fence"]
    masked = blank_spans(reading.shown, spans)
    reading.truncated = any(repair.end > len(text) for repair in fences)
    if says_nothing_touches(masked):
        into.has_contacts_key = True
        into.repair("no contacts", 0, len(text), "the text says that nothing touches")
        return
    read_lines(lines_of(masked, 0, len(masked)), into)
