"""The geometry operators in plain PyTorch: exact, any dtype, any device, slow. The oracle.

Rules that every back end shares (they are tested against this file):

* Squared distances are ``(dx*dx + dy*dy) + dz*dz`` of direct differences, in that order and without fused
  multiply-adds, so that fast back ends in float32 agree with this file bit for bit, argmins included. The
  form ``|a|^2 + |b|^2 - 2ab`` is never used: five metres from the origin it errs by millimetres in float32.
* Ties go to the lowest index: of the first mesh, then of the second.
* An empty region, or nothing nearer than the cutoff, gives +inf and index -1. So does a distance that
  overflows.
* A vertex that is NaN or infinite gives NaN and index -1 wherever its region (or mesh) takes part.
* Gradients flow to the argmin vertices only (to the corners of the nearest face by barycentric weights), one
  valid subgradient; entries with index -1 have zero gradient.

Sources: Ericson, Real-Time Collision Detection, 2005, section 5.1 (closest points); Van Oosterom and
Strackee, The Solid Angle of a Plane Triangle, 1983; Jacobson et al., Robust Inside-Outside Segmentation using
Generalized Winding Numbers, 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry.gradients import edge_gradient as edge_gradient
from apu_losses.geometry.gradients import nearest_gradient as nearest_gradient
from apu_losses.geometry.gradients import surface_gradient as surface_gradient
from apu_losses.geometry.requests import (
    Bodies,
    Ends,
    InsideSearch,
    ItemRows,
    MatrixSearch,
    NearestSearch,
    Query,
    RegionLayout,
    RegionSearch,
    SoftGradient,
    SoftSearch,
    SurfaceSearch,
    Unions,
    VertexSearch,
    WindingSearch,
)
from apu_losses.numerics.distances import distance2 as distance2

_CHUNK = 1 << 22  # pairs held at once: 50 MB of float32 differences; 2^18 to 2^22 are alike, 2^14 is slower


class Edge(NamedTuple):
    """One edge of a search: rows of the two bodies, and the vertices of its two groups, ascending."""

    row_a: int
    ids_a: Tensor
    row_b: int
    ids_b: Tensor


def gathered_distance2(a: Tensor, b: Tensor, found: Tensor, otherwise: Tensor) -> Tensor:
    """Squared distance where ``found``, else ``otherwise``, with zero gradient there, even for NaN."""
    zero = torch.zeros((), dtype=a.dtype, device=a.device)
    keep = found[..., None]
    return torch.where(found, distance2(torch.where(keep, a, zero), torch.where(keep, b, zero)), otherwise)


def group_vertices(group: int, layout: RegionLayout, unions: Unions | None) -> Tensor:
    """Vertex ids of a group, ascending: a region, or with ``unions`` the union of the regions it lists."""
    offsets, ids = layout.offsets, layout.vertex_ids
    if unions is None:
        return ids[int(offsets[group]) : int(offsets[group + 1])]
    regions = unions.regions[int(unions.offsets[group]) : int(unions.offsets[group + 1])]
    parts = [ids[int(offsets[r]) : int(offsets[r + 1])] for r in regions.tolist()]
    return torch.unique(torch.cat([*parts, ids[:0]]))


def edges_of(search: RegionSearch) -> Iterator[Edge]:
    """Return the edges of a search, one by one."""
    lists = (x.tolist() for end in (search.a, search.b) for x in (end.row, end.group))
    for row_a, group_a, row_b, group_b in zip(*lists, strict=True):
        ids_a = group_vertices(group_a, search.a.layout, search.unions)
        yield Edge(row_a, ids_a, row_b, group_vertices(group_b, search.b.layout, search.unions))


def _lowest_minimum(a: Tensor, b: Tensor, limit: float) -> tuple[Tensor, Tensor, Tensor]:
    """Minimum below ``limit`` over all pairs of ``a (n, 3)`` and ``b (m, 3)``; positions, -1 if none."""
    best = torch.full((), math.inf, dtype=a.dtype, device=a.device)
    at_a = at_b = torch.full((), -1, dtype=torch.int64, device=a.device)
    if len(a) == 0 or len(b) == 0:
        return best, at_a, at_b
    if not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
        return best * math.nan, at_a, at_b
    for start in range(0, len(a), max(1, _CHUNK // len(b))):
        rows = distance2(a[start : start + max(1, _CHUNK // len(b)), None], b[None])
        least = rows.min()
        if bool(least < best) and bool(least < limit):
            best = least
            position = (rows == least).flatten().to(torch.uint8).argmax()
            at_a, at_b = start + position // len(b), position % len(b)
    return best, at_a, at_b


def region_min(search: RegionSearch, limit: float = math.inf) -> tuple[Tensor, Tensor, Tensor]:
    """Minimum over two vertex groups for each edge; differentiable by autograd.

    Only squared distances below ``limit`` count.
    """
    verts_a, verts_b = search.bodies.a, search.bodies.b
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.no_grad():
        for ra, ids_a, rb, ids_b in edges_of(search):
            d2, i, j = _lowest_minimum(verts_a[ra, ids_a], verts_b[rb, ids_b], limit)
            hit = int(i) >= 0
            found.append((d2, ids_a[i] if hit else i, ids_b[j] if hit else j))
        if not found:
            none = torch.zeros(0, dtype=torch.int64, device=verts_a.device)
            return verts_a.new_zeros(0), none, none.clone()
        least, index_a, index_b = (torch.stack(t) for t in zip(*found, strict=True))
    a = verts_a[search.a.row, index_a.clamp(min=0)]
    b = verts_b[search.b.row, index_b.clamp(min=0)]
    return gathered_distance2(a, b, index_a >= 0, least), index_a, index_b


def region_nearest(asked: NearestSearch) -> tuple[Tensor, Tensor, Tensor]:
    """For each vertex of either group of each edge the nearest of the other; differentiable by autograd."""
    search = asked.search
    verts_a, verts_b = search.bodies.a, search.bodies.b
    none = torch.zeros(0, dtype=torch.int64, device=verts_a.device)
    found = [(verts_a.new_zeros(0), none, none, none)]
    for k, (ra, ids_a, rb, ids_b) in enumerate(edges_of(search)):
        a, b = verts_a[ra, ids_a].detach(), verts_b[rb, ids_b].detach()
        least, to_b = _group_nearest(a, b)
        back, to_a = _group_nearest(b, a)
        near_b, near_a = (
            torch.where(at >= 0, other[at.clamp(min=0)], -1) if len(other) else at
            for at, other in ((to_b, ids_b), (to_a, ids_a))
        )
        own_a, own_b = torch.where(to_b >= 0, ids_a, -1), torch.where(to_a >= 0, ids_b, -1)
        pairs = torch.cat([own_a, near_a]), torch.cat([near_b, own_b])
        found.append((torch.cat([least, back]), *pairs, torch.full_like(pairs[0], k)))
    least, index_a, index_b, edge = (torch.cat(t) for t in zip(*found, strict=True))
    a = verts_a[search.a.row[edge], index_a.clamp(min=0)]
    b = verts_b[search.b.row[edge], index_b.clamp(min=0)]
    return gathered_distance2(a, b, index_a >= 0, least), index_a, index_b


def _group_nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """For each of ``a (n, 3)`` the distance to and position of the nearest of ``b (m, 3)``."""
    if not len(b) or not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
        value = math.nan if len(b) else math.inf
        return a.new_full((len(a),), value), torch.full((len(a),), -1, device=a.device, dtype=torch.int64)
    near, vertex = nearest_vertices(a[None], b[None])
    return near[0], vertex[0]


def region_matrix(search: MatrixSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`region_min` for all pairs of regions of each item: ``(B, Ra, Rb)``."""
    grid = torch.cartesian_prod(*(torch.arange(n, device="cpu") for n in search.shape))
    row, ga, gb = grid.reshape(-1, 3).to(search.vertices_a.device).unbind(1)
    bodies = Bodies(search.vertices_a, search.vertices_b)
    flat = region_min(
        RegionSearch(bodies, Ends(row, ga, search.a), Ends(row, gb, search.b), None), search.limit
    )
    d2, index_a, index_b = (t.view(search.shape) for t in flat)
    return d2, index_a, index_b


