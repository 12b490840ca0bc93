"""What a vision language model said about one pair of people, read into types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from apu_contacts.answers.attributes import PairAttributes, document_of
from apu_contacts.contacts import PartContact


@dataclass(frozen=True)
class Repair:
    """One departure of the text from the schema, and what it was taken to mean.

    Args:
        kind: a short fixed name, ``"trailing comma"``; the list is ``docs/repairs``.
        start: first character of the raw text concerned.
        end: one past the last.
        meaning: what was done about it, for a person to read.
    """

    kind: str
    start: int
    end: int
    meaning: str


@dataclass(frozen=True)
class Unexplained:
    """Characters ``[start, end)`` of the raw text that no rule accounts for, and why."""

    start: int
    end: int
    text: str
    reason: str


@dataclass(frozen=True)
class ContactAnswer:
    """One answer about one pair: who they are, how they stand, and which parts touch.

    Person a of every contact is the person on the left of the picture, person b the one on the right
    (paper, section 3.1 and Figure S9).

    Args:
        interaction: type of interaction, in the model's words; "" if it gave none.
        people: descriptions under ``"person_left"`` and ``"person_right"``; keys that were not given are
            absent.
        orientation: how the two face each other, in the model's words.
        contacts: whole contacts only, in the order of the text, no two alike.
        refusal: the model's words if it declined to answer, else None.
        truncated: the text ends before the answer does.
        repairs: what had to be set right, in the order of the text; empty where the text conforms to the
            schema.
        unexplained: what no rule accounts for; empty means that every character of the text was understood.
        unknown_words: body-part or side words that the vocabulary does not know; their contacts were left
            out.
        conforms: the text as it came is JSON that satisfies `ANSWER_SCHEMA`.
        raw: the text.
        attributes: what is said of the people themselves; None where nothing was asked or said.

    Example:
        >>> from apu_contacts import parse_answer
        >>> text = '{"contacts": [{"part_a": "hand", "side_a": "left", "part_b": "back", "confidence": 0.8}]}'
        >>> answer = parse_answer(text)
        >>> answer.refused, answer.fully_explained, answer.transposed().contacts[0].part_a
        (False, True, 'back')
    """

    interaction: str = ""
    people: Mapping[str, str] = field(default_factory=dict)
    orientation: str = ""
    contacts: tuple[PartContact, ...] = ()
    refusal: str | None = None
    truncated: bool = False
    repairs: tuple[Repair, ...] = ()
    unexplained: tuple[Unexplained, ...] = ()
    unknown_words: tuple[str, ...] = ()
    conforms: bool = False
    raw: str = ""
    attributes: PairAttributes | None = None

    @property
    def refused(self) -> bool:
        """The model declined to answer: no statement about contacts, neither that there are any nor that
        there are none.
        """
        return self.refusal is not None

    @property
    def fully_explained(self) -> bool:
        """Every character was accounted for and nothing was cut off."""
        return not self.unexplained and not self.truncated

    def transposed(self) -> ContactAnswer:
        """Return the same answer with the two people exchanged; ``raw`` and the repairs stay as they were."""
        other = {"person_left": "person_right", "person_right": "person_left"}
        return replace(
            self,
            people={other.get(key, key): text for key, text in self.people.items()},
            orientation=" to ".join(reversed(self.orientation.split(" to "))),
            contacts=tuple(contact.transposed() for contact in self.contacts),
            attributes=None if self.attributes is None else self.attributes.transposed(),
        )

    def to_document(self) -> dict[str, Any]:
        """Return the answer in the form of its schema, with attributes if it has any. Of alternatives ("hand
        or forearm") only the first part is kept.
        """
        return {
            "interaction": self.interaction,
            "people": {key: self.people.get(key, "") for key in ("person_left", "person_right")},
            "orientation": self.orientation,
            **({} if self.attributes is None else {"attributes": document_of(self.attributes)}),
            "contacts": [
                {
                    "body_part_person_left": {"part_name": c.part_a, "body_side": c.side_a},
                    "body_part_person_right": {"part_name": c.part_b, "body_side": c.side_b},
                    "confidence": c.confidence,
                }
                for c in self.contacts
            ],
        }


class AnswerParseError(ValueError):
    """A text that holds no answer and is no refusal.

    Args:
        message: what was expected and what came.
        repairs: what had been read before that.
        unexplained: where the reading failed.
        truncated: the text ends inside the answer.

    Example:
        >>> from apu_contacts import AnswerParseError, parse_answer
        >>> try:
        ...     parse_answer("")
        ... except AnswerParseError as error:
        ...     print(type(error).__name__)
        AnswerParseError
    """

    def __init__(
        self,
        message: str,
        repairs: tuple[Repair, ...] = (),
        unexplained: tuple[Unexplained, ...] = (),
        truncated: bool = False,
    ) -> None:
        super().__init__(message)
        self.repairs = repairs
        self.unexplained = unexplained
        self.truncated = truncated
