"""Masks of people: PNG pictures, NumPy arrays and COCO's run lengths, as SAM 2 and 3 leave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.images import PICTURE_ENDINGS, PictureError, read_levels
from apu_contacts.reading import ArrayFile, read_array, read_json
from apu_contacts.sources.errors import SourceFormatError, SourceMissingError

MAX_MASK_PIXELS = 250_000_000
"""Larger masks are refused before they are laid out; pictures may not be larger either."""

_MAX_TEXT = 10_000_000
_ARRAYS = ("mask", "masks", "segmentation", "arr_0")


@dataclass(frozen=True, eq=False)
class PersonMask:
    """The pixels of a picture that show one person, as run lengths: 100 times smaller than the picture.

    Args:
        height, width: of the picture, pixels.
        counts: ``(K,)`` lengths of runs in columns from the top left, those outside of the mask first, as
            COCO counts them; they sum to ``height * width``.

    Raises:
        SourceFormatError: a size that is none, or lengths that do not sum to it.

    Example:
        >>> import numpy as np
        >>> from apu_contacts import PersonMask
        >>> mask = PersonMask.from_array(np.array([[0, 1], [1, 1]]))
        >>> mask.counts.tolist(), mask.area
        ([1, 3], 3)
    """

    height: int
    width: int
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        size = (self.height, self.width)
        if not all(isinstance(n, int) and n > 0 for n in size) or self.height * self.width > MAX_MASK_PIXELS:
            raise SourceFormatError(
                f"size must be [height, width] of a picture of at most {MAX_MASK_PIXELS} pixels, got {size}"
            )
        counts = np.asarray(self.counts)
        if counts.ndim != 1 or counts.dtype.kind not in "iu" or (len(counts) and counts.min() < 0):
            raise SourceFormatError("counts must be whole run lengths of 0 and more; is this a polygon?")
        object.__setattr__(self, "counts", counts.astype(np.int64))
        if int(self.counts.sum()) != self.height * self.width:
            raise SourceFormatError(
                f"counts must sum to {self.height} x {self.width} pixels, got {int(self.counts.sum())}; is "
                "the size [height, width]?"
            )

    @property
    def area(self) -> int:
        """Pixels of the person."""
        return int(self.counts[1::2].sum())

    def to_array(self) -> NDArray[np.bool_]:
        """``(height, width)`` True where the person is."""
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(self.width, self.height).T

    def resized(self, width: int, height: int) -> NDArray[np.bool_]:
        """``(height, width)`` the mask at another resolution, by the nearest pixel.

        Example:
            >>> import numpy as np
            >>> from apu_contacts import PersonMask
            >>> PersonMask.from_array(np.eye(2)).resized(4, 2).astype(int).tolist()
            [[1, 1, 0, 0], [0, 0, 1, 1]]
        """
        array = self.to_array()
        rows = (np.arange(height) + 0.5) * self.height / height
        columns = (np.arange(width) + 0.5) * self.width / width
        return array[np.ix_(rows.astype(np.int64), columns.astype(np.int64))]

    def holds(self, xy: ArrayLike, width: int, height: int) -> NDArray[np.bool_]:
        """``(K,)`` whether points ``(K, 2)`` in pixels of a picture of that size lie in the mask.

        Example:
            >>> import numpy as np
            >>> from apu_contacts import PersonMask
            >>> PersonMask.from_array(np.eye(2)).holds([[10.0, 10.0], [90.0, 10.0]], 100, 100).tolist()
            [True, False]
        """
        points = np.asarray(xy, dtype=np.float64).reshape(-1, 2) * [self.width / width, self.height / height]
        limits = np.array([self.width, self.height])
        inside: NDArray[np.bool_] = np.asarray(((points >= 0) & (points < limits)).all(axis=1))
        cells = np.where(inside[:, None], points, 0).astype(np.int64)
        held: NDArray[np.bool_] = inside & self.to_array()[cells[:, 1], cells[:, 0]]
        return held

    @classmethod
    def from_array(cls, mask: ArrayLike) -> PersonMask:
        """Return the mask of an array ``(H, W)``; what is not 0 is the person.

        Raises:
            SourceFormatError: another shape.
        """
        array = np.asarray(mask)
        if array.ndim != 2:
            raise SourceFormatError(f"mask must be (H, W), got shape {array.shape}; one person a mask")
        flat = (array != 0).T.ravel()
        ends = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff(np.concatenate([[0], ends, [flat.size]]))
        if flat.size and flat[0]:
            counts = np.concatenate([[0], counts])
        height, width = array.shape
        return cls(height, width, counts)

    @classmethod
    def from_coco(cls, data: Any) -> PersonMask:
        """Return the mask of COCO's ``{"size": [h, w], "counts": ...}``, counts as a list or as text.

        Raises:
            SourceFormatError: anything else.

        Example:
            >>> from apu_contacts import PersonMask
            >>> PersonMask.from_coco({"size": [2, 2], "counts": [1, 3]}).to_array().tolist()
            [[False, True], [True, True]]
        """
        if not isinstance(data, Mapping) or not {"size", "counts"} <= set(data):
            raise SourceFormatError(
                "mask must be COCO's {'size': [height, width], 'counts': ...}; polygons are not read"
            )
        size, counts = data["size"], data["counts"]
        if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(n) is int for n in size):
            raise SourceFormatError(f"size must be [height, width], got {str(size)[:60]}")
        if isinstance(counts, bytes):
            counts = counts.decode("ascii", "replace")
        if isinstance(counts, str):
            return cls(size[0], size[1], _counts_of_text(counts))
        if not isinstance(counts, list | tuple) or not all(type(n) is int for n in counts):
            raise SourceFormatError("counts must be a list of whole numbers, or COCO's text of them")
        return cls(size[0], size[1], np.array(counts, dtype=np.int64))

    def to_coco(self) -> dict[str, Any]:
        """Return ``{"size": [h, w], "counts": text}``, what ``pycocotools.mask.decode`` reads.

        Example:
            >>> import numpy as np
            >>> from apu_contacts import PersonMask
            >>> PersonMask.from_array(np.eye(3)).to_coco()
            {'size': [3, 3], 'counts': '013000'}
        """
        return {"size": [self.height, self.width], "counts": _text_of_counts(self.counts)}


def read_mask(path: str | Path) -> PersonMask:
    """Return the mask of one person from a file: a picture, ``.npy``, ``.npz``, or COCO's run lengths.

    In a picture or an array, what is above half of its largest value is the person.

    Raises:
        SourceMissingError: no such file.
        SourceFormatError: it holds no mask, or those of several people.
    """
    masks = read_masks(path)
    if len(masks) != 1:
        raise SourceFormatError(f"{path}: expected the mask of one person, found {len(masks)}")
    return masks[0]


def read_masks(path: str | Path) -> list[PersonMask]:
    """Return the masks of a file, or of the files of a folder in the order of their names.

    A ``.json`` holds one run-length mask, a list of them, or a list of objects that have one each under
    ``"segmentation"`` or ``"mask"`` (SAM's automatic masks, COCO results). An array may be ``(P, H, W)``.

    Raises:
        SourceMissingError: no such file.
        SourceFormatError: what holds no masks; the message names the file.

    Example:
        >>> import json, pathlib, tempfile
        >>> from apu_contacts import read_masks
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "masks.json"
        >>> _ = path.write_text(json.dumps([{"size": [2, 2], "counts": [1, 3]}]))
        >>> [mask.area for mask in read_masks(path)]
        [3]
    """
    path = Path(path)
    try:
        if path.is_dir():
            found = [item for item in sorted(path.iterdir()) if item.suffix.lower() in _ENDINGS]
            return [mask for item in found if not item.name.startswith(".") for mask in read_masks(item)]
        return _read(path)
    except FileNotFoundError:
        raise SourceMissingError(f"{path}: no such file") from None
    except PictureError as error:
        raise SourceFormatError(str(error)) from None
    except SourceFormatError as error:
        said = str(error)
        raise SourceFormatError(said if said.startswith(str(path)) else f"{path}: {said}") from None


_ENDINGS = (*PICTURE_ENDINGS, ".npy", ".npz", ".json")


def _read(path: Path) -> list[PersonMask]:
    ending = path.suffix.lower()
    if ending == ".json":
        data = read_json(path, SourceFormatError)
        entries = data if isinstance(data, list) else [data]
        return [PersonMask.from_coco(_entry(entry)) for entry in entries]
    if ending == ".npy":
        return _of_array(read_array(path, SourceFormatError))
    if ending == ".npz":
        with ArrayFile(path, SourceFormatError) as archive:
            name = next((name for name in _ARRAYS if name in archive), None)
            if name is None:
                raise SourceFormatError(
                    f"expected an array called {', '.join(_ARRAYS)}, found {', '.join(archive.names[:8])}"
                )
            return _of_array(archive[name])
    if not path.is_file():
        raise FileNotFoundError(str(path))
    return _of_array(read_levels(path))


def _entry(entry: Any) -> Any:
    for key in ("segmentation", "mask", "rle"):
        if isinstance(entry, Mapping) and isinstance(entry.get(key), Mapping):
            return entry[key]
    return entry


def _of_array(values: Any) -> list[PersonMask]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3, 4) or not array.size:
        raise SourceFormatError(f"mask must be numbers (H, W) or (P, H, W), got {array.dtype} {array.shape}")
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    if array.ndim == 3 and array.shape[2] == 1 and array.shape[0] != 1:
        array = array[None, ..., 0]
    array = array if array.ndim == 3 else array[None]
    if array.ndim != 3:
        raise SourceFormatError(f"mask must be (H, W) or (P, H, W), got shape {np.shape(values)}")
    return [PersonMask.from_array(one > float(one.max()) / 2) for one in np.nan_to_num(array)]


def _counts_of_text(text: str) -> NDArray[np.int64]:
    """Run lengths of COCO's text: five bits a character, the lowest first, less the last but one."""
    if len(text) > _MAX_TEXT:
        raise SourceFormatError(f"counts has {len(text)} characters, more than {_MAX_TEXT}")
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise SourceFormatError(f"counts holds {character!r}, which COCO's run lengths cannot: damaged?")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise SourceFormatError("counts ends in the middle of a number: cut off?")
    return np.array(counts, dtype=np.int64)


def _text_of_counts(counts: NDArray[np.int64]) -> str:
    lengths = counts.tolist()
    characters: list[str] = []
    for index, length in enumerate(lengths):
        value = length - lengths[index - 2] if index > 2 else length
        while True:
            bits = value & 31
            value >>= 5
            done = value == (-1 if bits & 16 else 0)
            characters.append(chr(48 + (bits if done else bits | 32)))
            if done:
                break
    return "".join(characters)
