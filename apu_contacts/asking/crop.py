"""The part of a photograph that shows two people."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from apu_contacts.images import open_picture, upright_rgb
from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_contacts.keypoints.types import Keypoints2D

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]

DIMMED = 0.35
"""Brightness that is left of people who are not asked about."""

MAX_SIDE = 1024
"""Pixels of the longer side of what is sent."""

FORMATS = ("jpeg", "png")
"""How a crop can be encoded."""


def pair_box(
    keypoints_a: Keypoints2D, keypoints_b: Keypoints2D, margin: float = 0.15, min_confidence: float = SEEN
) -> Box:
    """Return the smallest box around the keypoints of two people (paper, supplement A), widened on each side.

    Args:
        keypoints_a: of one person, in pixels.
        keypoints_b: of the other.
        margin: fraction of the box's longer side; keypoints end at wrists and eyes, people go on.
        min_confidence: keypoints below it do not count.

    Returns:
        x0, y0, x1, y1 in pixels, which may go beyond the picture.

    Raises:
        ValueError: if no keypoint counts.
    """
    points = np.concatenate([k.xy[is_seen(k.confidence, min_confidence)] for k in (keypoints_a, keypoints_b)])
    if not len(points):
        raise ValueError(
            f"keypoints_a and keypoints_b have no keypoint of confidence {min_confidence} or more"
        )
    low, high = points.min(0), points.max(0)
    grow = margin * float((high - low).max())
    return float(low[0] - grow), float(low[1] - grow), float(high[0] + grow), float(high[1] + grow)


def crop_picture(
    picture: Image.Image | str | Path,
    box: Box | None = None,
    *,
    others: Iterable[Box] = (),
    keep: Iterable[Box] = (),
    max_side: int = MAX_SIDE,
    format: str = "jpeg",
) -> bytes:
    """JPEG or PNG bytes of the box, with other people dimmed if asked for.

    Args:
        picture: an image, or a file; upright, opaque and in 8 bits as `apu_contacts.images` shows it.
        box: x0, y0, x1, y1 in pixels of the upright picture, cut to the picture; None for all of it.
        others: boxes of people to dim.
        keep: boxes that stay bright even where others reach into them: those of the pair.
        max_side: larger crops are scaled down to it, in pixels.
        format: ``"jpeg"`` of quality 90, a seventh of the bytes, or ``"png"``, exact.

    Raises:
        ValueError: if the box does not overlap the picture, ``format`` is another word, or the file cannot be
            read (`apu_contacts.images.PictureError`).
    """
    from PIL import Image

    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    upright = open_picture(picture) if isinstance(picture, str | Path) else upright_rgb(picture)
    x0, y0 = 0, 0
    if box is not None:
        x0, y0, x1, y1 = _cut(box, upright.size)
        if x1 <= x0 or y1 <= y0:
            raise ValueError(
                f"box {tuple(round(value, 1) for value in box)} does not overlap the picture of "
                f"{upright.width} x {upright.height} pixels; is it in pixels of this picture?"
            )
        if (x1 - x0, y1 - y0) != upright.size:
            upright = Image.fromarray(np.asarray(upright)[y0:y1, x0:x1])
    others = list(others)
    if others:
        bright = np.ones((upright.height, upright.width), dtype=bool)
        for shown, boxes in ((False, others), (True, keep)):
            for left, top, right, bottom in boxes:
                moved = (left - x0, top - y0, right - x0, bottom - y0)
                u0, v0, u1, v1 = _cut(moved, upright.size)
                bright[v0:v1, u0:u1] = shown
        pixels = np.asarray(upright, dtype=np.float32) * np.where(bright, 1.0, DIMMED)[..., None]
        upright = Image.fromarray(pixels.astype(np.uint8))
    if max(upright.size) > max_side:
        upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if format == "jpeg":
        upright.save(buffer, format="JPEG", quality=90)
    else:
        upright.save(buffer, format="PNG")
    return buffer.getvalue()


def _cut(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    width, height = size
    return (
        max(0, min(width, int(np.floor(x0)))),
        max(0, min(height, int(np.floor(y0)))),
        max(0, min(width, int(np.ceil(x1)))),
        max(0, min(height, int(np.ceil(y1)))),
    )
