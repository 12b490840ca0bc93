"""The cuda back end as torch sees it: tensors in, tensors out, one launch for an operator. No gradients here.

Tile sizes are fixed: autotuning would make the first calls slow and their choice depend on the machine's
load.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from apu_losses.kernels import blocks, reference
from apu_losses.kernels.blocks import Rows
from apu_losses.kernels.cuda import triton_kernels as tk
from apu_losses.kernels.scatter import accumulate
from apu_losses.kernels.topology import LEAF_FACES, MeshTopology, RegionIndex

# Gradients of the hard minima are a few torch operations on the indices; there is nothing to gain in Triton.
edge_gradient = blocks.edge_gradient
nearest_gradient = blocks.nearest_gradient
surface_gradient = blocks.surface_gradient

# Tiles and warps of each kernel; `benchmarks/kernels_cuda.py --sweep` times others.
CONFIG: dict[str, dict[str, int]] = {
    "region_min": {"BM": 32, "BN": 32, "num_warps": 4},
    "soft_min": {"BM": 32, "BN": 32, "num_warps": 4},
    "soft_gradient": {"BM": 32, "BN": 32, "num_warps": 4},
    "nearest": {"BM": 32, "BN": 32, "num_warps": 4},
    "finite": {"BN": 4096, "num_warps": 8},
    "surface": {"BM": 32, "BN": 32, "SCAN": 128, "num_warps": 4},
    "fit_nodes": {"SMALL": 32, "LARGE": 1024, "num_warps": 4},
    "winding": {"BM": 32, "LEAF": LEAF_FACES, "num_warps": 1},
    "inside": {"BM": 32, "LEAF": LEAF_FACES, "num_warps": 1},
}


def _launch(name: str) -> dict[str, Any]:
    return {**CONFIG[name], "enable_fp_fusion": False}


def _programs(name: str, slots: Tensor) -> int:
    """Programs that answer ``slots`` queries."""
    return -(-len(slots) // CONFIG[name]["BM"])


def _unions(regions: RegionIndex, unions: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    if unions is not None:
        return unions[0].contiguous(), unions[1].contiguous()
    count = torch.arange(len(regions) + 1, device=regions.offsets.device)
    return count, count[:-1]


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
    limit: float = math.inf,
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_min` without gradient; an edge that names no row or group gives NaN and -1."""
    a, b = verts_a.contiguous(), verts_b.contiguous()
    edges = [t.contiguous() for t in (row_a, row_b, group_a, group_b)]
    count = len(row_a)
    d2 = a.new_empty(count)
    index_a, index_b = (torch.empty(count, dtype=torch.int64, device=a.device) for _ in range(2))
    lists = _unions(regions_a, unions)
    if count and len(a) and len(b):
        tk.region_min_kernel[(count,)](
            a, b, *edges, *lists, regions_a.offsets, regions_a.vertex_ids,
            regions_b.offsets, regions_b.vertex_ids, d2, index_a, index_b,
            a.shape[1], b.shape[1], len(a), len(b), len(lists[0]) - 1, float(limit),
            **_launch("region_min"),
        )  # fmt: skip
    return d2, index_a, index_b


def region_matrix(
    verts_a: Tensor, verts_b: Tensor, regions_a: RegionIndex, regions_b: RegionIndex, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient: one program for each entry."""
    shape = (len(verts_a), len(regions_a), len(regions_b))
    flat = torch.arange(math.prod(shape), device=verts_a.device)
    row = flat // max(1, shape[1] * shape[2])
    group_a, group_b = flat // max(1, shape[2]) % max(1, shape[1]), flat % max(1, shape[2])
    larger = regions_a if len(regions_a) >= len(regions_b) else regions_b
    lists = _unions(larger, None)
    d2, index_a, index_b = region_min(
        verts_a, verts_b, row, row, group_a, group_b, regions_a, regions_b, lists, limit
    )
    return d2.view(shape), index_a.view(shape), index_b.view(shape)


def _plain_lists(
    regions: RegionIndex, group: Tensor, unions: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Each group as one list of vertices without repeats, CSR."""
    if unions is None:
        return regions.offsets, regions.vertex_ids
    own = (regions.offsets, regions.vertex_ids)
    lists = [reference.group_vertices(g, *own, unions) for g in range(len(unions[0]) - 1)]
    sizes = torch.tensor([0, *(len(x) for x in lists)], device=group.device)
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
    if len(row_a):
        tk.soft_min_kernel[(len(row_a),)](
            a, b, *edges, *lists, soft, least, sums, a.shape[1], b.shape[1], float(temperature),
            **_launch("soft_min"),
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
            tk.soft_gradient_kernel[(len(row), tiles)](
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
        tk.finite_kernel[(len(values),)](values, out, values[0].numel(), **_launch("finite"))
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
        tk.nearest_kernel[(_programs("nearest", slots), items)](
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
        tk.face_tiles_kernel[(tiles, meshes)](
            v, faces, order, corners, boxes, v.shape[1], tiles, BN=wide, num_warps=1, enable_fp_fusion=False
        )
    finite = _finite(boxes) if tiles else torch.ones(meshes, dtype=torch.int32, device=p.device)
    tk.surface_kernel[(_programs("surface", slots), items)](
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
    triangles, fitted = v.new_empty(meshes, max(1, faces), 9), v.new_empty(meshes, max(1, nodes), 16)
    boxes = v.new_zeros(meshes, 2, 3)
    finite = torch.ones(meshes, dtype=torch.int32, device=v.device)
    tree = (topology.node_start, topology.node_end, topology.node_skip)
    if nodes:
        tk.fit_nodes_kernel[(nodes, meshes)](
            v, topology.faces, topology.face_order, *tree, triangles, fitted, boxes, finite,
            v.shape[1], faces, nodes, **_launch("fit_nodes"),
        )  # fmt: skip
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
        tk.winding_kernel[(_programs("winding", slots), items)](
            p, *trees, slots, *_row_arguments(rows, wanted, slots), out, bound,
            queries, len(slots), len(topology.faces), len(topology.node_start), len(p), len(vertices),
            float(beta), EXACT=method == "exact", BOXED=boxed,
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
        tk.inside_kernel[(_programs("inside", slots), items)](
            p, *trees, slots, *_row_arguments(rows, wanted, slots), out.view(torch.uint8),
            queries, len(slots), len(topology.faces), len(topology.node_start), len(p), len(vertices),
            2.0 if topology.closed else 2.5, low, high,
            HAS_ROWS=rows is not None, HAS_WANTED=wanted is not None, **_launch("inside"),
        )  # fmt: skip
    return out
