"""Options of built-in terms: a typing error in a preset is said when it is read, not while it is fitted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from apu_losses.functional.options import check_choice, check_flag, check_number


def check_options(term: Any, *positive: str) -> None:
    """Refuse options of a term, a dataclass, that are not what their types say.

    Args:
        positive: names of numbers that must be above 0, where they are not ``None``.

    Raises:
        ValueError: a word that is not listed, a flag that is neither true nor false, no finite number.
    """
    kinds = get_type_hints(type(term))
    for name in (field.name for field in fields(term) if field.init):
        kind, value = kinds[name], getattr(term, name)
        if get_origin(kind) is Literal:
            check_choice(name, value, kind)
        elif kind is bool:
            check_flag(name, value)
        elif kind is float or (float in get_args(kind) and value is not None):
            check_number(name, value, positive=name in positive)
