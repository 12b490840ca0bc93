"""Which regions of two posed meshes touch."""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.geometry.operators.inside_meshes import penetration
from apu_losses.geometry.operators.region_distances import region_distance_matrix
from apu_losses.geometry.operators.request import Faces, Regions, regions_of
from apu_losses.geometry.topology import RegionIndex, as_topology
from apu_losses.geometry.types import BackendName


def contact_map_from_meshes(
    verts_a: Tensor,
    verts_b: Tensor,
    regions: Regions,
    regions_b: Regions | None = None,
    *,
    threshold: float,
    faces: Faces | None = None,
    faces_b: Faces | None = None,
    backend: BackendName = "auto",
) -> Tensor:
    """Which regions touch: ``(B, Ra, Rb)`` bool, True where two regions come nearer than ``threshold``.

    ``faces``: of closed meshes; with them what lies inside the other body touches it, too, however deep: each
    vertex inside touches the regions of the vertex nearest to where it would get out. Without them a palm
    wholly inside a belly and further than ``threshold`` from its skin touches nothing. ``faces_b``: of the
    second topology, where there are two.
    Raises ``ValueError`` if a mesh is not finite, because False would read as "no contact".
    For distances use `region_distance_matrix` with ``cutoff=threshold``.

    Example:
        >>> import torch
        >>> from apu_losses.geometry import RegionIndex, contact_map_from_meshes
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> contact_map_from_meshes(a, b, regions, threshold=3.1).tolist()
        [[[True, False], [False, True]]]
    """
    found = region_distance_matrix(verts_a, verts_b, regions, regions_b, cutoff=threshold, backend=backend)
    if bool(torch.isnan(found.distance2).any()):
        raise ValueError(
            "verts_a, verts_b must have finite coordinates, got NaN or infinity; the fit diverged"
        )
    near = found.index_a >= 0
    if faces is None:
        return near
    index_a, index_b = regions_of(verts_a, verts_b, regions, regions_b)
    other = faces if faces_b is None else faces_b
    a_in_b = _regions_inside(verts_a, verts_b, other, index_a, index_b, backend)
    b_in_a = _regions_inside(verts_b, verts_a, faces, index_b, index_a, backend)
    return near | a_in_b | b_in_a.transpose(1, 2)


def _regions_inside(
    points: Tensor, vertices: Tensor, faces: Faces, own: RegionIndex, other: RegionIndex, backend: BackendName
) -> Tensor:
    """``(B, R, S)`` which regions of ``points`` reach into the mesh, and the regions they would leave by."""
    with torch.no_grad():
        topology = as_topology(faces, vertices).to(vertices.device)
        found = penetration(points, vertices, topology, target="surface", backend=backend)
        assert found.barycentric is not None
        inside_of, out_of = _membership(own), _membership(other)
        touching = []
        for within, face, weights in zip(found.inside, found.target, found.barycentric, strict=True):
            nearest = weights[within].argmax(1, keepdim=True)
            exits = topology.faces[face[within]].gather(1, nearest)[:, 0]
            touching.append(inside_of[:, within] @ out_of[:, exits].T > 0)
        return torch.stack(touching) if touching else found.inside.new_zeros(0, len(own), len(other))


def _membership(index: RegionIndex) -> Tensor:
    """``(R, V)`` float, one where a region has a vertex."""
    member = torch.zeros(len(index), index.vertex_count, device=index.vertex_ids.device, dtype=torch.float32)
    region = torch.arange(len(index), device=member.device).repeat_interleave(index.offsets.diff())
    member[region, index.vertex_ids] = 1
    return member
