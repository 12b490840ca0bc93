"""Meshes from files: `.obj`, `.ply`, `.glb`, `.stl`, `.off` through trimesh, and `.npz`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apu_contacts.reading import looks_like, read_arrays, read_bytes

MAX_BYTES = 1 << 28
"""Of one file of meshes; a body of 100,000 vertices takes 10 MB as text."""
ENDINGS = (".glb", ".npz", ".obj", ".off", ".ply", ".stl")
UP = {".glb": "y"}
"""Which way is up, where a format says so; of the others nobody knows."""
_VERTICES, _FACES = ("vertices", "verts", "v"), ("faces", "f")


class FileMesh(NamedTuple):
    """One mesh of a file.

    Attributes:
        name: what the file calls it, else the name of the file.
        vertices: ``(V, 3)`` in the units of the file.
        faces: ``(F, 3)``; None in an ``.npz`` without any.
    """

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64] | None


def read_meshes(path: str | Path) -> list[FileMesh]:
    """Read every mesh of a file, vertices in the order of the file, where nothing is merged or repaired.

    An ``.npz`` holds ``vertices``, ``(V, 3)`` of one mesh or ``(N, V, 3)`` of several, and perhaps ``faces``.
    What a file refers to (materials, textures) is not opened.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another format, a file that is damaged or too large, or one without triangles.

    Example:
        >>> import tempfile, trimesh
        >>> path = tempfile.mkdtemp() + "/cube.ply"
        >>> _ = trimesh.creation.box().export(path)
        >>> [(mesh.name, mesh.vertices.shape, mesh.faces.shape) for mesh in read_meshes(path)]
        [('cube', (8, 3), (12, 3))]
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path}: expected a mesh ({', '.join(ENDINGS)}), got {ending or 'no ending'}")
    found = _of_arrays(path) if ending == ".npz" else _of_trimesh(path, ending)
    for mesh in found:
        if not np.isfinite(mesh.vertices).all():
            raise ValueError(f"{path}: expected finite coordinates, got NaN or infinity in {mesh.name!r}")
        if mesh.faces is not None and mesh.faces.size:
            low, high = int(mesh.faces.min()), int(mesh.faces.max())
            if low < 0 or high >= len(mesh.vertices):
                raise ValueError(
                    f"{path}: faces of {mesh.name!r} name vertices {low} to {high}, but there are "
                    f"{len(mesh.vertices)}"
                )
    return found


def _of_arrays(path: Path) -> list[FileMesh]:
    arrays = read_arrays(path)
    name = next((name for name in _VERTICES if name in arrays), None)
    if name is None:
        raise ValueError(
            f"{path}: expected an array {' or '.join(map(repr, _VERTICES))}, got "
            f"{', '.join(arrays) or 'none'}; parameters of a body must be posed first"
        )
    vertices = np.asarray(arrays[name])
    if vertices.dtype.kind not in "fiu" or vertices.ndim not in (2, 3) or vertices.shape[-1] != 3:
        raise ValueError(
            f"{path}: expected {name!r} of shape (V, 3) or (N, V, 3), got {vertices.dtype} of shape "
            f"{vertices.shape}"
        )
    named = next((name for name in _FACES if name in arrays), None)
    faces = None if named is None else np.asarray(arrays[named])
    if faces is not None and (faces.dtype.kind not in "iu" or faces.ndim != 2 or faces.shape[1] != 3):
        raise ValueError(f"{path}: expected {named!r} of shape (F, 3), got {faces.dtype} of {faces.shape}")
    whole = None if faces is None else faces.astype(np.int64)
    if vertices.ndim == 2:
        return [FileMesh(path.stem, vertices.astype(np.float64), whole)]
    return [
        FileMesh(f"{path.stem}[{number}]", each.astype(np.float64), whole)
        for number, each in enumerate(vertices)
    ]


def _of_trimesh(path: Path, ending: str) -> list[FileMesh]:
    import trimesh

    data = read_bytes(path, limit=MAX_BYTES)
    try:
        # no resolver: nothing that the file refers to is looked for
        scene = trimesh.load_scene(
            io.BytesIO(data), file_type=ending[1:], process=False, maintain_order=True, skip_materials=True
        )
        known = {name: number for number, name in enumerate(scene.geometry)}  # in the order of the file
        nodes = sorted(scene.graph.nodes_geometry, key=lambda node: (known[scene.graph[node][1]], node))
        parts = {node: scene.geometry[scene.graph[node][1]] for node in nodes}
        meshes = [
            FileMesh(
                path.stem if len(parts) == 1 else str(name),
                np.asarray(trimesh.transform_points(part.vertices, scene.graph[name][0]), dtype=np.float64),
                np.asarray(part.faces, dtype=np.int64),
            )
            for name, part in parts.items()
            if isinstance(part, trimesh.Trimesh)
        ]
    except Exception as fault:  # its readers fail over a damaged file in a dozen ways
        likely = looks_like(data[:64])
        said = f"it looks like {likely}" if likely else f"{type(fault).__name__}: {str(fault)[:120]}"
        raise ValueError(f"{path}: not a mesh that can be read ({said}); is it complete?") from None
    meshes = [mesh for mesh in meshes if mesh.faces is not None and len(mesh.faces)]
    if not meshes:
        raise ValueError(f"{path}: expected triangles, got none; a cloud of points has no inside")
    return meshes
