"""The JSON Schema of an answer, in the form that strict structured output asks for.

Every key is required and no other is allowed; descriptions stand before contacts because models write keys in
the order of the schema (paper, supplement A: describing people and orientation first improves the contacts).
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from apu_contacts.answers.attributes import AGE_GROUPS, BUILDS, SEXES, UNKNOWN
from apu_contacts.regions.table import PART_SIDES, PARTS


def _strict(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _part(person: str) -> dict[str, Any]:
    side = f"whose side it is as {person} would say it; none if it cannot be told"
    return _strict(
        {
            "part_name": {
                "type": "string",
                "enum": list(PARTS),
                "description": f"body part of {person}",
            },
            "body_side": {"type": "string", "enum": list(PART_SIDES), "description": side},
        }
    )


def _judgement(words: tuple[str, ...], description: str) -> dict[str, Any]:
    how_sure = {"type": "number", "minimum": 0, "maximum": 1, "description": "how sure that is"}
    value = {"type": "string", "enum": [*words, UNKNOWN], "description": description}
    return _strict({"value": value, "confidence": how_sure})


def _person_attributes() -> dict[str, Any]:
    return _strict(
        {
            "age_group": _judgement(AGE_GROUPS, "child is 2 to 12 years, teenager 13 to 17"),
            "sex": _judgement(SEXES, "as it appears"),
            "build": _judgement(BUILDS, "rough build"),
        }
    )


ANSWER_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "contact_answer",
    **_strict(
        {
            "interaction": _text("type of interaction"),
            "people": _strict(
                {
                    "person_left": _text("the person on the left of the picture"),
                    "person_right": _text("the person on the right of the picture"),
                }
            ),
            "orientation": _text("front to front, back to front, side to side, ..."),
            "contacts": {
                "type": "array",
                "description": "every place where the two people touch; empty if they do not",
                "items": _strict(
                    {
                        "body_part_person_left": _part("the person on the left"),
                        "body_part_person_right": _part("the person on the right"),
                        "confidence": {
                            "type": "number",
                            "minimum": 0,
                            "maximum": 1,
                            "description": "how likely it is that the two touch there",
                        },
                    }
                ),
            },
        }
    ),
}
"""Draft 2020-12. The figure S9 format with one more side, ``none``, for "cannot be told"."""

_BOUNDS = ("minimum", "maximum")
_WHO = ("person_left", "person_right", "same")


def _with_attributes() -> dict[str, Any]:
    schema = copy.deepcopy(ANSWER_SCHEMA)
    before = schema["properties"]
    attributes = _strict(
        {
            "person_left": _person_attributes(),
            "person_right": _person_attributes(),
            "taller": _judgement(_WHO, "who is taller if both stand upright"),
            "in_front": _judgement(_WHO, "who is nearer to the camera"),
        }
    )
    contacts = before.pop("contacts")
    schema |= _strict({**before, "attributes": attributes, "contacts": contacts})
    return schema


ANSWER_WITH_ATTRIBUTES_SCHEMA: dict[str, Any] = _with_attributes()
"""The same with what is asked of the people themselves; ``unknown`` is for what cannot be told."""


def response_format(bounds: bool = True, attributes: bool = False) -> dict[str, Any]:
    """Return the schema as the ``response_format`` of an OpenAI-compatible chat completion, strict.

    Args:
        bounds: keep the numeric bounds of confidences. Some servers refuse schemas with bounds; answers
            are checked afterwards in any case.
        attributes: of the answer to a question that asks for them.
    """
    schema = copy.deepcopy(ANSWER_WITH_ATTRIBUTES_SCHEMA if attributes else ANSWER_SCHEMA)
    if not bounds:
        _drop_bounds(schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": "contact_answer", "strict": True, "schema": schema},
    }


def _drop_bounds(schema: Any) -> None:
    if isinstance(schema, dict):
        for key in _BOUNDS:
            schema.pop(key, None)
        for value in schema.values():
            _drop_bounds(value)


@cache
def _validator(attributes: bool) -> Any:
    import jsonschema  # here, because it takes a tenth of a second to import

    schema = ANSWER_WITH_ATTRIBUTES_SCHEMA if attributes else ANSWER_SCHEMA
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _validator_of(document: object) -> Any:
    return _validator(isinstance(document, dict) and "attributes" in document)


def conforms(document: object) -> bool:
    """Whether a parsed JSON document satisfies `ANSWER_SCHEMA`, or that with attributes if it has some."""
    valid: bool = _validator_of(document).is_valid(document)
    return valid


def violations(document: object, limit: int = 10) -> list[str]:
    """Return the first ``limit`` ways in which a document departs from the schema, as `conforms` takes it,
    each with its place.
    """
    found = []
    for error in _validator_of(document).iter_errors(document):
        found.append(f"{error.json_path}: {error.message}")
        if len(found) == limit:
            break
    return found
