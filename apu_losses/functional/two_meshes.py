"""Contact and penetration of meshes of two topologies: an adult and an infant model, a person and a chair.

Two meshes of a pair are laid side by side as one: the vertices of b follow those of a, its regions are
numbered after those of a. So the same search and the same energies serve as for two bodies of one topology.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from apu_contacts.contacts import ContactMap, Order
from apu_losses.functional.contact_edges import ContactEdges, Over, edges_of_pairs
from apu_losses.geometry.checks import check_alike, check_vertices
from apu_losses.geometry.operators import Faces, Regions, penetration
from apu_losses.geometry.topology import RegionIndex, as_region_index, as_topology
from apu_losses.geometry.types import BackendName, RegionPairs
from apu_losses.numerics.precision import widen

_recent: deque[tuple[weakref.ref[RegionIndex], weakref.ref[RegionIndex], RegionIndex]] = deque(maxlen=8)


def check_two(verts_a: Tensor, verts_b: Tensor, regions_a: Regions, regions_b: Regions) -> None:
    """Refuse what is no pair of two topologies.

    Raises:
        ValueError: meshes of other topologies than their region maps, or of different numbers of pairs.
    """
    for name, mesh, regions in (("verts_a", verts_a, regions_a), ("verts_b", verts_b, regions_b)):
        check_vertices(name, mesh)
        count = getattr(regions, "vertex_count", mesh.shape[1])
        if mesh.shape[1] != count:
            of = "regions" if name == "verts_a" else "regions_b"
            raise ValueError(
                f"{name} must have {count} vertices a body, as {of} has, got {mesh.shape[1]}; are the two "
                "region maps the other way round?"
            )
    check_alike("verts_a", verts_a[:, :1], "verts_b", verts_b[:, :1])


def side_by_side(
    verts_a: Tensor, verts_b: Tensor, regions_a: Regions, regions_b: Regions
) -> tuple[Tensor, RegionIndex]:
    """``(B, V + V', 3)`` the two meshes of each pair as one, and its regions: a's, then b's."""
    index_a, index_b = as_region_index(regions_a, verts_a), as_region_index(regions_b, verts_b)
    vertices = torch.cat([widen(verts_a), widen(verts_b)], dim=1)
    return vertices, _joined(index_a, index_b, vertices[:1])


def _joined(a: RegionIndex, b: RegionIndex, posed: Tensor) -> RegionIndex:
    """Return the regions of both; the first pair that is seen says which vertices are near each other."""
    for first, second, joined in tuple(_recent):
        if first() is a and second() is b:
            return joined
    offset = a.vertex_count
    lists = [
        each.vertices(k).cpu() + shift for each, shift in ((a, 0), (b, offset)) for k in range(len(each))
    ]
    template = posed[0].detach().cpu() if len(posed) and bool(posed.isfinite().all()) else None
    joined = RegionIndex.from_lists([ids.numpy() for ids in lists], offset + b.vertex_count, template)
    joined = joined.to(a.offsets.device)
    _recent.appendleft((weakref.ref(a), weakref.ref(b), joined))
    return joined


def edges_of_two(
    contact_maps: Sequence[ContactMap],
    index: RegionIndex,
    *,
    over: Over,
    one_search_a_pair: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> ContactEdges:
    """Lay out maps of B pairs whose two meshes are one: edge k goes from row k to itself.

    Raises:
        ValueError: a contact with a region without vertices, of the mesh that is named.
    """
    edges = edges_of_pairs(
        contact_maps, over=over, one_search_a_pair=one_search_a_pair, dtype=dtype, device=device
    )
    half = len(index) // 2
    _refuse_empty(contact_maps, index, half)
    s = edges.searches
    starts, members = list(range(half + 1)), list(range(half))
    if s.unions is not None:
        starts, members = (u.tolist() for u in s.unions)
    groups = [members[start:end] for start, end in pairwise(starts)]
    rows = s.row_a.tolist()
    searches = RegionPairs.from_unions(
        rows,
        rows,
        [groups[g] for g in s.group_a.tolist()],
        [[half + region for region in groups[g]] for g in s.group_b.tolist()],
    ).to(device)
    return replace(edges, searches=searches)


def _refuse_empty(contact_maps: Sequence[ContactMap], index: RegionIndex, half: int) -> None:
    sizes = index.offsets.diff().cpu().numpy()
    for number, cmap in enumerate(contact_maps):
        for column, name in enumerate("ab"):
            ids = cmap.pairs[:, column]
            empty = sorted(set(ids[sizes[ids + column * half] == 0].tolist()))
            if empty:
                raise ValueError(
                    f"contact_maps[{number}] names regions {empty} of mesh {name}, which have no vertices in "
                    "its region map; a contact with nothing has no distance"
                )


def smaller_order(given: Tensor, exchanged: Tensor, orders: Sequence[Order]) -> Tensor:
    """``(B,)`` where it is open which person a map calls a: the smaller; NaN does not hide."""
    open_ = torch.tensor([order == "either" for order in orders], dtype=torch.bool, device=given.device)
    return torch.where(open_ & ((exchanged < given) | exchanged.isnan()), exchanged, given)


def two_mesh_penetration(
    verts_a: Tensor,
    verts_b: Tensor,
    faces_a: Faces,
    faces_b: Faces,
    *,
    target: str,
    energy: str,
    mutual: bool,
    backend: BackendName,
) -> Tensor:
    """``(B,)`` of `penetration_loss`, of two closed meshes with faces of their own."""
    check_vertices("verts_a", verts_a)
    check_vertices("verts_b", verts_b)
    check_alike("verts_a", verts_a[:, :1], "verts_b", verts_b[:, :1])
    if target not in ("surface", "vertex"):
        raise ValueError(f"target must be 'surface' or 'vertex' of two topologies, got {target!r}")
    if energy not in ("l2", "quartic"):
        raise ValueError(f"energy must be 'l2' or 'quartic', got {energy!r}")
    a, b = widen(verts_a), widen(verts_b)
    totals, counts = [], []
    for points, mesh, faces in ((a, b, faces_b), (b, a, faces_a)):
        topology = as_topology(faces, mesh).to(mesh.device)
        found = penetration(points, mesh, topology, target=target, backend=backend)  # type: ignore[arg-type]
        squared = found.distance2
        totals.append((squared if energy == "l2" else (100 * squared) ** 2).sum(1))
        counts.append(found.inside.sum(1))
    total = totals[0] + totals[1]
    if mutual:
        total = torch.where((counts[0] > 0) & (counts[1] > 0), total, torch.zeros_like(total))
    finite = a.isfinite().flatten(1).all(1) & b.isfinite().flatten(1).all(1)
    return torch.where(finite, total, torch.nan)
