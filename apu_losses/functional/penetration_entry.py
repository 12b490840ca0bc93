"""The way out is the way in: a fist that went past the middle of a belly is not pulled out through the back.

The nearest surface point of a deep vertex may lie on the far side. Then half of the vertices push on and
half push back, and descent may finish the passage. Here depth and direction are taken from where the surfaces
cross and are carried inwards over the mesh: a vertex next to the crossing leaves by its nearest surface
point, the others leave in the mean direction of their neighbours nearer to the crossing, at the depth that
these imply.

Source: Heidelberger, Teschner, Keiser, Mueller, Gross, "Consistent penetration depth estimation for
deformable collision response", Vision, Modeling, and Visualization 2004, section 3. Departures: the crossing
is taken at the inside vertices with an outside neighbour and not at the exact points of the edges; and a
vertex whose nearest surface point lies on the side of the carried direction keeps that point, so that nothing
changes where nearest and way in agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from apu_losses.functional.penetration_selection import PenetrationSelection, target_points
from apu_losses.geometry.operators import nearest_surface
from apu_losses.geometry.topology import MeshTopology, to_be_kept
from apu_losses.geometry.types import BackendName

_ON_EDGE = 1e-4  # weight of a corner below which a point counts as on the edge opposite; there both agree
_TOUCHING = 1e-5  # metres; below it, a way has no direction: float32 rounds as coarsely at 60 m


@torch.no_grad()
def towards_entry(
    selection: PenetrationSelection,
    vertices: Tensor,
    topology: MeshTopology,
    *,
    backend: BackendName = "auto",
) -> PenetrationSelection:
    """Return the selection with the targets of deep vertices moved to the side that they came in by. No
    gradient.

    What is wholly inside, without a crossing, has no way in and keeps its nearest points. What passes right
    through has two, and its middle is torn as before.

    Args:
        selection: of `select_penetrations` with ``target="surface"``.
        vertices: ``(N, V, 3)`` all bodies, metres.
        topology: of their mesh.
        backend: of the geometry search.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import select_penetrations, towards_entry
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b])
        >>> chosen = select_penetrations(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> from apu_losses.geometry import MeshTopology
        >>> topology = MeshTopology.build(ball.faces, len(ball.vertices))
        >>> len(towards_entry(chosen, bodies, topology)) == len(chosen)
        True
    """
    if not len(selection):
        return selection
    points = vertices[selection.row, selection.vertex]
    corners = vertices[selection.target_row[:, None], selection.target_vertices]
    nearest = target_points(corners, selection)
    one, two, crossing = _neighbours(selection, topology)
    out, depth, reached = _carried_inwards(
        points,
        _ways_out(points, nearest, corners, selection.target_weights),
        (nearest - points).norm(dim=1),
        one,
        two,
        crossing,
    )
    wrong = reached & ~crossing & (((nearest - points) * out).sum(1) < 0)
    face_corners = selection.target_vertices.clone()
    weights = selection.target_weights.clone()
    for body in selection.target_row[wrong].unique().tolist():
        own = torch.nonzero(wrong & (selection.target_row == body))[:, 0]
        aim = points[own] + depth[own, None].clamp(min=0) * out[own]
        found = nearest_surface(aim[None], vertices[body][None], topology, backend=backend)
        face_corners[own] = topology.faces[found.face[0]]
        weights[own] = found.barycentric[0].to(weights)
    return replace(selection, target_vertices=face_corners, target_weights=weights)


def _ways_out(points: Tensor, nearest: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """Return unit directions ``(S, 3)`` from points inside to the surface, where ``nearest`` lies.

    Within a face that is the face's normal. On an edge or a corner the faces around it have different normals
    and equal claims, and last bits say which of them was found; the way to the nearest point is only one.
    """
    normal = torch.nn.functional.normalize(
        torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=1
    )
    way = nearest - points
    length = way.norm(dim=1, keepdim=True)
    shared = (weights.amin(1, keepdim=True) < _ON_EDGE) & (length > _TOUCHING)
    return torch.where(shared, way / length.clamp(min=_TOUCHING), normal)


def _neighbours(selection: PenetrationSelection, topology: MeshTopology) -> tuple[Tensor, Tensor, Tensor]:
    """Edges between selected vertices, as places in the selection, both ways; and who has an outside end.

    Vertices of one body inside different bodies have nothing to do with each other.
    """
    count = topology.vertex_count
    bodies = int(torch.stack([selection.row.max(), selection.target_row.max()]).max()) + 1
    kind, group = torch.unique(selection.row * bodies + selection.target_row, return_inverse=True)
    place = torch.full((len(kind) * count,), -1, dtype=torch.int64, device=group.device)
    place[group * count + selection.vertex] = torch.arange(len(selection), device=group.device)
    place = place.view(len(kind), count)
    order, first, ends = _outgoing(topology)
    degree = (first[1:] - first[:-1])[selection.vertex]
    one = torch.arange(len(selection), device=group.device).repeat_interleave(degree)
    begins = degree.cumsum(0) - degree
    rank = torch.arange(len(one), device=group.device) - begins[one]
    edge = order[first[selection.vertex[one]] + rank]
    two = place[group[one], ends[edge]]
    # sums over edges keep one order, whatever order the selection has
    sorted_ = torch.argsort(group[one] * len(order) + edge)
    one, two = one[sorted_], two[sorted_]
    within = two >= 0
    crossing = torch.zeros(len(selection), dtype=torch.bool, device=group.device)
    crossing[one[~within]] = True
    return one[within], two[within], crossing


def _outgoing(topology: MeshTopology) -> tuple[Tensor, Tensor, Tensor]:
    """Edges by the vertex that they leave: those of vertex v are ``order[first[v]:first[v + 1]]``, and edge e
    leads to ``ends[e]``. Each edge of a closed mesh occurs once in either direction.

    Made once for a topology: to look at all edges of all pairs took a tenth of a fit.
    """
    known = topology.looked_at
    if "outgoing" not in known:
        with to_be_kept():
            begins = topology.faces.T.flatten()
            first = torch.zeros(topology.vertex_count + 1, dtype=torch.int64, device=begins.device)
            first[1:] = torch.bincount(begins, minlength=topology.vertex_count).cumsum(0)
            known["outgoing"] = (
                torch.argsort(begins, stable=True),
                first,
                topology.faces.roll(-1, 1).T.flatten(),
            )
    return cast(tuple[Tensor, Tensor, Tensor], known["outgoing"])


def _carried_inwards(
    points: Tensor, out: Tensor, depth: Tensor, one: Tensor, two: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Directions ``(S, 3)`` and depths ``(S,)`` from the ``known`` vertices to those that edges reach.

    One ring after the other; each vertex takes the mean over its known neighbours, weighed by the inverse
    squared length of the edge (equations 3 and 4 of the source).
    """
    out, depth, known = out.clone(), depth.clone(), known.clone()
    weight = 1 / (points[one] - points[two]).square().sum(1).clamp(min=1e-12)
    while True:
        step = known[one] & ~known[two]
        if not bool(step.any()):
            return out, depth, known
        a, b, w = one[step], two[step], weight[step]
        total = weight.new_zeros(len(points)).index_add(0, b, w)
        direction = torch.zeros_like(out).index_add(0, b, w[:, None] * out[a])
        along = ((points[a] - points[b]) * out[a]).sum(1) + depth[a]
        deep = torch.zeros_like(depth).index_add(0, b, w * along)
        ring = total > 0
        out[ring] = torch.nn.functional.normalize(direction[ring], dim=1)
        depth[ring] = deep[ring] / total[ring]
        known |= ring
