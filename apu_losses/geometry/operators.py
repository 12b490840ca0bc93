"""Exact geometry between posed meshes: region minima, nearest points, inside tests.

Every function is batched, differentiable where that means something, deterministic, and runs on a choice of
back ends (``backend="auto"``) that agree. Distances come squared, because the
gradient of a plain distance is undefined at zero; `safe_sqrt` takes the root with zero gradient there.

The rules for ties, NaN, empty regions and infinities stand in `apu_losses.geometry.reference`.
For speed, build a `RegionIndex` and a `MeshTopology` once per mesh and pass these; plain region maps and
faces work too.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.geometry import custom_ops
from apu_losses.geometry import vmap as _vmap  # noqa: F401  registers the rules for torch.func
from apu_losses.geometry.border import Operator
from apu_losses.geometry.checks import check_alike, check_cutoff, check_items, check_vertices
from apu_losses.geometry.constants import FAR
from apu_losses.geometry.dispatch import check_backend
from apu_losses.geometry.edge_vertices import EdgeVertices, vertices_of_edges
from apu_losses.geometry.orientation import check_outward
from apu_losses.geometry.requests import (
    Bodies,
    Ends,
    InsideSearch,
    ItemRows,
    MatrixSearch,
    NearestSearch,
    Query,
    RegionSearch,
    SoftSearch,
    SurfaceSearch,
    Unions,
    VertexSearch,
    WindingSearch,
)
from apu_losses.geometry.topology import MeshTopology, RegionIndex, RegionLists, as_region_index, as_topology
from apu_losses.geometry.types import (
    BackendName,
    NearestSurface,
    NearestVertex,
    Penetration,
    RegionMinimum,
    RegionNearest,
    RegionPairs,
    WindingNumber,
)
from apu_losses.numerics.precision import widen

Faces = MeshTopology | Tensor | NDArray[Any]
Regions = RegionIndex | RegionLists
Rows = tuple[Tensor, Tensor] | None
WindingMethod = Literal["tree", "exact", "rays"]
Target = Literal["vertex", "surface"]


def _answer(operator: Operator[Any], request: Any, backend: BackendName) -> Any:
    """By the reference directly, which autograd goes through any number of times; else by the operator."""
    if check_backend(backend) == "reference":
        return operator.by_reference(request)
    return operator(request, backend)


def safe_sqrt(distance2: Tensor) -> Tensor:
    """Distance from squared distance, any shape; at zero the gradient is zero and not NaN.

    Example:
        >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
        >>> root = safe_sqrt(x)
        >>> root.sum().backward()
        >>> root.tolist(), x.grad.tolist()
        ([0.0, 2.0], [0.0, 0.25])
    """
    positive = distance2 > 0
    root = torch.sqrt(torch.where(positive, distance2, torch.ones_like(distance2)))
    return torch.where(positive, root, distance2.detach())


def _regions_of(
    verts_a: Tensor, verts_b: Tensor, regions: Regions, regions_b: Regions | None
) -> tuple[RegionIndex, RegionIndex]:
    index_a = as_region_index(regions, verts_a).to(verts_a.device)
    index_b = index_a if regions_b is None else as_region_index(regions_b, verts_b).to(verts_b.device)
    for name, verts, index in (("verts_a", verts_a, index_a), ("verts_b", verts_b, index_b)):
        check_vertices(name, verts, index.vertex_count, "the regions belong to another mesh topology")
    return index_a, index_b


def _slots(topology: MeshTopology | None, example: Tensor) -> Tensor | None:
    return None if topology is None else topology.to(example.device).slots


class _Edges(NamedTuple):
    """What edges between bodies ask about: the bodies, widened, and the regions of either side."""

    bodies: Bodies
    pairs: RegionPairs
    a: RegionIndex
    b: RegionIndex

    @classmethod
    def of(
        cls,
        verts_a: Tensor,
        verts_b: Tensor | None,
        pairs: RegionPairs,
        regions: Regions,
        regions_b: Regions | None,
    ) -> _Edges:
        indices = _regions_of(verts_a, verts_a if verts_b is None else verts_b, regions, regions_b)
        bodies = Bodies(widen(verts_a), None if verts_b is None else widen(verts_b))
        if bodies.second is not None:
            check_alike("verts_a", bodies.a, "verts_b", bodies.second, batch=False)
        return cls(bodies, pairs, *indices)

    def search(self) -> RegionSearch:
        """Between the groups of the pairs, as regions or unions of regions."""
        unions = None if self.pairs.unions is None else Unions(*self.pairs.unions)
        return self._between(self.a, self.b, unions)

    def nearest(self, listed: EdgeVertices) -> NearestSearch:
        """From every vertex of the groups, which are regions of their own."""
        return NearestSearch(self._between(listed.groups_a, listed.groups_b, None), listed.first, listed.edge)

    def _between(self, a: RegionIndex, b: RegionIndex, unions: Unions | None) -> RegionSearch:
        ends_a = Ends(self.pairs.row_a, self.pairs.group_a, a.layout)
        return RegionSearch(self.bodies, ends_a, Ends(self.pairs.row_b, self.pairs.group_b, b.layout), unions)


def region_min_distance(
    verts_a: Tensor,
    verts_b: Tensor | None,
    pairs: RegionPairs,
    regions: Regions,
    regions_b: Regions | None = None,
    *,
    backend: BackendName = "auto",
) -> RegionMinimum:
    """Squared distance and nearest vertices of two vertex groups, for each edge of ``pairs``.

    ``verts_a (Na, Va, 3)``, ``verts_b (Nb, Vb, 3)``: posed meshes; ``verts_b=None`` takes both ends of every
    edge from ``verts_a`` (bodies as rows of one tensor, an edge from a row to itself is self-contact).
    ``pairs``: K edges between rows and regions, or unions of regions. ``regions``, ``regions_b``: the regions
    of either topology (``regions_b=None``: the same).

    Returns `RegionMinimum` of shape ``(K,)``: squared units of the input, and int64 vertex ids. The gradient
    of edge k flows to its two argmin vertices only. Half precision is computed, and returned, in float32.
    Raises ``ValueError`` for shapes, rows or groups that do not fit.

    This is the inner minimum of the contact loss of Ask, Pose, Unite (section 3.3), over all vertices of the
    regions.

    Example:
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> pairs = RegionPairs.from_offsets([0, 2], [0, 1], [1, 1])  # of item 0: regions 0 and 1, 1 and 1
        >>> found = region_min_distance(a, b, pairs, regions)
        >>> found.distance2.tolist(), found.index_a.tolist(), found.index_b.tolist()
        ([10.0, 9.0], [1, 2], [2, 2])
    """
    search = _Edges.of(verts_a, verts_b, pairs, regions, regions_b).search()
    return RegionMinimum(*_answer(custom_ops.region_min, search, backend))


def region_nearest_vertex(
    verts_a: Tensor,
    verts_b: Tensor | None,
    pairs: RegionPairs,
    regions: Regions,
    regions_b: Regions | None = None,
    *,
    backend: BackendName = "auto",
) -> RegionNearest:
    """For every vertex of either group of each edge of ``pairs``, the nearest vertex of the other group.

    Arguments as `region_min_distance`. Returns `RegionNearest`: one flat list of S answers, edge after edge,
    what a chamfer distance adds up; ties go to the lowest vertex id. The gradient of an answer flows to its
    two vertices. Half precision is computed, and returned, in float32.

    Where the answers of an edge stand depends on the edges alone; ``pairs`` remembers it, so keep them.
    ``torch.compile`` has to find it there: call this once before, with the `RegionIndex` that compiled code
    is given. Raises ``ValueError`` for shapes, rows or groups that do not fit.

    Example:
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> found = region_nearest_vertex(a, b, RegionPairs.from_offsets([0, 1], [0], [1]), regions)
        >>> found.distance2.tolist(), found.index_a.tolist(), found.index_b.tolist(), found.offsets.tolist()
        ([13.0, 10.0, 10.0], [0, 1, 1], [2, 2, 2], [0, 2, 3])
    """
    edges = _Edges.of(verts_a, verts_b, pairs, regions, regions_b)
    listed = vertices_of_edges(pairs, edges.a, edges.b)
    found = _answer(custom_ops.region_nearest, edges.nearest(listed), backend)
    d2, index_a, index_b = found
    return RegionNearest(d2, index_a, index_b, listed.offsets)


def region_distance_matrix(
    verts_a: Tensor,
    verts_b: Tensor,
    regions: Regions,
    regions_b: Regions | None = None,
    *,
    cutoff: float | None = None,
    backend: BackendName = "auto",
) -> RegionMinimum:
    """`region_min_distance` of every region of a to every region of b: ``(B, Ra, Rb)``.

    ``verts_a (B, Va, 3)``, ``verts_b (B, Vb, 3)``. With ``cutoff`` (in units of the input) only what is
    nearer is reported, the rest is +inf and -1: several times faster.

    Example:
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> region_distance_matrix(a, b, regions).distance2.tolist()
        [[[9.0, 10.0], [10.0, 9.0]]]
        >>> region_distance_matrix(a, b, regions, cutoff=3.1).distance2.tolist()
        [[[9.0, inf], [inf, 9.0]]]
    """
    index_a, index_b = _regions_of(verts_a, verts_b, regions, regions_b)
    a, b = widen(verts_a), widen(verts_b)
    check_alike("verts_a", a, "verts_b", b)
    search = MatrixSearch(a, b, index_a.layout, index_b.layout, check_cutoff(cutoff))
    return RegionMinimum(*_answer(custom_ops.region_matrix, search, backend))


def region_soft_minimum(
    verts_a: Tensor,
    verts_b: Tensor | None,
    pairs: RegionPairs,
    regions: Regions,
    regions_b: Regions | None = None,
    *,
    temperature: float,
    backend: BackendName = "auto",
) -> Tensor:
    """Soft minimum ``-T log sum exp(-d^2 / T)`` over all vertex pairs of two groups: ``(K,)``, squared units.

    Arguments as `region_min_distance`; ``temperature`` T in squared units, positive. It lies below the hard
    minimum by at most ``T log(n m)`` for groups of n and m vertices, and spreads the gradient over the near
    vertices.

    Example:
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> pairs = RegionPairs.from_offsets([0, 2], [0, 1], [1, 1])
        >>> region_soft_minimum(a, b, pairs, regions, temperature=1.0)  # 10 - log(1 + exp(-3)), and 9
        tensor([9.9514, 9.0000])
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a positive number of squared units, got {temperature}")
    search = _Edges.of(verts_a, verts_b, pairs, regions, regions_b).search()
    if search.bodies.second is None:
        search = search._replace(bodies=Bodies(search.bodies.a, search.bodies.a))
    soft: Tensor = _answer(custom_ops.region_soft_min, SoftSearch(search, float(temperature)), backend)[0]
    return soft


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
        >>> points, vertices = torch.tensor([[[0.5, 0, 0]]]), torch.tensor([[[0.0, 0, 0], [2, 0, 0]]])
        >>> found = nearest_vertex(points, vertices)
        >>> found.distance2.tolist(), found.vertex.tolist()
        ([[0.25]], [[0]])
    """
    check_vertices("points", points, points_topology.vertex_count if points_topology else None)
    check_vertices("vertices", vertices, vertices_topology.vertex_count if vertices_topology else None)
    p, v = widen(points), widen(vertices)
    check_alike("points", p, "vertices", v, batch=rows is None)
    query = _query(p, rows, wanted, points_topology)
    search = VertexSearch(query, v, _slots(vertices_topology, p), check_cutoff(cutoff), math.inf)
    return NearestVertex(*_answer(custom_ops.nearest_vertex, search, backend))


def _query(points: Tensor, rows: Rows, wanted: Tensor | None, points_topology: MeshTopology | None) -> Query:
    check_items(points, rows, wanted)
    return Query(points, _slots(points_topology, points), wanted, None if rows is None else ItemRows(*rows))


class _Mesh(NamedTuple):
    """Points that ask about posed meshes."""

    query: Query
    vertices: Tensor
    topology: MeshTopology

    @classmethod
    def of(
        cls,
        points: Tensor,
        vertices: Tensor,
        faces: Faces,
        rows: Rows,
        wanted: Tensor | None,
        points_topology: MeshTopology | None,
    ) -> _Mesh:
        check_vertices("vertices", vertices)
        topology = as_topology(faces, vertices).to(vertices.device)
        check_vertices("points", points, points_topology.vertex_count if points_topology else None)
        check_vertices("vertices", vertices, topology.vertex_count)
        points, vertices = widen(points), widen(vertices)
        check_alike("points", points, "vertices", vertices, batch=rows is None)
        return cls(_query(points, rows, wanted, points_topology), vertices, topology)

    def detached(self) -> _Mesh:
        query = self.query._replace(points=self.query.points.detach())
        return self._replace(query=query, vertices=self.vertices.detach())

    def nearest_vertex(self, skipped: float, backend: BackendName) -> tuple[Tensor, Tensor]:
        slots = _slots(self.topology, self.vertices)
        search = VertexSearch(self.query, self.vertices, slots, math.inf, skipped)
        found: tuple[Tensor, Tensor] = _answer(custom_ops.nearest_vertex, search, backend)
        return found

    def nearest_surface(self, limit: float, skipped: float, backend: BackendName) -> NearestSurface:
        faces = self.topology.faces, self.topology.face_slots
        search = SurfaceSearch(self.query, self.vertices, *faces, limit, skipped)
        return NearestSurface(*_answer(custom_ops.nearest_surface, search, backend))

    def winding_number(self, method: WindingMethod, boxed: bool, backend: BackendName) -> WindingNumber:
        search = WindingSearch(*self.detached()[:2], self.topology.tree, method, FAR, boxed)
        return WindingNumber(*_answer(custom_ops.winding_number, search, backend))

    def inside(self, method: WindingMethod, backend: BackendName) -> Tensor:
        if method != "tree":
            return self.winding_number(method, True, backend).value > 0.5
        search = InsideSearch(*self.detached()[:2], self.topology.tree)
        within: Tensor = _answer(custom_ops.inside, search, backend)
        return within


def _check_method(method: str) -> None:
    if method not in ("tree", "exact", "rays"):
        raise ValueError(f"method: expected 'tree', 'exact' or 'rays', got {method!r}")


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
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> found = nearest_surface(torch.tensor([[[0.25, 0.25, -0.5]]]), corners, faces)
        >>> found.distance2.tolist(), found.face.tolist(), found.barycentric.tolist()
        ([[0.25]], [[0]], [[[0.5, 0.25, 0.25]]])

    Example:
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> points = torch.tensor([[[0.1, 0.1, 0.1], [1.0, 1.0, 1.0]]])
        >>> winding_number(points, corners, faces, method="rays").tolist()
        [[1.0, 0.0]]

    Example:
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> inside(torch.tensor([[[0.1, 0.1, 0.1], [1.0, 1.0, 1.0]]]), corners, faces).tolist()
        [[True, False]]
    """
    mesh = _Mesh.of(points, vertices, faces, rows, wanted, points_topology)
    return mesh.nearest_surface(check_cutoff(cutoff), math.inf, backend)


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
    """
    _check_method(method)
    mesh = _Mesh.of(points, vertices, faces, rows, wanted, points_topology)
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
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> found = winding_number_bounded(torch.tensor([[[0.1, 0.1, 0.1]]]), corners, faces)
        >>> round(found.value.item(), 4), found.bound.item()  # so few faces are all added up
        (1.0, 0.0)
    """
    mesh = _Mesh.of(points, vertices, faces, rows, wanted, points_topology)
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
    """
    _check_method(method)
    mesh = _Mesh.of(points, vertices, faces, rows, wanted, points_topology)
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
        >>> corners = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
        >>> faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> points = torch.tensor([[[0.25, 0.25, 0.125], [1.0, 1.0, 1.0]]])
        >>> found = penetration(points, corners, faces, target="surface")
        >>> found.inside.tolist(), found.distance2.sqrt().tolist(), found.target.tolist()
        ([[True, False]], [[0.125, 0.0]], [[0, -1]])
    """
    _check_method(method)
    _check_target(target)
    mesh = _Mesh.of(points, vertices, faces, rows, wanted, points_topology)
    check_outward(mesh.vertices, mesh.topology)
    return _penetration(mesh, target, method, backend)


