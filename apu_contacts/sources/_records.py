"""One table of people out of the ways in which estimators' outputs are kept.

The same dictionary of arrays is saved as an ``.npz``, pickled, or handed over in memory; per image with a
leading axis of people, or as a list with one dictionary a person.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.reading.json_text import MAX_NUMBER
from apu_contacts.sources._json import checked_file, read_json
from apu_contacts.sources._numpy_pickle import read_npy, read_npz, read_numpy_pickle
from apu_contacts.sources.detection import InitialEstimate
from apu_contacts.sources.errors import SourceFormatError, SourceWarning

Array = NDArray[np.float64]
Source = str | Path | Mapping[str, Any] | Sequence[Any]


def load_content(source: Source) -> tuple[Any, str]:
    """Return what a file holds, by its ending, and how to call it in messages; anything but a path is
    returned.

    Raises:
        SourceMissingError, UnsafePickleError, SourceFormatError: as the readers of the format.
    """
    if not isinstance(source, str | Path):
        return source, "the given records"
    path = Path(source)
    ending = path.suffix.lower()
    checked_file(path)
    if ending in (".npz", ".smpl"):
        return read_npz(path), str(path)
    if ending == ".npy":
        return read_npy(path), str(path)
    if ending in _PICKLED:
        return read_numpy_pickle(path), str(path)
    if ending == ".json":
        return read_json(path), str(path)
    raise SourceFormatError(f"{path}: expected .npz, .npy, .pkl, .pt or .json, got the ending {ending!r}")


_PICKLED = (".pkl", ".pickle", ".joblib", ".pt", ".pth")
"""Which program wrote one of these is told by its first bytes: the endings are used freely."""

MAX_PEOPLE = 10_000
"""Records of one image; more are another file, or a damaged one."""


class Ambiguous:
    """Stands for a value that two dictionaries of one file give differently."""

    def __init__(self, first: str, second: str) -> None:
        self.owners = (first, second)


def choose_part(content: Any, part: str | None, where: str) -> Any:
    """Return the content with one of its nested dictionaries alone, beside what lies at the top.

    Raises:
        SourceFormatError: if there is no dictionary of that name; those that there are, are named.
    """
    if part is None:
        return content
    if not isinstance(content, Mapping) or not isinstance(content.get(part), Mapping):
        table = content if isinstance(content, Mapping) else {}
        nested = [str(key) for key, value in table.items() if isinstance(value, Mapping)]
        raise SourceFormatError(
            f"{where}: part={part!r} is no dictionary in it; there is {', '.join(nested) or 'none'}"
        )
    top = {key: value for key, value in content.items() if not isinstance(value, Mapping)}
    return {**top, **content[part]}


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
        if isinstance(content, Mapping) and isinstance(content.get("instances"), list):
            # the package sam3d: {"task": "body", "instances": [one dictionary a person]}
            content = content["instances"]
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
            self.count = len(np.atleast_1d(self._array(self._table[key], f"{where}: {key}")))
        elif isinstance(content, Sequence) and all(isinstance(row, Mapping) for row in content):
            self._rows = [_flat(row) for row in content]
            # a key that only some records have is there, for those
            self._table = {}
            for row in reversed(self._rows):
                self._table.update({key: value for key, value in row.items() if value is not None})
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
        if self.count > MAX_PEOPLE and self._rows is not None:
            raise SourceFormatError(f"{where}: {self.count} records are more than {MAX_PEOPLE}")

    @staticmethod
    def _array(value: Any, where: str) -> Array:
        # one person's value that is not finite is that person's affair
        return as_array(value, where, finite=False)

    def has(self, key: str, index: int | None = None) -> bool:
        """Whether a value is there: for one person, or for anybody."""
        table = self._table if index is None or self._rows is None else self._rows[index]
        return table.get(key) is not None

    def first(self, *keys: str, index: int | None = None) -> str | None:
        """Return the first of some keys that is there, for one person or for anybody."""
        return next((key for key in keys if self.has(key, index)), None)

    def is_shared(self, key: str) -> bool:
        """Whether a dictionary has one row of this for all of its people."""
        if self._rows is not None:
            return False
        array = self._array(self._table[key], f"{self.where}: {key}")
        return array.ndim < 2 or (len(array) == 1 and self.count > 1)

    def last_axis(self, key: str) -> int:
        """Length of the last axis of a value."""
        shape = as_array(self._table[key], f"{self.where}: {key}").shape
        if not shape:
            raise SourceFormatError(f"{self.where}: {key} must be an array, got a number")
        return int(shape[-1])

    def row(self, key: str, index: int, *, finite: bool = True) -> Array:
        """One person's value of any shape.

        Raises:
            SourceFormatError: if it is missing, holds no numbers or, with ``finite``, is not finite.
        """
        where = f"{self.where}: person {index}: {key}"
        if self._rows is not None:
            if self._rows[index].get(key) is None:
                raise SourceFormatError(f"{where} is missing; found {_names(self._rows[index])}")
            return as_array(self._rows[index][key], where, finite=finite)
        if not self.has(key):
            raise SourceFormatError(f"{self.where}: {key} is missing; found {_names(self._table)}")
        array = self._array(self._table[key], f"{self.where}: {key}")
        if array.ndim == 0 or len(array) != self.count:
            raise SourceFormatError(
                f"{self.where}: {key} must have one row for each of {self.count} people, got {array.shape}"
            )
        return as_array(array[index], where, finite=finite)

    def get(self, key: str, index: int, *shape: int, finite: bool = True) -> Array:
        """One person's value of a shape, in which -1 stands for any length; axes of length 1 are dropped or
        added where that makes it fit.

        Raises:
            SourceFormatError: as `row`, and on another shape.
        """
        value = self.row(key, index, finite=finite)
        squeezed = value.reshape([n for n in value.shape if n != 1])
        wanted = [n for n in shape if n != 1]
        if len(squeezed.shape) != len(wanted) or any(
            n not in (-1, m) for n, m in zip(wanted, squeezed.shape, strict=True)
        ):
            raise SourceFormatError(
                f"{self.where}: person {index}: {key} must have shape {shape}, got {value.shape}"
            )
        return squeezed.reshape([m if n == -1 else n for n, m in _paired(shape, squeezed.shape)])

    def mesh(self, key: str | None, index: int, notes: list[str], scale: float = 1.0) -> Array | None:
        """One person's vertices ``(V, 3)``; None where there are none, or with a note where one is bad."""
        if key is None or not self.has(key, index):
            return None
        vertices = self.get(key, index, -1, 3, finite=False) * scale
        if np.isfinite(vertices).all():
            return vertices
        notes.append(f"{key} holds a value that is not finite, and was left out")
        return None

    def number(self, key: str, index: int) -> float:
        """Return the first number of one person's value."""
        return _first(self.row(key, index), f"{self.where}: person {index}: {key}")

    def one(self, key: str) -> float:
        """Return the first number of a value of the image, given once or for each person."""
        where = f"{self.where}: {key}"
        return _first(as_array(self._table[key], where), where)

    def shared(self, key: str, *shape: int) -> Array:
        """Return a value of the image, given once or for each person; the first person's is taken.

        Raises:
            SourceFormatError: on another shape.
        """
        value = as_array(self._table[key], f"{self.where}: {key}")
        size = int(np.prod(shape))
        if value.size == size:
            return value.reshape(shape)
        if self._rows is None and value.size == size * self.count:
            first: Array = value.reshape(self.count, *shape)[0]
            return first
        raise SourceFormatError(f"{self.where}: {key} must have shape {shape}, got {value.shape}")

    def each(
        self, build: Callable[[int], InitialEstimate], estimator: str, rows: Sequence[int] | None = None
    ) -> list[InitialEstimate]:
        """Everybody's estimate; a missing one, with the reason, for a person whose values are of no use.

        Positions stay those of the file.

        Warns:
            SourceWarning: for each person who is missing.

        Raises:
            SourceFormatError: if nobody's values are of use: the first person's error.
        """
        found: list[InitialEstimate] = []
        errors: list[SourceFormatError] = []
        for i in range(self.count) if rows is None else rows:
            try:
                found.append(build(i).checked(f"{self.where}: person {i}"))
            except SourceFormatError as error:
                errors.append(error)
                found.append(InitialEstimate.absent(estimator, str(error)))
            except (ValueError, OverflowError) as error:
                errors.append(SourceFormatError(f"{self.where}: person {i}: {error}"))
                found.append(InitialEstimate.absent(estimator, str(errors[-1])))
        if errors and len(errors) == len(found):
            raise errors[0]
        for said in errors:
            warnings.warn(f"left out: {said}", SourceWarning, stacklevel=4)
        return found


