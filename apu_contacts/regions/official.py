"""The official region map: ``contact_regions.json`` of the IMAR vision tools (Fieraru et al. 2020)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apu_contacts.reading import parse_json
from apu_contacts.regions.table import NUM_REGIONS

OFFICIAL_BLOB = "a1fd74693dac4964ba44c7b400a249d253a86b2f"
"""What ``git hash-object contact_regions.json`` prints for the official file."""

SOURCE = "info/contact_regions.json of github.com/sminchisescu-research/imar_vision_datasets_tools"
SMPLX_FACE_COUNT = 20908
_BODY_KEYS = {"smplx": "rid_to_smplx_fids", "ghum": "rid_to_ghum_fids"}


def git_blob_sha1(data: bytes) -> str:
    """Return the SHA-1 that git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class ContactRegions(NamedTuple):
    """What the file says of a body: the vertices of each region, of how many there are, and where from."""

    rows: list[NDArray[np.int64]]
    vertex_count: int
    provenance: str
    official: bool


def read_contact_regions(
    path: str | Path,
    faces: ArrayLike,
    vertex_count: int | None = None,
    *,
    body: str = "smplx",
    allow_modified: bool = False,
) -> ContactRegions:
    """Read the official map and turn its face ids into vertex ids.

    The file lists the faces of each region; the vertices of a region are the corners of its faces, so that a
    vertex on a border belongs to several regions.

    Args:
        path: the user's own download of ``contact_regions.json``.
        faces: ``(F, 3)`` triangles of the body in its official order (``f`` of ``SMPLX_NEUTRAL.npz``).
        vertex_count: number of vertices; one more than the largest id in ``faces`` if None.
        body: ``"smplx"`` or ``"ghum"``: which of the file's two lists to read.
        allow_modified: accept a file that is not the official one; the provenance then says so, and its
            content is checked all the same.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file's git blob id is not the official one (unless allowed), it does not hold 75
            lists of face ids, an id is beyond ``faces``, ``faces`` are not as many as SMPL-X has, or a
            region is empty.
    """
    if body not in _BODY_KEYS:
        raise ValueError(f"body must be one of {', '.join(_BODY_KEYS)}, got {body!r}")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"contact regions: there is no file {str(path)!r}; the official one is {SOURCE}"
        )
    data = path.read_bytes()
    blob = git_blob_sha1(data)
    if blob != OFFICIAL_BLOB and not allow_modified:
        raise ValueError(
            f"{path.name} is not the official file ({SOURCE}): its git blob id is {blob}, "
            f"expected {OFFICIAL_BLOB}; changed line endings are enough. "
            "allow_modified=True accepts it and says so in the provenance"
        )
    official = blob == OFFICIAL_BLOB
    triangles, count = _check_faces(faces, vertex_count)
    if official and body == "smplx" and len(triangles) != SMPLX_FACE_COUNT:
        raise ValueError(
            f"faces must be SMPL-X's {SMPLX_FACE_COUNT} triangles in their official order, "
            f"got {len(triangles)}; is this another body's topology?"
        )
    lists = _face_lists(path.name, data, _BODY_KEYS[body])
    rows = [
        np.unique(triangles[_check_ids(path.name, rid, ids, len(triangles))]) for rid, ids in enumerate(lists)
    ]
    state = "official file" if official else "modified file, accepted with allow_modified=True"
    provenance = f"contact_regions.json ({state}, git blob {blob}), {_BODY_KEYS[body]}"
    return ContactRegions(rows, count, provenance, official)


def _check_faces(faces: ArrayLike, vertex_count: int | None) -> tuple[NDArray[np.int64], int]:
    triangles = np.asarray(faces)
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not np.issubdtype(triangles.dtype, np.integer):
        raise ValueError(
            f"faces must be whole numbers of shape (F, 3), got {triangles.dtype} {triangles.shape}"
        )
    triangles = triangles.astype(np.int64)
    low, high = int(triangles.min(initial=0)), int(triangles.max(initial=-1))
    count = high + 1 if vertex_count is None else vertex_count
    if low < 0 or high >= count:
        raise ValueError(
            f"faces must hold vertex ids 0 to {count - 1}, got {low} to {high}; is vertex_count right?"
        )
    return triangles, count


def _face_lists(name: str, data: bytes, key: str) -> list[Any]:
    content = parse_json(data, name)
    if not isinstance(content, dict) or key not in content:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{name}: the key {key!r} is missing, found {found}")
    lists = content[key]
    if isinstance(lists, dict):
        unknown = sorted(set(lists) - {str(rid) for rid in range(NUM_REGIONS)})
        if unknown:
            raise ValueError(f"{name}: {key} has region ids outside 0 to {NUM_REGIONS - 1}: {unknown[:5]}")
        lists = [lists.get(str(rid), []) for rid in range(NUM_REGIONS)]
    if not isinstance(lists, list) or len(lists) != NUM_REGIONS:
        size = len(lists) if isinstance(lists, list) else type(lists).__name__
        raise ValueError(
            f"{name}: {key} must hold {NUM_REGIONS} lists of face ids, one per region, got {size}"
        )
    return lists


def _check_ids(name: str, rid: int, ids: Any, face_count: int) -> NDArray[np.int64]:
    if not isinstance(ids, list) or not all(
        isinstance(each, int) and not isinstance(each, bool) for each in ids
    ):
        raise ValueError(f"{name}: region {rid} must be a list of whole face ids, got {str(ids)[:60]}")
    if not ids:
        raise ValueError(f"{name}: region {rid} has no faces")
    low, high = min(ids), max(ids)
    if low < 0 or high >= face_count:
        raise ValueError(
            f"{name}: region {rid} has face id {low if low < 0 else high}, but faces has {face_count} rows; "
            "are these the body's own faces, all of them and in their official order?"
        )
    return np.asarray(ids, dtype=np.int64)
