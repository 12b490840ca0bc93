"""From points to the nearest vertex or surface point of a posed mesh."""

from __future__ import annotations

import math

from torch import Tensor

from apu_losses.geometry import custom_ops
from apu_losses.geometry.checks import check_alike, check_cutoff, check_vertices
from apu_losses.geometry.operators.mesh_query import MeshQuery, Rows, query_of, slots_of
from apu_losses.geometry.operators.request import Faces, answer
from apu_losses.geometry.requests import VertexSearch
from apu_losses.geometry.topology import MeshTopology
from apu_losses.geometry.types import BackendName, NearestSurface, NearestVertex
from apu_losses.numerics.precision import widen


def nearest_vertex(
    points: Tensor,
    vertices: Tensor,
    *,
    rows: Rows = None,
    wanted: Tensor | None = None,
    cutoff: float | None = None,
    points_topology: MeshTopology | None = None,
    vertices_topology: MeshTopology | None = None,
    backend: BackendName = "auto",
) -> NearestVertex:
    """Return the nearest of ``vertices (B, V, 3)`` for each of ``points (B, Q, 3)``: squared distance and
    vertex id.

    ``rows = (row_points, row_mesh)``, int64 ``(E,)`` each: item e asks the points of row ``row_points[e]``
    about the mesh of row ``row_mesh[e]`` (bodies as rows: many pairs of them in one call), and answers are
    ``(E, Q)``. Without it item k is row k of both. ``wanted (E, Q)`` bool: ask for these only, the others
    are +inf and -1.
    ``cutoff``: beyond it +inf and -1. ``*_topology``: the meshes that the points and vertices are, if they
    are meshes: their block order saves sorting the points. The gradient flows to the point and to its nearest
    vertex.

    Example:
        >>> import torch
        >>> from apu_losses.geometry import nearest_vertex
        >>> points, vertices = torch.tensor([[[0.5, 0, 0]]]), torch.tensor([[[0.0, 0, 0], [2, 0, 0]]])
        >>> found = nearest_vertex(points, vertices)
        >>> found.distance2.tolist(), found.vertex.tolist()
        ([[0.25]], [[0]])
    """
    check_vertices("points", points, points_topology.vertex_count if points_topology else None)
    check_vertices("vertices", vertices, vertices_topology.vertex_count if vertices_topology else None)
    p, v = widen(points), widen(vertices)
    check_alike("points", p, "vertices", v, batch=rows is None)
    query = query_of(p, rows, wanted, points_topology)
    search = VertexSearch(query, v, slots_of(vertices_topology, p), check_cutoff(cutoff), math.inf)
    return NearestVertex(*answer(custom_ops.nearest_vertex, search, backend))


def nearest_surface(
    points: Tensor,
    vertices: Tensor,
    faces: Faces,
    *,
    rows: Rows = None,
    wanted: Tensor | None = None,
    cutoff: float | None = None,
    points_topology: MeshTopology | None = None,
    backend: BackendName = "auto",
) -> NearestSurface:
    """Return the closest surface point for each of ``points (B, Q, 3)``: squared distance, face, weights.

    ``vertices (B, V, 3)`` posed meshes with ``faces`` (a `MeshTopology`, or ``(F, 3)``). ``rows``, ``wanted``
    and ``cutoff`` as in `nearest_vertex`. The gradient flows to the point and, by the barycentric weights, to
    the three corners (by the envelope theorem this is exact).

    Example:
        >>> import torch
        >>> from apu_losses.geometry import nearest_surface
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> found = nearest_surface(torch.tensor([[[0.25, 0.25, -0.5]]]), corners, faces)
        >>> found.distance2.tolist(), found.face.tolist(), found.barycentric.tolist()
        ([[0.25]], [[0]], [[[0.5, 0.25, 0.25]]])
    """
    mesh = MeshQuery.of(points, vertices, faces, rows, wanted, points_topology)
    return mesh.nearest_surface(check_cutoff(cutoff), math.inf, backend)
