"""Options of losses: wrong ones are refused where they are given, in the same words everywhere."""

from __future__ import annotations

import math
from numbers import Real
from typing import get_args


def check_choice(name: str, value: object, kind: object) -> None:
    """Refuse a word that ``kind``, a ``Literal``, does not list.

    Raises:
        ValueError: it does not.
    """
    known = get_args(kind)
    if value not in known:
        raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")


def check_number(name: str, value: object, *, positive: bool = False) -> None:
    """Refuse what is no finite number, or not above 0.

    Raises:
        ValueError: it is not.
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (positive and not value > 0):  # type: ignore[operator]
        wanted = "a positive number" if positive else "a finite number"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
