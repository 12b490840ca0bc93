"""Surfaces that touch face each other: a palm lies on a back with its inside, not with its back.

The contact loss asks for nearness only. Here the normals of the two points that decide a contact are
compared; opposite normals cost nothing. A term to add to the contact loss, not to use instead of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap
from apu_losses.functional.contact import ContactSelection, select_contacts
from apu_losses.functional.contact_edges import Over, edges_of_pairs, maps_of_pairs
from apu_losses.functional.robust import geman_mcclure_weight
from apu_losses.functional.rows import gather_points, stack_pairs
from apu_losses.geometry.operators import Faces, Regions
from apu_losses.geometry.topology import as_topology
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.distances import distance2
from apu_losses.numerics.normals import FaceRing, point_normals
from apu_losses.numerics.precision import widen


def facing_energy(
    normals_a: Tensor,
    normals_b: Tensor,
    distance: Tensor,
    selection: ContactSelection,
    *,
    within: float = 0.1,
) -> Tensor:
    """``sum_k W_k g(d_k) (1 + n_a . n_b) / 2``: 0 where normals are opposite, W where they are alike.

    Args:
        normals_a, normals_b: ``(S, 3)`` unit normals at the points of the selection.
        distance: ``(S,)`` metres between the points. ``g(d) = (rho^2 / (rho^2 + d^2))^2`` is a constant of
            the gradient: far contacts do not turn yet, and turning is not avoided by staying away.
        selection: of `select_contacts` with ``mode="min"``.
        within: rho, metres.

    Returns:
        ``(E,)`` one value an edge, without a unit; NaN, with zero gradient, where a coordinate was not
        finite.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, RegionMap
        >>> from apu_losses.functional import edges_of_pairs, facing_energy, select_contacts
        >>> regions = RegionMap.from_labels(range(75), topology="row", provenance="a vertex a metre")
        >>> verts_a = torch.zeros(1, 75, 3)
        >>> verts_a[0, :, 0] = torch.arange(75.0)
        >>> verts_b = verts_a + torch.tensor([0.0, 0.3, 0.0])
        >>> edges = edges_of_pairs([ContactMap([(0, 0), (1, 2)], [1.0, 0.5])])
        >>> vertices = torch.cat([verts_a, verts_b])
        >>> chosen = select_contacts(vertices, edges, regions)
        >>> up = torch.tensor([[0.0, 1.0, 0.0]] * 2)
        >>> facing_energy(up, -up, torch.tensor([0.02, 0.02]), chosen)
        tensor([0.])
        >>> facing_energy(up, up, torch.tensor([0.02, 0.02]), chosen)  # back to front
        tensor([1.3868])
    """
    finite = selection.valid & (normals_a.isfinite() & normals_b.isfinite()).all(1)
    a, b = (torch.where(finite[:, None], normals, 0.0) for normals in (normals_a, normals_b))
    alike = (1 + (a * b).sum(1)) / 2
    near = geman_mcclure_weight(torch.where(finite, distance.detach(), 0.0).square(), within)
    value = selection.weight.to(alike)[selection.contact] * near * alike
    value = torch.where(finite, value, torch.nan)
    return value.new_zeros(len(selection.swapped)).index_add(0, selection.edge[selection.contact], value)


def contact_facing(
    verts_a: Tensor,
    verts_b: Tensor,
    contact_maps: ContactMap | Sequence[ContactMap],
    regions: Regions,
    faces: Faces,
    *,
    over: Over = "parts",
    within: float = 0.1,
    backend: BackendName = "auto",
) -> Tensor:
    """How little the touching surfaces of B pairs of bodies face each other.

    Args:
        verts_a, verts_b: ``(B, V, 3)`` metres.
        contact_maps: one for all pairs, or one a pair.
        regions: the 75 regions of this topology.
        faces: ``(F, 3)``, counter-clockwise seen from outside, or a `MeshTopology`.
        over, within, backend: as of `apu_losses.functional.soft_contact` and `facing_energy`.

    Returns:
        ``(B,)``, 0 where all contacts face each other, at most the sum of their weights.

    Raises:
        ValueError: shapes that do not agree, a region map of another topology, ``within`` not positive.

    Example:
        >>> import torch
        >>> from apu_contacts import ContactMap, PartContact, RegionMap
        >>> from apu_losses import load_body
        >>> from apu_losses.functional import contact_facing
        >>> body = load_body()
        >>> verts_a = body(transl=torch.zeros(1, 3)).vertices()
        >>> hands = ContactMap.from_parts([PartContact("hand", "left", "hand", "right")])
        >>> there = verts_a + torch.tensor([2 * verts_a[..., 0].max(), 0.0, 0.0])
        >>> contact_facing(verts_a, there, hands, RegionMap.load("free"), body.faces)
        tensor([0.0279])
    """
    vertices, _, _ = stack_pairs(verts_a, verts_b)
    edges = edges_of_pairs(
        maps_of_pairs(contact_maps, len(verts_a)),
        over=over,
        dtype=widen(vertices[:0]).dtype,
        device=vertices.device,
    )
    chosen = select_contacts(vertices, edges, regions, backend=backend)
    topology = as_topology(faces, vertices).to(vertices.device)
    ring = FaceRing.build(topology.faces, topology.vertex_count)
    normals, points = [], []
    for rows, ids in ((chosen.row_a, chosen.vertex_a), (chosen.row_b, chosen.vertex_b)):
        face, owner = ring.of(ids)
        corner_rows = rows[owner].repeat_interleave(3)
        corners = gather_points(vertices, corner_rows, topology.faces[face].reshape(-1)).reshape(-1, 3, 3)
        normals.append(point_normals(corners, owner, len(ids)))
        points.append(gather_points(vertices, rows, ids).detach())
    return facing_energy(normals[0], normals[1], distance2(*points).sqrt(), chosen, within=within)
