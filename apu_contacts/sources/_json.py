"""Reading JSON, and the keypoint lists in it, with errors that name the file and the place in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts import reading
from apu_contacts.reading.json_text import MAX_NUMBER
from apu_contacts.sources.checks import check_pixels
from apu_contacts.sources.confidence import confidences
from apu_contacts.sources.errors import SourceFormatError, SourceMissingError


def checked_file(path: str | Path) -> Path:
    """Return the path, if it is a file.

    Raises:
        SourceMissingError: if not.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceMissingError(
            f"{file}: " + ("is a folder, not a file" if file.is_dir() else "no such file")
        )
    return file


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds; NaN and Infinity stay, for a joint of confidence 0 may be nowhere.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it is not JSON, or more than `apu_contacts.reading` admits.
    """
    return reading.read_json(checked_file(path), SourceFormatError, finite=False)


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Return the object at the top of a JSON file.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it is not JSON, or not an object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise SourceFormatError(f"{Path(path)}: expected a JSON object at the top, got {kind(content)}")
    return content


def kind(value: object) -> str:
    """How to call a JSON value in a message."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {dict: "an object", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def numbers(
    value: object, shape: tuple[int, ...], where: str, hint: str = "", *, finite: bool = True
) -> NDArray[np.float64]:
    """Return a JSON list as an array of ``shape``, in which -1 stands for any length.

    Raises:
        SourceFormatError: if it is no list, holds anything but finite numbers (with ``finite=False``, NaN
            stands for those that are not), or has another shape; the message starts with ``where`` and ends
            with ``hint``.
    """
    wanted = " x ".join("any" if n < 0 else str(n) for n in shape)
    try:
        if not isinstance(value, list):
            raise ValueError("no list")
        array = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceFormatError(f"{where}: expected {wanted} numbers, got {kind(value)}{hint}") from error
    if array.size == 0 and -1 in shape:
        array = array.reshape([max(n, 0) for n in shape])
    if array.ndim != len(shape) or any(n not in (-1, m) for n, m in zip(shape, array.shape, strict=True)):
        came = " x ".join(str(n) for n in array.shape)
        raise SourceFormatError(f"{where}: expected {wanted} numbers, got {came}{hint}")
    with np.errstate(invalid="ignore"):
        good = np.abs(array) <= MAX_NUMBER
    if not good.all() and finite:
        raise SourceFormatError(f"{where}: holds a value that is not finite, or huge")
    return np.where(good, array, np.nan)


def xyc(
    value: object, joints: int, where: str, hint: str = "", *, score_scale: float = 1.0, whole: bool = True
) -> NDArray[np.float64]:
    """Return a flat list x, y, confidence, x, y, ... as ``(joints, 3)``.

    Confidences are made by `apu_contacts.sources.confidence.confidences`; joints of confidence 0, and those
    that lie nowhere (NaN), get 0, 0, 0.

    Raises:
        SourceFormatError: as `numbers`, and on confidences of another scale.
        ConventionError: on coordinates that are no pixels.
    """
    array = numbers(value, (3 * joints,), where, hint, finite=False).reshape(joints, 3)
    array[:, 2] = confidences(array[:, 2], where, score_scale=score_scale)
    array[~np.isfinite(array[:, :2]).all(axis=1), 2] = 0
    array[array[:, 2] == 0, :2] = 0
    if whole:  # a hand alone may be as small as two pixels
        check_pixels(array[:, :2], array[:, 2] > 0, where)
    return array
