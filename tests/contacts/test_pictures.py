"""Pictures as detectors see them: upright, opaque, three channels."""

from __future__ import annotations

import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from apu_contacts.images import MAX_PIXELS, PictureError, folder_pictures, picture_size, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".webp", ".tif"])
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
    options = {"tiffinfo": {0x0112: orientation}} if ending == ".tif" else {"exif": exif, "lossless": True}
    Image.fromarray(np.ascontiguousarray(stored)).save(path, **options)
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


RAMP = np.tile(np.arange(256), (4, 1))


@pytest.mark.parametrize(
    "values",
    [
        RAMP.astype(np.uint16) * 257,  # 16 bits
        np.rint(RAMP * (4095 / 255)).astype(np.uint16),  # 12 bits in 16
        RAMP.astype(np.uint16),  # 8 bits in 16
        RAMP.astype(np.int32) * 257,
        RAMP.astype(np.float32) / 255,
        RAMP.astype(np.float32),
        (RAMP * 257).astype(np.float32),
        RAMP.astype(np.float32) / 127.5 - 1,  # from -1 to 1
        RAMP.astype(np.float32) * 1e6,
    ],
    ids=["16", "12", "8-in-16", "32", "unit", "float-255", "float-65535", "signed", "large"],
)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_deep_pictures_are_scaled_by_their_range(tmp_path, values, ending):
    if ending == ".png" and values.dtype != np.uint16:
        pytest.skip("PNG has 16 bits at most, and no floats")
    path = tmp_path / f"ramp{ending}"
    Image.fromarray(values).save(path)
    read = read_picture(path).astype(int)
    assert read.shape == (4, 256, 3) and np.abs(read - RAMP[..., None]).max() <= 1


def test_a_dark_deep_picture_stays_dark(tmp_path):
    Image.fromarray((RAMP * 64).astype(np.uint16)).save(tmp_path / "dark.png")
    assert abs(int(read_picture(tmp_path / "dark.png").max()) - 63) <= 1


def test_floats_that_are_no_numbers_are_black(tmp_path):
    values = RAMP.astype(np.float32) / 255
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "holes.tif")
    read = read_picture(tmp_path / "holes.tif")
    assert (read[0, :3] == 0).all() and np.abs(read[1:, :, 0].astype(int) - RAMP[1:]).max() <= 1


@pytest.mark.parametrize("mode", ["P", "LA", "L"])
def test_every_kind_of_transparency_lies_on_white(tmp_path, mode):
    path = tmp_path / "hole.png"
    grey = Image.fromarray(np.repeat(np.array([[10, 200]], dtype=np.uint8), 4, 0))
    if mode == "LA":
        grey.putalpha(Image.fromarray(np.repeat(np.array([[0, 255]], dtype=np.uint8), 4, 0)))
        grey.save(path)
    else:
        grey.convert(mode).save(path, transparency=10)
    assert read_picture(path)[0].tolist() == [[255] * 3, [200] * 3]


def test_inks_are_colours(tmp_path):
    # cyan and yellow ink make green; no ink is white
    inks = np.zeros((16, 32, 4), dtype=np.uint8)
    inks[:, :16, [0, 2]] = 255
    Image.fromarray(inks, "CMYK").save(tmp_path / "inks.jpg", quality=95)
    read = read_picture(tmp_path / "inks.jpg").astype(int)
    assert np.abs(read[4, 4] - (0, 255, 0)).max() < 8 and np.abs(read[4, 28] - 255).max() < 8


def test_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "film.gif")[0, 0].tolist() == [255, 0, 0]


