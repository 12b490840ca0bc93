"""Picture files: which there are, and how they look: upright, opaque, 8-bit RGB."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

PICTURE_ENDINGS = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)
"""File name endings of what is taken for a picture in a folder. Of several frames the first is read."""

MAX_PIXELS = 250_000_000
"""Larger pictures are refused by their header, before they are decoded. Telephones take 200 million."""

_ORIENTATION = 0x0112  # EXIF's tag; 5 to 8 lie on their side
_SIDEWAYS = (5, 6, 7, 8)
_HEIF = (".heic", ".heif")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"msf1")

_Result = TypeVar("_Result")


class PictureError(ValueError):
    """A file that cannot be read as a picture, for whatever reason; the message names the file."""


def folder_pictures(folder: str | Path) -> list[Path]:
    """Return the pictures in a folder by their endings, sorted; hidden files are none.

    Raises:
        OSError: if the folder cannot be listed.
    """
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".") and path.is_file()
    )


def left_out(paths: Iterable[str | Path]) -> Counter[str]:
    """How many files of which ending `folder_pictures` leaves out in those of ``paths`` that are folders."""
    return Counter(
        item.suffix.lower() or "without ending"
        for path in map(Path, paths)
        if path.is_dir()
        for item in path.iterdir()
        if item.suffix.lower() not in PICTURE_ENDINGS and not item.name.startswith(".") and item.is_file()
    )


def left_out_words(counts: Counter[str]) -> str:
    """``"3 files left out that are no pictures by their ending: 2 .dng, 1 .txt"``; "" if there are none."""
    if not counts:
        return ""
    total = sum(counts.values())
    kinds = ", ".join(f"{number} {ending}" for ending, number in sorted(counts.items()))
    files = "file was" if total == 1 else "files were"
    return f"{total} {files} left out as no picture by the ending: {kinds}"


def open_picture(path: str | Path) -> Image.Image:
    """Return a file as a Pillow image in the mode ``"RGB"``: turned upright by its EXIF orientation, grey
    spread over the three channels, deep and float pictures scaled to 8 bits (`upright_rgb`), transparency on
    white.

    Raises:
        PictureError: if it cannot be read as a picture, or has more than `MAX_PIXELS`.
    """
    return _read(path, upright_rgb)


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """``(H, W, 3)`` 8-bit RGB of a file, as `open_picture` shows it.

    Keypoints, boxes and cameras of this library are in pixels of the upright picture, which is also what
    OpenCV's ``imread``, and so nearly every detector, sees.

    Raises:
        PictureError: if it cannot be read as a picture, or has more than `MAX_PIXELS`; the message names the
            file.
    """
    return _read(path, lambda image: np.asarray(upright_rgb(image)))


def read_levels(path: str | Path) -> NDArray[Any]:
    """``(H, W)`` the values of a picture of one channel as they are stored: millimetres of a 16-bit depth
    picture, the numbers of a mask. Of several channels the largest value counts.

    Raises:
        PictureError: if it cannot be read as a picture, or has more than `MAX_PIXELS`.
    """

    def levels(image: Any) -> NDArray[Any]:
        values = np.asarray(image)
        if values.ndim == 3:  # what is transparent is not there
            opaque = values[..., -1:] if image.mode in ("RGBA", "LA") else None
            colours = values[..., :-1] if opaque is not None else values
            values = np.where(opaque > 127, colours, 0).max(2) if opaque is not None else colours.max(2)
        return values

    return _read(path, levels)


def picture_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels of the upright picture. Only PNG, whose orientation may stand at its end, is
    decoded for it.

    Raises:
        PictureError: if it cannot be read as a picture, or has more than `MAX_PIXELS`.
    """

    def size(image: Any) -> tuple[int, int]:
        width, height = image.size
        if image.format == "TIFF":
            # Pillow says some TIFFs' size as stored and others' as turned; their tags say it as stored
            width, height = int(image.tag_v2[256]), int(image.tag_v2[257])
        sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
        return (height, width) if sideways else (width, height)

    return _read(path, size)


