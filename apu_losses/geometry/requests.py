"""What a back end is asked: one request an operator, made of parts that have names.

A custom operator of `torch.library` takes tensors and numbers only. `apu_losses.geometry.border` lays a
request out flat there and puts it together behind; nobody else counts arguments. What a request says follows
`apu_losses.geometry.reference`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Bodies(NamedTuple):
    """Posed bodies that edges go between: from rows of ``a (Na, Va, 3)`` to rows of ``b (Nb, Vb, 3)``.

    ``second`` is None where both ends are rows of one tensor, so that it has one gradient.
    """

    a: Tensor
    second: Tensor | None

    @property
    def b(self) -> Tensor:
        return self.a if self.second is None else self.second


class RegionLayout(NamedTuple):
    """The tensors of a `RegionIndex`, as it names them."""

    offsets: Tensor
    vertex_ids: Tensor
    slots: Tensor
    block_offsets: Tensor

    @property
    def regions(self) -> int:
        return self.offsets.shape[0] - 1


class Unions(NamedTuple):
    """Groups as unions of regions: group g is the regions ``regions[offsets[g]:offsets[g + 1]]``."""

    offsets: Tensor
    regions: Tensor


class Ends(NamedTuple):
    """One end of K edges: group ``group[k]`` of body ``row[k]``, of a mesh with these regions."""

    row: Tensor
    group: Tensor
    layout: RegionLayout


class Side(NamedTuple):
    """One end of K edges with the bodies that it is on."""

    name: str
    vertices: Tensor
    row: Tensor
    group: Tensor
    layout: RegionLayout

    @property
    def ends(self) -> Ends:
        return Ends(self.row, self.group, self.layout)


class RegionSearch(NamedTuple):
    """The minimum between two groups, for each of K edges. Without ``unions`` a group is a region."""

    bodies: Bodies
    a: Ends
    b: Ends
    unions: Unions | None

    @property
    def edges(self) -> int:
        return self.a.row.shape[0]

    @property
    def sides(self) -> tuple[Side, Side]:
        return Side("a", self.bodies.a, *self.a), Side("b", self.bodies.b, *self.b)

    @property
    def groups(self) -> tuple[int, int]:
        """How many groups each side has."""
        if self.unions is not None:
            count = self.unions.offsets.shape[0] - 1
            return count, count
        return self.a.layout.regions, self.b.layout.regions


class NearestSearch(NamedTuple):
    """For every vertex of either group of each edge the nearest of the other; groups are regions here.

    ``first (K,)``: where the answers of each edge begin; ``edge (S,)``: the edge of each answer, see
    `apu_losses.geometry.edge_vertices.EdgeVertices`.
    """

    search: RegionSearch
    first: Tensor
    edge: Tensor

    @property
    def answers(self) -> int:
        return self.edge.shape[0]


class MatrixSearch(NamedTuple):
    """The minima of all regions of a against all of b, of each item; only those below ``limit``."""

    vertices_a: Tensor
    vertices_b: Tensor
    a: RegionLayout
    b: RegionLayout
    limit: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.vertices_a.shape[0], self.a.regions, self.b.regions


class SoftSearch(NamedTuple):
    """The soft minimum ``-T log sum exp(-d^2 / T)`` between two groups, for each of K edges."""

    search: RegionSearch
    temperature: float


class SoftFound(NamedTuple):
    """What a back end answered to a `SoftSearch` beside the soft minima, for the use of its own gradient."""

    soft: SoftSearch
    least: Tensor
    sums: Tensor


class SoftGradient(NamedTuple):
    """What soft minima give back for ``gradient (K,)``."""

    found: SoftFound
    gradient: Tensor


class Found(NamedTuple):
    """The nearest vertices of K edges: ``index_a[k]`` of body ``row_a[k]``, and so for b; -1: none."""

    bodies: Bodies
    row_a: Tensor
    row_b: Tensor
    index_a: Tensor
    index_b: Tensor


class EdgeGradient(NamedTuple):
    """What squared distances of vertices give back for ``gradient (K,)``: ``2 g (a - b)``, its opposite."""

    found: Found
    gradient: Tensor


class ItemRows(NamedTuple):
    """Item e asks the points of row ``points[e]`` about the mesh of row ``mesh[e]``."""

    points: Tensor
    mesh: Tensor


class Query(NamedTuple):
    """Points ``(B, Q, 3)`` that ask about meshes, in E items of Q.

    ``slots``: a block order of the points, if they are vertices of a mesh. ``wanted (E, Q)``: ask for these
    only. Without ``rows`` item k is row k of points and meshes.
    """

    points: Tensor
    slots: Tensor | None
    wanted: Tensor | None
    rows: ItemRows | None

    @property
    def shape(self) -> tuple[int, int]:
        """``(E, Q)``, that of the answers."""
        return (self.points if self.rows is None else self.rows.points).shape[0], self.points.shape[1]


class VertexSearch(NamedTuple):
    """The nearest of ``vertices (B, V, 3)`` below the squared distance ``limit``.

    ``slots``: a block order of the vertices. Points that are not wanted have the distance ``skipped`` and -1.
    """

    query: Query
    vertices: Tensor
    slots: Tensor | None
    limit: float
    skipped: float


class SurfaceSearch(NamedTuple):
    """The nearest point of ``(vertices (B, V, 3), faces (F, 3))``; ``face_slots``: the faces in blocks."""

    query: Query
    vertices: Tensor
    faces: Tensor
    face_slots: Tensor
    limit: float
    skipped: float


class FaceTree(NamedTuple):
    """The faces of a `MeshTopology` and its tree over them, as it names them."""

    faces: Tensor
    face_order: Tensor
    node_start: Tensor
    node_end: Tensor
    node_skip: Tensor
    closed: bool


class WindingSearch(NamedTuple):
    """Winding numbers and bounds on their errors, by ``method`` "tree", "exact" or "rays".

    ``beta``: nodes further away than so many of their radii are not opened. ``boxed``: points outside the box
    of the mesh are zero without looking further. So are points that are not wanted.
    """

    query: Query
    vertices: Tensor
    tree: FaceTree
    method: str
    beta: float
    boxed: bool


class InsideSearch(NamedTuple):
    """Which points have a winding number above one half; the tree is opened until that is certain."""

    query: Query
    vertices: Tensor
    tree: FaceTree


class NearPoints(NamedTuple):
    """The vertices ``nearest (E, Q)`` to points; -1: none."""

    points: Tensor
    vertices: Tensor
    rows: ItemRows | None
    nearest: Tensor


class VertexGradient(NamedTuple):
    """What the squared distances to nearest vertices give back for ``gradient (E, Q)``."""

    near: NearPoints
    gradient: Tensor


class NearFaces(NamedTuple):
    """The nearest surface points: on the faces ``nearest (E, Q)``, at ``weights (E, Q, 3)``; -1: none."""

    points: Tensor
    vertices: Tensor
    rows: ItemRows | None
    nearest: Tensor
    weights: Tensor
    faces: Tensor


class SurfaceGradient(NamedTuple):
    """What the squared distances to nearest surface points give back for ``gradient (E, Q)``."""

    near: NearFaces
    gradient: Tensor
