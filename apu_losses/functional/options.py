"""Options of losses: wrong ones are refused where they are given, in the same words everywhere."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor


def check_choice(name: str, value: object, kind: object) -> None:
    """Refuse a word that ``kind``, a ``Literal``, does not list.

    Raises:
        ValueError: it does not.
    """
    known = get_args(kind)
    if value not in known:
        raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def check_number(name: str, value: object, *, positive: bool = False) -> None:
    """Refuse what is no finite number, or not above 0.

    Raises:
        ValueError: it is not.
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (positive and not value > 0):  # type: ignore[operator]
        wanted = "a positive number" if positive else "a finite number"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")


def described(value: object) -> str:
    """Return a value in the words of an error: what it is, and its shape where it has one."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:57]}..."


def checked_faces(faces: Any) -> Tensor:
    """``(F, 3)`` int64 on the CPU of whatever lists triangles: a tensor, an array of any strides, a list.

    Raises:
        TypeError: numbers that are not whole.
        ValueError: another shape, or no triangle at all.
    """
    if not isinstance(faces, Tensor):
        given = np.asarray(faces)
        if given.dtype.kind in "iu" or (given.dtype.kind == "f" and np.array_equal(given, given.round())):
            faces = torch.from_numpy(np.array(given, dtype=np.int64, order="C"))
        else:
            raise TypeError(f"faces must be whole numbers of shape (F, 3), got {described(faces)}")
    ids: Tensor = faces.detach().cpu().to(torch.int64)
    if ids.dim() != 2 or ids.shape[1] != 3 or not len(ids):
        cause = {
            3: "one list of faces serves all bodies: faces[0]",
            2: "quads and polygons must be cut into triangles"
            if ids.dim() == 2 and len(ids)
            else "without triangles there is no surface",
        }.get(ids.dim(), "vertices and faces exchanged?")
        raise ValueError(f"faces must have shape (F, 3), F > 0, got {tuple(ids.shape)}; {cause}")
    return ids
