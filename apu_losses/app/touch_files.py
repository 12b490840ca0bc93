"""What `apu touches` does: two meshes of files, their topologies, and what touches."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from apu_contacts.files import write_bytes, write_text
from apu_contacts.reading import read_json
from apu_contacts.regions import RegionMap
from apu_losses.functional.touches import SCHEMA, Touches, what_touches
from apu_losses.interop.mesh_files import UP, FileMesh, read_meshes

KNOWN_TOPOLOGIES = {6890: "SMPL or SMPL-H", 10475: "SMPL-X", 18439: "MHR (SAM 3D Body)", 13718: "Anny"}
"""Bodies by their number of vertices, for messages."""


class Side(NamedTuple):
    """One of the two bodies."""

    mesh: FileMesh
    regions: RegionMap
    faces: NDArray[np.int64]


def two_meshes(first: Path, second: Path | None) -> tuple[FileMesh, FileMesh]:
    """One mesh of either file, or the two of one.

    Raises:
        ValueError: another number of meshes; whatever `read_meshes` raises.
    """
    found = read_meshes(first)
    wanted = 2 if second is None else 1
    if len(found) != wanted:
        names = ", ".join(mesh.name for mesh in found)
        hint = "" if second is None else "; a file of two people is given alone"
        raise ValueError(
            f"{first}: expected {'two meshes' if wanted == 2 else 'one mesh'}, got {names}{hint}"
        )
    if second is None:
        return found[0], found[1]
    others = read_meshes(second)
    if len(others) != 1:
        raise ValueError(f"{second}: expected one mesh, got {', '.join(mesh.name for mesh in others)}")
    return found[0], others[0]


def side_of(mesh: FileMesh, body: str | None, regions: Path | None) -> Side:
    """Return a mesh with the region map of its topology.

    Args:
        mesh: of a file.
        body: "free" or a body file, if the topology is not that of the free body.
        regions: a region map of the topology, or the official file (which needs faces).

    Raises:
        ValueError: a topology that is not known, or is another than that of the body or the map.
    """
    count = len(mesh.vertices)
    faces = mesh.faces
    if body is not None or regions is None:
        free = RegionMap.load("free")
        if body is None and count != free.vertex_count:
            raise ValueError(_unknown(mesh))
        from apu_losses.bodies import load_body
        from apu_losses.bodies.region_map import region_map_for

        model = load_body("free" if body is None else body)
        if model.num_vertices != count:
            raise ValueError(
                f"{mesh.name}: expected {model.num_vertices} vertices, as the body {model.name!r} has, got "
                f"{count}; {_likely(count)}"
            )
        found = region_map_for(model, regions)
        faces = model.faces.cpu().numpy() if faces is None else faces
    else:
        found = _map_of_file(regions, mesh)
    if found.vertex_count != count:
        raise ValueError(
            f"{mesh.name}: expected {found.vertex_count} vertices, as the region map {found.topology!r} has, "
            f"got {count}; {_likely(count)}"
        )
    if faces is None:
        raise ValueError(f"{mesh.name}: expected faces in the file, or --body to take them from, got neither")
    return Side(mesh, found, np.asarray(faces, dtype=np.int64))


def find_touches(a: Side, b: Side, threshold: float) -> Touches:
    """Return what touches between two sides."""
    same = a.regions == b.regions and np.array_equal(a.faces, b.faces)
    return what_touches(
        a.mesh.vertices,
        b.mesh.vertices,
        a.regions,
        None if same else b.regions,
        faces=a.faces,
        faces_b=None if same else b.faces,
        threshold=threshold,
    )


def write_touches(path: Path, touches: Touches, a: Side, b: Side) -> None:
    """Write the JSON of what touches, with the names of the meshes and of their region maps."""
    sides = {
        name: {"mesh": side.mesh.name, "regions": side.regions.topology, "kind": side.regions.kind}
        for name, side in (("a", a), ("b", b))
    }
    write_text(path, json.dumps({**touches.to_json(), **sides}) + "\n")


def draw_touches(path: Path, touches: Touches, a: Side, b: Side, files: Sequence[Path]) -> None:
    """Draw both bodies; the picture's format is that of the ending of ``path``."""
    from apu_losses.viz import touches_picture

    up = UP.get(files[0].suffix.lower()) or ("-y" if _head_is_low(a) else "y")
    picture = touches_picture(touches, a.mesh.vertices, b.mesh.vertices, a.faces, b.faces, up=up)
    stream = io.BytesIO()
    Image.fromarray(picture).save(
        stream, format="JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    )
    write_bytes(path, stream.getvalue())


def is_touches(path: Path) -> bool:
    """Whether a file is one that `write_touches` left."""
    content = read_json(path)
    return isinstance(content, dict) and content.get("schema") == SCHEMA


def _head_is_low(side: Side) -> bool:
    """Whether the heads of bodies lie towards -y of their feet, as in the frame of a camera."""
    from apu_contacts.regions import part_regions

    y = side.mesh.vertices[:, 1]
    head, feet = (side.regions.union(part_regions(part)) for part in ("head", "foot"))
    return bool(len(head) and len(feet) and y[head].mean() < y[feet].mean())


def _map_of_file(path: Path, mesh: FileMesh) -> RegionMap:
    if path.suffix == ".json" and path.is_file():
        content = read_json(path)
        if not (isinstance(content, dict) and "format" in content):
            if mesh.faces is None:
                raise ValueError(
                    f"{mesh.name}: expected faces, by which the official {path.name} goes, got none"
                )
            return RegionMap.from_contact_regions_json(path, mesh.faces, len(mesh.vertices))
    return RegionMap.load(path)


def _likely(count: int) -> str:
    if count in KNOWN_TOPOLOGIES:
        return f"that many has {KNOWN_TOPOLOGIES[count]}"
    if count == RegionMap.load("free").vertex_count:
        return "that many has the free body"
    return "did a program merge or split vertices when it wrote the file?"


def _unknown(mesh: FileMesh) -> str:
    count = len(mesh.vertices)
    needs = "--body YOUR_MODEL.npz, or --regions with a region map of this topology"
    if count in KNOWN_TOPOLOGIES:
        known = KNOWN_TOPOLOGIES[count]
        return f"{mesh.name}: {count} vertices are those of {known}, whose regions need {needs}"
    free = RegionMap.load("free").vertex_count
    return (
        f"{mesh.name}: no topology of {count} vertices is known (the free body has {free}), and so not which "
        f"vertex is a hand: give {needs}; {_likely(count)}"
    )
