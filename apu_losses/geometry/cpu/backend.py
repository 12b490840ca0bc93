"""The cpu back end as torch sees it: tensors in, tensors out, work split over threads. No gradients here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.geometry.cpu import gradients as gr
from apu_losses.geometry.cpu import nearest as nv
from apu_losses.geometry.cpu import rays as rc
from apu_losses.geometry.cpu import region_min as rm
from apu_losses.geometry.cpu import soft_min as sm
from apu_losses.geometry.cpu import surface as sf
from apu_losses.geometry.cpu import winding as wn
from apu_losses.geometry.cpu.simd import LANES
from apu_losses.geometry.topology import BLOCK, FACE_BLOCK, MeshTopology, RegionIndex
from apu_losses.geometry.torch_backend import Rows, check_rows
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
        cls, row: Array, group: Array, unions: tuple[Array, Array], regions: RegionIndex | _Cloud
    ) -> Gathering:
        """Of group ``group[p]`` of the body ``row[p]`` for each patch p."""
        blocks, slots = _numpy(regions.block_offsets), _numpy(regions.slots)
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


class Side(NamedTuple):
    """One side of edges: its patches, and which patch each edge takes."""

    gathering: Gathering
    patch: Array


def plan_side(
    name: str, bodies: int, row: Array, group: Array, unions: tuple[Array, Array], regions: RegionIndex
) -> Side:
    """Gather each (row, group) that the edges name once, of so many bodies.

    Raises:
        ValueError: rows or groups that do not exist.
    """
    groups = len(unions[0]) - 1
    wrong = (row < 0) | (row >= bodies) | (group < 0) | (group >= groups)
    if wrong.any():
        raise ValueError(
            f"pairs.row_{name}, pairs.group_{name}: expected rows in [0, {bodies}) and groups in "
            f"[0, {groups}), got rows {row.min()}..{row.max()} and groups {group.min()}..{group.max()}"
        )
    if bodies * groups > _TABLE:
        key, patch = np.unique(row * groups + group, return_inverse=True)
        return Side(Gathering.of(key // groups, key % groups, unions, regions), patch)
    known = np.full(bodies * groups, -1, np.int64)
    patch, patch_row, patch_group = np.empty((3, len(row)), np.int64)
    count = rm.number_patches(row, group, groups, known, patch, patch_row, patch_group)
    return Side(Gathering.of(patch_row[:count], patch_group[:count], unions, regions), patch)


def unions_of(unions: tuple[Tensor, Tensor] | None, regions: RegionIndex) -> tuple[Array, Array]:
    """Unions of regions as arrays; without any, each region is one."""
    return _identity_unions(len(regions)) if unions is None else (_numpy(unions[0]), _numpy(unions[1]))


def planned_minimum(verts_a: Array, verts_b: Array, a: Side, b: Side) -> tuple[Array, Array, Array]:
    """`region_min` of arrays, with its two sides laid out."""
    return _minimum(_fill(verts_a, a.gathering), a.patch, _fill(verts_b, b.gathering), b.patch)


def _minimum(a: Patches, patch_a: Array, b: Patches, patch_b: Array) -> tuple[Array, Array, Array]:
    count, scratch = len(patch_a), _scratch(a, b)
    found = np.empty(count, np.float32), np.empty(count, np.int64), np.empty(count, np.int64)

    def work(k0: int, k1: int) -> None:
        rm.edges_minimum(
            *a.layout, patch_a, *b.layout, patch_b, np.float32(math.inf), scratch, k0, k1, *found
        )  # fmt: skip

    split(count, work, least=8)
    return found


def region_min(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_min` without gradient."""
    (a, patch_a), (b, patch_b) = _edge_patches(
        verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, unions
    )
    d2, index_a, index_b = (torch.from_numpy(x) for x in _minimum(a, patch_a, b, patch_b))
    return d2, index_a, index_b


