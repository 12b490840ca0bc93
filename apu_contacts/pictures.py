"""Pictures as detectors see them: upright, without transparency, three channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
"""File name endings of what is taken for a picture in a folder."""

_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 lie on their side
_SIDEWAYS = (5, 6, 7, 8)


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """``(H, W, 3)`` 8-bit RGB of a file: turned upright by its EXIF orientation, grey spread over the three
    channels, transparency on white.

    Keypoints, boxes and cameras of this library are in pixels of the upright picture, which is also what
    OpenCV's ``imread``, and so nearly every detector, sees.

    Raises:
        ValueError: if it cannot be read as a picture; the message names the file.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            upright: Any = ImageOps.exif_transpose(opened)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                layer = upright.convert("RGBA")
                upright = Image.new("RGBA", layer.size, (255, 255, 255, 255))
                upright.alpha_composite(layer)
            elif upright.mode.startswith("I"):
                # 16 bits a pixel, which Pillow would cut off at 255
                upright = Image.fromarray((np.asarray(upright) >> 8).clip(0, 255).astype(np.uint8))
            return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path}: cannot be read as a picture: {error}") from None


def picture_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of the upright picture, without decoding it.

    Raises:
        ValueError: if it cannot be read as a picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
            size = image.size
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path}: cannot be read as a picture: {error}") from None
    return (size[1], size[0]) if sideways else (size[0], size[1])
