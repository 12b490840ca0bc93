"""Per-vertex contact of one person, as DECO, InteractVLM, HACO and contact heads of MHR predict it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.sources._records import Source, as_array, load_content
from apu_contacts.sources.errors import SourceFormatError

Floats = NDArray[np.float64]

VERTEX_COUNTS: Mapping[int, str] = {
    778: "MANO",
    6890: "SMPL or SMPL-H",
    10475: "SMPL-X",
    12242: "the free body",
    18439: "MHR",
}
"""Bodies whose contacts are recognised by their number of vertices."""

_PICTURES = ("imgname", "image_name", "images")
_DEPTH = 3  # dictionaries in dictionaries that are looked into


@dataclass(frozen=True, eq=False)
class VertexContacts:
    """How likely each vertex of one person's body touches something; what, is not said.

    Args:
        probabilities: ``(V,)`` from 0 to 1; labels are 0 and 1.
        body: whose vertices these are, by their number: ``"SMPL-X"``.
        key: where in the file they stood.

    Example:
        >>> import numpy as np
        >>> from apu_contacts.sources import VertexContacts
        >>> VertexContacts(np.zeros(778), "MANO", "contact").labels().sum()
        np.int64(0)
    """

    probabilities: Floats
    body: str
    key: str

    def __len__(self) -> int:
        return len(self.probabilities)

    def labels(self, threshold: float = 0.5) -> NDArray[np.bool_]:
        """``(V,)`` whether each vertex touches. InteractVLM's own threshold for people is 0.3."""
        found: NDArray[np.bool_] = self.probabilities >= threshold
        return found


def read_vertex_contacts(
    source: Source,
    *,
    key: str | None = None,
    vertex_count: int | None = None,
    row: int | str | None = None,
) -> VertexContacts:
    """Read what says of each vertex of a body whether, or how likely, it touches.

    Read are InteractVLM's ``*_hcontact_vertices.npz`` (``pred_contact_3d_smplh``, ``pred_contact_3d_smplx``),
    DAMON's and DECO's arrays of many pictures (``contact_label (N, 6890)``, ``contact_label_smplx``), a
    ``contact (6890,)`` as of RICH and BSTRO, HACO's ``contact_out`` of a hand, and what anyone saves of a
    contact head: any array of an ``.npz``, ``.npy``, ``.pkl``, ``.pt`` or ``.json`` whose last axis has as
    many entries as a known body has vertices. A plain list of vertex ids is read where ``vertex_count`` is
    given.

    Args:
        source: the file, or its content in memory.
        key: name of the array, where a file has several; ``"a/b"`` of nested dictionaries.
        vertex_count: of the body; needed for others than `VERTEX_COUNTS`, chooses among several arrays.
        row: which picture of many: its number, or the end of its name where the file has ``imgname``.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if no array is of a body's length, several are, values are no probabilities, or
            ``row`` is missing or names nothing.

    Example:
        >>> import numpy as np
        >>> from apu_contacts.sources import read_vertex_contacts
        >>> found = read_vertex_contacts({"contact_label_smplx": np.eye(2, 10475)}, row=1)
        >>> found.body, len(found), np.flatnonzero(found.labels()).tolist()
        ('SMPL-X', 10475, [1])
    """
    content, where = load_content(source)
    counts = (vertex_count,) if vertex_count is not None else tuple(VERTEX_COUNTS)
    arrays = dict(_arrays(content, ""))
    if key is not None:
        if key not in arrays:
            raise SourceFormatError(f"{where}: no array {key!r}; there are {', '.join(arrays) or 'none'}")
        arrays = {key: arrays[key]}
    fitting = {
        name: shaped
        for name, value in arrays.items()
        if (shaped := _with_vertices_last(value, counts)) is not None
    }
    if not fitting and vertex_count is not None:
        fitting = {
            name: _labels_of_ids(value, vertex_count, f"{where}: {name}")
            for name, value in arrays.items()
            if value.ndim == 1 and value.dtype.kind in "iu" and len(value) <= vertex_count
        }
    if not fitting:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items()) or "no arrays"
        wanted = f"{vertex_count}" if vertex_count is not None else _known()
        raise SourceFormatError(
            f"{where}: expected an array with as many entries as a body has vertices ({wanted}), found "
            f"{shapes}; of another body give vertex_count"
        )
    if len(fitting) > 1:
        several = ", ".join(f"{name} ({value.shape[-1]})" for name, value in fitting.items())
        raise SourceFormatError(
            f"{where}: several arrays could be meant: {several}; give key or vertex_count"
        )
    ((name, value),) = fitting.items()
    if value.ndim == 2:
        value = value[_row(row, len(value), content, f"{where}: {name}")]
    elif row is not None:
        raise SourceFormatError(f"{where}: {name}: row {row!r} is given, but the array is of one picture")
    numbers = as_array(value, f"{where}: {name}")
    if numbers.min() < 0 or numbers.max() > 1:
        raise SourceFormatError(
            f"{where}: {name}: expected probabilities from 0 to 1, got {numbers.min():.4g} to "
            f"{numbers.max():.4g}; are these logits, which a sigmoid makes probabilities of?"
        )
    return VertexContacts(
        numbers, VERTEX_COUNTS.get(len(numbers), f"a body of {len(numbers)}"), name or "array"
    )