def region_nearest(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    first: Tensor,
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_nearest` without gradient; groups are regions, see `PairLayout`."""
    (a, patch_a), (b, patch_b) = _edge_patches(
        verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, None
    )
    d2 = torch.empty(count, dtype=torch.float32, device="cpu")
    index_a, index_b = (torch.empty(count, dtype=torch.int64, device="cpu") for _ in range(2))
    lists = (_numpy(t) for r in (regions_a, regions_b) for t in (r.offsets, r.vertex_ids))
    layout = (*lists, _numpy(first), max(verts_a.shape[1], verts_b.shape[1]))
    scratch = -(-max(a.most_blocks, b.most_blocks) // LANES) * LANES

    def work(k0: int, k1: int) -> None:
        nv.nearest_of_edges(
            *a.layout, a.group, patch_a, *b.layout, b.group, patch_b, *layout, scratch, k0, k1,
            d2.numpy(), index_a.numpy(), index_b.numpy(),
        )  # fmt: skip

    split(len(patch_a), work, least=4)
    return d2, index_a, index_b


def _edge_patches(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
) -> list[tuple[Patches, Array]]:
    """Both sides of the edges: their patches, and which patch each edge takes."""
    sides = []
    for name, verts, row, group, regions in (
        ("a", verts_a, row_a, group_a, regions_a),
        ("b", verts_b, row_b, group_b, regions_b),
    ):
        lists = unions_of(unions, regions)
        side = plan_side(name, len(verts), _numpy(row), _numpy(group), lists, regions)
        sides.append((_fill(_numpy(verts), side.gathering), side.patch))
    return sides


def _scratch(a: Patches, b: Patches) -> int:
    return a.most_blocks * (-(-b.most_blocks // LANES) * LANES)


def _all_patches(verts: Tensor, regions: RegionIndex) -> Patches:
    batch, count = len(verts), len(regions)
    row, group = np.repeat(np.arange(batch), count), np.tile(np.arange(count), batch)
    return _fill(_numpy(verts), Gathering.of(row, group, _identity_unions(count), regions))


def region_matrix(
    verts_a: Tensor, verts_b: Tensor, regions_a: RegionIndex, regions_b: RegionIndex, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    a, b = _all_patches(verts_a, regions_a), _all_patches(verts_b, regions_b)
    batch, count_a, count_b = len(verts_a), len(regions_a), len(regions_b)
    d2 = torch.empty(batch, count_a, count_b, dtype=torch.float32, device="cpu")
    index_a, index_b = (
        torch.empty(batch, count_a, count_b, dtype=torch.int64, device="cpu") for _ in range(2)
    )
    outputs = tuple(t.view(batch * count_a, count_b).numpy() for t in (d2, index_a, index_b))
    scratch = _scratch(a, b)

    def work(u0: int, u1: int) -> None:
        rm.matrix_minimum(
            *a.layout, *b.layout, count_a, count_b, np.float32(limit), scratch, u0, u1, *outputs
        )

    split(batch * count_a, work, least=4)
    return d2, index_a, index_b


def _curve_order(points: Array) -> Array:
    """A quick block order of points ``(n, 3)`` for one use: along a Morton curve, padded to whole blocks."""
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


def _item_rows(points: Tensor, vertices: Tensor, rows: Rows) -> tuple[Array, Array]:
    """Row of the points and row of the mesh of each item; without ``rows`` item k is row k of both."""
    if rows is None:
        own = np.arange(len(points))
        return own, own
    check_rows(points, vertices, rows)
    return _numpy(rows[0]), _numpy(rows[1])


def _mask(items: int, queries: int, wanted: Tensor | None) -> Array:
    return np.ones((items, queries), np.bool_) if wanted is None else _numpy(wanted)


def _mend(patches: Patches) -> None:
    """Queries that are not finite must not spoil the boxes of their neighbours."""
    for b in np.flatnonzero(np.logical_not(patches.finite)):
        nv.mend_blocks(patches.x, patches.ids, patches.first[b], patches.first[b + 1], patches.lo, patches.hi)


def nearest_vertex(
    points: Tensor,
    vertices: Tensor,
    limit: float,
    point_slots: Tensor | None,
    vertex_slots: Tensor | None,
    wanted: Tensor | None = None,
    skipped: float = math.inf,
    rows: Rows = None,
) -> tuple[Tensor, Tensor]:
    """`reference.nearest_vertex` without gradient; points not ``wanted (E, Q)`` are ``skipped`` and -1."""
    count = points.shape[1]
    row_q, row_t = _item_rows(points, vertices, rows)
    queries = _cloud_patches(points, point_slots)
    # A mesh that is not finite is no target, so that it does not matter that its blocks are mended.
    shared = _same(points, vertices) and _same(point_slots, vertex_slots)
    targets = queries if shared else _cloud_patches(vertices, vertex_slots)
    _mend(queries)
    items = len(row_q)
    d2 = torch.empty(items, count, dtype=torch.float32, device="cpu")
    index = torch.empty(items, count, dtype=torch.int64, device="cpu")
    mask = _mask(items, count, wanted)
    blocks = -(-count // BLOCK)
    outputs = (d2.numpy(), index.numpy())

    def work(u0: int, u1: int) -> None:
        nv.nearest_blocks(
            *queries[:5],
            *targets.layout,
            row_q,
            row_t,
            np.float32(limit),
            mask,
            np.float32(skipped),
            blocks,
            u0,
            u1,
            *outputs,
        )

    split(items * blocks, work, least=16)
    return d2, index


def nearest_surface(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face_slots: Tensor,
    limit: float,
    point_slots: Tensor | None,
    wanted: Tensor | None = None,
    skipped: float = math.inf,
    rows: Rows = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.nearest_surface` without gradient; points not ``wanted (E, Q)`` are ``skipped`` and -1."""
    batch, count = len(vertices), points.shape[1]
    row_q, row_t = _item_rows(points, vertices, rows)
    queries = _cloud_patches(points, point_slots)
    _mend(queries)
    verts, corners, slots = _numpy(vertices), _numpy(faces), _numpy(face_slots)
    triangles = np.empty((batch, len(slots), 9), np.float32)
    lo, hi = np.empty((2, batch, 3, len(slots) // FACE_BLOCK + LANES), np.float32)
    finite = np.empty(batch, np.bool_)

    def fit(b0: int, b1: int) -> None:
        for b in range(b0, b1):
            finite[b] = sf.gather_faces(verts[b], corners, slots, triangles[b], lo[b], hi[b])

    split(batch, fit)
    items = len(row_q)
    d2, weights = (
        torch.empty(items, count, dtype=torch.float32, device="cpu"),
        torch.empty(items, count, 3, dtype=torch.float32, device="cpu"),
    )
    face = torch.empty(items, count, dtype=torch.int64, device="cpu")
    mask = _mask(items, count, wanted)
    blocks = -(-count // BLOCK)
    outputs = (d2.numpy(), face.numpy(), weights.numpy())

    def work(u0: int, u1: int) -> None:
        sf.surface_blocks(
            *queries[:5], triangles, slots, lo, hi, finite, row_q, row_t, np.float32(limit), mask,
            np.float32(skipped), blocks, u0, u1, *outputs,
        )  # fmt: skip

    split(items * blocks, work, least=8)
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


def _fit_trees(vertices: Tensor, meshes: Array, topology: MeshTopology, boxed: bool) -> _Trees:
    verts, faces = _numpy(vertices), _numpy(topology.faces)
    order, start, end, skip = (
        _numpy(t) for t in (topology.face_order, topology.node_start, topology.node_end, topology.node_skip)
    )
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


def winding_number(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    method: str,
    beta: float,
    point_slots: Tensor | None,
    boxed: bool,
    wanted: Tensor | None = None,
    rows: Rows = None,
) -> tuple[Tensor, Tensor]:
    """Winding numbers by "tree", "exact" or "rays", and bounds on their errors.

    ``boxed``: zero outside the bounding box of the mesh. Points that are not ``wanted (E, Q)`` are zero.
    """
    row_q, row_t = _item_rows(points, vertices, rows)
    mask = _mask(len(row_q), points.shape[1], wanted)
    out, bound = np.empty(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    if method == "rays":
        _ray_crossings(points, vertices, topology, boxed, row_q, row_t, mask, out)
        return torch.from_numpy(out), torch.from_numpy(bound)
    reach = np.float32(beta if method == "tree" else 0.0)
    queries = _cloud_patches(points, point_slots)
    _mend(queries)
    blocks = -(-mask.shape[1] // BLOCK)
    for items, meshes, mesh in _by_mesh(row_t):
        trees = _fit_trees(vertices, meshes, topology, boxed)
        answers = np.empty((2, len(items), mask.shape[1]), np.float32)
        asked = (row_q[items], mesh, mask[items])

        def work(u0: int, u1: int, trees: Any = trees, asked: Any = asked, answers: Any = answers) -> None:
            wn.winding_blocks(
                queries.x, queries.ids, queries.first, *trees.layout, *asked, reach, blocks, u0, u1, *answers
            )

        split(len(items) * blocks, work, least=8)
        out[items], bound[items] = answers
    return torch.from_numpy(out), torch.from_numpy(bound)


_BETA_CLOSED, _BETA_OPEN = np.float32(1.6), np.float32(2.2)  # where most queries are certain at once


def inside(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    point_slots: Tensor | None,
    wanted: Tensor | None = None,
    rows: Rows = None,
) -> Tensor:
    """The inside test by the tree, opened for each block of queries as far as it takes to be certain.

    What lies beyond the outlines of a closed mesh is not asked for.
    """
    row_q, row_t = _item_rows(points, vertices, rows)
    mask = _mask(len(row_q), points.shape[1], wanted)
    out = np.empty(mask.shape, np.bool_)
    queries = _cloud_patches(points, point_slots)
    _mend(queries)
    blocks = -(-mask.shape[1] // BLOCK)
    beta = _BETA_CLOSED if topology.closed else _BETA_OPEN
    for items, meshes, mesh in _by_mesh(row_t):
        trees = _fit_trees(vertices, meshes, topology, True)
        answers = np.empty((len(items), mask.shape[1]), np.bool_)
        closed = topology.closed and len(trees.start) > 0
        layout = (*trees.layout, *_outlines(trees, closed))
        asked = (row_q[items], mesh, mask[items], closed, beta)

        def work(u0: int, u1: int, layout: Any = layout, asked: Any = asked, answers: Any = answers) -> None:
            wn.inside_blocks(queries.x, queries.ids, queries.first, *layout, *asked, blocks, u0, u1, answers)

        split(len(items) * blocks, work, least=8)
        out[items] = answers
    return torch.from_numpy(out)


_GRID = (96, 256)  # cells over y and z: a standing body is taller than it is deep


def _ray_crossings(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    boxed: bool,
    row_q: Array,
    row_t: Array,
    wanted: Array,
    out: Array,
) -> None:
    queries, verts, faces = _numpy(points), _numpy(vertices), _numpy(topology.faces)
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


def _first_occurrences(patches: Patches, verts: Tensor) -> Array:
    bits = np.empty(len(patches.ids) // LANES, np.int32)
    sm.first_occurrences(patches.ids, patches.first, np.full(verts.shape[1], -1, np.int64), bits)
    return bits


def region_soft_min(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_soft_min` without gradient; also the hard minima and the sums, for the gradient."""
    (a, patch_a), (b, patch_b) = _edge_patches(
        verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, unions
    )
    soft, least, sums = (torch.empty(len(patch_a), dtype=torch.float32, device="cpu") for _ in range(3))
    outputs = (soft.numpy(), least.numpy(), sums.numpy())
    scratch = _scratch(a, b)
    bits = _first_occurrences(a, verts_a), _first_occurrences(b, verts_b)

    def work(k0: int, k1: int) -> None:
        sm.soft_edges(
            *a.layout, patch_a, bits[0], *b.layout, patch_b, bits[1], np.float32(temperature), scratch,
            k0, k1, *outputs,
        )  # fmt: skip

    split(len(patch_a), work, least=2)
    return soft, least, sums


def region_soft_min_gradient(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    regions_a: RegionIndex,
    regions_b: RegionIndex,
    unions: tuple[Tensor, Tensor] | None,
    temperature: float,
    least: Tensor,
    sums: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of `region_soft_min` with respect to both vertex tensors, times ``gradient (K,)``."""
    (a, patch_a), (b, patch_b) = _edge_patches(
        verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, unions
    )
    bits = _first_occurrences(a, verts_a), _first_occurrences(b, verts_b)
    grad_a, grad_b = np.zeros_like(a.x), np.zeros_like(b.x)
    sm.soft_rows_gradient(
        *a[:5], patch_a, bits[0], *b[:5], patch_b, bits[1], np.float32(temperature),
        _numpy(least), _numpy(sums), _numpy(gradient), grad_a, grad_b,
    )  # fmt: skip
    out_a, out_b = _zeros(verts_a), _zeros(verts_b)
    sm.scatter_patches(grad_a, a.ids, a.row, a.first, out_a.numpy())
    sm.scatter_patches(grad_b, b.ids, b.row, b.first, out_b.numpy())
    return out_a, out_b


def _zeros(like: Tensor) -> Tensor:
    """Zeros from the system's fresh pages: a large fill by torch starts torch's threads."""
    return torch.from_numpy(np.zeros(tuple(like.shape), np.float32))


def edge_gradient(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    index_a: Tensor,
    index_b: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """``2 g (a - b)`` to the first vertex of each edge and its opposite to the second."""
    second = verts_a if verts_b is None else verts_b
    grad_a = _zeros(verts_a)
    grad_b = grad_a if verts_b is None else _zeros(verts_b)
    edges = (_numpy(t) for t in (row_a, row_b, index_a, index_b, gradient))
    gr.edge_gradient(_numpy(verts_a), _numpy(second), *edges, grad_a.numpy(), grad_b.numpy())
    return grad_a, verts_a.new_zeros(0) if verts_b is None else grad_b


def nearest_gradient(
    points: Tensor, vertices: Tensor, index: Tensor, gradient: Tensor, rows: Rows = None
) -> tuple[Tensor, Tensor]:
    """``2 g (point - vertex)`` to each point, its opposite to its nearest vertex."""
    grads = _zeros(points), _zeros(vertices)
    inputs = [*(_numpy(t) for t in (points, vertices, index, gradient)), *_item_rows(points, vertices, rows)]

    def work(e0: int, e1: int) -> None:
        gr.nearest_gradient(*inputs, e0, e1, *(x.numpy() for x in grads))

    # Items may share rows, so that their gradients must be added in order: by one thread.
    split(len(index), work, least=2 if rows is None else max(1, len(index)))
    return grads


def surface_gradient(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face: Tensor,
    weights: Tensor,
    gradient: Tensor,
    rows: Rows = None,
) -> tuple[Tensor, Tensor]:
    """``2 g (point - surface point)`` to each point, its opposite to the corners by their weights."""
    grads = _zeros(points), _zeros(vertices)
    arrays = (_numpy(t) for t in (points, vertices, faces, face, weights, gradient))
    inputs = [*arrays, *_item_rows(points, vertices, rows)]

    def work(e0: int, e1: int) -> None:
        gr.surface_gradient(*inputs, e0, e1, *(x.numpy() for x in grads))

    split(len(face), work, least=2 if rows is None else max(1, len(face)))
    return grads
