"""Pictures as detectors see them: upright, opaque, three channels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from apu_contacts.pictures import picture_size, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_size_and_pixels_are_those_of_the_upright_picture(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # how a camera held that way stores the picture; EXIF 2.3, table of tag 274: where row 0 and column 0 lie
    rows, columns, swapped = {
        1: (1, 1, False),
        2: (1, -1, False),
        3: (-1, -1, False),
        4: (-1, 1, False),
        5: (1, 1, True),
        6: (1, -1, True),
        7: (-1, -1, True),
        8: (-1, 1, True),
    }[orientation]
    stored = PIXELS[::rows, ::columns]
    if swapped:
        stored = stored.transpose(1, 0, 2)
    path = tmp_path / f"picture{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, lossless=True)
    assert picture_size(path) == (7, 5)
    np.testing.assert_array_equal(read_picture(path), PIXELS)


def test_transparency_lies_on_white_and_grey_is_spread(tmp_path):
    alpha = np.zeros((5, 7, 1), dtype=np.uint8)
    alpha[:2], alpha[2] = 255, 128
    Image.fromarray(np.concatenate([PIXELS, alpha], 2)).save(tmp_path / "alpha.png")
    read = read_picture(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read[:2], PIXELS[:2])
    assert (read[3:] == 255).all()
    np.testing.assert_allclose(read[2], PIXELS[2] * (128 / 255) + 255 * (127 / 255), atol=1)
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "deep.png")[..., 1], grey)
    Image.fromarray(grey > 16).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "bits.png")[..., 2], np.where(grey > 16, 255, 0))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"text"])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    for read in (read_picture, picture_size):
        with pytest.raises(ValueError, match=r"broken\.png: cannot be read as a picture"):
            read(tmp_path / "broken.png")
        with pytest.raises(ValueError, match=r"none\.png: cannot be read"):
            read(tmp_path / "none.png")
