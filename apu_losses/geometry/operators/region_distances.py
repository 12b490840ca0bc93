"""Between regions of two meshes: the nearest vertices of edges, of all pairs, and a soft minimum."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from apu_losses.geometry import custom_ops
from apu_losses.geometry.checks import check_alike, check_cutoff
from apu_losses.geometry.edge_vertices import EdgeVertices, vertices_of_edges
from apu_losses.geometry.operators.request import Regions, answer, regions_of
from apu_losses.geometry.requests import (
    Bodies,
    Ends,
    MatrixSearch,
    NearestSearch,
    RegionSearch,
    SoftSearch,
    Unions,
)
from apu_losses.geometry.topology import RegionIndex
from apu_losses.geometry.types import BackendName, RegionMinimum, RegionNearest, RegionPairs
from apu_losses.numerics.precision import widen


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
        indices = regions_of(verts_a, verts_a if verts_b is None else verts_b, regions, regions_b)
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
        >>> import torch
        >>> from apu_losses.geometry import RegionIndex, RegionPairs, region_min_distance
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> pairs = RegionPairs.from_offsets([0, 2], [0, 1], [1, 1])  # of item 0: regions 0 and 1, 1 and 1
        >>> found = region_min_distance(a, b, pairs, regions)
        >>> found.distance2.tolist(), found.index_a.tolist(), found.index_b.tolist()
        ([10.0, 9.0], [1, 2], [2, 2])
    """
    search = _Edges.of(verts_a, verts_b, pairs, regions, regions_b).search()
    return RegionMinimum(*answer(custom_ops.region_min, search, backend))


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
        >>> import torch
        >>> from apu_losses.geometry import RegionIndex, RegionPairs, region_nearest_vertex
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> found = region_nearest_vertex(a, b, RegionPairs.from_offsets([0, 1], [0], [1]), regions)
        >>> found.distance2.tolist(), found.index_a.tolist(), found.index_b.tolist(), found.offsets.tolist()
        ([13.0, 10.0, 10.0], [0, 1, 1], [2, 2, 2], [0, 2, 3])
    """
    edges = _Edges.of(verts_a, verts_b, pairs, regions, regions_b)
    listed = vertices_of_edges(pairs, edges.a, edges.b)
    found = answer(custom_ops.region_nearest, edges.nearest(listed), backend)
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
        >>> import torch
        >>> from apu_losses.geometry import RegionIndex, region_distance_matrix
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> region_distance_matrix(a, b, regions).distance2.tolist()
        [[[9.0, 10.0], [10.0, 9.0]]]
        >>> region_distance_matrix(a, b, regions, cutoff=3.1).distance2.tolist()
        [[[9.0, inf], [inf, 9.0]]]
    """
    index_a, index_b = regions_of(verts_a, verts_b, regions, regions_b)
    a, b = widen(verts_a), widen(verts_b)
    check_alike("verts_a", a, "verts_b", b)
    search = MatrixSearch(a, b, index_a.layout, index_b.layout, check_cutoff(cutoff))
    return RegionMinimum(*answer(custom_ops.region_matrix, search, backend))


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
        >>> import torch
        >>> from apu_losses.geometry import RegionIndex, RegionPairs, region_soft_minimum
        >>> a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]])
        >>> b = a + torch.tensor([0.0, 3, 0])
        >>> regions = RegionIndex.from_lists([[0, 1], [2]], vertex_count=3)
        >>> pairs = RegionPairs.from_offsets([0, 2], [0, 1], [1, 1])
        >>> region_soft_minimum(a, b, pairs, regions, temperature=1.0)  # 10 - log(1 + exp(-3)), and 9
        tensor([9.9514, 9.0000])
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be a positive number of squared units, got {temperature}")
    search = _Edges.of(verts_a, verts_b, pairs, regions, regions_b).search()
    if search.bodies.second is None:
        search = search._replace(bodies=Bodies(search.bodies.a, search.bodies.a))
    soft: Tensor = answer(custom_ops.region_soft_min, SoftSearch(search, float(temperature)), backend)[0]
    return soft
