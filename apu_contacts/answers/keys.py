"""Renamed keys: what a key of an answer stands for, told from its words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from apu_contacts.answers.stance import KEEPS, heading_stance

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PERSON = {
    **dict.fromkeys(("left", "1", "a", "one", "first"), "a"),
    **dict.fromkeys(("right", "2", "b", "two", "second"), "b"),
}
_FIELD = {
    **dict.fromkeys(("part", "parts", "bodypart", "name", "region", "limb", "location", "area"), "part"),
    **dict.fromkeys(("side", "sides", "bodyside", "laterality", "chirality"), "side"),
    **dict.fromkeys(
        ("confidence", "conf", "score", "probability", "prob", "certainty", "likelihood"), "confidence"
    ),
}
_FILLERS = frozenset(
    [
        "body",
        "person",
        "persons",
        "people",
        "subject",
        "individual",
        "human",
        "p",
        "of",
        "the",
        "contact",
        "on",
        "for",
        "in",
        "s",
    ]
)

_CONTACTS = frozenset(
    [
        "contacts",
        "contact",
        "contact_points",
        "contact_point",
        "points_of_contact",
        "contact_annotations",
        "annotations",
        "annotation",
        "contact_pairs",
        "contact_list",
        "contact_map",
        "contact_regions",
        "body_contacts",
        "body_part_contacts",
        "touching",
        "touch_points",
        "touches",
        "touching_parts",
        "touching_body_parts",
    ]
)
_DOCUMENT = {
    **dict.fromkeys(
        ("interaction", "interaction_type", "type_of_interaction", "action", "activity"), "interaction"
    ),
    **dict.fromkeys(("people", "persons", "person_descriptions", "descriptions", "subjects"), "people"),
    **dict.fromkeys(
        ("orientation", "orientations", "relative_orientation", "body_orientation", "facing"), "orientation"
    ),
    **dict.fromkeys(("refusal", "error"), "refusal"),
    **dict.fromkeys(("attributes", "person_attributes", "people_attributes"), "attributes"),
}
_WRAPPERS = frozenset(
    [
        "answer",
        "result",
        "results",
        "output",
        "response",
        "data",
        "json",
        "content",
        "final_answer",
        "contact_answer",
        "arguments",
        "message",
        "input",
        "parameters",
        "function",
        "tool_call",
        "function_call",
    ]
)
# Keys that hold words for people to read; they state no contact and take none back.
_REMARKS = frozenset(
    [
        "description",
        "reasoning",
        "explanation",
        "analysis",
        "summary",
        "note",
        "notes",
        "comment",
        "comments",
        "rationale",
        "evidence",
        "thoughts",
        "thought",
        "id",
        "index",
        "number",
        "type",
        "contact_type",
        "kind",
        "image",
        "image_id",
        "image_description",
        "scene",
        "title",
        "location_description",
        "observation",
        "observations",
        "remark",
        "remarks",
        "details",
        "detail",
        "reason",
        "justification",
        "label",
        "caveat",
        "caveats",
        "context",
        "uncertainty",
        "how",
        "version",
        "schema",
    ]
)
# Keys whose value says whether the contact holds at all.
_HOLDS = frozenset(
    [
        "contact",
        "in_contact",
        "is_contact",
        "touching",
        "is_touching",
        "touches",
        "has_contact",
        "touch",
        "contact_present",
        "contact_exists",
        "is_in_contact",
        "are_touching",
        "are_in_contact",
        "physical_contact",
        "any_contact",
        "contact_made",
        "contact_confirmed",
        "touched",
        "is_touch",
        "in_touch",
        "they_touch",
        "do_they_touch",
        "people_touch",
        "contact_detected",
        "in_physical_contact",
    ]
)


_PEOPLE = frozenset(
    [
        "person",
        "persons",
        "people",
        "subject",
        "subjects",
        "individual",
        "owner",
        "owners",
        "who",
        "whose",
        "belongs",
        "self",
        "same",
    ]
)


class ContactKey(NamedTuple):
    """Person ``"a"``, ``"b"`` or "", and field ``"part"``, ``"side"``, ``"confidence"`` or ""."""

    person: str
    field: str


def tidy_key(key: str) -> str:
    """Return the key in lower case with underscores, ``"bodyPart_PersonLeft"`` as
    ``"body_part_person_left"``.
    """
    return "_".join(word.lower() for word in _WORD.findall(key[:80]))


@lru_cache(maxsize=4096)
def document_key(key: str) -> str:
    """``"contacts"``, ``"interaction"``, ``"people"``, ``"orientation"``, ``"attributes"``, ``"refusal"``,
    ``"wrapper"``, ``"remark"``, "".
    """
    tidy = tidy_key(key)
    if tidy in _CONTACTS:
        return "contacts"
    if tidy in _DOCUMENT:
        return _DOCUMENT[tidy]
    if tidy in _WRAPPERS:
        return "wrapper"
    if "contacts" in tidy.split("_") and heading_stance(tidy.replace("_", " ")) in KEEPS:
        return "contacts"
    return "remark" if tidy in _REMARKS else ""


@lru_cache(maxsize=4096)
def contact_key(key: str) -> ContactKey | None:
    """Return what a key inside a contact stands for; None unless every word of it is known."""
    person = field = ""
    for word in tidy_key(key).split("_"):
        if word in _PERSON:
            if person not in ("", _PERSON[word]):
                return None
            person = _PERSON[word]
        elif word in _FIELD:
            # "body_part_name" says "part" twice over; a side or a confidence is never also a part.
            if field not in ("", _FIELD[word], "part"):
                return None
            field = _FIELD[word]
        elif word not in _FILLERS:
            return None
    return ContactKey(person, field) if person or field else None


@lru_cache(maxsize=4096)
def names_people(key: str) -> bool:
    """Whether the key may say whose the parts are ("person", "owner"), which changes what a contact
    states.
    """
    return bool(_PEOPLE & set(tidy_key(key).split("_")))


@lru_cache(maxsize=4096)
def is_remark(key: str) -> bool:
    """Whether the key holds words for people to read."""
    return tidy_key(key) in _REMARKS


@lru_cache(maxsize=4096)
def says_whether(key: str) -> bool:
    """Whether the key says if the contact holds at all (``"in_contact": false``)."""
    return tidy_key(key) in _HOLDS