def hand_contacts_on_body(
    vertex_count: int,
    *,
    left: tuple[ArrayLike, ArrayLike] | None = None,
    right: tuple[ArrayLike, ArrayLike] | None = None,
) -> Floats:
    """Put the contacts of MANO's hands where these hands are on a whole body; 0 elsewhere.

    Args:
        vertex_count: of the body, 10475 for SMPL-X.
        left, right: the hand's probabilities ``(778,)`` and the body's vertex of each of its vertices
            ``(778,)``, as ``MANO_SMPLX_vertex_ids.pkl`` of the SMPL-X download has them (``left_hand``,
            ``right_hand``; `read_numpy_pickle` reads it). HACO sees every hand as a right one: a left hand's
            picture is mirrored for it, and its answer belongs to the left hand's vertices.

    Returns:
        ``(vertex_count,)``

    Raises:
        ValueError: lengths that differ, or ids that the body does not have.

    Example:
        >>> from apu_contacts.sources import hand_contacts_on_body
        >>> hand_contacts_on_body(5, right=([0.25, 0.75], [4, 1])).tolist()
        [0.0, 0.75, 0.0, 0.0, 0.25]
    """
    body = np.zeros(vertex_count)
    for name, hand in (("left", left), ("right", right)):
        if hand is None:
            continue
        values, ids = np.asarray(hand[0], dtype=np.float64), np.asarray(hand[1])
        if values.ndim != 1 or values.shape != ids.shape or ids.dtype.kind not in "iu":
            raise ValueError(
                f"{name}: expected probabilities (778,) and whole vertex ids (778,), got {values.shape} and "
                f"{ids.dtype} {ids.shape}"
            )
        if len(ids) and (ids.min() < 0 or ids.max() >= vertex_count):
            raise ValueError(
                f"{name}: expected vertices in 0 to {vertex_count - 1}, got {ids.min()} to {ids.max()}; are "
                "the ids those of another body?"
            )
        np.maximum.at(body, ids, values)
    return body


def _known() -> str:
    return ", ".join(f"{count} {name}" for count, name in VERTEX_COUNTS.items())


def _arrays(content: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Numeric arrays of a file with their names, those of nested dictionaries as ``a/b``."""
    if isinstance(content, Mapping):
        if name.count("/") < _DEPTH:
            for key, value in content.items():
                yield from _arrays(value, f"{name}/{key}" if name else str(key))
        return
    if isinstance(content, str | bytes) or content is None:
        return
    try:
        array = np.asarray(content.detach().cpu() if hasattr(content, "detach") else content)
    except (ValueError, TypeError):
        return
    if array.dtype == object and array.shape == () and isinstance(array.item(), Mapping):
        yield from _arrays(array.item(), name)
    elif array.dtype.kind in "biuf" and array.size:
        yield name, array


def _with_vertices_last(array: NDArray[Any], counts: tuple[int, ...]) -> NDArray[Any] | None:
    """``(V,)`` or ``(N, V)`` without axes of one; None for what is of no body's length."""
    squeezed = array.squeeze()
    if squeezed.ndim in (1, 2) and squeezed.shape[-1] in counts:
        return squeezed
    return None


def _labels_of_ids(ids: NDArray[Any], vertex_count: int, where: str) -> NDArray[Any]:
    if ids.min() < 0 or ids.max() >= vertex_count:
        raise SourceFormatError(
            f"{where}: expected vertex ids in 0 to {vertex_count - 1}, got {ids.min()} to {ids.max()}"
        )
    labels = np.zeros(vertex_count)
    labels[ids] = 1.0
    return labels


def _row(row: int | str | None, count: int, content: Any, where: str) -> int:
    if row is None:
        raise SourceFormatError(
            f"{where}: has {count} pictures: say which by row, a number or a picture's name"
        )
    if isinstance(row, str):
        names = next((content[k] for k in _PICTURES if isinstance(content, Mapping) and k in content), None)
        if names is None:
            raise SourceFormatError(
                f"{where}: has no names of pictures ({', '.join(_PICTURES)}): give a number"
            )
        wanted = PurePath(row).parts
        found = [i for i, each in enumerate(names) if PurePath(str(each)).parts[-len(wanted) :] == wanted]
        if len(found) != 1 or found[0] >= count:
            raise SourceFormatError(f"{where}: expected one picture {row!r}, found {len(found)}")
        return found[0]
    if not 0 <= row < count:
        raise SourceFormatError(f"{where}: row must be 0 to {count - 1}, got {row}")
    return row
