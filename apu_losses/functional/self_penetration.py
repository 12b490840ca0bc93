"""A body must not pass through itself: a hand in the own belly is pushed out, a bent elbow may fold.

Skin meets skin where joints bend, and blend skinning lets it overlap there. So a vertex counts only if it is
inside a part of its own body that is far from it *along the skin* (`SkinPatches`; half a metre on an adult).
To tell, the vertex is moved a millimetre out of its own skin. There the whole body has a winding number of
one or more if any part encloses it, and what is near along the skin, closed with a lid where it was cut off,
has one of its own. What is left between the two is far, and is left by the nearest point of the far skin.

Upper arm and side, thigh and thigh, head and shoulder are near. Where parts that are far from each other
overlap, it counts whether or not people of flesh could press them together: knees drawn up into the chest.

Source of the idea that distance along the skin tells folds from contact: Mueller, Osman, Tang, Huang, Black,
"On Self-Contact and Human Pose", CVPR 2021. Departures: they take 0.3 m and leave out listed segments of one
body model, in which folds occur; half a metre and lids need no list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.functional.penetration import Energy, penetration_energy
from apu_losses.functional.penetration_selection import PenetrationSelection, penetration_points
from apu_losses.functional.skin import SkinPatches, Surroundings
from apu_losses.geometry.checks import check_vertices
from apu_losses.geometry.operators import inside, nearest_surface, winding_number
from apu_losses.geometry.types import BackendName
from apu_losses.numerics.normals import vertex_normals
from apu_losses.numerics.outside_graphs import outside_graphs
from apu_losses.numerics.precision import for_search

_OFF = 1e-3  # metres out of the own skin: more than rounding at 60 m, less than skin is thick


@outside_graphs
@torch.no_grad()
def select_self_penetrations(
    vertices: Tensor, skin: SkinPatches, *, backend: BackendName = "auto"
) -> PenetrationSelection:
    """Find the vertices of each body that are inside another part of the same body. No gradient.

    Args:
        vertices: ``(N, V, 3)`` bodies, metres.
        skin: of their mesh.
        backend: of the geometry operators.

    Returns:
        the vertices with their way out; ``pair`` is the body. Bodies that are not finite are ``broken``.

    Raises:
        ValueError: bodies of another mesh.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import SkinPatches, select_self_penetrations
        >>> from apu_losses.geometry import MeshTopology
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts = torch.tensor(ball.vertices, dtype=torch.float32)
        >>> skin = SkinPatches(MeshTopology.build(ball.faces, len(verts)), verts)
        >>> len(select_self_penetrations(verts[None], skin))
        0
    """
    topology = skin.topology.to(vertices.device)
    check_vertices("vertices", vertices)
    if vertices.shape[1:] != (topology.vertex_count, 3):
        raise ValueError(
            f"vertices must have shape (N, {topology.vertex_count}, 3), as the mesh of skin, "
            f"got {tuple(vertices.shape)}"
        )
    vertices = for_search(vertices, backend)
    broken = ~vertices.isfinite().flatten(1).all(1)
    points = vertices + _OFF * vertex_normals(vertices, topology.faces)
    within = inside(points, vertices, topology, points_topology=topology, backend=backend)
    total = winding_number(
        points, vertices, topology, wanted=within, points_topology=topology, backend=backend
    )
    patches = skin.patch.to(vertices.device)
    found = [
        _way_out(
            row,
            own,
            points[row, own],
            total[row, own],
            vertices[row],
            skin.around(int(patch), vertices.device),
            backend,
        )
        for row in range(len(vertices))
        for patch in patches[within[row]].unique()
        for own in [torch.nonzero(within[row] & (patches == patch))[:, 0]]
    ]
    none = patches.new_zeros(0)
    found.append((none, none, none.new_zeros(0, 3), vertices.new_zeros(0, 3)))
    row, vertex, corners, weights = (torch.cat(column) for column in zip(*found, strict=True))
    return PenetrationSelection(row, vertex, row, corners, weights, row, broken)


def _way_out(
    row: int,
    ids: Tensor,
    points: Tensor,
    total: Tensor,
    body: Tensor,
    around: Surroundings,
    backend: BackendName,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, vertex, corners and weights of those vertices of one patch that far skin encloses.

    Args:
        row, body: the body and its vertices ``(V, 3)``.
        ids: ``(K,)`` vertices of the patch; ``points (K, 3)``: just outside their own skin; ``total (K,)``:
            winding numbers of the whole body there.
        around: what is near and what is far.
    """
    near = around.near
    fold = winding_number(
        points[None], near.vertices(body[None]), near.topology, method="exact", backend=backend
    )[0]
    deep = torch.nonzero(total - fold > 0.5)[:, 0]
    if not len(deep):
        return deep, deep, deep.new_zeros(0, 3), body.new_zeros(0, 3)
    out = nearest_surface(body[None, ids[deep]], body[None], around.far, backend=backend)
    return torch.full_like(deep, row), ids[deep], around.far.faces[out.face[0]], out.barycentric[0].to(body)


def self_penetration_loss(
    vertices: Tensor, skin: SkinPatches, *, energy: Energy = "l2", backend: BackendName = "auto"
) -> Tensor:
    """How much each body penetrates itself.

    Args:
        vertices: ``(N, V, 3)`` bodies, metres.
        skin: of their mesh, see `SkinPatches`.
        energy: ``"l2"``: the sum of squared depths, square metres; ``"quartic"``: of ``(100 d^2)^2``.
        backend: of the geometry operators.

    Returns:
        ``(N,)``; 0 where no part is inside another, NaN where a body is not finite. The gradient moves the
        vertex and the surface that it is to leave by. Half precision is computed and returned in float32;
        float64 is searched in float32.

    Raises:
        ValueError: bodies of another mesh, or an unknown ``energy``.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import SkinPatches, self_penetration_loss
        >>> from apu_losses.geometry import MeshTopology
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts = torch.tensor(ball.vertices, dtype=torch.float32)
        >>> skin = SkinPatches(MeshTopology.build(ball.faces, len(verts)), verts)
        >>> self_penetration_loss(verts[None], skin)
        tensor([0.])
    """
    found = select_self_penetrations(vertices, skin, backend=backend)
    return penetration_energy(*penetration_points(vertices, found), found, energy=energy)