def headers(path, width, height):
    """A PNG that says it is of this size and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def test_telephones_pictures_are_taken_and_bombs_refused_by_their_header(tmp_path, recwarn):
    Image.new("1", (16320, 12240)).save(tmp_path / "phone.png")
    assert picture_size(tmp_path / "phone.png") == (16320, 12240)  # Pillow's own limit is 179 million
    assert not recwarn.list and MAX_PIXELS > 16320 * 12240
    for size in ((20000, 20000), (60000, 60000), (2**31 - 1, 2**31 - 1)):
        bomb = headers(tmp_path / "bomb.png", *size)
        for read in (read_picture, picture_size):
            with pytest.raises(PictureError, match=r"bomb\.png: cannot be read as a picture: .*pixels"):
                read(bomb)


def test_pillows_own_limit_is_as_before_when_nothing_is_read(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    usual = Image.MAX_IMAGE_PIXELS
    threads = [
        threading.Thread(target=lambda: [read_picture(tmp_path / "a.png") for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert usual == Image.MAX_IMAGE_PIXELS


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("ending", [".png", ".jpg", ".gif", ".tif", ".webp", ".bmp", ".avif"])
def test_damaged_files_raise_one_error(tmp_path, ending):
    """Pillow raises SyntaxError, RuntimeError, struct.error, IndexError and others."""
    from PIL import features

    if ending == ".avif" and "avif" not in features.get_supported():
        pytest.skip("this Pillow reads no AVIF")
    path = tmp_path / f"x{ending}"
    Image.fromarray(np.kron(PIXELS, np.ones((9, 9, 1), dtype=np.uint8))).save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = []
    for _ in range(150):
        data = bytearray(whole[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.5 else whole)
        for place in rng.integers(0, len(data), rng.integers(1, 8)):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        for read in (read_picture, picture_size):
            try:
                read(path)
            except PictureError as error:
                refused.append(str(error))
    assert refused
    assert all(said.startswith(f"{path}: cannot be read as a picture: ") for said in refused)


def test_heic_is_read_or_its_package_named(tmp_path):
    try:
        import pillow_heif
    except ImportError:
        (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        with pytest.raises(PictureError, match="pip install pillow-heif"):
            read_picture(tmp_path / "phone.HEIC")
        return
    colours = np.zeros((32, 64, 3), dtype=np.uint8)
    colours[:, :32] = 255, 0, 0
    pillow_heif.from_pillow(Image.fromarray(colours)).save(tmp_path / "phone.heic", quality=95)
    assert picture_size(tmp_path / "phone.heic") == (64, 32)
    assert np.abs(read_picture(tmp_path / "phone.heic")[4, 4].astype(int) - (255, 0, 0)).max() < 16


def test_heic_by_another_name_is_known_by_its_content(tmp_path):
    path = tmp_path / "renamed.jpg"
    try:
        import pillow_heif
    except ImportError:
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        with pytest.raises(PictureError, match="pip install pillow-heif"):
            read_picture(path)
        return
    pillow_heif.from_pillow(Image.new("RGB", (64, 32), (0, 0, 255))).save(tmp_path / "x.heic")
    (tmp_path / "x.heic").rename(path)
    assert picture_size(path) == (64, 32)


def _corners(orientation, size):
    """A picture whose upright corners are red, green, blue and white, as it is stored."""
    width, height = size
    upright = np.full((height, width, 3), 255, dtype=np.uint8)
    upright[: height // 2, : width // 2] = 255, 0, 0
    upright[: height // 2, width // 2 :] = 0, 255, 0
    upright[height // 2 :, : width // 2] = 0, 0, 255
    stored = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright), 8: np.rot90(upright, -1)}[orientation]
    return upright, Image.fromarray(np.ascontiguousarray(stored))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("ending", [".avif", ".heic", ".jpg"])
def test_lossy_pictures_of_a_turned_telephone(tmp_path, orientation, ending):
    if ending == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright, stored = _corners(orientation, (96, 64))
    stored.info["exif"] = exif.tobytes()  # the HEIF writer turns it into the container's own rotation
    options = {} if ending == ".heic" else {"exif": exif}
    stored.save(tmp_path / f"x{ending}", quality=95, **options)
    assert picture_size(tmp_path / f"x{ending}") == (96, 64)
    read = read_picture(tmp_path / f"x{ending}")
    for row, column in [(8, 8), (8, 88), (56, 8), (56, 88)]:
        assert np.abs(read[row, column].astype(int) - upright[row, column]).max() < 24, (row, column)


@pytest.mark.parametrize("ending", [".avif", ".webp"])
def test_transparency_of_lossy_pictures_lies_on_white(tmp_path, ending):
    pixels = np.zeros((64, 64, 4), dtype=np.uint8)
    pixels[:, :32] = 200, 0, 0, 255
    pixels[:, 32:, 1] = 255  # a hidden green
    Image.fromarray(pixels).save(tmp_path / f"x{ending}", quality=95)
    read = read_picture(tmp_path / f"x{ending}").astype(int)
    assert np.abs(read[32, 8] - (200, 0, 0)).max() < 16
    assert (read[32, 56] > 245).all()


def test_a_folders_pictures(tmp_path):
    for name in ("b.JPG", "a.heic", "c.avif", "d.gif", "e.jfif", "f.tiff", "._b.JPG", "notes.txt", "g.dng"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in folder_pictures(tmp_path)]
    assert names == ["a.heic", "b.JPG", "c.avif", "d.gif", "e.jfif", "f.tiff"]
