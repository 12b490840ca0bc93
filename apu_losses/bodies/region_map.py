"""The 75 regions of whatever body is used."""

from __future__ import annotations

import warnings
from pathlib import Path

from apu_contacts.reading import read_json
from apu_contacts.regions import RegionMap
from apu_losses.bodies.anny_adapter import AnnyBody
from apu_losses.bodies.correspondence import body_correspondence, unposed_correspondence
from apu_losses.bodies.families import SMPLX
from apu_losses.bodies.load import load_body
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.skinning import LinearBlendBody


def region_map_for(
    body: LinearBlendBody | AnnyBody | PosedMeshBody, path: str | Path | None = None
) -> RegionMap:
    """Return the region map of a body: from a file, the one that ships, or made for the body's template.

    ``RegionMap.kind`` says which: official from the official file; the free body's and one made for an SMPL-X
    template by geometric rules are derived; those of SMPL, SMPL-H and Anny, whose skeletons lack what the
    rules need, are transferred from the free body.

    Args:
        body: the free body, one read from a file, or Anny; given meshes with a path only.
        path: a map that ``RegionMap.save`` wrote, or the official ``contact_regions.json`` (SMPL-X only).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no region map, or one of another mesh.
        TypeError: given meshes, which have no rest pose, without a path.

    Warns:
        UserWarning: the map had to be made from the template, and so is approximate.
    """
    if path is not None:
        regions = _read(Path(path), body)
    elif body.name == "free":
        regions = RegionMap.load("free")
    elif isinstance(body, LinearBlendBody) and body.data.family is SMPLX:
        data = body.data
        joints = data.joint_regressor @ data.v_template
        regions = RegionMap.from_template(
            data.v_template, data.faces, data.weights, joints, data.joint_names, topology=body.name
        )
    elif isinstance(body, PosedMeshBody):
        raise TypeError(
            f"{body.name!r} is a set of posed meshes, whose map is made by fitting the free body to them: "
            "apu_losses.fitting.posed_mesh_regions(meshes).regions"
        )
    else:
        free = load_body("free")
        place = body_correspondence if isinstance(body, LinearBlendBody) else unposed_correspondence
        topology = body.data.family.name if isinstance(body, LinearBlendBody) else body.name
        moved = RegionMap.load("free").transfer(place(body, free), topology=topology)  # type: ignore[arg-type]
        regions = moved.regions
        warnings.warn(
            f"the region map of {body.name!r} is transferred from the free body and approximate: "
            f"{int(moved.unsure.sum())} of {len(moved.unsure)} vertices are unsure; "
            "do not compare figures with published ones",
            stacklevel=2,
        )
    if regions.vertex_count != body.num_vertices:
        raise ValueError(
            f"region map {regions.topology!r} is for {regions.vertex_count} vertices, but the body "
            f"{body.name!r} has {body.num_vertices}: it is the map of another mesh"
        )
    return regions


def _read(path: Path, body: LinearBlendBody | AnnyBody | PosedMeshBody) -> RegionMap:
    if path.suffix == ".json" and path.is_file():
        content = read_json(path)
        if not (isinstance(content, dict) and "format" in content):
            return RegionMap.from_contact_regions_json(path, body.faces.cpu().numpy(), body.num_vertices)
    return RegionMap.load(path)
