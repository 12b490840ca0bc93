"""Where the vertices of one mesh lie on another, from the files in which Meta's MHR repository says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from apu_contacts.files import staged_file
from apu_contacts.reading import read_arrays
from apu_contacts.regions.transfer import SurfaceCorrespondence

_KEYS = ("triangle_ids", "baryc_coords")


def read_surface_mapping(
    path: str | Path, faces: ArrayLike, vertex_count: int | None = None
) -> SurfaceCorrespondence:
    """Read ``triangle_ids (V,)`` and ``baryc_coords (V, 3)``: each vertex of a mesh as a point of a triangle.

    ``mhr2smplx_mapping.npz`` places SMPL-X's 10,475 vertices on MHR, ``smplx2mhr_mapping.npz`` MHR's 18,439
    on SMPL-X, ``lod1_to_lod6_mapping.npz`` the 595 of a coarser MHR on the finer one.

    Args:
        path: the ``.npz``.
        faces: ``(F, 3)`` triangles of the mesh *on which* the vertices are placed, the first in the name.
        vertex_count: how many vertices that mesh has; one more than the highest in ``faces`` if None.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the arrays are missing or of other shapes, name triangles that are not there, or hold
            weights that are no place in a triangle.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from apu_contacts.regions import read_surface_mapping
        >>> path = tempfile.mkdtemp() + "/a.npz"
        >>> np.savez(path, triangle_ids=[0], baryc_coords=[[0.5, 0.5, 0.0]])
        >>> read_surface_mapping(path, [[0, 1, 2]]).apply([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]).tolist()
        [[1.0, 0.0, 0.0]]
    """
    arrays = read_arrays(path)
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        found = ", ".join(arrays) or "nothing"
        raise ValueError(f"{path}: expected {' and '.join(_KEYS)}, as MHR's mappings have; found {found}")
    triangles = np.asarray(faces)
    if triangles.ndim != 2 or triangles.shape[1:] != (3,) or triangles.dtype.kind not in "iu":
        raise ValueError(f"faces must be whole numbers of shape (F, 3), got {triangles.shape}")
    ids, weights = np.asarray(arrays["triangle_ids"]), np.asarray(arrays["baryc_coords"], dtype=np.float64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or weights.shape != (len(ids), 3):
        raise ValueError(
            f"{path}: triangle_ids must have shape (V,) and baryc_coords (V, 3), got {ids.shape} and "
            f"{weights.shape}"
        )
    if len(ids) and not (ids.min() >= 0 and ids.max() < len(triangles)):
        raise ValueError(
            f"{path}: names triangles {ids.min()} to {ids.max()}, faces has {len(triangles)}: are they those "
            "of the other of the two meshes, or of another level of detail?"
        )
    if not ((np.abs(weights.sum(1) - 1) < 1e-3).all() and (weights > -1e-3).all()):
        raise ValueError(f"{path}: baryc_coords must lie in their triangles: 0 or more, and sum to 1")
    highest = int(triangles.max()) + 1
    count = highest if vertex_count is None else vertex_count
    if count < highest:
        raise ValueError(f"vertex_count must be {highest} or more for these faces, got {count}")
    none = np.zeros(len(ids), dtype=bool)
    clean = np.clip(weights, 0, None)
    return SurfaceCorrespondence(
        triangles[ids].astype(np.int64),
        clean / clean.sum(1, keepdims=True),
        count,
        none,
        none,
        f"{Path(path).name}",
    )


def write_surface_mapping(path: str | Path, correspondence: SurfaceCorrespondence, faces: ArrayLike) -> None:
    """Write a correspondence in the layout that `read_surface_mapping` reads.

    Args:
        path: the ``.npz``.
        correspondence: whose corners are triangles of ``faces``, as `correspond` finds them.
        faces: ``(F, 3)`` triangles of the mesh on which the vertices are placed.

    Raises:
        ValueError: if a vertex lies in none of these triangles, or ``path`` does not end in ``.npz``.
    """
    if Path(path).suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {str(path)!r}")
    rows = {tuple(face): number for number, face in enumerate(np.asarray(faces).tolist())}
    ids = np.array(
        [rows.get(tuple(corner), -1) for corner in correspondence.corners.tolist()], dtype=np.int64
    )
    if (ids < 0).any() or (correspondence.weights.sum(1) < 0.5).any():
        raise ValueError("correspondence must place each vertex in a triangle of faces: another mesh's?")
    with staged_file(Path(path)) as part:
        np.savez_compressed(part, triangle_ids=ids, baryc_coords=correspondence.weights)
