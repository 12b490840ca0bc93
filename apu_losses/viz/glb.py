"""Meshes as one binary glTF file, which browsers, Blender and office programs open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apu_contacts.files import write_bytes
from apu_losses.viz.mesh import Mesh

# Camera frame (+Y down, +Z away) to glTF's (+Y up, +Z towards the viewer): half a turn about X.
_TO_GLTF = np.array([1.0, -1.0, -1.0])


def write_glb(path: str | Path, meshes: Sequence[Mesh]) -> None:
    """Write meshes with names, colours a vertex and normals, metres, +Y up; the file appears whole.

    Raises:
        ValueError: no meshes, or two of the same name.
    """
    write_bytes(path, glb_bytes(meshes))


def glb_bytes(meshes: Sequence[Mesh]) -> bytes:
    """Return what `write_glb` writes."""
    import trimesh

    if not meshes:
        raise ValueError("meshes is empty: there is nothing to export")
    names = [mesh.name for mesh in meshes]
    if len(set(names)) < len(names):
        raise ValueError(f"the names of the meshes must differ, got {names}")
    scene = trimesh.Scene()
    for mesh in meshes:
        rgba = np.concatenate([np.round(mesh.colors * 255), np.full((len(mesh.colors), 1), 255)], axis=1)
        scene.add_geometry(
            trimesh.Trimesh(
                mesh.vertices * _TO_GLTF, mesh.faces, vertex_colors=rgba.astype(np.uint8), process=False
            ),
            node_name=mesh.name,
            geom_name=mesh.name,
        )
    exported = trimesh.exchange.gltf.export_glb(scene, include_normals=True, tree_postprocessor=_add_material)
    return bytes(exported)


def _add_material(tree: dict[str, Any]) -> None:
    """Without a material glTF means bare metal, which viewers show almost black."""
    tree["materials"] = [
        {"name": "skin", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.85}}
    ]
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            primitive["material"] = 0
