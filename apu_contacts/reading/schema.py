"""JSON Schema for files that are mostly numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_KINDS: Mapping[str, tuple[type, ...]] = {"number": (float, int), "integer": (int,)}
_BOUNDS = {"type", "minimum", "maximum"}
_ROWS = {"type", "items", "minItems", "maxItems"}


def number_validator(schema: Mapping[str, Any], *, finite: bool = False) -> Any:
    """Return a validator (draft 2020-12) that looks at lists of numbers as a whole.

    The same documents satisfy it as satisfy the standard's, and what is wrong is said in the same words:
    only lists in which nothing can be wrong are not looked at item by item, which is ten times faster.

    Args:
        schema: as `jsonschema.Draft202012Validator` takes it.
        finite: call NaN and infinity, which Python's JSON reads, no numbers.

    Example:
        >>> from apu_contacts.reading import number_validator
        >>> checks = number_validator({"type": "array", "items": {"type": "number", "minimum": 0}})
        >>> checks.is_valid([0.5, 2.0]), checks.is_valid([0.5, -2.0])
        (True, False)
    """
    from jsonschema import Draft202012Validator, ValidationError, validators

    plain: Callable[..., Iterator[Any]] = Draft202012Validator.VALIDATORS["items"]

    def items(validator: Any, schema: Any, values: Any, parent: Any) -> Iterator[Any]:
        numbers = _flat(schema, values)
        if numbers is not None and all_numbers(*numbers):
            return
        if finite and numbers is not None and not _finite(numbers[1]):
            yield ValidationError("a number is not finite: null stands for what could not be measured")
            return
        yield from plain(validator, schema, values, parent)

    types = Draft202012Validator.TYPE_CHECKER
    if finite:
        types = types.redefine("number", lambda _, value: _is_number(value) and _finite([value]))
    return validators.extend(Draft202012Validator, {"items": items}, type_checker=types)(schema)


def all_numbers(schema: Mapping[str, Any], values: list[Any]) -> bool:
    """Whether each value is a finite number that satisfies ``schema``: a type and bounds, nothing else.

    Example:
        >>> from apu_contacts.reading.schema import all_numbers
        >>> all_numbers({"type": "number", "maximum": 1}, [0.5, 1]), all_numbers({"type": "number"}, [True])
        (True, False)
    """
    kinds = _KINDS[schema["type"]]
    if not all(type(value) in kinds for value in values) or not _finite(values):
        return False
    if not values:
        return True
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    return bool(min(values) >= low and max(values) <= high)


def _flat(schema: Any, values: Any) -> tuple[Mapping[str, Any], list[Any]] | None:
    """Return the schema of the numbers of a list, or of a list of lists of one length, and these numbers."""
    if not isinstance(schema, dict) or not isinstance(values, list):
        return None
    if _of_numbers(schema):
        return schema, values
    inner, size = schema.get("items"), schema.get("minItems")
    rows = schema.get("type") == "array" and _asks(schema) <= _ROWS
    if not rows or size is None or schema.get("maxItems", size) != size or not isinstance(inner, dict):
        return None
    if not _of_numbers(inner):
        return None
    if not all(isinstance(value, list) and len(value) == size for value in values):
        return None
    return inner, [number for value in values for number in value]


def _of_numbers(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for a type of number and bounds, and nothing else."""
    kind = schema.get("type")
    return isinstance(kind, str) and kind in _KINDS and _asks(schema) <= _BOUNDS


def _asks(schema: Mapping[str, Any]) -> set[str]:
    """Return the words of a schema but for those of others (``x-...``), which ask for nothing."""
    return {word for word in schema if not word.startswith("x-")}


def _finite(values: list[Any]) -> bool:
    """Whether no value is NaN or infinite; integers of any size, and what is no number, are finite."""
    return not any(isinstance(value, float) and not math.isfinite(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