def finite_joints(
    names: Sequence[str], joints: Array, notes: list[str], where: str
) -> tuple[tuple[str, ...], Array]:
    """Joints without those that are not finite, which a note names.

    Raises:
        SourceFormatError: if more than a third of them are not finite.
    """
    good = np.asarray(np.isfinite(joints).all(axis=1), dtype=bool)
    if good.all():
        return tuple(names), joints
    bad = [name for name, fine in zip(names, good, strict=True) if not fine]
    if len(bad) * 3 > len(names):
        raise SourceFormatError(f"{where}: {len(bad)} of {len(names)} joints hold a value that is not finite")
    notes.append(f"{', '.join(bad)}: not finite in the file, and left out")
    return tuple(name for name, fine in zip(names, good, strict=True) if fine), joints[good]


def _is_one_person(table: Mapping[str, Any], counted: Mapping[str, int], where: str) -> bool:
    key = next((key for key in counted if key in table), None)
    if key is None:
        return False
    value = as_array(table[key], f"{where}: {key}", finite=False)
    # an empty array of any shape is nobody
    return value.ndim == counted[key] and value.size > 0


def _paired(shape: Sequence[int], found: Sequence[int]) -> list[tuple[int, int]]:
    rest = iter(found)
    return [(n, 1 if n == 1 else next(rest)) for n in shape]