def _near_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances of all pairs of ``a (n, 3)`` and ``b (m, 3)`` but those that overflow, flat.

    A pair that is infinitely far has weight 0 in a soft minimum, but would turn its gradient into NaN.
    """
    d2 = distance2(a[:, None], b[None])
    near = torch.isfinite(d2)
    if bool(near.all()):
        return d2.flatten()
    i, j = torch.nonzero(near, as_tuple=True)
    return distance2(a.index_select(0, i), b.index_select(0, j))


def region_soft_min(soft: SoftSearch) -> tuple[Tensor, Tensor, Tensor]:
    """``-T log sum exp(-d^2 / T)`` over all vertex pairs of two groups, one value an edge; differentiable.

    The second and third output are not used here.
    """
    verts_a, verts_b = soft.search.bodies.a, soft.search.bodies.b
    values = [verts_a.new_zeros(0)]
    for ra, ids_a, rb, ids_b in edges_of(soft.search):
        a, b = verts_a[ra, ids_a], verts_b[rb, ids_b]
        if len(a) == 0 or len(b) == 0:
            values.append(verts_a.new_full((1,), math.inf))
        elif not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
            values.append(verts_a.new_full((1,), math.nan))
        else:
            d2 = _near_distances(a, b)
            value = -soft.temperature * torch.logsumexp(-d2 / soft.temperature, dim=0)
            values.append(value[None] if len(d2) else verts_a.new_full((1,), math.inf))
    found = torch.cat(values)
    return found, torch.zeros_like(found), torch.zeros_like(found)


@torch.no_grad()
def region_soft_min_gradient(asked: SoftGradient) -> tuple[Tensor, Tensor]:
    """Gradients of `region_soft_min`: weights ``softmax(-d^2 / T)`` on the differences."""
    soft = asked.found.soft
    verts_a, verts_b = soft.search.bodies.a, soft.search.bodies.b
    grad_a, grad_b = torch.zeros_like(verts_a), torch.zeros_like(verts_b)
    for (ra, ids_a, rb, ids_b), g in zip(edges_of(soft.search), asked.gradient, strict=True):
        a, b = verts_a[ra, ids_a], verts_b[rb, ids_b]
        if not len(a) or not len(b) or not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
            continue
        d2 = distance2(a[:, None], b[None])
        weight = 2 * g * torch.softmax(-d2.flatten() / soft.temperature, 0).view(d2.shape)
        for c in range(3):
            # What overflows has no weight; a difference that does times zero would be NaN.
            step = torch.where(d2 < math.inf, weight * (a[:, None, c] - b[None, :, c]), 0.0)
            grad_a[ra, ids_a, c] += step.sum(1)
            grad_b[rb, ids_b, c] -= step.sum(0)
    return grad_a, grad_b


def _by_item(query: Query, vertices: Tensor) -> tuple[Tensor, Tensor]:
    """Points and mesh of each item side by side."""
    if query.rows is None:
        return query.points, vertices
    return query.points.index_select(0, query.rows.points), vertices.index_select(0, query.rows.mesh)


def _skip(found: tuple[Tensor, Tensor], query: Query, skipped: float) -> tuple[Tensor, Tensor]:
    """Points that nobody asked for are ``skipped`` and -1, unless they are NaN."""
    if query.wanted is None:
        return found
    skip = ~query.wanted & ~torch.isnan(found[0])
    return torch.where(skip, skipped, found[0]), torch.where(skip, -1, found[1])


def nearest_vertex(search: VertexSearch) -> tuple[Tensor, Tensor]:
    """`nearest_vertices` of what is wanted."""
    points, vertices = _by_item(search.query, search.vertices)
    return _skip(nearest_vertices(points, vertices, search.limit), search.query, search.skipped)


def nearest_surface(search: SurfaceSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`nearest_surface_points` of what is wanted."""
    points, vertices = _by_item(search.query, search.vertices)
    d2, face, weights = nearest_surface_points(points, vertices, search.faces, search.limit)
    d2, face = _skip((d2, face), search.query, search.skipped)
    return d2, face, torch.where((face >= 0)[..., None], weights, torch.zeros_like(weights))


