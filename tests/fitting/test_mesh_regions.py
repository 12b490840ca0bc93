"""Regions of meshes without a body model: another person's mesh, of another topology, in poses of its own."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from apu_contacts.regions import RegionMap
from apu_contacts.sources.names import MHR70_JOINTS
from apu_losses.bodies import PosedMeshBody, load_body
from apu_losses.bodies.region_map import region_map_for
from apu_losses.fitting import SceneFitter
from apu_losses.fitting.mesh_regions import posed_mesh_regions

UPRIGHT = (np.pi, 0.0, 0.0)
NAMES = tuple(name for name in MHR70_JOINTS if name is not None)


def named(body, posed, names):
    """``(N, J, 3)`` joints and keypoints by name, for those that the body has, and their names."""
    from apu_contacts.keypoints import SKELETONS

    points = dict(zip(body.joint_names, posed.joints.unbind(1), strict=True))
    for skeleton in ("coco_wholebody133", "body25"):
        at, there = body.keypoints(posed, skeleton), body.keypoint_mask(skeleton)
        for k, name in enumerate(SKELETONS[skeleton].joint_names):
            if there[k]:
                points.setdefault(name, at[:, k])
    kept = [name for name in dict.fromkeys(names) if name in points]
    return torch.stack([points[name] for name in kept], 1), kept


def some_pose(body, rows, seed, spread=0.25):
    generator = torch.Generator().manual_seed(seed)
    params = {
        name: spread * torch.randn(rows, spec.size, generator=generator)
        for name, spec in body.parameter_specs.items()
        if spec.rotation and name not in ("jaw_pose", "leye_pose", "reye_pose")
    }
    params["global_orient"] = torch.tensor([UPRIGHT] * rows) + 0.3 * torch.randn(rows, 3, generator=generator)
    params["transl"] = torch.tensor([[0.2, 0.1, 3.0]]) + 0.3 * torch.randn(rows, 3, generator=generator)
    return params


@pytest.fixture(scope="module")
def estimated():
    """Two people as SAM 3D Body gives them, on 80 % of the free body's vertices in another order."""
    body = load_body("free")
    params = some_pose(body, 2, 0)
    generator = torch.Generator().manual_seed(1)
    params["betas"] = torch.randn(2, body.parameter_specs["betas"].size, generator=generator)
    params["age"] = torch.tensor([[0.0], [0.4]])
    posed = body.pose(params)
    rng = np.random.default_rng(0)
    order = rng.permutation(np.flatnonzero(rng.random(body.num_vertices) < 0.8))
    place = np.full(body.num_vertices, -1)
    place[order] = np.arange(len(order))
    faces = place[body.faces.numpy()]
    faces = torch.tensor(faces[(faces >= 0).all(1)])
    joints, names = named(body, posed, NAMES)
    vertices = posed.vertices()[:, torch.tensor(order)]
    return PosedMeshBody(vertices, faces, joints=joints, joint_names=names, name="mhr"), order


def test_a_mesh_of_another_topology_gets_its_own_regions(estimated) -> None:
    meshes, order = estimated
    with pytest.warns(UserWarning, match=r"region map of 'mhr' is transferred .* vertices are unsure"):
        moved = posed_mesh_regions(meshes)
    regions = moved.regions
    assert regions.kind == "transferred" and regions.topology == "mhr" and (regions.sizes > 0).all()
    assert "fitted to 2 posed meshes" in regions.provenance
    own = RegionMap.load("free").labels()[order] == regions.labels()
    assert own.mean() > 0.98 and moved.unsure.mean() < 0.05


def test_what_does_not_place_a_body_is_said(estimated) -> None:
    meshes, _ = estimated
    bare = PosedMeshBody(meshes.pose({}).vertices(), meshes.faces)
    with pytest.raises(ValueError, match=r"both hips and both shoulders must be among joint_names"):
        posed_mesh_regions(bare)
    with pytest.raises(TypeError, match="posed_mesh_regions"):
        region_map_for(bare)
    with pytest.raises(TypeError, match="posed_mesh_regions"):
        SceneFitter(meshes)


def test_exchanged_sides_are_refused_and_few_points_are_spoken_of(estimated) -> None:
    meshes, _ = estimated
    posed = meshes.pose({})
    other = {"left": "right", "right": "left"}
    turned = [
        "_".join([other.get(first, first), *rest])
        for first, *rest in (name.split("_") for name in meshes.joint_names)
    ]
    vertices, joints = posed.vertices(), posed.joints
    exchanged = PosedMeshBody(vertices, meshes.faces, joints=joints, joint_names=turned)
    with pytest.raises(ValueError, match="left and right of joint_names exchanged"):
        posed_mesh_regions(exchanged)
    trunk = ["left_hip", "right_hip", "left_shoulder", "right_shoulder"]
    at = torch.tensor([meshes.joint_names.index(name) for name in trunk])
    few = PosedMeshBody(vertices, meshes.faces, joints=joints[:, at], joint_names=trunk)
    # what so few points lead to may not be a map at all
    with pytest.warns(UserWarning, match="4 named points .* name 12 or more"), suppress(ValueError):
        posed_mesh_regions(few, rounds=1, vertices=200)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*region map of")
def test_annys_meshes_get_the_regions_of_anny() -> None:
    """Another model's mesh and people, against the map that was made on its rest pose."""
    pytest.importorskip("anny", reason="needs the anny package (extra [anny])")
    from apu_losses.bodies.anny_adapter import AnnyBody

    anny = AnnyBody()
    params = some_pose(anny, 3, 3, 0.1)
    generator = torch.Generator().manual_seed(2)
    params["phenotypes"] = 0.3 + 0.4 * torch.rand(3, len(anny.phenotype_labels), generator=generator)
    params["phenotypes"][:, anny.phenotype_labels.index("age")] = torch.tensor([0.4, 0.6, 0.8])
    with torch.no_grad():
        posed = anny.pose(params)
        joints, names = named(anny, posed, NAMES)
    meshes = PosedMeshBody(posed.vertices(), anny.faces, joints=joints, joint_names=names, name="anny mesh")
    moved = posed_mesh_regions(meshes)
    ours, theirs = moved.regions.labels(), region_map_for(anny).labels()
    rest = anny.pose({}).vertices()[0].numpy()
    # both maps are approximate: how far is each vertex from where its region is on the other map?
    off = np.array(
        [cKDTree(rest[theirs == label]).query(at)[0] for at, label in zip(rest, ours, strict=True)]
    )
    assert (off == 0).mean() > 0.92 and (off < 0.01).mean() > 0.97 and off.max() < 0.06
