"""FlickrCI3D's contact signatures: who touches whom in a photograph, and where, as people annotated it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import ContactMap
from apu_contacts.regions.table import NUM_REGIONS
from apu_contacts.sources._json import kind, numbers, read_json_object
from apu_contacts.sources.errors import SourceFormatError

_BODIES = ("smplx", "ghum")


@dataclass(frozen=True, eq=False)
class AnnotatedPair:
    """Two people in contact. Column 0 of every array is person a, column 1 person b.

    Args:
        person_a, person_b: positions in `FlickrImage.boxes`, in the annotation's order.
        contacts: the region pairs, weight 1.
        regions: ``(K, 2)`` region ids as annotated, repetitions included.
        vertices: ``(K, 2)`` the vertex ids that were clicked, of the body's mesh.
        faces: ``(K, 2)`` the face ids that were clicked.
    """

    person_a: int
    person_b: int
    contacts: ContactMap
    regions: NDArray[np.int64]
    vertices: NDArray[np.int64]
    faces: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FlickrImage:
    """One photograph.

    Args:
        name: the image's name in the file, without an ending.
        boxes: ``(P, 4)`` x0, y0, x1, y1 in pixels, the people's keypoint boxes.
        pairs: the annotated pairs; others may touch too without being annotated.
        license: what the file says of the picture's origin and licence.
    """

    name: str
    boxes: NDArray[np.float64]
    pairs: tuple[AnnotatedPair, ...]
    license: Mapping[str, str]


def read_flickr_signatures(path: str | Path, *, body: str = "smplx") -> dict[str, FlickrImage]:
    """Return the annotations of an ``interaction_contact_signature.json``, by image name.

    Args:
        path: the file, of the whole data set or of a part of it.
        body: whose ids to take, ``"smplx"`` or ``"ghum"``; the two lists of regions are not always the same.

    Raises:
        SourceMissingError: if there is no such file.
        SourceFormatError: if it is not JSON in this layout, or ids are out of range; the image and pair are
            named.
        ValueError: on an unknown ``body``.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from apu_contacts import read_flickr_signatures
        >>> body = {"region_id": [[17, 71]], "vertex_id": [[9, 8]], "face_id": [[3, 2]]}
        >>> sign = {"person_ids": [1, 0], "smplx": body}
        >>> image = {"bbxes": [[0, 0, 50, 90], [40, 0, 95, 90]], "ci_sign": [sign]}
        >>> path = Path(tempfile.mkdtemp()) / "interaction_contact_signature.json"
        >>> _ = path.write_text(json.dumps({"photo": image}))
        >>> (pair,) = read_flickr_signatures(path)["photo"].pairs
        >>> pair.person_a, pair.person_b, pair.contacts.pairs.tolist()
        (1, 0, [[17, 71]])
    """
    if body not in _BODIES:
        raise ValueError(f"body must be 'smplx' or 'ghum', got {body!r}")
    content = read_json_object(path)
    return {name: _read_image(name, entry, f"{path}: {name}", body) for name, entry in content.items()}


def _read_image(name: str, entry: Any, where: str, body: str) -> FlickrImage:
    if not isinstance(entry, dict) or "bbxes" not in entry or "ci_sign" not in entry:
        hint = (
            "; is this CHI3D, whose layout is another?"
            if isinstance(entry, dict) and "fr_id" in entry
            else ""
        )
        raise SourceFormatError(
            f"{where}: expected an object with 'bbxes' and 'ci_sign', got {kind(entry)}{hint}"
        )
    boxes = numbers(entry["bbxes"], (-1, 4), f"{where}: bbxes")
    signs = entry["ci_sign"]
    if not isinstance(signs, list):
        raise SourceFormatError(f"{where}: ci_sign must be a list, got {kind(signs)}")
    pairs = tuple(
        _read_pair(sign, f"{where}: ci_sign[{i}]", body, len(boxes)) for i, sign in enumerate(signs)
    )
    origin = entry.get("license")
    origin = dict(origin) if isinstance(origin, dict) else {}
    return FlickrImage(name, boxes, pairs, MappingProxyType(origin))


def _read_pair(sign: Any, where: str, body: str, people: int) -> AnnotatedPair:
    if not isinstance(sign, dict) or not isinstance(sign.get(body), dict):
        raise SourceFormatError(f"{where}: expected 'person_ids' and an object {body!r}, got {kind(sign)}")
    ids = _ids([sign.get("person_ids")], f"{where}.person_ids", people)
    if len(ids) != 1:
        raise SourceFormatError(f"{where}.person_ids: expected two positions in bbxes")
    a, b = ids[0]
    if a == b:
        raise SourceFormatError(f"{where}.person_ids: person {a} is paired with themselves")
    lists = {
        key: _ids(sign[body].get(key), f"{where}.{body}.{key}", limit)
        for key, limit in (("region_id", NUM_REGIONS), ("vertex_id", None), ("face_id", None))
    }
    lengths = {key: len(ids) for key, ids in lists.items()}
    if len(set(lengths.values())) != 1:
        raise SourceFormatError(f"{where}.{body}: the lists must be parallel, got lengths {lengths}")
    regions = lists["region_id"]
    return AnnotatedPair(int(a), int(b), ContactMap(regions), regions, lists["vertex_id"], lists["face_id"])


def _ids(value: Any, where: str, limit: int | None) -> NDArray[np.int64]:
    array = numbers(value, (-1, 2), where)
    ids: NDArray[np.int64] = array.astype(np.int64)
    if (ids != array).any() or (ids < 0).any():
        raise SourceFormatError(f"{where}: ids must be whole numbers from 0")
    if limit is not None and (ids >= limit).any():
        raise SourceFormatError(f"{where}: ids must be below {limit}, got {ids.max()}")
    return ids
