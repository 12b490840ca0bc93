"""Whether a body's pelvis and its translation tell of the same convention."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.sources.checks import ConventionError
from apu_contacts.sources.conventions import origin_to_pelvis_translation


def check_pelvis(
    pelvis: ArrayLike, translation: ArrayLike, rotation: ArrayLike, rest_pelvis: ArrayLike, where: str
) -> None:
    """Whether a body's pelvis lies where smplx's convention puts it, at ``transl + J0``.

    Args:
        pelvis: ``(3,)`` where the tool's own joints have it.
        translation, rotation: ``(3,)`` each, of the same body.
        rest_pelvis: ``(3,)`` J0 of the shaped body, or of the mean shape.

    Raises:
        ConventionError: if it is 0.15 m and more away; the message says which convention would explain it.
    """
    found, j0 = np.asarray(pelvis, dtype=np.float64), np.asarray(rest_pelvis, dtype=np.float64)
    transl = np.asarray(translation, dtype=np.float64)
    offset = float(np.linalg.norm(found - transl - j0))
    if offset < 0.15:
        return
    others = {
        "rotation about the origin (convert with origin_to_pelvis_translation)?": (
            origin_to_pelvis_translation(transl, rotation, j0) + j0
        ),
        "a translation that is the pelvis itself?": transl,
        "a translation in millimetres?": transl / 1000 + j0,
        "a translation in centimetres?": transl / 100 + j0,
    }
    near = {why: float(np.linalg.norm(found - place)) for why, place in others.items()}
    best = min(near, key=lambda why: near[why])
    why = best if near[best] < 0.15 else "another frame, or the parameters of another person?"
    raise ConventionError(f"{where}: pelvis offset {offset:.2f} m: {why}")
