"""The cpu back end as torch sees it: tensors in, tensors out, work split over threads. No gradients here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.geometry.constants import BLOCK, FACE_BLOCK, OPEN_CLOSED, OPEN_OPEN
from apu_losses.geometry.cpu import gradients as gr
from apu_losses.geometry.cpu import nearest as nv
from apu_losses.geometry.cpu import rays as rc
from apu_losses.geometry.cpu import region_min as rm
from apu_losses.geometry.cpu import soft_min as sm
from apu_losses.geometry.cpu import surface as sf
from apu_losses.geometry.cpu import winding as wn
from apu_losses.geometry.cpu.simd import LANES
from apu_losses.geometry.pytorch.items import check_rows
from apu_losses.geometry.requests import (
    EdgeGradient,
    Ends,
    FaceTree,
    InsideSearch,
    ItemRows,
    MatrixSearch,
    NearestSearch,
    Query,
    RegionLayout,
    RegionSearch,
    SoftGradient,
    SoftSearch,
    SurfaceGradient,
    SurfaceSearch,
    Unions,
    VertexGradient,
    VertexSearch,
    WindingSearch,
)
from apu_losses.numerics.pool import split

Array = NDArray[Any]


def _numpy(x: Tensor) -> Array:
    array: Array = x.detach().contiguous().numpy()
    return array


class Gathering(NamedTuple):
    """Which vertices of which bodies make up the patches of one side, known before the bodies are posed."""

    row: Array
    group: Array
    union_offsets: Array
    union_regions: Array
    block_offsets: Array
    slots: Array
    first: Array
    most_blocks: int

    @classmethod
    def of(
        cls, row: Array, group: Array, unions: tuple[Array, Array], layout: RegionLayout | _Cloud
    ) -> Gathering:
        """Of group ``group[p]`` of the body ``row[p]`` for each patch p."""
        blocks, slots = _numpy(layout.block_offsets), _numpy(layout.slots)
        first = np.empty(len(row) + 1, np.int64)
        rm.measure_patches(group, *unions, blocks, first)
        return cls(row, group, *unions, blocks, slots, first, int(np.diff(first).max(initial=1)))


class Patches(NamedTuple):
    """Vertex groups of bodies, gathered into blocks: what `region_min.edges_minimum` takes for one side."""

    x: Array
    ids: Array
    lo: Array
    hi: Array
    first: Array
    finite: Array
    row: Array
    group: Array
    most_blocks: int

    @property
    def layout(self) -> tuple[Array, ...]:
        """What the kernels take for one side."""
        return self[:6]


def _fill(vertices: Array, plan: Gathering) -> Patches:
    count, total = len(plan.row), int(plan.first[-1])
    x = np.empty((3, total * LANES), np.float32)
    ids = np.empty(total * LANES, np.int64)
    lo, hi = np.empty((2, 3, total + LANES), np.float32)
    finite = np.empty(count, np.bool_)

    def work(p0: int, p1: int) -> None:
        rm.fill_patches(vertices, *plan[:7], p0, p1, x, ids, lo, hi, finite)

    split(count, work, least=200)
    if not count:
        work(0, 0)
    return Patches(x, ids, lo, hi, plan.first, finite, plan.row, plan.group, plan.most_blocks)


def _identity_unions(count: int) -> tuple[Array, Array]:
    return np.arange(count + 1), np.arange(count)


_TABLE = 1 << 16  # (row, group) pairs up to which a table is faster than sorting


class Planned(NamedTuple):
    """One side of edges before the bodies are posed: its patches, and which patch each edge takes."""

    gathering: Gathering
    patch: Array


def plan_ends(name: str, bodies: int, ends: Ends, unions: Unions | None) -> Planned:
    """Gather each (row, group) that the edges name once, of so many bodies.

    Raises:
        ValueError: rows or groups that do not exist.
    """
    lists = _lists(unions, ends.layout)
    row, group, groups = _numpy(ends.row), _numpy(ends.group), len(lists[0]) - 1
    wrong = (row < 0) | (row >= bodies) | (group < 0) | (group >= groups)
    if wrong.any():
        raise ValueError(
            f"pairs.row_{name}, pairs.group_{name} must be rows in [0, {bodies}) and groups in "
            f"[0, {groups}), got rows {row.min()}..{row.max()} and groups {group.min()}..{group.max()}"
        )
    if bodies * groups > _TABLE:
        key, patch = np.unique(row * groups + group, return_inverse=True)
        return Planned(Gathering.of(key // groups, key % groups, lists, ends.layout), patch)
    known = np.full(bodies * groups, -1, np.int64)
    patch, patch_row, patch_group = np.empty((3, len(row)), np.int64)
    count = rm.number_patches(row, group, groups, known, patch, patch_row, patch_group)
    return Planned(Gathering.of(patch_row[:count], patch_group[:count], lists, ends.layout), patch)


def _lists(unions: Unions | None, layout: RegionLayout) -> tuple[Array, Array]:
    """Unions of regions as arrays; without any, each region is one."""
    return (
        _identity_unions(layout.regions)
        if unions is None
        else (_numpy(unions.offsets), _numpy(unions.regions))
    )


class Edges(NamedTuple):
    """Both sides of edges, posed: the patches, and which of them each edge takes."""

    a: Patches
    patch_a: Array
    b: Patches
    patch_b: Array

    @classmethod
    def of(cls, search: RegionSearch) -> Edges:
        a, b = (plan_ends(x.name, len(x.vertices), x.ends, search.unions) for x in search.sides)
        return cls.posed(_numpy(search.bodies.a), _numpy(search.bodies.b), a, b)

    @classmethod
    def posed(cls, verts_a: Array, verts_b: Array, a: Planned, b: Planned) -> Edges:
        """Of sides that were laid out before."""
        return cls(_fill(verts_a, a.gathering), a.patch, _fill(verts_b, b.gathering), b.patch)

    @property
    def scratch(self) -> int:
        """Room for the bounds of the largest pair of patches."""
        return _scratch(self.a, self.b)


def planned_minimum(verts_a: Array, verts_b: Array, a: Planned, b: Planned) -> tuple[Array, Array, Array]:
    """`region_min` of arrays, with its two sides laid out."""
    return _minimum(Edges.posed(verts_a, verts_b, a, b))


def _minimum(edges: Edges) -> tuple[Array, Array, Array]:
    a, patch_a, b, patch_b = edges
    count, scratch = len(patch_a), edges.scratch
    found = np.empty(count, np.float32), np.empty(count, np.int64), np.empty(count, np.int64)

    def work(k0: int, k1: int) -> None:
        rm.edges_minimum(
            *a.layout, patch_a, *b.layout, patch_b, np.float32(math.inf), scratch, k0, k1, *found
        )  # fmt: skip

    split(count, work, least=8)
    return found


def region_min(search: RegionSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_min` without gradient."""
    d2, index_a, index_b = (torch.from_numpy(x) for x in _minimum(Edges.of(search)))
    return d2, index_a, index_b


