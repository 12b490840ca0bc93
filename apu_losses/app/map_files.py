"""What `apu map` does: a region map, a mapping, triangles, and the map on the other mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apu_contacts.reading import read_array, read_json
from apu_contacts.regions import RegionMap, read_surface_mapping
from apu_contacts.regions.region_map import RegionTransfer

Mesh = tuple[NDArray[np.float64] | None, NDArray[np.int64]]


def carry_map(regions: Path, mapping: Path, faces: Path, topology: str | None) -> RegionTransfer:
    """Return a region map on the mesh whose vertices a mapping places on the map's own mesh.

    Args:
        regions: what `RegionMap.save` wrote, or the official ``contact_regions.json``.
        mapping: ``triangle_ids`` and ``baryc_coords``, see `read_surface_mapping`.
        faces: triangles of the map's own mesh: a body model, a mesh file, or an ``.npy``.
        topology: name of the new mesh; that of the mapping's file where it is None.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: one of them is of another mesh.
    """
    vertices, triangles = _mesh(faces)
    known = _official(regions, triangles, None if vertices is None else len(vertices))
    placed = read_surface_mapping(mapping, triangles, known.vertex_count)
    name = topology or mapping.stem.removesuffix("_mapping").rpartition("2")[2].removeprefix("to_")
    # a coarse mesh has regions without a vertex of their own
    return known.transfer(placed, topology=name, lend=vertices)


def is_map(path: Path) -> bool:
    """Whether a file is a region map."""
    RegionMap.load(path)
    return True


def _official(path: Path, faces: NDArray[np.int64], count: int | None) -> RegionMap:
    if path.suffix == ".json" and path.is_file():
        content = read_json(path)
        if not (isinstance(content, dict) and "format" in content):
            return RegionMap.from_contact_regions_json(path, faces, count)
    return RegionMap.load(path)


def _mesh(path: Path) -> Mesh:
    if path.suffix.lower() == ".npy":
        return None, np.asarray(read_array(path), dtype=np.int64)
    from apu_losses.interop.mesh_files import ENDINGS, read_meshes

    if path.suffix.lower() in ENDINGS and path.suffix.lower() != ".npz":
        mesh = read_meshes(path)[0]
        if mesh.faces is None:
            raise ValueError(f"{path}: expected a mesh with triangles, got vertices alone")
        return np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
    from apu_losses.bodies import load_body

    body = load_body(str(path))
    return np.asarray(body.data.v_template, dtype=np.float64), np.asarray(body.data.faces, dtype=np.int64)
