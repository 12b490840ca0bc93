"""What lies inside a posed mesh: winding numbers, the inside test, and how deep it lies."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from apu_losses.geometry.operators.mesh_query import MeshQuery, Rows, WindingMethod
from apu_losses.geometry.operators.request import Faces
from apu_losses.geometry.orientation import check_outward
from apu_losses.geometry.topology import MeshTopology
from apu_losses.geometry.types import BackendName, Penetration, WindingNumber

Target = Literal["vertex", "surface"]


def winding_number(
    points: Tensor,
    vertices: Tensor,
    faces: Faces,
    *,
    rows: Rows = None,
    wanted: Tensor | None = None,
    method: WindingMethod = "tree",
    points_topology: MeshTopology | None = None,
    backend: BackendName = "auto",
) -> Tensor:
    """Winding number of the mesh around each of ``points (B, Q, 3)``: ``(B, Q)``, without gradient.

    1 inside a closed mesh with outward faces, -1 inside one whose faces look inwards, 0 outside, in between
    near holes.
    ``method``: "tree" approximates far clusters of faces (`winding_number_bounded` says by how much it may
    err), "exact" sums all solid angles, "rays" counts signed crossings of a ray: exact whole numbers, for
    closed meshes only. The reference has no tree and takes "tree" for "exact".
    ``rows``, ``wanted`` as in `nearest_vertex`; points that are not wanted are 0.

    Example:
        >>> import torch
        >>> from apu_losses.geometry import winding_number
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> points = torch.tensor([[[0.1, 0.1, 0.1], [1.0, 1.0, 1.0]]])
        >>> winding_number(points, corners, faces, method="rays").tolist()
        [[1.0, 0.0]]
    """
    _check_method(method)
    mesh = MeshQuery.of(points, vertices, faces, rows, wanted, points_topology)
    return mesh.winding_number(method, False, backend).value


def winding_number_bounded(
    points: Tensor,
    vertices: Tensor,
    faces: Faces,
    *,
    rows: Rows = None,
    wanted: Tensor | None = None,
    points_topology: MeshTopology | None = None,
    backend: BackendName = "auto",
) -> WindingNumber:
    """`winding_number` by the tree, and for each point a bound on its error: ``(B, Q)`` each.

    The bound is proven, not estimated: it adds up what the series of every cluster that was taken for a
    dipole and a quadrupole leaves out (`apu_losses.geometry.cpu.winding` derives it). Rounding in float32
    comes on top, about 1e-5. Zero for the reference, which opens everything.

    Example:
        >>> import torch
        >>> from apu_losses.geometry import winding_number_bounded
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> found = winding_number_bounded(torch.tensor([[[0.1, 0.1, 0.1]]]), corners, faces)
        >>> round(found.value.item(), 4), found.bound.item()  # so few faces are all added up
        (1.0, 0.0)
    """
    mesh = MeshQuery.of(points, vertices, faces, rows, wanted, points_topology)
    return mesh.winding_number("tree", False, backend)


def inside(
    points: Tensor,
    vertices: Tensor,
    faces: Faces,
    *,
    rows: Rows = None,
    wanted: Tensor | None = None,
    method: WindingMethod = "tree",
    points_topology: MeshTopology | None = None,
    backend: BackendName = "auto",
) -> Tensor:
    """Which of ``points (B, Q, 3)`` lie inside the mesh: ``(B, Q)`` bool, winding number above 0.5.

    ``method``: "tree" gives the answer of "exact" several times faster: where the error bound of a walk
    through the tree leaves the answer open, it is walked again in finer steps. Points outside the mesh's
    bounding box are outside. A point or mesh that is not finite is not inside. Arguments as `winding_number`.
    Raises ``ValueError`` if every mesh is closed and inside out, warns if some are (`check_outward`).

    Example:
        >>> import torch
        >>> from apu_losses.geometry import inside
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> inside(torch.tensor([[[0.1, 0.1, 0.1], [1.0, 1.0, 1.0]]]), corners, faces).tolist()
        [[True, False]]
    """
    _check_method(method)
    mesh = MeshQuery.of(points, vertices, faces, rows, wanted, points_topology)
    check_outward(mesh.vertices, mesh.topology)
    return mesh.inside(method, backend)


def penetration(
    points: Tensor,
    vertices: Tensor,
    faces: Faces,
    *,
    rows: Rows = None,
    wanted: Tensor | None = None,
    target: Target = "vertex",
    method: WindingMethod = "tree",
    points_topology: MeshTopology | None = None,
    backend: BackendName = "auto",
) -> Penetration:
    """Which of ``points (B, Q, 3)`` lie inside the mesh, how deep, and towards where they get out.

    ``target``: depth to the nearest vertex (fast, the field's convention) or to the nearest surface point.
    ``rows`` as in `nearest_vertex`: for two bodies of one topology, both ways in one call, give ``bodies (2,
    V, 3)`` for points and vertices and ``rows = ([0, 1], [1, 0])``. ``wanted (E, Q)``: the others are not
    inside. ``distance2`` is zero outside, NaN where the input is not finite. The inside test carries no
    gradient; the depth does, for the points that are inside. Raises ``ValueError`` if every mesh is closed
    and inside out, warns if some are.

    Example:
        >>> import torch
        >>> from apu_losses.geometry import penetration
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> points = torch.tensor([[[0.25, 0.25, 0.125], [1.0, 1.0, 1.0]]])
        >>> found = penetration(points, corners, faces, target="surface")
        >>> found.inside.tolist(), found.distance2.sqrt().tolist(), found.target.tolist()
        ([[True, False]], [[0.125, 0.0]], [[0, -1]])
    """
    _check_method(method)
    _check_target(target)
    mesh = MeshQuery.of(points, vertices, faces, rows, wanted, points_topology)
    check_outward(mesh.vertices, mesh.topology)
    return _penetration(mesh, target, method, backend)


def unchecked_penetration(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    rows: tuple[Tensor, Tensor],
    *,
    points_topology: MeshTopology | None,
    target: Target,
    backend: BackendName,
) -> Penetration:
    """`penetration` of meshes of which the caller knows which way their faces look."""
    _check_target(target)
    mesh = MeshQuery.of(points, vertices, topology, rows, None, points_topology)
    return _penetration(mesh, target, "tree", backend)


def _penetration(mesh: MeshQuery, target: Target, method: WindingMethod, backend: BackendName) -> Penetration:
    within = mesh.inside(method, backend)
    mesh = mesh._replace(query=mesh.query._replace(wanted=within))
    if target == "vertex":
        return Penetration(within, *mesh.nearest_vertex(0.0, backend), None)
    return Penetration(within, *mesh.nearest_surface(math.inf, 0.0, backend))


def _check_method(method: str) -> None:
    if method not in ("tree", "exact", "rays"):
        raise ValueError(f"method must be 'tree', 'exact' or 'rays', got {method!r}")


def _check_target(target: str) -> None:
    if target not in ("vertex", "surface"):
        raise ValueError(f"target must be 'vertex' or 'surface', got {target!r}")