def region_nearest(asked: NearestSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_nearest` without gradient."""
    edges = Edges.of(asked.search)
    a, patch_a, b, patch_b = edges
    d2 = torch.empty(asked.answers, dtype=torch.float32, device="cpu")
    index_a, index_b = (torch.empty(asked.answers, dtype=torch.int64, device="cpu") for _ in range(2))
    sides = asked.search.sides
    lists = (_numpy(t) for side in sides for t in (side.layout.offsets, side.layout.vertex_ids))
    layout = (*lists, _numpy(asked.first), max(side.vertices.shape[1] for side in sides))
    scratch = -(-max(a.most_blocks, b.most_blocks) // LANES) * LANES

    def work(k0: int, k1: int) -> None:
        nv.nearest_of_edges(
            *a.layout, a.group, patch_a, *b.layout, b.group, patch_b, *layout, scratch, k0, k1,
            d2.numpy(), index_a.numpy(), index_b.numpy(),
        )  # fmt: skip

    split(len(patch_a), work, least=4)
    return d2, index_a, index_b


def _scratch(a: Patches, b: Patches) -> int:
    return a.most_blocks * (-(-b.most_blocks // LANES) * LANES)


def _all_patches(verts: Tensor, layout: RegionLayout) -> Patches:
    batch, count = len(verts), layout.regions
    row, group = np.repeat(np.arange(batch), count), np.tile(np.arange(count), batch)
    return _fill(_numpy(verts), Gathering.of(row, group, _identity_unions(count), layout))


def region_matrix(search: MatrixSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    a, b = _all_patches(search.vertices_a, search.a), _all_patches(search.vertices_b, search.b)
    batch, count_a, count_b = search.shape
    d2 = torch.empty(batch, count_a, count_b, dtype=torch.float32, device="cpu")
    index_a, index_b = (
        torch.empty(batch, count_a, count_b, dtype=torch.int64, device="cpu") for _ in range(2)
    )
    outputs = tuple(t.view(batch * count_a, count_b).numpy() for t in (d2, index_a, index_b))
    scratch = _scratch(a, b)

    def work(u0: int, u1: int) -> None:
        rm.matrix_minimum(
            *a.layout, *b.layout, count_a, count_b, np.float32(search.limit), scratch, u0, u1, *outputs
        )

    split(batch * count_a, work, least=4)
    return d2, index_a, index_b


def _curve_order(points: Array) -> Array:
    """Return a quick block order of points ``(n, 3)`` for one use: along a Morton curve, padded to whole
    blocks."""
    finite = points[np.isfinite(points).all(1)]
    low = finite.min(0) if len(finite) else np.zeros(3, np.float32)
    span = np.maximum(finite.max(0) - low, np.float32(1e-30)) if len(finite) else np.ones(3, np.float32)
    code = np.empty(len(points), np.int64)
    nv.morton_code(points, low, np.float32(1023) / span, code)
    order = np.argsort(code, kind="stable")
    padded = np.concatenate([order, np.repeat(order[-1:], -len(order) % BLOCK)])
    return np.sort(padded.reshape(-1, BLOCK), axis=1).reshape(-1)


class _Cloud(NamedTuple):
    """The block order of whole point sets, one list per item or one for all, in the form of a
    `RegionIndex`.
    """

    slots: Tensor
    block_offsets: Tensor


def _cloud_patches(points: Tensor, slots: Tensor | None) -> Patches:
    """All points of each item as one patch."""
    batch, count = points.shape[:2]
    array = _numpy(points)
    if slots is not None:
        group = np.zeros(batch, np.int64)
        lists = 1
    else:
        orders = [_curve_order(item) for item in array] if count else []
        slots = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *orders]))
        group = np.arange(batch)
        lists = batch
    blocks = -(-count // BLOCK)
    cloud = _Cloud(slots, torch.arange(lists + 1, device="cpu") * blocks)
    return _fill(array, Gathering.of(np.arange(batch), group, _identity_unions(lists), cloud))


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two tensors are one."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return one.data_ptr() == other.data_ptr() and one.stride() == other.stride()


def _rows(points: Tensor, vertices: Tensor, rows: ItemRows | None) -> tuple[Array, Array]:
    """Row of the points and row of the mesh of each item; without ``rows`` item k is row k of both."""
    if rows is None:
        own = np.arange(len(points))
        return own, own
    check_rows(points, vertices, rows)
    return _numpy(rows.points), _numpy(rows.mesh)


class _Asked(NamedTuple):
    """A query as the kernels take it: points in blocks, rows of E items, and which points are wanted."""

    patches: Patches
    row_q: Array
    row_t: Array
    mask: Array

    @classmethod
    def of(cls, query: Query, vertices: Tensor, patches: Patches | None = None) -> _Asked:
        row_q, row_t = _rows(query.points, vertices, query.rows)
        if patches is None:
            patches = _cloud_patches(query.points, query.slots)
            _mend(patches)
        wanted = query.wanted
        mask = np.ones((len(row_q), query.shape[1]), np.bool_) if wanted is None else _numpy(wanted)
        return cls(patches, row_q, row_t, mask)

    @property
    def blocks(self) -> int:
        """Blocks of queries of one item."""
        return -(-self.mask.shape[1] // BLOCK)

    @property
    def units(self) -> int:
        """Blocks of queries of all items: what is shared out to threads."""
        return len(self.row_q) * self.blocks

    def empty(self, *more: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*self.mask.shape, *more, dtype=dtype, device="cpu")


def _mend(patches: Patches) -> None:
    """Keep queries that are not finite from spoiling the boxes of their neighbours."""
    for b in np.flatnonzero(np.logical_not(patches.finite)):
        nv.mend_blocks(patches.x, patches.ids, patches.first[b], patches.first[b + 1], patches.lo, patches.hi)


def nearest_vertex(search: VertexSearch) -> tuple[Tensor, Tensor]:
    """`reference.nearest_vertex` without gradient."""
    query, vertices = search.query, search.vertices
    queries = _cloud_patches(query.points, query.slots)
    # A mesh that is not finite is no target, so that it does not matter that its blocks are mended.
    shared = _same(query.points, vertices) and _same(query.slots, search.slots)
    targets = queries if shared else _cloud_patches(vertices, search.slots)
    _mend(queries)
    asked = _Asked.of(query, vertices, queries)
    d2, index = asked.empty(), asked.empty(dtype=torch.int64)
    outputs = (d2.numpy(), index.numpy())

    def work(u0: int, u1: int) -> None:
        nv.nearest_blocks(
            *queries[:5], *targets.layout, asked.row_q, asked.row_t, np.float32(search.limit), asked.mask,
            np.float32(search.skipped), asked.blocks, u0, u1, *outputs,
        )  # fmt: skip

    split(asked.units, work, least=16)
    return d2, index


def nearest_surface(search: SurfaceSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.nearest_surface` without gradient."""
    asked, batch = _Asked.of(search.query, search.vertices), len(search.vertices)
    verts, corners, slots = (_numpy(x) for x in (search.vertices, search.faces, search.face_slots))
    triangles = np.empty((batch, len(slots), 9), np.float32)
    lo, hi = np.empty((2, batch, 3, len(slots) // FACE_BLOCK + LANES), np.float32)
    finite = np.empty(batch, np.bool_)

    def fit(b0: int, b1: int) -> None:
        for b in range(b0, b1):
            finite[b] = sf.gather_faces(verts[b], corners, slots, triangles[b], lo[b], hi[b])

    split(batch, fit)
    d2, weights, face = asked.empty(), asked.empty(3), asked.empty(dtype=torch.int64)
    outputs = (d2.numpy(), face.numpy(), weights.numpy())

    def work(u0: int, u1: int) -> None:
        sf.surface_blocks(
            *asked.patches[:5], triangles, slots, lo, hi, finite, asked.row_q, asked.row_t,
            np.float32(search.limit), asked.mask, np.float32(search.skipped), asked.blocks, u0, u1, *outputs,
        )  # fmt: skip

    split(asked.units, work, least=8)
    return d2, face, weights


_TREES_AT_ONCE = 8  # meshes whose refitted trees are held in memory together


class _Trees(NamedTuple):
    """Trees refitted to a few meshes."""

    triangles: Array
    nodes: Array
    start: Array
    end: Array
    skip: Array
    boxes: Array
    finite: Array
    spans: Array

    @property
    def layout(self) -> tuple[Array, ...]:
        """What `winding.winding_blocks` takes."""
        return self[:7]


def _fit_trees(vertices: Tensor, meshes: Array, tree: FaceTree, boxed: bool) -> _Trees:
    verts = _numpy(vertices)
    faces, order, start, end, skip = (_numpy(t) for t in tree[:5])
    triangles = np.empty((len(meshes), len(faces), 9), np.float32)
    nodes = np.empty((len(meshes), len(start), wn.NODE), np.float32)
    spans = np.empty((len(meshes), len(start), 2, 3), np.float32)
    finite = np.empty(len(meshes), np.bool_)

    def fit(b0: int, b1: int) -> None:
        for b in range(b0, b1):
            finite[b] = wn.fit_tree(
                verts[meshes[b]], faces, order, start, end, skip, triangles[b], nodes[b], spans[b]
            )  # fmt: skip

    split(len(meshes), fit)
    everywhere = np.broadcast_to(np.array([[-np.inf], [np.inf]], np.float32), (len(meshes), 2, 3))
    boxes = np.ascontiguousarray(spans[:, 0] if boxed and len(start) else everywhere)
    return _Trees(triangles, nodes, start, end, skip, boxes, finite, spans)


def _outlines(trees: _Trees, closed: bool) -> tuple[Array, Array]:
    """Scales and outlines of closed meshes; who stands beyond those of another may still be inside."""
    count = len(trees.spans) if closed else 0
    scale = np.empty((count, 3), np.float32)
    outlines = np.empty((count, 3, wn.OUTLINE, wn.OUTLINE, 2), np.float32)

    def fit(b0: int, b1: int) -> None:
        for b in range(b0, b1):
            if trees.finite[b]:
                wn.fit_outlines(trees.start, trees.end, trees.skip, trees.spans[b], scale[b], outlines[b])

    split(count, fit)
    return scale, outlines


def _by_mesh(row_t: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Items in parts that ask about a few meshes each: items, their meshes, which of these each item takes.

    So a tree is refitted once, however many items ask about it.
    """
    order = np.argsort(row_t, kind="stable")
    meshes, item_mesh = np.unique(row_t[order], return_inverse=True)
    for m in range(0, len(meshes), _TREES_AT_ONCE):
        part = (item_mesh >= m) & (item_mesh < m + _TREES_AT_ONCE)
        yield order[part], meshes[m : m + _TREES_AT_ONCE], item_mesh[part] - m


def winding_number(search: WindingSearch) -> tuple[Tensor, Tensor]:
    """Winding numbers by "tree", "exact" or "rays", and bounds on their errors."""
    if search.method == "rays":
        return _ray_crossings(search)
    vertices = search.vertices
    asked = _Asked.of(search.query, vertices)
    out, bound = np.empty(asked.mask.shape, np.float32), np.zeros(asked.mask.shape, np.float32)
    reach = np.float32(search.beta if search.method == "tree" else 0.0)
    queries = asked.patches
    for items, meshes, mesh in _by_mesh(asked.row_t):
        trees = _fit_trees(vertices, meshes, search.tree, search.boxed)
        answers = np.empty((2, len(items), asked.mask.shape[1]), np.float32)
        these = (asked.row_q[items], mesh, asked.mask[items])

        def work(u0: int, u1: int, trees: Any = trees, these: Any = these, answers: Any = answers) -> None:
            wn.winding_blocks(
                queries.x, queries.ids, queries.first, *trees.layout, *these, reach, asked.blocks, u0, u1,
                *answers,
            )  # fmt: skip

        split(len(items) * asked.blocks, work, least=8)
        out[items], bound[items] = answers
    return torch.from_numpy(out), torch.from_numpy(bound)


def inside(search: InsideSearch) -> Tensor:
    """Return the inside test by the tree, opened for each block of queries as far as it takes to be certain.

    What lies beyond the outlines of a closed mesh is not asked for.
    """
    asked = _Asked.of(search.query, search.vertices)
    out = np.empty(asked.mask.shape, np.bool_)
    queries = asked.patches
    beta = np.float32(OPEN_CLOSED if search.tree.closed else OPEN_OPEN)
    for items, meshes, mesh in _by_mesh(asked.row_t):
        trees = _fit_trees(search.vertices, meshes, search.tree, True)
        answers = np.empty((len(items), asked.mask.shape[1]), np.bool_)
        closed = search.tree.closed and len(trees.start) > 0
        layout = (*trees.layout, *_outlines(trees, closed))
        these = (asked.row_q[items], mesh, asked.mask[items], closed, beta)

        def work(u0: int, u1: int, layout: Any = layout, these: Any = these, answers: Any = answers) -> None:
            wn.inside_blocks(
                queries.x, queries.ids, queries.first, *layout, *these, asked.blocks, u0, u1, answers
            )

        split(len(items) * asked.blocks, work, least=8)
        out[items] = answers
    return torch.from_numpy(out)


_GRID = (96, 256)  # cells over y and z: a standing body is taller than it is deep


def _ray_crossings(search: WindingSearch) -> tuple[Tensor, Tensor]:
    query, boxed = search.query, search.boxed
    row_q, row_t = _rows(query.points, search.vertices, query.rows)
    wanted = np.ones((len(row_q), query.shape[1]), np.bool_) if query.wanted is None else _numpy(query.wanted)
    out = np.empty(wanted.shape, np.float32)
    queries, verts, faces = (_numpy(x) for x in (query.points, search.vertices, search.tree.faces))
    used = np.unique(faces)

    def work(e0: int, e1: int) -> None:
        starts = np.empty(_GRID[0] * _GRID[1] + 1, np.int64)
        for e in range(e0, e1):
            mesh = verts[row_t[e]]
            corners = mesh[used] if len(used) else np.zeros((1, 3), np.float32)
            if not np.isfinite(corners).all():
                out[e] = np.nan
                continue
            low, high = corners.min(0).astype(np.float64), corners.max(0).astype(np.float64)
            scale = np.array(_GRID) / np.maximum(high - low, 1e-12)[1:]
            items = rc.bin_faces(mesh, faces, low[1:], scale, _GRID, starts)
            x_range = (low[0], high[0]) if boxed else (-np.inf, np.inf)
            rc.count_crossings(
                queries[row_q[e]], wanted[e], mesh, faces, x_range, low[1:], scale, _GRID, starts, items,
                out[e],
            )  # fmt: skip

    split(len(row_q), work)
    return torch.from_numpy(out), torch.zeros(out.shape, dtype=torch.float32, device="cpu")


def _first_occurrences(patches: Patches, verts: Tensor) -> Array:
    bits = np.empty(len(patches.ids) // LANES, np.int32)
    sm.first_occurrences(patches.ids, patches.first, np.full(verts.shape[1], -1, np.int64), bits)
    return bits


def region_soft_min(soft: SoftSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_soft_min` without gradient; also the hard minima and the sums, for the gradient."""
    edges = Edges.of(soft.search)
    a, patch_a, b, patch_b = edges
    found, least, sums = (torch.empty(len(patch_a), dtype=torch.float32, device="cpu") for _ in range(3))
    outputs = (found.numpy(), least.numpy(), sums.numpy())
    bodies = soft.search.bodies
    bits_a, bits_b = _first_occurrences(a, bodies.a), _first_occurrences(b, bodies.b)

    def work(k0: int, k1: int) -> None:
        sm.soft_edges(
            *a.layout, patch_a, bits_a, *b.layout, patch_b, bits_b, np.float32(soft.temperature),
            edges.scratch, k0, k1, *outputs,
        )  # fmt: skip

    split(len(patch_a), work, least=2)
    return found, least, sums


def region_soft_min_gradient(asked: SoftGradient) -> tuple[Tensor, Tensor]:
    """Gradients of `region_soft_min` with respect to both vertex tensors, times ``gradient (K,)``."""
    (soft, least, sums), gradient = asked
    a, patch_a, b, patch_b = Edges.of(soft.search)
    bodies = soft.search.bodies
    bits_a, bits_b = _first_occurrences(a, bodies.a), _first_occurrences(b, bodies.b)
    grad_a, grad_b = np.zeros_like(a.x), np.zeros_like(b.x)
    sm.soft_rows_gradient(
        *a[:5], patch_a, bits_a, *b[:5], patch_b, bits_b, np.float32(soft.temperature),
        _numpy(least), _numpy(sums), _numpy(gradient), grad_a, grad_b,
    )  # fmt: skip
    out_a, out_b = _zeros(bodies.a), _zeros(bodies.b)
    sm.scatter_patches(grad_a, a.ids, a.row, a.first, out_a.numpy())
    sm.scatter_patches(grad_b, b.ids, b.row, b.first, out_b.numpy())
    return out_a, out_b


def _zeros(like: Tensor) -> Tensor:
    """Zeros from the system's fresh pages: a large fill by torch starts torch's threads."""
    return torch.from_numpy(np.zeros(tuple(like.shape), np.float32))


def edge_gradient(asked: EdgeGradient) -> tuple[Tensor, Tensor]:
    """``2 g (a - b)`` to the first vertex of each edge and its opposite to the second."""
    bodies, *ends = asked.found
    grad_a = _zeros(bodies.a)
    grad_b = grad_a if bodies.second is None else _zeros(bodies.second)
    arrays = (_numpy(t) for t in (bodies.a, bodies.b, *ends, asked.gradient))
    gr.edge_gradient(*arrays, grad_a.numpy(), grad_b.numpy())
    return grad_a, bodies.a.new_zeros(0) if bodies.second is None else grad_b


def nearest_gradient(asked: VertexGradient) -> tuple[Tensor, Tensor]:
    """``2 g (point - vertex)`` to each point, its opposite to its nearest vertex."""
    points, vertices, rows, index = asked.near
    grads = _zeros(points), _zeros(vertices)
    arrays = (_numpy(t) for t in (points, vertices, index, asked.gradient))
    inputs = [*arrays, *_rows(points, vertices, rows)]

    def work(e0: int, e1: int) -> None:
        gr.nearest_gradient(*inputs, e0, e1, *(x.numpy() for x in grads))

    # Items may share rows, so that their gradients must be added in order: by one thread.
    split(len(index), work, least=2 if rows is None else max(1, len(index)))
    return grads


def surface_gradient(asked: SurfaceGradient) -> tuple[Tensor, Tensor]:
    """``2 g (point - surface point)`` to each point, its opposite to the corners by their weights."""
    points, vertices, rows, face, weights, faces = asked.near
    grads = _zeros(points), _zeros(vertices)
    arrays = (_numpy(t) for t in (points, vertices, faces, face, weights, asked.gradient))
    inputs = [*arrays, *_rows(points, vertices, rows)]

    def work(e0: int, e1: int) -> None:
        gr.surface_gradient(*inputs, e0, e1, *(x.numpy() for x in grads))

    split(len(face), work, least=2 if rows is None else max(1, len(face)))
    return grads
