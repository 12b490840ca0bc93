"""The cpu back end as torch sees it: tensors in, tensors out, work split over threads. No gradients here."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.kernels.cpu import gradients as gr
from apu_losses.kernels.cpu import nearest as nv
from apu_losses.kernels.cpu import rays as rc
from apu_losses.kernels.cpu import region_min as rm
from apu_losses.kernels.cpu import soft_min as sm
from apu_losses.kernels.cpu import surface as sf
from apu_losses.kernels.cpu import winding as wn
from apu_losses.kernels.cpu.pool import split
from apu_losses.kernels.cpu.simd import LANES
from apu_losses.kernels.topology import BLOCK, FACE_BLOCK, MeshTopology, RegionIndex

Array = NDArray[Any]


def _numpy(x: Tensor) -> Array:
    array: Array = x.detach().contiguous().numpy()
    return array


class Patches(NamedTuple):
    """Vertex groups of bodies, gathered into blocks: what `region_min.edges_minimum` takes for one side."""

    x: Array
    ids: Array
    lo: Array
    hi: Array
    first: Array
    finite: Array
    row: Array

    @property
    def layout(self) -> tuple[Array, ...]:
        """What the kernels take for one side."""
        return self[:6]

    @property
    def most_blocks(self) -> int:
        return int(np.diff(self.first).max(initial=1))


def _fill(
    vertices: Array,
    row: Array,
    group: Array,
    unions: tuple[Array, Array],
    regions: RegionIndex | _Cloud,
) -> Patches:
    blocks, slots = _numpy(regions.block_offsets), _numpy(regions.slots)
    first = np.empty(len(row) + 1, np.int64)
    rm.measure_patches(group, unions[0], unions[1], blocks, first)
    total = int(first[-1])
    x = np.empty((3, total * LANES), np.float32)
    ids = np.empty(total * LANES, np.int64)
    lo, hi = np.empty((2, 3, total + LANES), np.float32)
    finite = np.empty(len(row), np.bool_)

    def work(p0: int, p1: int) -> None:
        rm.fill_patches(
            vertices, row, group, *unions, blocks, slots, first, p0, p1, x, ids, lo, hi, finite
        )  # fmt: skip

    split(len(row), work, least=200)
    if not len(row):
        work(0, 0)
    return Patches(x, ids, lo, hi, first, finite, row)


def _identity_unions(count: int) -> tuple[Array, Array]:
    return np.arange(count + 1), np.arange(count)


_TABLE = 1 << 16  # (row, group) pairs up to which a table is faster than sorting


def _patches_of_edges(
    name: str, vertices: Array, row: Array, group: Array, unions: tuple[Array, Array], regions: RegionIndex
) -> tuple[Patches, Array]:
    """Gather each (row, group) that the edges name once; the patch number of each edge."""
    groups = len(unions[0]) - 1
    wrong = (row < 0) | (row >= len(vertices)) | (group < 0) | (group >= groups)
    if wrong.any():
        raise ValueError(
            f"pairs.row_{name}, pairs.group_{name}: expected rows in [0, {len(vertices)}) and groups in "
            f"[0, {groups}), got rows {row.min()}..{row.max()} and groups {group.min()}..{group.max()}"
        )
    if len(vertices) * groups > _TABLE:
        key, patch = np.unique(row * groups + group, return_inverse=True)
        return _fill(vertices, key // groups, key % groups, unions, regions), patch
    known = np.full(len(vertices) * groups, -1, np.int64)
    patch, patch_row, patch_group = np.empty((3, len(row)), np.int64)
    count = rm.number_patches(row, group, groups, known, patch, patch_row, patch_group)
    return _fill(vertices, patch_row[:count], patch_group[:count], unions, regions), patch


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
    count = len(patch_a)
    d2 = torch.empty(count)
    index_a, index_b = (torch.empty(count, dtype=torch.int64) for _ in range(2))
    outputs = (d2.numpy(), index_a.numpy(), index_b.numpy())
    scratch = _scratch(a, b)

    def work(k0: int, k1: int) -> None:
        rm.edges_minimum(
            *a.layout, patch_a, *b.layout, patch_b, np.float32(math.inf), scratch, k0, k1, *outputs
        )  # fmt: skip

    split(count, work, least=8)
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
        lists = _identity_unions(len(regions)) if unions is None else (_numpy(unions[0]), _numpy(unions[1]))
        sides.append(_patches_of_edges(name, _numpy(verts), _numpy(row), _numpy(group), lists, regions))
    return sides


def _scratch(a: Patches, b: Patches) -> int:
    return a.most_blocks * (-(-b.most_blocks // LANES) * LANES)


def _all_patches(verts: Tensor, regions: RegionIndex) -> Patches:
    batch, count = len(verts), len(regions)
    row, group = np.repeat(np.arange(batch), count), np.tile(np.arange(count), batch)
    return _fill(_numpy(verts), row, group, _identity_unions(count), regions)


def region_matrix(
    verts_a: Tensor, verts_b: Tensor, regions_a: RegionIndex, regions_b: RegionIndex, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    a, b = _all_patches(verts_a, regions_a), _all_patches(verts_b, regions_b)
    batch, count_a, count_b = len(verts_a), len(regions_a), len(regions_b)
    d2 = torch.empty(batch, count_a, count_b)
    index_a, index_b = (torch.empty(batch, count_a, count_b, dtype=torch.int64) for _ in range(2))
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
    cloud = _Cloud(slots, torch.arange(lists + 1) * blocks)
    return _fill(array, np.arange(batch), group, _identity_unions(lists), cloud)


def _mask(points: Tensor, wanted: Tensor | None) -> Array:
    return np.ones(points.shape[:2], np.bool_) if wanted is None else _numpy(wanted)


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
) -> tuple[Tensor, Tensor]:
    """`reference.nearest_vertex` without gradient; points not ``wanted (B, Q)`` are ``skipped`` and -1."""
    batch, count = points.shape[:2]
    targets = _cloud_patches(vertices, vertex_slots)
    queries = _cloud_patches(points, point_slots)
    _mend(queries)
    d2 = torch.empty(batch, count)
    index = torch.empty(batch, count, dtype=torch.int64)
    mask = _mask(points, wanted)
    blocks = -(-count // BLOCK)
    outputs = (d2.numpy(), index.numpy())

    def work(u0: int, u1: int) -> None:
        nv.nearest_blocks(
            *queries[:5],
            *targets.layout,
            np.float32(limit),
            mask,
            np.float32(skipped),
            blocks,
            u0,
            u1,
            *outputs,
        )

    split(batch * blocks, work, least=16)
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
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.nearest_surface` without gradient; points not ``wanted (B, Q)`` are ``skipped`` and -1."""
    batch, count = points.shape[:2]
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
    d2, weights = torch.empty(batch, count), torch.empty(batch, count, 3)
    face = torch.empty(batch, count, dtype=torch.int64)
    mask = _mask(points, wanted)
    blocks = -(-count // BLOCK)
    outputs = (d2.numpy(), face.numpy(), weights.numpy())

    def work(u0: int, u1: int) -> None:
        sf.surface_blocks(
            *queries[:5], triangles, slots, lo, hi, finite, np.float32(limit), mask, np.float32(skipped),
            blocks, u0, u1, *outputs,
        )  # fmt: skip

    split(batch * blocks, work, least=8)
    return d2, face, weights


_TREES_AT_ONCE = 8  # items whose refitted trees are held in memory together


def winding_number(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    method: str,
    beta: float,
    point_slots: Tensor | None,
    boxed: bool,
) -> Tensor:
    """Winding numbers by "tree", "exact" or "rays"; ``boxed``: zero outside the bounding box of the mesh."""
    out = torch.empty(points.shape[:2])
    if method == "rays":
        _ray_crossings(points, vertices, topology, boxed, out.numpy())
        return out
    reach = np.float32(beta if method == "tree" else 0.0)
    for b in range(0, len(points), _TREES_AT_ONCE):
        part = slice(b, b + _TREES_AT_ONCE)
        _winding(points[part], vertices[part], topology, reach, point_slots, boxed, out[part].numpy())
    return out


def _winding(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    beta: np.float32,
    point_slots: Tensor | None,
    boxed: bool,
    out: Array,
) -> None:
    batch, count = points.shape[:2]
    queries = _cloud_patches(points, point_slots)
    _mend(queries)
    verts, faces = _numpy(vertices), _numpy(topology.faces)
    order, start, end, skip = (
        _numpy(t) for t in (topology.face_order, topology.node_start, topology.node_end, topology.node_skip)
    )
    triangles = np.empty((batch, len(faces), 9), np.float32)
    nodes = np.empty((batch, len(start), 7), np.float32)
    areas = np.empty((batch, len(start)), np.float32)
    boxes = np.empty((batch, 2, 3), np.float32)
    finite = np.empty(batch, np.bool_)

    def fit(b0: int, b1: int) -> None:
        for b in range(b0, b1):
            finite[b] = wn.fit_tree(
                verts[b], faces, order, start, end, skip, triangles[b], nodes[b], areas[b], boxes[b]
            )  # fmt: skip

    split(batch, fit)
    if not boxed:
        boxes[:, 0], boxes[:, 1] = -np.inf, np.inf
    blocks = -(-count // BLOCK)

    def work(u0: int, u1: int) -> None:
        wn.winding_blocks(
            queries.x, queries.ids, queries.first, triangles, nodes, start, end, skip, boxes, finite, beta,
            blocks, u0, u1, out,
        )  # fmt: skip

    split(batch * blocks, work, least=8)


_GRID = (96, 256)  # cells over y and z: a standing body is taller than it is deep


def _ray_crossings(points: Tensor, vertices: Tensor, topology: MeshTopology, boxed: bool, out: Array) -> None:
    queries, verts, faces = _numpy(points), _numpy(vertices), _numpy(topology.faces)
    used = np.unique(faces)

    def work(b0: int, b1: int) -> None:
        starts = np.empty(_GRID[0] * _GRID[1] + 1, np.int64)
        for b in range(b0, b1):
            corners = verts[b, used] if len(used) else np.zeros((1, 3), np.float32)
            if not np.isfinite(corners).all():
                out[b] = np.nan
                continue
            low, high = corners.min(0).astype(np.float64), corners.max(0).astype(np.float64)
            scale = np.array(_GRID) / np.maximum(high - low, 1e-12)[1:]
            items = rc.bin_faces(verts[b], faces, low[1:], scale, _GRID, starts)
            x_range = (low[0], high[0]) if boxed else (-np.inf, np.inf)
            rc.count_crossings(
                queries[b], verts[b], faces, x_range, low[1:], scale, _GRID, starts, items, out[b]
            )  # fmt: skip

    split(len(queries), work)


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
    soft, least, sums = (torch.empty(len(patch_a)) for _ in range(3))
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
    points: Tensor, vertices: Tensor, index: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """``2 g (point - vertex)`` to each point, its opposite to its nearest vertex."""
    grads = _zeros(points), _zeros(vertices)
    inputs = [_numpy(t) for t in (points, vertices, index, gradient)]
    split(
        len(points), lambda b0, b1: gr.nearest_gradient(*inputs, b0, b1, *(x.numpy() for x in grads)), least=2
    )
    return grads


def surface_gradient(
    points: Tensor, vertices: Tensor, faces: Tensor, face: Tensor, weights: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """``2 g (point - surface point)`` to each point, its opposite to the corners by their weights."""
    grads = _zeros(points), _zeros(vertices)
    inputs = [_numpy(t) for t in (points, vertices, faces, face, weights, gradient)]
    split(
        len(points), lambda b0, b1: gr.surface_gradient(*inputs, b0, b1, *(x.numpy() for x in grads)), least=2
    )
    return grads
