"""What has been read of an answer so far; how contacts are added to it, and put on one scale at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from apu_contacts.answers.answer import Repair, Unexplained
from apu_contacts.answers.attributes import PairAttributes
from apu_contacts.answers.vocabulary import PartPhrase, Stated
from apu_contacts.contacts import PartContact


@dataclass(slots=True)
class Draft:
    """A contact whose confidence has not been put on its scale yet."""

    part_a: PartPhrase
    side_a: str
    part_b: PartPhrase
    side_b: str
    confidence: Stated | None
    start: int
    end: int


@dataclass(slots=True)
class Collected:
    """What has been read so far; positions refer to the raw text.

    ``words`` are remarks about the whole answer, ``(start, end, text)``, which are weighed at the end.
    """

    text: str
    interaction: str = ""
    people: dict[str, str] = field(default_factory=dict)
    orientation: str = ""
    drafts: list[Draft] = field(default_factory=list)
    refusal: str | None = None
    has_contacts_key: bool = False
    documents: int = 0
    repairs: list[Repair] = field(default_factory=list)
    unexplained: list[Unexplained] = field(default_factory=list)
    unknown_words: dict[str, None] = field(default_factory=dict)
    words: list[tuple[int, int, str]] = field(default_factory=list)
    attributes: PairAttributes | None = None

    def repair(self, kind: str, start: int, end: int, meaning: str) -> None:
        """Log a repair."""
        self.repairs.append(Repair(kind, start, end, meaning))

    def reject(self, start: int, end: int, reason: str) -> None:
        """Log characters that were left out."""
        self.unexplained.append(Unexplained(start, end, self.text[start : min(end, start + 200)], reason))

    def unknown(self, words: str, start: int, end: int) -> None:
        """Log a contact that was left out for a word that the vocabulary does not know."""
        self.unknown_words[words] = None
        self.reject(start, end, f"the vocabulary does not know {words!r}")


def join_sides(phrase: PartPhrase, stated: str) -> str:
    """Return the side of the part field and of the side field as one; ``"none"`` where they contradict each
    other.
    """
    if not stated or stated == "none":
        return phrase.side or "none"
    if not phrase.side or phrase.soft or phrase.side == stated:
        return stated
    return "none"


def add_contact(
    found_a: list[tuple[PartPhrase, str]],
    found_b: list[tuple[PartPhrase, str]],
    confidence: Stated | None,
    start: int,
    end: int,
    into: Collected,
    exchange: bool = False,
) -> None:
    """Add the contact of person a's part with person b's; one contact per part where "and" joins several.

    Phrases that say whose part they name have to agree with their place, unless ``exchange`` allows to put
    them in order. A contact of a person with itself is left out.
    """
    persons = {phrase.person for phrase, _ in found_a}, {phrase.person for phrase, _ in found_b}
    if exchange and persons == ({"b"}, {"a"}):
        found_a, found_b = found_b, found_a
        into.repair("people exchanged", start, end, "the parts name their owners in the other order")
    elif not (persons[0] <= {"", "a"} and persons[1] <= {"", "b"}):
        into.reject(start, end, "not a contact between the two people")
        return
    if len(found_a) > 1 and len(found_b) > 1:
        # Which of several touches which is not said: the weaker reading is that some of them do.
        into.repair("and", start, end, "lists on both sides were read as alternatives")
        found_a, found_b = [_weaken(found_a)], [_weaken(found_b)]
    elif len(found_a) > 1 or len(found_b) > 1:
        into.repair("and", start, end, "one contact for each of the parts")
    for phrase_a, side_a in found_a:
        for phrase_b, side_b in found_b:
            for phrase, side in ((phrase_a, side_a), (phrase_b, side_b)):
                if len(phrase.parts) > 1:
                    into.repair("alternatives", start, end, " or ".join(phrase.parts))
                if phrase.soft and side == "both":
                    into.repair("plural", start, end, f"{phrase.parts[0]}s read as both sides")
            into.drafts.append(Draft(phrase_a, side_a, phrase_b, side_b, confidence, start, end))


def _weaken(found: list[tuple[PartPhrase, str]]) -> tuple[PartPhrase, str]:
    parts = tuple(dict.fromkeys(part for phrase, _ in found for part in phrase.parts))
    sides = {side for _, side in found}
    return PartPhrase(parts), sides.pop() if len(sides) == 1 else "none"


def finish_contacts(into: Collected, default_confidence: float) -> tuple[PartContact, ...]:
    """Put the confidences on one scale and merge contacts that are stated twice; the higher confidence stays.

    A number without unit is a fraction where it is at most 1. Where an answer has numbers above 10 and up to
    100, its numbers above 1 are percentages, and so are its whole numbers. Between 1 and 10 the scale cannot
    be told.
    """
    numbers = [
        draft.confidence.value for draft in into.drafts if draft.confidence and not draft.confidence.fraction
    ]
    percent = bool(numbers) and 10 < max(numbers) <= 100
    merged: dict[tuple[object, ...], PartContact] = {}
    for draft in into.drafts:
        value = _scaled(draft, percent, default_confidence, into)
        contact = PartContact(
            draft.part_a.parts[0],
            draft.side_a,
            draft.part_b.parts[0],
            draft.side_b,
            value,
            alternatives_a=draft.part_a.parts[1:],
            alternatives_b=draft.part_b.parts[1:],
        )
        key = (draft.part_a.parts, draft.side_a, draft.part_b.parts, draft.side_b)
        if key in merged:
            into.repair("duplicate", draft.start, draft.end, "merged with the same contact before it")
            if merged[key].confidence >= value:
                continue
        merged[key] = contact
    if percent:
        into.repair("percentages", 0, 0, "confidences up to 100 were divided by 100")
    return tuple(merged.values())


def _scaled(draft: Draft, percent: bool, default: float, into: Collected) -> float:
    if draft.confidence is None:
        return default
    value, fraction = draft.confidence
    if not fraction and percent and (value > 1 or value == int(value)):
        value /= 100
    if value > 1:
        into.repair(
            "confidence not readable",
            draft.start,
            draft.end,
            f"{value:g} fits no scale; the default was taken",
        )
        into.reject(draft.start, draft.end, "a confidence that was not understood")
        return default
    return value
