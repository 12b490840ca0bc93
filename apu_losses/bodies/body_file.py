"""Open the files of body models: ``.npz`` archives and, through a restricted reader, ``.pkl``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.reading import ArrayFile


class BodyFileError(ValueError):
    """A body model file that cannot be used; the message names the file, the fault and the likely cause.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from apu_losses import BodyFileError, load_body
        >>> path = Path(tempfile.mkdtemp()) / "SMPLX_NEUTRAL.npz"
        >>> np.savez(path, v_template=np.zeros((10475, 3)))
        >>> try:
        ...     load_body(path)
        ... except BodyFileError as error:
        ...     print(str(error).partition(": ")[2].partition("; ")[0])
        key 'kintree_table' of shape (2, J) is missing
    """


class BodyArrays(ABC):
    """The arrays of a body model file by name; a context manager, as the file may be read on demand.

    Args:
        label: what to call the file in messages.
        keys: the names of the arrays.
    """

    def __init__(self, label: str, keys: frozenset[str]) -> None:
        self.label = label
        self.keys = keys

    def __enter__(self) -> BodyArrays:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    @abstractmethod
    def _get(self, key: str, expected: str) -> NDArray[np.generic]:
        """Return the array of a key that is there; ``expected`` is its shape in words, for messages."""

    def read(self, key: str, shape: tuple[int | str, ...]) -> NDArray[np.generic]:
        """Return an array of the given shape; strings in the shape stand for any size.

        Raises:
            BodyFileError: if it is missing, damaged, no array of numbers, of another shape or not finite.
        """
        expected = "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
        if key not in self.keys:
            raise BodyFileError(
                f"{self.label}: key {key!r} of shape {expected} is missing; "
                f"the file holds {sorted(self.keys)[:20]}. Is this an SMPL, SMPL-H or SMPL-X model file?"
            )
        array = self._get(key, expected)
        fits = array.ndim == len(shape) and all(
            isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise BodyFileError(f"{self.label}: {key} must have shape {expected}, got {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BodyFileError(f"{self.label}: {key} holds values that are not finite")
        return array


def open_body_file(source: str | Path | IO[bytes], label: str) -> BodyArrays:
    """Open a body model file.

    Args:
        source: path of an ``.npz`` or ``.pkl``, or an open binary ``.npz``.
        label: what to call it in messages.

    Raises:
        FileNotFoundError: if a path does not exist.
        BodyFileError: if it is neither, or a pickle with anything but arrays in it (nothing is executed).
    """
    if not isinstance(source, str | Path):
        return _Archive(source, label)
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"body model file not found: {path}")
    if path.suffix.lower() in (".pkl", ".pickle"):
        return _Pickle(path, label)
    return _Archive(path, label)


class _Archive(BodyArrays):
    """The arrays of an ``.npz``, read when asked for, never unpickled."""

    def __init__(self, source: Path | IO[bytes], label: str) -> None:
        self._file = ArrayFile(source, BodyFileError, where=label)
        super().__init__(label, frozenset(self._file.names))

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def _get(self, key: str, expected: str) -> NDArray[np.generic]:
        try:
            array: NDArray[np.generic] = self._file[key]
        except BodyFileError as error:
            raise BodyFileError(
                f"{error}; expected an array of shape {expected}. Is this the official release of the model?"
            ) from None
        return array


class _Pickle(BodyArrays):
    """The arrays of an official ``.pkl``, read without running it; chumpy is not needed."""

    def __init__(self, path: Path, label: str) -> None:
        from apu_contacts.sources import SourceFormatError, UnsafePickleError, read_model_pickle

        try:
            self._content: Mapping[str, Any] = read_model_pickle(path)
        except UnsafePickleError as error:
            raise BodyFileError(str(error)) from error
        except SourceFormatError as error:
            raise BodyFileError(f"{error}; is the download complete?") from error
        super().__init__(label, frozenset(map(str, self._content)))

    def _get(self, key: str, expected: str) -> NDArray[np.generic]:
        value = self._content[key]
        if not isinstance(value, np.ndarray):
            raise BodyFileError(
                f"{self.label}: key {key!r} holds {str(value)[:60]}, expected an array of shape {expected}"
            )
        return value
