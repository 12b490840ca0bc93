"""One table of people out of the ways in which estimators' outputs are kept.

The same dictionary of arrays is saved as an ``.npz``, pickled, or handed over in memory; per image with a
leading axis of people, or as a list with one dictionary a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.sources._json import checked_file, read_json
from apu_contacts.sources._numpy_pickle import read_npy, read_npz, read_numpy_pickle
from apu_contacts.sources.errors import SourceFormatError

Array = NDArray[np.float64]
Source = str | Path | Mapping[str, Any] | Sequence[Any]


def load_content(source: Source) -> tuple[Any, str]:
    """What a file holds, by its ending, and how to call it in messages; anything but a path is returned.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as the readers of the format.
    """
    if not isinstance(source, str | Path):
        return source, "the given records"
    path = Path(source)
    ending = path.suffix.lower()
    checked_file(path)
    if ending == ".npz":
        return read_npz(path), str(path)
    if ending == ".npy":
        return read_npy(path), str(path)
    if ending in (".pkl", ".pickle"):
        return read_numpy_pickle(path), str(path)
    if ending == ".json":
        return read_json(path), str(path)
    raise SourceFormatError(f"{path}: expected .npz, .npy, .pkl or .json, got the ending {ending!r}")


class People:
    """Arrays of N people by key, with checked shapes.

    Args:
        content: a dictionary of arrays with a leading axis of people, or a list of dictionaries.
        where: for messages.
        counted: keys of which the first that is there tells N by its length, each with the number of axes of
            one person's value: an array of that many axes is one person's, without the leading axis.

    Raises:
        SourceFormatError: if it is neither, or none of ``counted`` is there.
    """

    def __init__(self, content: Any, where: str, counted: Mapping[str, int]) -> None:
        self.where = where
        if isinstance(content, Mapping) and len(content) == 1:
            # np.savez(path, results=...) wraps the output in a name of the user's choice
            (only,) = content.values()
            if isinstance(only, Mapping) or (
                isinstance(only, list) and only and isinstance(only[0], Mapping)
            ):
                content = only
        if isinstance(content, Mapping) and _is_one_person(_flat(content), counted, where):
            content = [content]
        if isinstance(content, Mapping):
            self._rows: list[Mapping[str, Any]] | None = None
            self._table: Mapping[str, Any] = _flat(content)
            key = next((key for key in counted if key in self._table), None)
            if key is None:
                raise SourceFormatError(
                    f"{where}: expected one of {', '.join(counted)}; found {_names(self._table)}"
                )
            self.count = len(np.atleast_1d(as_array(self._table[key], f"{where}: {key}")))
        elif isinstance(content, Sequence) and all(isinstance(row, Mapping) for row in content):
            self._rows = [_flat(row) for row in content]
            self._table = self._rows[0] if self._rows else {}
            self.count = len(self._rows)
            if self._rows and not any(key in self._table for key in counted):
                raise SourceFormatError(
                    f"{where}: expected one of {', '.join(counted)} in each record; "
                    f"found {_names(self._table)}"
                )
        else:
            raise SourceFormatError(
                f"{where}: expected arrays by name or a list of records, got {type(content).__name__}"
            )

    def has(self, key: str) -> bool:
        return key in self._table and self._table[key] is not None

    def first(self, *keys: str) -> str | None:
        """The first of some keys that is there."""
        return next((key for key in keys if self.has(key)), None)

    def is_shared(self, key: str) -> bool:
        """Whether a dictionary has one row of this for all of its people."""
        if self._rows is not None:
            return False
        array = as_array(self._table[key], f"{self.where}: {key}")
        return array.ndim < 2 or (len(array) == 1 and self.count > 1)

    def last_axis(self, key: str) -> int:
        """Length of the last axis of a value."""
        return int(as_array(self._table[key], f"{self.where}: {key}").shape[-1])

    def row(self, key: str, index: int) -> Array:
        """One person's value of any shape.

        Raises:
            SourceFormatError: if it is missing, holds no numbers or is not finite.
        """
        where = f"{self.where}: person {index}: {key}"
        if self._rows is not None:
            if self._rows[index].get(key) is None:
                raise SourceFormatError(f"{where} is missing; found {_names(self._rows[index])}")
            return as_array(self._rows[index][key], where)
        if not self.has(key):
            raise SourceFormatError(f"{self.where}: {key} is missing; found {_names(self._table)}")
        array = as_array(self._table[key], f"{self.where}: {key}")
        if array.ndim == 0 or len(array) != self.count:
            raise SourceFormatError(
                f"{self.where}: {key} must have one row for each of {self.count} people, got {array.shape}"
            )
        value: Array = array[index]
        return value

    def get(self, key: str, index: int, *shape: int) -> Array:
        """One person's value of a shape, in which -1 stands for any length; axes of length 1 are dropped or
        added where that makes it fit.

        Raises:
            SourceFormatError: as `row`, and on another shape.
        """
        value = self.row(key, index)
        squeezed = value.reshape([n for n in value.shape if n != 1])
        wanted = [n for n in shape if n != 1]
        if len(squeezed.shape) != len(wanted) or any(
            n not in (-1, m) for n, m in zip(wanted, squeezed.shape, strict=True)
        ):
            raise SourceFormatError(
                f"{self.where}: person {index}: {key} must have shape {shape}, got {value.shape}"
            )
        return squeezed.reshape([m if n == -1 else n for n, m in _paired(shape, squeezed.shape)])

    def number(self, key: str, index: int) -> float:
        """The first number of one person's value."""
        return _first(self.row(key, index), f"{self.where}: person {index}: {key}")

    def one(self, key: str) -> float:
        """The first number of a value of the image, given once or for each person."""
        where = f"{self.where}: {key}"
        return _first(as_array(self._table[key], where), where)

    def shared(self, key: str, *shape: int) -> Array:
        """A value of the image, given once or for each person; the first person's is taken.

        Raises:
            SourceFormatError: on another shape.
        """
        value = as_array(self._table[key], f"{self.where}: {key}")
        size = int(np.prod(shape))
        if value.size == size:
            return value.reshape(shape)
        if self._rows is None and value.size == size * self.count:
            return value.reshape(self.count, *shape)[0]
        raise SourceFormatError(f"{self.where}: {key} must have shape {shape}, got {value.shape}")


def _is_one_person(table: Mapping[str, Any], counted: Mapping[str, int], where: str) -> bool:
    key = next((key for key in counted if key in table), None)
    if key is None:
        return False
    value = as_array(table[key], f"{where}: {key}")
    # an empty array of any shape is nobody
    return value.ndim == counted[key] and value.size > 0


def _paired(shape: Sequence[int], found: Sequence[int]) -> list[tuple[int, int]]:
    rest = iter(found)
    return [(n, 1 if n == 1 else next(rest)) for n in shape]


def _first(value: Array, where: str) -> float:
    if value.size == 0:
        raise SourceFormatError(f"{where} is empty, expected a number")
    return float(value.ravel()[0])


def as_array(value: Any, where: str) -> Array:
    """Numbers as float64, from NumPy, lists or a tensor, without importing torch.

    Raises:
        SourceFormatError: if they are no numbers, or not finite.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SourceFormatError(f"{where}: expected numbers, got {type(value).__name__}") from error
    if not np.isfinite(array).all():
        raise SourceFormatError(f"{where} holds a value that is not finite")
    return array


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries opened: ``pred_smpl_params.betas`` is found as ``betas`` too."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value))
        elif not isinstance(value, str | bytes):
            flat[str(key).rsplit(".", 1)[-1]] = value
    return flat


def _names(table: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, table))) or "nothing"
