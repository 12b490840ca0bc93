"""Pictures beside each other, each with a line that says what it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_INK = (40, 40, 45)
_GROUND = (255, 255, 255)


def montage(
    images: Sequence[NDArray[np.uint8]],
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    gap: int = 8,
    text_height: int = 18,
) -> NDArray[np.uint8]:
    """Lay pictures out on a grid, row by row.

    Args:
        images: ``(H, W, 3)`` 8-bit each; columns are as wide and rows as high as their largest.
        captions: one a picture, drawn above it; a caption that is too wide is set smaller.
        columns: all in one row where it is not given.
        gap: pixels between the pictures.
        text_height: of the captions in pixels.

    Returns:
        ``(H', W', 3)`` 8-bit picture.

    Raises:
        ValueError: no images, or another number of captions.
    """
    if not images:
        raise ValueError("images is empty: there is nothing to lay out")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"captions must be {len(images)}, one for each image, got {len(captions)}")
    columns = columns or len(images)
    heads = round(text_height * 1.7) if captions is not None else 0
    widths = [max(image.shape[1] for image in images[c::columns]) for c in range(min(columns, len(images)))]
    heights = [max(i.shape[0] for i in images[r : r + columns]) for r in range(0, len(images), columns)]
    left = np.cumsum([gap] + [width + gap for width in widths]).tolist()
    top = np.cumsum([gap] + [heads + height + gap for height in heights]).tolist()
    sheet = Image.new("RGB", (left[-1], top[-1]), _GROUND)
    draw = ImageDraw.Draw(sheet)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        x, y = left[column], top[row]
        if captions is not None:
            font = font_that_fits(captions[i], text_height, widths[column])
            draw.text((x + widths[column] / 2, y + heads / 2), captions[i], fill=_INK, font=font, anchor="mm")
        h, w = image.shape[:2]
        corner = (x + (widths[column] - w) // 2, y + heads + (heights[row] - h) // 2)
        sheet.paste(Image.fromarray(image), corner)
    return np.asarray(sheet)


def font_that_fits(text: str, height: int, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the default font, ``height`` pixels high or as much less as the text needs to be no wider than
    that.
    """
    for size in range(height, 8, -1):
        font = ImageFont.load_default(size)
        if font.getlength(text) <= width:
            return font
    return ImageFont.load_default(8)