def _first(value: Array, where: str) -> float:
    if value.size == 0:
        raise SourceFormatError(f"{where} is empty, expected a number")
    return float(value.ravel()[0])


def as_array(value: Any, where: str, *, finite: bool = True) -> Array:
    """Numbers as float64, from NumPy, lists or a tensor of any type, without importing torch.

    Args:
        value: the numbers.
        where: for messages.
        finite: refuse NaN, infinity and what is as good as it (above `apu_contacts.reading.MAX_NUMBER`);
            False: NaN takes their place.

    Raises:
        SourceFormatError: if they are no numbers, or not finite; or two dictionaries give them differently.
    """
    if isinstance(value, Ambiguous):
        first, second = value.owners
        raise SourceFormatError(
            f"{where}: both {first!r} and {second!r} hold it, with different values; say which one is meant "
            f"with part={second!r}, or hand over that dictionary alone (GVHMR's smpl_params_incam is the one "
            "in the camera's frame)"
        )
    try:
        array = np.asarray(_detached(value), dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise SourceFormatError(f"{where}: expected numbers, got {type(value).__name__}") from error
    with np.errstate(invalid="ignore"):
        good = np.abs(array) <= MAX_NUMBER
    if not good.all():
        if finite:
            raise SourceFormatError(f"{where} holds a value that is not finite, or huge")
        array = np.where(good, array, np.nan)
    return array


def _detached(value: Any) -> Any:
    """Tensors, alone or in lists, as NumPy's arrays; float64 has a place for every number of bfloat16."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return (value.double() if hasattr(value, "double") else value).numpy()
    if isinstance(value, list | tuple) and any(hasattr(item, "detach") for item in value):
        return [_detached(item) for item in value]
    return value


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries opened: ``pred_smpl_params.betas`` is found as ``betas`` too.

    What two of them give differently is `Ambiguous`: nobody said which one is meant.
    """
    flat: dict[str, Any] = {}
    owner: dict[str, str] = {}

    def open_(table: Mapping[str, Any], path: str) -> None:
        for key, value in table.items():
            if isinstance(value, Mapping):
                open_(value, f"{path}.{key}" if path else str(key))
            elif not isinstance(value, str | bytes):
                prefix, _, name = str(key).rpartition(".")
                place = ".".join(part for part in (path, prefix) if part)
                if name in flat and not _same(flat[name], value):
                    flat[name] = Ambiguous(owner[name] or "the top", place or "the top")
                else:
                    flat[name], owner[name] = value, place

    open_(content, "")
    return flat


def _same(first: Any, second: Any) -> bool:
    if first is second:
        return True
    try:
        a, b = (as_array(value, "", finite=False) for value in (first, second))
    except SourceFormatError:
        return False
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True))


def _names(table: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, table))) or "nothing"
