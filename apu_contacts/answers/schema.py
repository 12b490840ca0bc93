"""The JSON Schema of an answer, in the form that strict structured output asks for.

Every key is required and no other is allowed; descriptions stand before contacts because models write keys in
the order of the schema (paper, supplement A: describing people and orientation first improves the contacts).
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

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


def response_format(bounds: bool = True) -> dict[str, Any]:
    """Return the schema as the ``response_format`` of an OpenAI-compatible chat completion, strict.

    Args:
        bounds: keep the numeric bounds of ``confidence``. Some servers refuse schemas with bounds; answers
            are checked afterwards in any case.
    """
    schema = copy.deepcopy(ANSWER_SCHEMA)
    if not bounds:
        confidence = schema["properties"]["contacts"]["items"]["properties"]["confidence"]
        for key in _BOUNDS:
            del confidence[key]
    return {
        "type": "json_schema",
        "json_schema": {"name": "contact_answer", "strict": True, "schema": schema},
    }


@cache
def _validator() -> Any:
    import jsonschema  # here, because it takes a tenth of a second to import

    jsonschema.Draft202012Validator.check_schema(ANSWER_SCHEMA)
    return jsonschema.Draft202012Validator(ANSWER_SCHEMA)


def conforms(document: object) -> bool:
    """Whether a parsed JSON document satisfies `ANSWER_SCHEMA`."""
    valid: bool = _validator().is_valid(document)
    return valid


def violations(document: object, limit: int = 10) -> list[str]:
    """Return the first ``limit`` ways in which a document departs from `ANSWER_SCHEMA`, each with its
    place.
    """
    found = []
    for error in _validator().iter_errors(document):
        found.append(f"{error.json_path}: {error.message}")
        if len(found) == limit:
            break
    return found