@torch.no_grad()
def winding_number(search: WindingSearch) -> tuple[Tensor, Tensor]:
    """`winding_numbers`, or `ray_crossings` for "rays"; "tree" is taken for "exact". The bounds are zero."""
    points, vertices = _by_item(search.query, search.vertices)
    faces, wanted = search.tree.faces, search.query.wanted
    w = (ray_crossings if search.method == "rays" else winding_numbers)(points, vertices, faces)
    skip = torch.zeros_like(w, dtype=torch.bool) if wanted is None else ~wanted
    if search.boxed and len(faces):
        used = vertices[:, torch.unique(faces)]
        beyond = (points < used.amin(1, keepdim=True)) | (points > used.amax(1, keepdim=True))
        skip = skip | beyond.any(-1)
    w = torch.where(skip & ~torch.isnan(w), 0.0, w)
    return w, w * 0


def inside(search: InsideSearch) -> Tensor:
    """Whether the exact winding number is above one half."""
    return winding_number(WindingSearch(*search, "exact", 0.0, True))[0] > 0.5


def nearest_vertices(points: Tensor, vertices: Tensor, limit: float = math.inf) -> tuple[Tensor, Tensor]:
    """Nearest of ``vertices (B, V, 3)`` for each of ``points (B, Q, 3)``; differentiable by autograd."""
    batch, queries, count = len(points), points.shape[1], vertices.shape[1]
    least = torch.full((batch, queries), math.inf, dtype=points.dtype, device=points.device)
    index = torch.full((batch, queries), -1, dtype=torch.int64, device=points.device)
    with torch.no_grad():
        step = max(1, _CHUNK // max(1, count))
        for b in range(batch) if count else ():
            for s in range(0, queries, step):
                rows = distance2(points[b, s : s + step, None], vertices[b, None])
                d2 = rows.amin(1)
                # argmin of equal values is not promised to be the first on every device; equality is
                first = (rows == d2[:, None]).to(torch.uint8).argmax(1)
                hit = (d2 < limit) & (d2 < math.inf)
                least[b, s : s + step] = torch.where(hit, d2, least[b, s : s + step])
                index[b, s : s + step] = torch.where(hit, first, -1)
        least, index = poison(points, vertices, least, index)
    near = (
        torch.take_along_dim(vertices, index.clamp(min=0)[..., None], dim=1)
        if count
        else torch.zeros_like(points)
    )
    return gathered_distance2(points, near, index >= 0, least), index


def poison(
    points: Tensor, vertices: Tensor, distance: Tensor, index: Tensor, rows: ItemRows | None = None
) -> tuple[Tensor, Tensor]:
    """NaN and -1 for queries that are not finite, and for all queries of a mesh that is not."""
    bad_points = ~torch.isfinite(points).all(-1)
    bad_meshes = ~torch.isfinite(vertices).flatten(1).all(1, keepdim=True)
    bad = bad_points | bad_meshes if rows is None else bad_points[rows.points] | bad_meshes[rows.mesh]
    return torch.where(bad, math.nan, distance), torch.where(bad, -1, index)


def closest_on_triangle(p: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Closest point on triangles abc ``(..., 3)`` to p: squared distance, weights v, w of b and c.

    The nearest of four candidates: the three edges, clamped, and the foot of the perpendicular where it falls
    inside. Degenerate triangles (segments, points) are answered by their edges. Ties go to the first of ab,
    ac, bc, inside.
    """
    ab, ac, bc, ap, bp = b - a, c - a, c - b, p - a, p - b
    zero = torch.zeros((), dtype=p.dtype, device=p.device)
    one = torch.ones((), dtype=p.dtype, device=p.device)

    def dot(x: Tensor, y: Tensor) -> Tensor:
        return (x[..., 0] * y[..., 0] + x[..., 1] * y[..., 1]) + x[..., 2] * y[..., 2]

    def along(numerator: Tensor, length2: Tensor) -> Tensor:
        scale = one / torch.where(length2 > 0, length2, one)
        return torch.minimum(torch.maximum(numerator * scale, zero), one)

    d00, d01, d11, d20, d21 = dot(ab, ab), dot(ab, ac), dot(ac, ac), dot(ap, ab), dot(ap, ac)
    t_ab, t_ac, t_bc = along(d20, d00), along(d21, d11), along(dot(bp, bc), dot(bc, bc))
    area = d00 * d11 - d01 * d01
    scale = one / torch.where(area > 0, area, one)
    v, w = (d11 * d20 - d01 * d21) * scale, (d00 * d21 - d01 * d20) * scale
    within = (area > 0) & (v > 0) & (w > 0) & (v + w < one)

    def apart(v: Tensor, w: Tensor) -> Tensor:
        q = (ap - v[..., None] * ab) - w[..., None] * ac
        return dot(q, q)

    best_v, best_w = t_ab, torch.zeros_like(t_ab)
    best = apart(best_v, best_w)
    for cand_v, cand_w, allowed in (
        (torch.zeros_like(t_ac), t_ac, None),
        (one - t_bc, t_bc, None),
        (v, w, within),
    ):
        d2 = apart(cand_v, cand_w)
        better = d2 < best if allowed is None else (d2 < best) & allowed
        best = torch.where(better, d2, best)
        best_v, best_w = torch.where(better, cand_v, best_v), torch.where(better, cand_w, best_w)
    return best, best_v, best_w


def surface_distance2(
    points: Tensor, vertices: Tensor, faces: Tensor, face: Tensor, weights: Tensor, otherwise: Tensor
) -> Tensor:
    """Squared distance to surface points (face, constant weights); face -1 keeps ``otherwise``."""
    found = face >= 0
    corners = faces[face.clamp(min=0)]
    a, b, c = (torch.take_along_dim(vertices, corners[..., k, None], dim=1) for k in range(3))
    keep = found[..., None]
    ap, ab, ac = (torch.where(keep, x - a, torch.zeros_like(a)) for x in (points, b, c))
    q = (ap - weights[..., 1, None] * ab) - weights[..., 2, None] * ac
    return torch.where(
        found, (q[..., 0] * q[..., 0] + q[..., 1] * q[..., 1]) + q[..., 2] * q[..., 2], otherwise
    )


def nearest_surface_points(
    points: Tensor, vertices: Tensor, faces: Tensor, limit: float = math.inf
) -> tuple[Tensor, Tensor, Tensor]:
    """Closest point of ``(vertices (B, V, 3), faces (F, 3))`` for each of ``points (B, Q, 3)``."""
    batch, queries = points.shape[:2]
    least = torch.full((batch, queries), math.inf, dtype=points.dtype, device=points.device)
    index = torch.full((batch, queries), -1, dtype=torch.int64, device=points.device)
    weights = points.new_zeros(batch, queries, 3)
    with torch.no_grad():
        step = max(1, (_CHUNK >> 4) // max(1, len(faces)))
        for i in range(batch) if len(faces) else ():
            a, b, c = (vertices[i, faces[:, k]][None] for k in range(3))
            for s in range(0, queries, step):
                part = slice(s, s + step)
                rows, v, w = closest_on_triangle(points[i, part, None], a, b, c)
                d2 = rows.amin(1)
                first = (rows == d2[:, None]).to(torch.uint8).argmax(1)
                v, w = (t.gather(1, first[:, None])[:, 0] for t in (v, w))
                hit = (d2 < limit) & (d2 < math.inf)
                least[i, part] = torch.where(hit, d2, math.inf)
                index[i, part] = torch.where(hit, first, -1)
                bary = torch.stack([(1 - v) - w, v, w], dim=-1)
                weights[i, part] = torch.where(hit[:, None], bary, 0.0)
        used = vertices[:, torch.unique(faces)] if len(faces) else vertices[:, :0]
        least, index = poison(points, used, least, index)
        weights = torch.where((index >= 0)[..., None], weights, torch.zeros_like(weights))
    if not len(faces):
        return least, index, weights
    return surface_distance2(points, vertices, faces, index, weights, least), index, weights


def solid_angle(p: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Signed solid angle of triangles abc seen from p (Van Oosterom and Strackee 1983); all ``(..., 3)``."""
    a, b, c = a - p, b - p, c - p
    la, lb, lc = a.norm(dim=-1), b.norm(dim=-1), c.norm(dim=-1)
    volume = (a * torch.linalg.cross(b, c)).sum(-1)
    beside = la * lb * lc + (a * b).sum(-1) * lc + (a * c).sum(-1) * lb + (b * c).sum(-1) * la
    return 2 * torch.atan2(volume, beside)


@torch.no_grad()
def winding_numbers(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Generalized winding number ``(B, Q)`` around each point: 1 inside a closed outward mesh, 0 outside.

    Its use is a threshold, so it carries no gradient.
    """
    batch, queries = points.shape[:2]
    out = torch.zeros(batch, queries, dtype=points.dtype, device=points.device)
    step = max(1, (_CHUNK >> 3) // max(1, len(faces)))
    for i in range(batch) if len(faces) else ():
        a, b, c = (vertices[i, faces[:, k]][None] for k in range(3))
        for s in range(0, queries, step):
            total = solid_angle(points[i, s : s + step, None], a, b, c).sum(1)
            out[i, s : s + step] = total / (4 * math.pi)
    used = vertices[:, torch.unique(faces)] if len(faces) else vertices[:, :0]
    return poison(points, used, out, torch.zeros_like(out, dtype=torch.int64))[0]


@torch.no_grad()
def ray_crossings(points: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Signed crossings of a ray along +x with the faces: the winding number of a closed mesh, exactly.

    The edge functions are taken in float64 from the lower vertex id to the higher, so that two faces see the
    same number at a shared edge and no ray slips between them.
    """
    batch, queries = points.shape[:2]
    out = torch.zeros(batch, queries, dtype=points.dtype, device=points.device)
    step = max(1, (_CHUNK >> 3) // max(1, len(faces)))
    for i in range(batch) if len(faces) else ():
        mesh = vertices[i].double()
        for s in range(0, queries, step):
            x, y, z = (points[i, s : s + step, k, None].double() for k in range(3))
            turns = torch.zeros(1, dtype=torch.int64, device=points.device)
            edges = []
            for start, end in ((0, 1), (1, 2), (2, 0)):
                first, last = faces[:, start], faces[:, end]
                swap = first > last
                a, b = mesh[torch.minimum(first, last)], mesh[torch.maximum(first, last)]
                edge = (b[:, 1] - a[:, 1]) * (z - a[:, 2]) - (b[:, 2] - a[:, 2]) * (y - a[:, 1])
                edge = torch.where(swap, -edge, edge)
                up = (mesh[first, 2] <= z) & (mesh[last, 2] > z) & (edge > 0)
                down = (mesh[first, 2] > z) & (mesh[last, 2] <= z) & (edge < 0)
                turns = turns + up.long() - down.long()
                edges.append(edge)
            whole = (edges[0] + edges[1]) + edges[2]
            mx = mesh[faces, 0]
            at = ((edges[1] * mx[:, 0] + edges[2] * mx[:, 1]) + edges[0] * mx[:, 2]) / whole
            hit = (turns != 0) & (whole != 0) & (at > x)
            out[i, s : s + step] = torch.where(hit, turns, 0).sum(1).to(out.dtype)
    used = vertices[:, torch.unique(faces)] if len(faces) else vertices[:, :0]
    return poison(points, used, out, torch.zeros_like(out, dtype=torch.int64))[0]
