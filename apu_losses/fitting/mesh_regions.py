"""The 75 regions of meshes that come without a body model, such as SAM 3D Body's (MHR).

The free body is fitted onto each mesh: first to its named points, then to its surface, and what is left at
the named points is bent away. A vertex then takes the region that the free body has nearest to it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from apu_contacts.regions import RegionMap
from apu_contacts.regions.region_map import RegionTransfer
from apu_contacts.regions.transfer import (
    SurfaceCorrespondence,
    correspond,
    move_by_points,
    vertex_normals,
)
from apu_contacts.sources.conventions import orientation_from_joints
from apu_losses.bodies.derivatives import body_derivatives
from apu_losses.bodies.load import load_body
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.skinning import LinearBlendBody
from apu_losses.fitting.scene.types import InitialBody, Joints3D
from apu_losses.fitting.start.joint_trust import FINGER_TRUST, JOINT_TRUST
from apu_losses.fitting.start.named_points import NamedPoints, named_points
from apu_losses.fitting.start.retarget import initial_parameters
from apu_losses.fitting.start.retarget_hands import is_finger
from apu_losses.numerics.least_squares import levenberg_marquardt

_ALONG_METRES = 0.02  # standard deviation of a vertex along the surface, where it may slide
_ACROSS_METRES = 0.004  # and off it
_POINT_METRES = 0.003  # of a named point: they are few, and keep the surface from sliding
# standard deviations of the parameters around the fit to the named points
_SPREAD = {"transl": 1.0, "global_orient": 0.1, "betas": 2.0, "age": 0.3}
_POSE_SPREAD = 0.1
_ENOUGH_POINTS = 12  # hips, shoulders, elbows, wrists, knees and ankles
_EARS, _EYES = ("left_ear", "right_ear"), ("left_eye", "right_eye")
_FRONT_AND_BEHIND = ((("nose",), _EARS), (_EYES, _EARS))
_BACKWARDS = 0.5  # cosine: nobody turns the head further than 120 degrees from the trunk
_STEPS = 4  # of the solver between two searches for the nearest surface


def posed_mesh_regions(
    meshes: PosedMeshBody, *, rounds: int = 3, vertices: int = 2000, topology: str | None = None
) -> RegionTransfer:
    """Return the region map of given meshes, transferred from the free body.

    Each mesh is looked at in its own pose; a vertex takes what the mesh says in which it lies nearest to the
    free body's surface. So give the meshes of several people or pictures where you have them: what is unsure
    in one pose (a hand on a hip) is clear in another.

    Args:
        meshes: with named points: hips and shoulders at least, better all that SAM 3D Body gives.
        rounds: how often the nearest surface is searched again.
        vertices: of the free body that are fitted, spread evenly by number.
        topology: name of the map; the name of ``meshes`` if None.

    Returns:
        The map, which vertices are unsure, and why.

    Raises:
        ValueError: named points that do not place a body, or whose left and right are exchanged, or a mesh
            that has no vertex in some region.

    Warns:
        UserWarning: always; the map is approximate. Once more for fewer points than hips, shoulders, elbows,
            wrists, knees and ankles: with hips and shoulders alone a third of the vertices are wrong.
    """
    free = load_body("free")
    with torch.no_grad():
        surfaces = meshes.pose({}).vertices().double().cpu().numpy()
    faces = meshes.faces.cpu().numpy()
    _, fitted = fit_to_meshes(meshes, free, rounds=rounds, vertices=vertices)
    each = [correspond(mesh, faces, own, free.data.faces) for mesh, own in zip(surfaces, fitted, strict=True)]
    found = best_correspondence(each, surfaces, fitted)
    moved = RegionMap.load("free").transfer(found, topology=topology or meshes.name)
    warnings.warn(
        f"the region map of {meshes.name!r} is transferred from the free body and approximate: "
        f"{int(moved.unsure.sum())} of {len(moved.unsure)} vertices are unsure; "
        "do not compare figures with published ones",
        stacklevel=2,
    )
    return moved


def fit_to_meshes(
    meshes: PosedMeshBody, free: LinearBlendBody, *, rounds: int = 3, vertices: int = 2000
) -> tuple[dict[str, Tensor], NDArray[np.float64]]:
    """Return the parameters of a body that lies on given meshes, and ``(M, V, 3)`` its vertices, bent until
    the named points coincide.

    Args:
        meshes: with named points, hips and shoulders at least.
        free: the body.
        rounds: how often the nearest surface is searched again.
        vertices: of the body that are fitted, spread evenly by number.

    Raises:
        ValueError: named points that do not place a body, or whose left and right are exchanged.

    Warns:
        UserWarning: for fewer points than hips, shoulders, elbows, wrists, knees and ankles.
    """
    with torch.no_grad():
        given = meshes.pose({})
        surfaces = given.vertices().double().cpu().numpy()
        points = given.joints.double().cpu().numpy()
    for number, xyz in enumerate(points):
        _refuse_exchanged_sides(meshes.joint_names, xyz, number)
    faces = meshes.faces.cpu().numpy()
    first, named = _placed(free, meshes.joint_names, points)
    limbs = sum(name in JOINT_TRUST for name in meshes.joint_names)
    if limbs < _ENOUGH_POINTS:
        warnings.warn(
            f"meshes: {limbs} named points of trunk and limbs leave open how the limbs lie, and many "
            f"vertices will get a wrong region; name {_ENOUGH_POINTS} or more (limbs, face)",
            stacklevel=3,
        )
    params = first
    ids = (
        torch.linspace(
            0, free.num_vertices - 1, min(vertices, free.num_vertices), dtype=torch.float32, device="cpu"
        )
        .round()
        .long()
    )
    for _ in range(rounds):
        params = _nearer(free, params, first, named, ids, surfaces, faces)
    with torch.no_grad():
        posed = free.pose(params)
        fitted, at = posed.vertices().double().numpy(), named.pick(posed).double().numpy()
    # what the body cannot take the shape of is bent until the named points coincide
    fitted = np.array(
        [
            move_by_points(own, start, end)
            for own, start, end in zip(fitted, at, named.target.double().numpy(), strict=True)
        ]
    )
    return params, fitted


def _refuse_exchanged_sides(names: tuple[str, ...], xyz: NDArray[np.float64], number: int) -> None:
    """By hips and shoulders a person faces one way, by nose and ears the other: left and right are exchanged.

    Midpoints of a left and a right point do not change when the names do, and neither does the nose.
    """
    orient = orientation_from_joints(names, xyz)
    at = dict(zip(names, xyz, strict=True))
    if orient is None:
        return
    forward = Rotation.from_rotvec(orient).as_matrix()[:, 2]
    for front, behind in _FRONT_AND_BEHIND:
        if all(name in at for name in (*front, *behind)):
            way = np.mean([at[n] for n in front], axis=0) - np.mean([at[n] for n in behind], axis=0)
            if way @ forward < -_BACKWARDS * np.linalg.norm(way):
                raise ValueError(
                    f"meshes: mesh {number} faces backwards by its hips and shoulders, but not by {front} "
                    f"and {behind}; are the left and right of joint_names exchanged, or is the mesh mirrored?"
                )


@dataclass(frozen=True)
class _Named:
    """P named points of the free body, where they are on each mesh ``(M, P, 3)``, and weights ``(P, 1)``."""

    pick: NamedPoints
    target: Tensor
    weight: Tensor


def _placed(
    free: LinearBlendBody, names: tuple[str, ...], points: NDArray[np.float64]
) -> tuple[dict[str, Tensor], _Named]:
    """Return the free body on the named points of each mesh, and these points."""
    trust = {name: FINGER_TRUST for name in names if is_finger(name)} | JOINT_TRUST
    known = [k for k, name in enumerate(names) if name in trust]
    people = []
    for number, xyz in enumerate(points):
        orient = orientation_from_joints(names, xyz)
        if orient is None:
            raise ValueError(
                f"meshes: both hips and both shoulders must be among joint_names, to tell how mesh {number} "
                f"stands; got {list(names)}"
            )
        joints = Joints3D(
            tuple(names[k] for k in known), xyz[known], np.array([trust[names[k]] for k in known])
        )
        people.append(InitialBody({"global_orient": orient}, joints))
    params, _ = initial_parameters(free, people)
    pick, found = named_points(free, [names[k] for k in known])
    used = [known[k] for k in found]
    trusted = torch.tensor([trust[names[k]] for k in used], dtype=torch.float32, device="cpu")
    return params, _Named(
        pick, torch.tensor(points[:, used], dtype=torch.float32, device="cpu"), trusted[:, None]
    )


def _nearer(
    free: LinearBlendBody,
    params: dict[str, Tensor],
    start: dict[str, Tensor],
    named: _Named,
    ids: Tensor,
    surfaces: NDArray[np.float64],
    faces: NDArray[np.int64],
) -> dict[str, Tensor]:
    """One round: search the nearest surface, then move the free body's vertices onto it."""
    names = [name for name in params if name in _SPREAD or name.endswith(("body_pose", "hand_pose"))]
    sizes = [params[name].shape[1] for name in names]
    origin = torch.cat([start[name] for name in names], 1)
    now_at = torch.cat([params[name] for name in names], 1)
    spread = torch.cat(
        [
            torch.full((size,), _SPREAD.get(n, _POSE_SPREAD), dtype=torch.float32, device="cpu")
            for n, size in zip(names, sizes, strict=True)
        ]
    )
    with torch.no_grad():
        now = free.pose(params).vertices().double().numpy()
    targets, normals, weights = [], [], []
    for mesh, own in zip(surfaces, now, strict=True):
        found = correspond(own, free.data.faces, mesh, faces, max_distance=0.08)
        targets.append(found.apply(mesh)[ids])
        normals.append(found.apply(vertex_normals(mesh, faces))[ids])
        weights.append(found.sure[ids])
    target, normal = (
        torch.tensor(np.array(part), dtype=torch.float32, device="cpu") for part in (targets, normals)
    )
    weight = torch.tensor(np.array(weights), dtype=torch.float32, device="cpu")[..., None]
    rows = torch.arange(len(origin), device="cpu").repeat_interleave(len(ids))

    def unpack(x: Tensor) -> dict[str, Tensor]:
        given = {**params, **dict(zip(names, x.split(sizes, 1), strict=True))}
        return {**given, "age": given["age"].clamp(0, 1)} if "age" in given else given

    scale = named.weight / _POINT_METRES

    def residuals(x: Tensor) -> Tensor:
        posed = free.pose(unpack(x))
        off = (posed.vertices(ids) - target) * weight
        across = (off * normal).sum(-1) / _ACROSS_METRES
        points = (named.pick(posed) - named.target) * scale
        parts = [(off / _ALONG_METRES).flatten(1), across, points.flatten(1), (x - origin) / spread]
        return torch.cat(parts, 1)

    def jacobian(x: Tensor) -> Tensor:
        rates = body_derivatives(free, unpack(x), names)
        moved = rates.select(rows, ids.repeat(len(x))).unflatten(0, (len(x), -1)) * weight[..., None]
        across = (moved * normal[..., None]).sum(2) / _ACROSS_METRES
        points = named.pick.derivatives(rates) * scale[..., None]
        pull = torch.diag_embed((1 / spread).expand_as(x))
        return torch.cat([(moved / _ALONG_METRES).flatten(1, 2), across, points.flatten(1, 2), pull], 1)

    return unpack(levenberg_marquardt(residuals, now_at, jacobian=jacobian, max_iterations=_STEPS).x)


def best_correspondence(
    found: list[SurfaceCorrespondence], surfaces: NDArray[np.float64], fitted: NDArray[np.float64]
) -> SurfaceCorrespondence:
    """For each vertex the place that it has in the mesh in which it is surest and nearest.

    Args:
        found: of each mesh's vertices on the body fitted to it.
        surfaces: ``(M, V, 3)`` the meshes.
        fitted: ``(M, W, 3)`` the bodies.
    """
    apart = np.array(
        [
            np.linalg.norm(each.apply(free) - mesh, axis=1) + ~each.sure
            for each, mesh, free in zip(found, surfaces, fitted, strict=True)
        ]
    )
    best = apart.argmin(0)
    row = np.arange(apart.shape[1])

    def chosen(part: str) -> NDArray[Any]:
        picked: NDArray[Any] = np.array([getattr(each, part) for each in found])[best, row]
        return picked

    note = f"closest surface of the free body fitted to {len(found)} posed meshes"
    return replace(
        found[0],
        corners=chosen("corners"),
        weights=chosen("weights"),
        far=chosen("far"),
        turned=chosen("turned"),
        note=note,
    )
