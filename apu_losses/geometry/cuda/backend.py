"""The cuda back end as torch sees it: tensors in, tensors out, few launches for an operator.

Tile sizes are fixed: autotuning would make the first calls slow and their choice depend on the machine's
load.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry import reference
from apu_losses.geometry import torch_backend as blocks
from apu_losses.geometry.cuda.common import finite_kernel
from apu_losses.geometry.cuda.nearest_kernels import face_tiles_kernel, nearest_kernel, surface_kernel
from apu_losses.geometry.cuda.region_kernels import (
    edge_gradient_kernel,
    least_part_kernel,
    region_min_kernel,
    region_nearest_kernel,
)
from apu_losses.geometry.cuda.soft_kernels import soft_gradient_kernel, soft_join_kernel, soft_min_kernel
from apu_losses.geometry.cuda.winding_kernels import (
    fit_nodes_kernel,
    inside_kernel,
    join_units_kernel,
    winding_kernel,
)
from apu_losses.geometry.scatter import accumulate
from apu_losses.geometry.topology import LEAF_FACES, MeshTopology, RegionIndex
from apu_losses.geometry.torch_backend import Rows

# Gradients to nearest points are a few torch operations on as many rows as there are vertices.
nearest_gradient = blocks.nearest_gradient
surface_gradient = blocks.surface_gradient

# Tiles and warps of each kernel; `benchmarks/kernels_cuda.py --sweep` times others.
CONFIG: dict[str, dict[str, int]] = {
    "region_min": {"BM": 32, "BN": 32, "num_warps": 4},
    "region_nearest": {"BM": 32, "BN": 32, "num_warps": 4},
    "edge_gradient": {"BM": 32, "BN": 64, "num_warps": 4},
    "soft_min": {"BM": 32, "BN": 32, "num_warps": 4},
    "soft_gradient": {"BM": 32, "BN": 32, "num_warps": 4},
    "nearest": {"BM": 32, "BN": 32, "num_warps": 4},
    "finite": {"BN": 4096, "num_warps": 8},
    "surface": {"BM": 32, "BN": 32, "SCAN": 128, "num_warps": 4},
    "fit_nodes": {"SMALL": 32, "UNIT": 128, "num_warps": 1},
    "join_units": {"UNIT": 128, "BU": 128, "EACH": 16, "num_warps": 4},
    "winding": {"BM": 32, "LEAF": LEAF_FACES, "num_warps": 1},
    "inside": {"BM": 32, "LEAF": LEAF_FACES, "num_warps": 1},
}

_PROGRAMS = 1 << 14  # about eight for each place that a large GPU has
_FEW_EDGES = 1 << 12  # every end meets every other


def _launch(name: str) -> dict[str, Any]:
    return {**CONFIG[name], "enable_fp_fusion": False}


def _programs(name: str, slots: Tensor) -> int:
    """Programs that answer ``slots`` queries."""
    return -(-len(slots) // CONFIG[name]["BM"])


def _parts(edges: int) -> int:
    """Programs that share one edge: a GPU wants thousands of them, and 30 edges have few."""
    return 1 << max(0, min(4, (_PROGRAMS // max(1, edges)).bit_length() - 1))


def _region_min(
    a: Tensor,
    b: Tensor,
    edges: tuple[Tensor, ...] | None,
    count: int,
    regions: tuple[RegionIndex, RegionIndex],
    unions: tuple[Tensor, Tensor] | None,
    limit: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Minima along ``edges`` (rows and groups), or of all regions against all where there are none."""
    d2 = a.new_empty(count)
    index_a, index_b = (torch.empty(count, dtype=torch.int64, device=a.device) for _ in range(2))
    if not count:
        return d2, index_a, index_b
    ra, rb = regions
    parts = _parts(count)
    part_d2 = d2 if parts == 1 else a.new_empty(count, parts)
    part_key = index_a if parts == 1 else index_a.new_empty(count, parts)
    groups = (len(ra), len(rb)) if unions is None else (len(unions[0]) - 1,) * 2
    # What is absent is never read, but a pointer it must be.
    region_min_kernel[(count, parts)](
        a, b, *(edges or (ra.offsets,) * 4), *(unions or (ra.offsets,) * 2), ra.offsets, ra.vertex_ids,
        rb.offsets, rb.vertex_ids, d2, index_a, index_b, part_d2, part_key,
        a.shape[1], b.shape[1], len(a), len(b), *groups, limit,
        PARTS=parts, DENSE=edges is None, HAS_UNIONS=unions is not None, **_launch("region_min"),
    )  # fmt: skip
    if parts > 1:
        least_part_kernel[(-(-count // 64),)](
            part_d2, part_key, d2, index_a, index_b, count, b.shape[1], limit,
            BM=64, PARTS=parts, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return d2, index_a, index_b


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
    """`reference.region_min` without gradient; an edge that names no row or group gives NaN and -1."""
    a, b = verts_a.contiguous(), verts_b.contiguous()
    edges = tuple(t.contiguous() for t in (row_a, row_b, group_a, group_b))
    count = len(row_a) if len(a) and len(b) else 0
    lists = None if unions is None else (unions[0].contiguous(), unions[1].contiguous())
    return _region_min(a, b, edges, count, (regions_a, regions_b), lists, math.inf)


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
    """`reference.region_nearest` without gradient; groups are regions, see `PairLayout`.

    An edge that names no row gives NaN and -1.
    """
    d2 = verts_a.new_empty(count)
    index_a, index_b = (torch.empty(count, dtype=torch.int64, device=d2.device) for _ in range(2))
    if not count:
        return d2, index_a, index_b
    a, b = (
        (v.contiguous(), row.contiguous(), group.contiguous(), r.offsets, r.vertex_ids, index)
        for v, row, group, r, index in (
            (verts_a, row_a, group_a, regions_a, index_a),
            (verts_b, row_b, group_b, regions_b, index_b),
        )
    )
    parts = _parts(len(row_a))
    second = first + regions_a.offsets.diff()[group_a]
    for (q, row_q, group_q, offsets_q, ids_q, out_q), (t, row_t, group_t, offsets_t, ids_t, out_t), start in (
        (a, b, first.contiguous()),
        (b, a, second),
    ):
        region_nearest_kernel[(len(row_a), parts)](
            q, t, row_q, row_t, group_q, group_t, offsets_q, ids_q, offsets_t, ids_t, start,
            d2, out_q, out_t, q.shape[1], t.shape[1], len(q), len(t),
            PARTS=parts, **_launch("region_nearest"),
        )  # fmt: skip
    return d2, index_a, index_b


def region_matrix(
    verts_a: Tensor, verts_b: Tensor, regions_a: RegionIndex, regions_b: RegionIndex, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    shape = (len(verts_a), len(regions_a), len(regions_b))
    a, b = verts_a.contiguous(), verts_b.contiguous()
    regions = regions_a, regions_b
    d2, index_a, index_b = _region_min(a, b, None, math.prod(shape), regions, None, float(limit))
    return d2.view(shape), index_a.view(shape), index_b.view(shape)


def edge_gradient(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    index_a: Tensor,
    index_b: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    """`blocks.edge_gradient` in one launch for few edges; sorting is faster for many."""
    edges = len(row_a)
    if edges > _FEW_EDGES:
        return blocks.edge_gradient(verts_a, verts_b, row_a, row_b, index_a, index_b, gradient)
    a = verts_a.contiguous()
    b = a if verts_b is None else verts_b.contiguous()
    grad_a = torch.zeros_like(a)
    grad_b = grad_a if verts_b is None else torch.zeros_like(b)
    if edges and a.numel() and b.numel():
        ends = [t.contiguous() for t in (row_a, row_b, index_a, index_b, gradient)]
        edge_gradient_kernel[(-(-2 * edges // CONFIG["edge_gradient"]["BM"]),)](
            a, b, *ends, grad_a, grad_b, edges, a.shape[1], b.shape[1],
            SAME=verts_b is None, **_launch("edge_gradient"),
        )  # fmt: skip
    return grad_a, a.new_zeros(0) if verts_b is None else grad_b


def _plain_lists(
    regions: RegionIndex, group: Tensor, unions: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Each group as one list of vertices without repeats, CSR."""
    if unions is None:
        return regions.offsets, regions.vertex_ids
    own = (regions.offsets, regions.vertex_ids)
    lists = [reference.group_vertices(g, *own, unions) for g in range(len(unions[0]) - 1)]
    sizes = torch.tensor([0, *(len(x) for x in lists)], device=group.device, dtype=torch.int64)
    return sizes.cumsum(0), torch.cat([*lists, regions.vertex_ids[:0]])


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
    blocks.check_edges(verts_a, verts_b, row_a, row_b, group_a, group_b, regions_a, regions_b, unions)
    a, b = verts_a.contiguous(), verts_b.contiguous()
    edges = [t.contiguous() for t in (row_a, row_b, group_a, group_b)]
    lists = (*_plain_lists(regions_a, group_a, unions), *_plain_lists(regions_b, group_b, unions))
    soft, least, sums = (a.new_empty(len(row_a)) for _ in range(3))
    edge_count = len(row_a)
    if edge_count:
        parts = _parts(edge_count)
        share = a.new_empty(2, edge_count, parts)
        soft_min_kernel[(edge_count, parts)](
            a, b, *edges, *lists, *share, a.shape[1], b.shape[1], float(temperature), **_launch("soft_min")
        )
        soft_join_kernel[(-(-edge_count // 64),)](
            *share, soft, least, sums, edge_count, float(temperature),
            BM=64, PARTS=parts, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
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
    """Gradients of `region_soft_min`: each edge into its own buffer, the buffers added in order."""
    scalars = [t.contiguous() for t in (least, sums, gradient)]
    sides = [
        (verts_a, row_a, group_a, *_plain_lists(regions_a, group_a, unions)),
        (verts_b, row_b, group_b, *_plain_lists(regions_b, group_b, unions)),
    ]
    grads = []
    for (v, row, group, offsets, ids), (w, row_w, group_w, offsets_w, ids_w) in (sides, sides[::-1]):
        out = torch.zeros_like(v, memory_format=torch.contiguous_format)
        sizes = offsets.diff()[group]
        total = int(sizes.sum()) if len(sizes) else 0
        if total:
            first = sizes.cumsum(0) - sizes
            buffer = v.new_empty(total, 3)
            tiles = -(-int(sizes.max()) // CONFIG["soft_gradient"]["BM"])
            soft_gradient_kernel[(len(row), tiles)](
                v.contiguous(), w.contiguous(), row.contiguous(), row_w.contiguous(), group.contiguous(),
                group_w.contiguous(), offsets, ids, offsets_w, ids_w, *scalars, first, buffer,
                v.shape[1], w.shape[1], float(temperature), **_launch("soft_gradient"),
            )  # fmt: skip
            owner = torch.repeat_interleave(torch.arange(len(sizes), device=v.device), sizes)
            within = torch.arange(total, device=v.device) - first[owner]
            at = row[owner] * v.shape[1] + ids[offsets[group][owner] + within]
            accumulate(out.view(-1, 3), at, buffer)
        grads.append(out)
    return grads[0], grads[1]


def _query_slots(points: Tensor, slots: Tensor | None) -> Tensor:
    return torch.arange(points.shape[1], device=points.device) if slots is None else slots


def _finite(values: Tensor) -> Tensor:
    """Which items of ``values (B, ...)`` are finite throughout: int32 ``(B,)``."""
    out = torch.empty(len(values), dtype=torch.int32, device=values.device)
    if len(values):
        finite_kernel[(len(values),)](values, out, values[0].numel(), **_launch("finite"))
    return out


def _items(points: Tensor, rows: Rows) -> int:
    return len(points) if rows is None else len(rows[0])


def _row_arguments(rows: Rows, wanted: Tensor | None, unused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pointers to rows and mask; what is absent is never read, but a pointer it must be."""
    row_q, row_m = (unused, unused) if rows is None else (rows[0].contiguous(), rows[1].contiguous())
    return row_q, row_m, unused if wanted is None else wanted.contiguous().view(torch.uint8)


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
    """`reference.nearest_vertex` without gradient; points not ``wanted (E, Q)`` are ``skipped`` and -1.

    An item that names no row gives NaN and -1.
    """
    p, v = points.contiguous(), vertices.contiguous()
    items, queries = _items(p, rows), p.shape[1]
    slots = _query_slots(p, point_slots)
    finite = _finite(v)
    d2 = p.new_empty(items, queries)
    index = torch.empty(items, queries, dtype=torch.int64, device=p.device)
    if items and queries and len(v):
        nearest_kernel[(_programs("nearest", slots), items)](
            p, v, slots, *_row_arguments(rows, wanted, slots), finite, d2, index,
            queries, len(slots), v.shape[1], len(p), len(v), float(limit), float(skipped),
            HAS_ROWS=rows is not None, HAS_WANTED=wanted is not None, **_launch("nearest"),
        )  # fmt: skip
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
    """`reference.nearest_surface` without gradient; points not ``wanted (E, Q)`` are ``skipped`` and -1.

    An item that names no row gives NaN and -1.
    """
    p = points.contiguous()
    items, queries, meshes = _items(p, rows), p.shape[1], len(vertices)
    slots = _query_slots(p, point_slots)
    d2, weights = p.new_empty(items, queries), p.new_empty(items, queries, 3)
    face = torch.empty(items, queries, dtype=torch.int64, device=p.device)
    if not items or not queries or not meshes:
        return d2, face, weights
    # Whole tiles of faces in block order; the last is filled by repeating a face.
    wide = CONFIG["surface"]["BN"]
    order = torch.cat([face_slots, face_slots[-1:].expand(-len(face_slots) % wide)])
    tiles = len(order) // wide
    v = vertices.contiguous()
    corners, boxes = v.new_empty(meshes, max(1, len(order)), 9), v.new_empty(meshes, max(1, tiles), 6)
    if tiles:
        face_tiles_kernel[(tiles, meshes)](
            v, faces, order, corners, boxes, v.shape[1], tiles, BN=wide, num_warps=1, enable_fp_fusion=False
        )
    finite = _finite(boxes) if tiles else torch.ones(meshes, dtype=torch.int32, device=p.device)
    surface_kernel[(_programs("surface", slots), items)](
        p, corners, slots, order, boxes, *_row_arguments(rows, wanted, slots), finite, d2, face, weights,
        queries, len(slots), tiles, len(p), meshes, float(limit), float(skipped),
        HAS_ROWS=rows is not None, HAS_WANTED=wanted is not None, **_launch("surface"),
    )  # fmt: skip
    return d2, face, weights


class _Trees(NamedTuple):
    """Trees refitted to the meshes, as the kernels take them."""

    triangles: Tensor
    nodes: Tensor
    start: Tensor
    end: Tensor
    skip: Tensor
    boxes: Tensor
    finite: Tensor


def _fit_trees(vertices: Tensor, topology: MeshTopology) -> _Trees:
    v = vertices.contiguous()
    meshes, faces, nodes = len(v), len(topology.faces), len(topology.node_start)
    units = faces // (CONFIG["fit_nodes"]["UNIT"] // 2) + 1
    triangles = v.new_empty(meshes, max(1, faces), 9)
    # Places of units that there are not stay zero, and a node of no faces counts for nothing.
    fitted, spans = v.new_zeros(meshes, nodes + units, 16), v.new_empty(meshes, units, 8)
    boxes = v.new_zeros(meshes, 2, 3)
    finite = torch.ones(meshes, dtype=torch.int32, device=v.device)
    tree = (topology.node_start, topology.node_end, topology.node_skip)
    if nodes:
        fit_nodes_kernel[(nodes, meshes)](
            v, topology.faces, topology.face_order, *tree, triangles, fitted, spans,
            v.shape[1], faces, nodes, nodes + units, **_launch("fit_nodes"),
        )  # fmt: skip
        join_units_kernel[(-(-nodes // CONFIG["join_units"]["EACH"]), meshes)](
            *tree[:2], fitted, spans, boxes, finite, nodes, nodes + units, **_launch("join_units")
        )
    return _Trees(triangles, fitted, *tree, boxes, finite)


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
    """Winding numbers by "tree", "exact" or "rays" (in PyTorch), and bounds; ``boxed``: zero outside the box.

    Points that are not ``wanted (E, Q)`` are zero; an item that names no row is NaN.
    """
    if method == "rays":
        return blocks.winding_number(
            points, vertices, topology, method, beta, point_slots, boxed, wanted, rows
        )
    p = points.contiguous()
    items, queries = _items(p, rows), p.shape[1]
    slots = _query_slots(p, point_slots)
    out, bound = p.new_empty(items, queries), p.new_empty(items, queries)
    if items and queries and len(vertices):
        trees = _fit_trees(vertices, topology)
        winding_kernel[(_programs("winding", slots), items)](
            p, *trees, slots, *_row_arguments(rows, wanted, slots), out, bound,
            queries, len(slots), len(topology.faces), len(topology.node_start), trees.nodes.shape[1],
            len(p), len(vertices), float(beta), EXACT=method == "exact", BOXED=boxed,
            HAS_ROWS=rows is not None, HAS_WANTED=wanted is not None, **_launch("winding"),
        )  # fmt: skip
    return out, bound


def inside(
    points: Tensor,
    vertices: Tensor,
    topology: MeshTopology,
    point_slots: Tensor | None,
    wanted: Tensor | None = None,
    rows: Rows = None,
) -> Tensor:
    """The inside test by the tree, opened as far as it takes to be certain; no row, not inside."""
    p = points.contiguous()
    items, queries = _items(p, rows), p.shape[1]
    slots = _query_slots(p, point_slots)
    out = torch.empty(items, queries, dtype=torch.bool, device=p.device)
    if items and queries and len(vertices):
        trees = _fit_trees(vertices, topology)
        low, high = (0.0, 1.0) if topology.closed else (0.5, 0.5)
        inside_kernel[(_programs("inside", slots), items)](
            p, *trees, slots, *_row_arguments(rows, wanted, slots), out.view(torch.uint8),
            queries, len(slots), len(topology.faces), len(topology.node_start), trees.nodes.shape[1],
            len(p), len(vertices), 2.0 if topology.closed else 2.5, low, high,
            HAS_ROWS=rows is not None, HAS_WANTED=wanted is not None, **_launch("inside"),
        )  # fmt: skip
    return out
