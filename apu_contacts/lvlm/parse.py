"""A model's text read into a `ContactAnswer`."""

from __future__ import annotations

import json
from typing import Any

from apu_contacts.contact_map import PartContact
from apu_contacts.lvlm.answer import AnswerParseError, ContactAnswer
from apu_contacts.lvlm.schema import conforms


def parse_answer(text: str) -> ContactAnswer:
    """Reads the answer of a vision language model.

    Args:
        text: what the model wrote.

    Raises:
        AnswerParseError: if the text holds no answer and is no refusal.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise AnswerParseError(f"expected a JSON answer, got {text[:80]!r}: {error}") from None
    if not conforms(document):
        raise AnswerParseError(f"expected the answer's schema, got {text[:80]!r}")
    return _from_conforming(document, text)


def _from_conforming(document: dict[str, Any], text: str) -> ContactAnswer:
    contacts: dict[tuple[str, str, str, str], PartContact] = {}
    for row in document["contacts"]:
        left, right = row["body_part_person_left"], row["body_part_person_right"]
        key = (left["part_name"], left["body_side"], right["part_name"], right["body_side"])
        contact = PartContact(*key, confidence=float(row["confidence"]))
        if key not in contacts or contacts[key].confidence < contact.confidence:
            contacts[key] = contact
    return ContactAnswer(
        document["interaction"],
        dict(document["people"]),
        document["orientation"],
        tuple(contacts.values()),
        conforms=True,
        raw=text,
    )