def unlooked_penetration(
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
    mesh = _Mesh.of(points, vertices, topology, rows, None, points_topology)
    return _penetration(mesh, target, "tree", backend)


def _check_target(target: str) -> None:
    if target not in ("vertex", "surface"):
        raise ValueError(f"target: expected 'vertex' or 'surface', got {target!r}")


def _penetration(mesh: _Mesh, target: Target, method: WindingMethod, backend: BackendName) -> Penetration:
    within = mesh.inside(method, backend)
    mesh = mesh._replace(query=mesh.query._replace(wanted=within))
    if target == "vertex":
        return Penetration(within, *mesh.nearest_vertex(0.0, backend), None)
    return Penetration(within, *mesh.nearest_surface(math.inf, 0.0, backend))


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
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> contact_map_from_meshes(a, b, regions, threshold=3.1).tolist()
        [[[True, False], [False, True]]]
    """
    found = region_distance_matrix(verts_a, verts_b, regions, regions_b, cutoff=threshold, backend=backend)
    if bool(torch.isnan(found.distance2).any()):
        raise ValueError(
            "verts_a, verts_b: expected finite coordinates, got NaN or infinity; the fit diverged"
        )
    near = found.index_a >= 0
    if faces is None:
        return near
    index_a, index_b = _regions_of(verts_a, verts_b, regions, regions_b)
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
