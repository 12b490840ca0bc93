"""Bodies must not share space: vertices of one body inside the other are pushed to its surface.

A vertex is inside where the winding number of the other, closed mesh is above one half. A penetration that
only one of the two meshes sees counts (a fist wholly inside a belly with no belly vertex inside the fist).

As for contact there are two steps: `select_penetrations` finds, without gradient, which vertices are inside
and which points of the other surface are nearest; `penetration_energy` computes the loss from these points
alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from apu_losses.functional.options import check_flag
from apu_losses.functional.penetration_entry import towards_entry
from apu_losses.functional.penetration_selection import PenetrationSelection, penetration_points, weights_in
from apu_losses.functional.rows import bounding_boxes, gather_points, stack_pairs
from apu_losses.functional.two_meshes import two_mesh_penetration
from apu_losses.geometry.operators import Faces, penetration, unchecked_penetration
from apu_losses.geometry.orientation import check_outward
from apu_losses.geometry.topology import MeshTopology, as_topology
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.distances import distance2
from apu_losses.numerics.precision import for_search, say_if_far, search_origin, widen

Target = Literal["vertex", "surface", "entry"]
Energy = Literal["l2", "quartic"]


@torch.no_grad()
def select_penetrations(
    vertices: Tensor,
    faces: Faces,
    rows_a: Tensor,
    rows_b: Tensor,
    *,
    target: Target = "surface",
    mutual: bool = False,
    vertex_ids: Tensor | None = None,
    backend: BackendName = "auto",
) -> PenetrationSelection:
    """Find the vertices of each body that are inside the other, both ways. No gradient.

    Args:
        vertices: ``(N, V, 3)`` all bodies, metres.
        faces: ``(F, 3)`` of a closed mesh with outward faces, or a `MeshTopology`.
        rows_a, rows_b: ``(Q,)`` the pairs of bodies to test.
        target: the nearest point of the surface; or the nearest vertex (BUDDI's choice); or ``"entry"``, the
            surface on the side that a vertex came in by, see `apu_losses.functional.penetration_entry`.
        mutual: only pairs count of which each has vertices inside the other (BUDDI's rule, for comparison);
            by default what lies inside counts whatever the other direction finds.
        vertex_ids: ``(M,)`` test these vertices only; all by default.
        backend: of the geometry operators.

    Raises:
        ValueError: shapes that do not fit, or a body paired with itself.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import select_penetrations
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b])
        >>> chosen = select_penetrations(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> chosen.row.tolist(), chosen.target_row.tolist()  # seven vertices of each ball
        ([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    """
    if target not in ("vertex", "surface", "entry"):
        raise ValueError(f"target must be 'vertex' or 'surface' or 'entry', got {target!r}")
    check_flag("mutual", mutual)
    if rows_a.shape != rows_b.shape or rows_a.dim() != 1:
        raise ValueError(
            f"rows_a and rows_b must have shape (Q,), got {tuple(rows_a.shape)} and {tuple(rows_b.shape)}"
        )
    if bool((rows_a == rows_b).any()):
        raise ValueError("rows_a and rows_b must name different bodies: a body is always inside itself")
    if vertices.dtype == torch.float64 and backend != "reference" and bool(search_origin(vertices).any()):
        rows = torch.cat([rows_a, rows_b])
        one = torch.arange(len(rows_a), device=rows.device)
        found = _select(
            _pairs_near_origin(vertices, rows_a, rows_b, backend),
            faces,
            one,
            one + len(one),
            target,
            mutual,
            vertex_ids,
            backend,
        )
        return replace(found, row=rows[found.row], target_row=rows[found.target_row])
    near = for_search(vertices, backend)
    if vertices.dtype == torch.float32:
        say_if_far(near)
    return _select(near, faces, rows_a, rows_b, target, mutual, vertex_ids, backend)


def _pairs_near_origin(vertices: Tensor, rows_a: Tensor, rows_b: Tensor, backend: BackendName) -> Tensor:
    """``(2 Q, V, 3)`` the bodies of pairs, side after side, each pair moved to the origin of its first."""
    origin = search_origin(vertices)[rows_a]
    return torch.cat([for_search(vertices[rows], backend, origin) for rows in (rows_a, rows_b)])


def _select(
    vertices: Tensor,
    faces: Faces,
    rows_a: Tensor,
    rows_b: Tensor,
    target: Target,
    mutual: bool,
    vertex_ids: Tensor | None,
    backend: BackendName,
) -> PenetrationSelection:
    """`select_penetrations` of vertices as they are searched."""
    topology = as_topology(faces, vertices).to(vertices.device)
    check_outward(vertices, topology)
    low, high = bounding_boxes(vertices)
    finite = (low.isfinite() & high.isfinite()).all(1)
    broken = ~(finite[rows_a] & finite[rows_b])
    own, other, pair = _directions_to_test(low, high, rows_a, rows_b, broken)
    found = [
        _penetrating(
            vertices, topology, o, t, p, "vertex" if target == "vertex" else "surface", vertex_ids, backend
        )
        for o, t, p in zip(*(c.split(_DIRECTIONS_AT_ONCE) for c in (own, other, pair)), strict=True)
    ]
    row, vertex, target_row, corner, weight, pair_of = (torch.cat(c) for c in zip(*found, strict=True))
    selection = PenetrationSelection(row, vertex, target_row, corner, weight, pair_of, broken)
    if mutual:
        selection = _seen_by_both(selection, rows_a)
    return towards_entry(selection, vertices, topology, backend=backend) if target == "entry" else selection


def _seen_by_both(selection: PenetrationSelection, rows_a: Tensor) -> PenetrationSelection:
    """Without the vertices of pairs of which only one body has any inside the other."""
    of_a = selection.row == rows_a[selection.pair]
    seen = [torch.zeros_like(selection.broken), torch.zeros_like(selection.broken)]
    for side, own in zip(seen, (of_a, ~of_a), strict=True):
        side[selection.pair[own]] = True
    keep = (seen[0] & seen[1])[selection.pair]
    columns = ("row", "vertex", "target_row", "target_vertices", "target_weights", "pair")
    return replace(selection, **{name: getattr(selection, name)[keep] for name in columns})


_DIRECTIONS_AT_ONCE = 64  # bodies tested against another in one call; bounds the memory


def _directions_to_test(
    low: Tensor, high: Tensor, rows_a: Tensor, rows_b: Tensor, broken: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Whose vertices to test against whom, ``(D,)`` each, and the pair: both ways where boxes overlap."""
    # False for NaN, so a broken body overlaps nobody
    apart = (low[rows_a] > high[rows_b]) | (low[rows_b] > high[rows_a])
    pair = torch.nonzero(~apart.any(1) & ~broken)[:, 0]
    one, two = rows_a[pair], rows_b[pair]
    return torch.cat([one, two]), torch.cat([two, one]), pair.repeat(2)


def _penetrating(
    vertices: Tensor,
    topology: MeshTopology,
    own: Tensor,
    other: Tensor,
    pair: Tensor,
    target: Literal["vertex", "surface"],
    vertex_ids: Tensor | None,
    backend: BackendName,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the columns of a `PenetrationSelection` for vertices of bodies ``own`` inside bodies
    ``other``."""
    # bodies that nobody asks about here would be laid out all the same
    used, row = torch.unique(torch.cat([own, other]), return_inverse=True)
    few = 0 < len(used) < len(vertices)
    bodies = vertices.index_select(0, used) if few else vertices
    found = unchecked_penetration(
        bodies if vertex_ids is None else bodies[:, vertex_ids],
        bodies,
        topology,
        (row[: len(own)], row[len(own) :]) if few else (own, other),
        target=target,
        points_topology=topology if vertex_ids is None else None,
        backend=backend,
    )
    direction, place = torch.nonzero(found.inside, as_tuple=True)
    nearest = found.target[direction, place]
    if found.barycentric is None:
        corners, weights = nearest[:, None], vertices.new_ones(len(nearest), 1)
    else:
        corners, weights = topology.faces[nearest], found.barycentric[direction, place]
    vertex = place if vertex_ids is None else vertex_ids[place]
    return own[direction], vertex, other[direction], corners, weights, pair[direction]


def penetration_energy(
    points: Tensor, targets: Tensor, selection: PenetrationSelection, *, energy: Energy = "l2"
) -> Tensor:
    """Return the penetration loss from the selected points alone; with gradient.

    Args:
        points: ``(S, 3)`` positions of ``selection.vertex`` on bodies ``selection.row``, metres.
        targets: ``(S, 3)`` the nearest points of the other bodies (`target_points` of the selection).
        energy: ``"l2"``: the sum of squared depths, square metres. ``"quartic"``: of ``(100 d^2)^2``, BUDDI's
            form, which is nearly flat below 3 cm.

    Returns:
        ``(Q,)`` one value a pair of bodies: the sum over inside vertices of both, so it grows with mesh
        resolution.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import penetration_energy, penetration_points, select_penetrations
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b])
        >>> chosen = select_penetrations(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> penetration_energy(*penetration_points(bodies, chosen), chosen)
        tensor([0.0212])
    """
    value = _energy(distance2(widen(points), widen(targets)), energy)
    total = value.new_zeros(len(selection.broken)).index_add(0, selection.pair, value)
    return torch.where(selection.broken, torch.nan, total)


def penetration_loss(
    verts_a: Tensor,
    verts_b: Tensor,
    faces: Faces,
    *,
    faces_b: Faces | None = None,
    target: Target = "surface",
    energy: Energy = "l2",
    mutual: bool = False,
    backend: BackendName = "auto",
) -> Tensor:
    """How much B pairs of bodies penetrate each other.

    Args:
        verts_a, verts_b: ``(B, V, 3)`` metres, of one closed mesh topology; with ``faces_b`` of two,
            ``(B, V', 3)``.
        faces: ``(F, 3)`` outward faces, or a `MeshTopology`.
        faces_b: those of the mesh of ``verts_b``, where it is another topology; ``target`` is then the
            surface or a vertex.
        target, mutual: see `select_penetrations`; ``"entry"`` and ``mutual=True`` need eager code.
        energy: ``"l2"`` or ``"quartic"``, see `penetration_energy`.
        backend: of the geometry operators.

    Returns:
        ``(B,)``; 0 where nothing is inside, NaN where a body is not finite. Half precision is computed and
        returned in float32; float64 is searched in float32, and has value and gradient in float64.

    Raises:
        ValueError: shapes that do not agree.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import penetration_loss
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> penetration_loss(verts_a, verts_b, ball.faces)  # a vertex of either is almost 10 cm deep
        tensor([0.0212])
        >>> penetration_loss(verts_a, verts_a + torch.tensor([2.1, 0.0, 0.0]), ball.faces)
        tensor([0.])
    """
    if faces_b is not None:
        return two_mesh_penetration(
            verts_a, verts_b, faces, faces_b, target=target, energy=energy, mutual=mutual, backend=backend
        )
    verts_a, verts_b = widen(verts_a), widen(verts_b)
    vertices, rows_a, rows_b = stack_pairs(verts_a, verts_b)
    # compiled and mapped code needs shapes that do not depend on values
    if not torch.compiler.is_compiling() and not torch._C._functorch.is_functorch_wrapped_tensor(vertices):
        selection = select_penetrations(
            vertices, faces, rows_a, rows_b, target=target, mutual=mutual, backend=backend
        )
        return penetration_energy(*penetration_points(vertices, selection), selection, energy=energy)
    if target == "entry" or mutual:
        raise ValueError(
            f"target={target!r} with mutual={mutual!r} depends on values and cannot be compiled or mapped; "
            "take target='surface' and mutual=False, or call it outside"
        )
    topology = as_topology(faces, vertices).to(vertices.device)
    finite = vertices.isfinite().flatten(1).all(1)
    total = vertices.new_zeros(len(verts_a))
    for points, container in ((verts_a, verts_b), (verts_b, verts_a)):
        values = _one_way(points, container, topology, target, energy, backend)
        rows = torch.arange(len(values), device=values.device).repeat_interleave(values.shape[1])
        total = total.index_add(0, rows, values.flatten())  # in the order of `penetration_energy`
    return torch.where(finite[: len(verts_a)] & finite[len(verts_a) :], total, torch.nan)


def _one_way(
    points: Tensor,
    container: Tensor,
    topology: MeshTopology,
    target: Literal["vertex", "surface"],
    energy: Energy,
    backend: BackendName,
) -> Tensor:
    """``(B, V)`` energies of the vertices ``points`` that are inside ``container``, ``(B, V, 3)`` each.

    Every vertex is looked at, with a mask, so that shapes do not depend on values.
    """
    with torch.no_grad():
        origin = search_origin(container)
        found = penetration(
            for_search(points, backend, origin),
            for_search(container, backend, origin),
            topology,
            target=target,
            points_topology=topology,
            backend=backend,
        )
        ids = (
            found.target.clamp(min=0)[..., None]
            if found.barycentric is None
            else topology.faces[found.target]
        )
    batch, count, width = ids.shape
    rows = torch.arange(batch, device=ids.device).repeat_interleave(count * width)
    corners = gather_points(container, rows, ids.reshape(-1)).reshape(batch, count, width, 3)
    weights = 1.0 if found.barycentric is None else weights_in(found.barycentric, corners.dtype)[..., None]
    inside = found.inside[..., None]
    # masked before the difference: a coordinate that is not finite has no gradient to spread
    targets = torch.where(inside, (corners * weights).sum(2), 0.0)
    return _energy(distance2(torch.where(inside, points, 0.0), targets), energy)


def _energy(squared: Tensor, energy: Energy) -> Tensor:
    if energy not in ("l2", "quartic"):
        raise ValueError(f"energy must be 'l2' or 'quartic', got {energy!r}")
    return squared if energy == "l2" else (100 * squared) ** 2
