"""The minimum-distance heuristic: people touch, nobody knows where, so their nearest points are joined.

BUDDI's baseline without contact labels: ``min_{v, u} ||v - u||^2`` over all vertices of two bodies, squared
metres, with the gradient to the one pair of vertices where the minimum lies. The search is exact and takes
well under a millisecond a pair: the whole body is one region of `region_min_distance`.

As for contact there are two steps: `select_nearest` finds the vertices, without gradient;
`minimum_distance_energy` computes the loss from their positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.functional.rows import gather_points, stack_pairs
from apu_losses.geometry.checks import check_alike, check_vertices
from apu_losses.geometry.constants import BLOCK
from apu_losses.geometry.eager import EdgePlan, goes_the_short_way, nearest_energies
from apu_losses.geometry.operators import Faces, nearest_vertex, region_min_distance
from apu_losses.geometry.topology import (
    MeshTopology,
    RegionIndex,
    as_topology,
    known_topology,
    to_be_kept,
)
from apu_losses.geometry.types import BackendName, RegionPairs
from apu_losses.numerics.distances import distance2
from apu_losses.numerics.precision import widen


@dataclass(frozen=True)
class NearestSelection:
    """The nearest two vertices of Q pairs of bodies.

    Attributes:
        row_a, vertex_a, row_b, vertex_b: ``(Q,)`` body row and vertex id of either point.
        valid: ``(Q,)`` False where a coordinate was not finite; the loss is then NaN.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import select_nearest
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b + 1])
        >>> chosen = select_nearest(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> chosen.row_a.tolist(), chosen.row_b.tolist(), chosen.valid.tolist()
        ([0], [1], [True])
    """

    row_a: Tensor
    vertex_a: Tensor
    row_b: Tensor
    vertex_b: Tensor
    valid: Tensor

    def __len__(self) -> int:
        return len(self.row_a)


@torch.no_grad()
def select_nearest(
    vertices: Tensor, faces: Faces, rows_a: Tensor, rows_b: Tensor, *, backend: BackendName = "auto"
) -> NearestSelection:
    """Find the nearest vertices of two bodies, exactly, over all vertices. No gradient.

    Args:
        vertices: ``(N, V, 3)`` all bodies, metres.
        faces: ``(F, 3)`` or a `MeshTopology`; only its vertex order is used, for speed.
        rows_a, rows_b: ``(Q,)`` the pairs of bodies.
        backend: of the geometry search.

    Raises:
        ValueError: shapes that do not fit, or a body paired with itself.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import select_nearest
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_a + torch.tensor([3.0, 0.0, 0.0])])
        >>> chosen = select_nearest(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> bodies[0, chosen.vertex_a], bodies[1, chosen.vertex_b]
        (tensor([[1., 0., 0.]]), tensor([[2., 0., 0.]]))
    """
    if rows_a.shape != rows_b.shape or rows_a.dim() != 1:
        raise ValueError(
            f"rows_a and rows_b must have shape (Q,), got {tuple(rows_a.shape)} and {tuple(rows_b.shape)}"
        )
    if not torch.compiler.is_compiling() and bool((rows_a == rows_b).any()):
        raise ValueError("rows_a and rows_b must name different bodies: a body is at no distance from itself")
    vertices = vertices.detach()
    whole = _whole_body(as_topology(faces, vertices).to(vertices.device))
    only = torch.zeros_like(rows_a)
    found = region_min_distance(
        vertices, None, RegionPairs(rows_a, rows_b, only, only), whole, backend=backend
    )
    return NearestSelection(
        rows_a, found.index_a.clamp(min=0), rows_b, found.index_b.clamp(min=0), found.index_a >= 0
    )


def minimum_distance_energy(points_a: Tensor, points_b: Tensor, selection: NearestSelection) -> Tensor:
    """Squared distance of the selected points, with gradient.

    Args:
        points_a, points_b: ``(Q, 3)`` positions of ``vertex_a`` and ``vertex_b``, metres.

    Returns:
        ``(Q,)`` squared metres; NaN, with zero gradient, for a pair that was not finite.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import minimum_distance_energy, select_nearest
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_a + torch.tensor([3.0, 0.0, 0.0])])
        >>> chosen = select_nearest(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> minimum_distance_energy(bodies[0, chosen.vertex_a], bodies[1, chosen.vertex_b], chosen)
        tensor([1.])
    """
    expected = (len(selection), 3)
    for name, points in (("points_a", points_a), ("points_b", points_b)):
        if points.shape != expected:
            raise ValueError(f"{name} must have shape {expected}, got {tuple(points.shape)}")
    keep = selection.valid[:, None]
    # Masked before the distance, so that a NaN coordinate has no NaN gradient to spread.
    a, b = (torch.where(keep, widen(points), 0.0) for points in (points_a, points_b))
    return torch.where(selection.valid, distance2(a, b), torch.nan)


def minimum_distance(
    verts_a: Tensor,
    verts_b: Tensor,
    faces: Faces,
    *,
    faces_b: Faces | None = None,
    backend: BackendName = "auto",
) -> Tensor:
    """``min_{v, u} ||v - u||^2`` of B pairs of bodies: for contact that is known, but not where.

    Args:
        verts_a, verts_b: ``(B, V, 3)`` metres, of one mesh topology; with ``faces_b`` ``(B, V', 3)`` b.
        faces: ``(F, 3)`` or a `MeshTopology`; only its vertex order is used, for speed.
        faces_b: of b, where it is another topology: an infant model beside an adult, a person and a chair.
        backend: of the geometry search.

    Returns:
        ``(B,)`` squared metres, differentiable; bodies that already cross have nearly 0. NaN where a body is
        not finite.

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import minimum_distance
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> minimum_distance(verts_a, verts_a + torch.tensor([3.0, 0.0, 0.0]), ball.faces)  # 1 m apart
        tensor([1.])
    """
    if faces_b is not None:
        return _of_two_meshes(verts_a, verts_b, faces, faces_b, backend)
    if goes_the_short_way(backend, verts_a, verts_b):
        plan = _plan(verts_a, verts_b, faces)
        if plan is not None:
            return nearest_energies(verts_a, verts_b, plan)
    vertices, rows_a, rows_b = stack_pairs(verts_a, verts_b)
    found = select_nearest(vertices, faces, rows_a, rows_b, backend=backend)
    return minimum_distance_energy(
        gather_points(vertices, found.row_a, found.vertex_a),
        gather_points(vertices, found.row_b, found.vertex_b),
        found,
    )


def _of_two_meshes(
    verts_a: Tensor, verts_b: Tensor, faces_a: Faces, faces_b: Faces, backend: BackendName
) -> Tensor:
    """``(B,)`` of two topologies: each vertex of a asks for its nearest of b."""
    check_vertices("verts_a", verts_a)
    check_vertices("verts_b", verts_b)
    check_alike("verts_a", verts_a[:, :1], "verts_b", verts_b[:, :1])
    a, b = widen(verts_a), widen(verts_b)
    with torch.no_grad():
        still_a, still_b = a.detach(), b.detach()
        finite = still_a.isfinite().flatten(1).all(1) & still_b.isfinite().flatten(1).all(1)
        found = nearest_vertex(
            still_a,
            still_b,
            points_topology=as_topology(faces_a, still_a).to(a.device),
            vertices_topology=as_topology(faces_b, still_b).to(b.device),
            backend=backend,
        )
        vertex_a = found.distance2.nan_to_num(torch.inf).argmin(1)
        rows = torch.arange(len(a), device=a.device)
        chosen = NearestSelection(rows, vertex_a, rows, found.vertex[rows, vertex_a].clamp(min=0), finite)
    return minimum_distance_energy(a[rows, vertex_a], b[rows, chosen.vertex_b], chosen)


def _plan(verts_a: Tensor, verts_b: Tensor, faces: Faces) -> EdgePlan | None:
    """For the short way; None before anything is wrong or laid out."""
    shape = verts_a.shape
    if len(shape) != 3 or shape[2] != 3 or verts_b.shape != shape or not shape[0]:
        return None
    topology = known_topology(faces, shape[1])
    if topology is None or topology.vertex_count != shape[1] or topology.faces.device.type != "cpu":
        return None
    known: tuple[int, EdgePlan] | None = topology.looked_at.get("nearest vertices of pairs")
    if known is not None and known[0] == shape[0]:
        return known[1]
    with to_be_kept():
        row = torch.arange(shape[0], device="cpu")
        only = torch.zeros_like(row)
        pairs = RegionPairs(row, row + shape[0], only, only)
        plan = EdgePlan.build(pairs, row, shape[0], _whole_body(topology))
    topology.looked_at["nearest vertices of pairs"] = (shape[0], plan)
    return plan


def _whole_body(topology: MeshTopology) -> RegionIndex:
    """One region that holds every vertex, in the block order that the topology already has."""
    count, device = topology.vertex_count, topology.slots.device
    return RegionIndex(
        count,
        torch.tensor([0, count], device=device, dtype=torch.int64),
        torch.arange(count, device=device),
        topology.slots,
        torch.tensor([0, len(topology.slots) // BLOCK], device=device, dtype=torch.int64),
    )