def _read(path: str | Path, use: Callable[[Any], _Result]) -> _Result:
    """Return what ``use`` makes of an opened picture. Whatever goes wrong inside of Pillow is a
    `PictureError`: its readers raise RuntimeError, SyntaxError, struct.error, IndexError and others on
    damaged files.
    """
    from PIL import Image

    try:
        if _is_heif(path):
            _register_heif()
        with _large_pictures(), Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PictureError(
                    f"{path}: cannot be read as a picture: it has {width} x {height} pixels, more than "
                    f"{MAX_PIXELS}; scale it down"
                )
            return use(image)
    except PictureError:
        raise
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"{path}: cannot be read as a picture: {why}{_hint(path)}") from None


def _hint(path: str | Path) -> str:
    from PIL import features

    ending = Path(path).suffix.lower()
    if _is_heif(path) and not _register_heif():
        return " (pip install pillow-heif, or convert it to JPEG)"
    if ending == ".avif" and "avif" not in features.get_supported():
        return " (this Pillow reads no AVIF; version 11.3 and later do)"
    return ""


def _is_heif(path: str | Path) -> bool:
    """By the brand in its header, since telephones' pictures are often renamed to .jpg; or by its ending."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] in _HEIF_BRANDS or (head[8:12] == b"mif1" and b"avif" not in head)
    return Path(path).suffix.lower() in _HEIF


def _register_heif() -> bool:
    """Lets Pillow read HEIC where the package for it is installed."""
    try:
        from pillow_heif import register_heif_opener  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    register_heif_opener()
    return True


_limit = threading.Lock()
_reading = 0
_usual: int | None = None


@contextmanager
def _large_pictures() -> Iterator[None]:
    """Raise Pillow's own limit, one for the whole process, while a picture is read: up to twice `MAX_PIXELS`
    nothing is said but what is said here, and above four times Pillow refuses first.
    """
    global _reading, _usual
    from PIL import Image

    with _limit:
        if _reading == 0:
            _usual = Image.MAX_IMAGE_PIXELS
            if _usual is not None and _usual < 2 * MAX_PIXELS:
                Image.MAX_IMAGE_PIXELS = 2 * MAX_PIXELS
        _reading += 1
    try:
        yield
    finally:
        with _limit:
            _reading -= 1
            if _reading == 0:
                Image.MAX_IMAGE_PIXELS = _usual


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image in the mode ``"RGB"``, turned upright by its EXIF orientation.

    Transparent pixels lie on white. CMYK goes through the profile that the file brings. Whole numbers of more
    than 8 bits count from black at 0 to white at 65535, at 4095 if none is above that (12 bits), at 255 if
    none is above that. Floats count from 0 to 1, 255 or 65535, by the largest one in the same way. What is
    negative or larger is spread from its smallest to its largest value.
    """
    from PIL import Image, ImageOps

    # first: the TIFF reader turns the picture while it loads, and takes the tag away
    image.load()
    upright: Any = ImageOps.exif_transpose(image)
    if upright.mode == "F" or upright.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(upright))).convert("RGB")
    if upright.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        white.alpha_composite(layer)
        return white.convert("RGB")
    if upright.mode == "CMYK":
        return _from_cmyk(upright)
    converted: Image.Image = upright.convert("RGB")
    return converted


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    known = np.isfinite(values)
    low, high = (float(f(values, where=known, initial=0)) for f in (np.min, np.max))
    tops = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 4095.0, 65535.0)
    top = next((top for top in tops if high <= top), None)
    if low < 0 or top is None:
        low, high = (float(f(values[known])) for f in (np.min, np.max))
        top = high - low or 1.0
    else:
        low = 0.0
    scaled = (np.where(known, values, low).astype(np.float32) - low) * (255.0 / top)
    eight: NDArray[np.uint8] = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return eight


def _from_cmyk(image: Any) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            from PIL import ImageCms

            inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            shown = ImageCms.profileToProfile(image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if shown is not None:
                return shown
        except Exception:  # noqa: S110  (a damaged profile, or a Pillow without them: the plain formula is left)
            pass
    converted: Image.Image = image.convert("RGB")
    return converted
