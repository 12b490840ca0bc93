"""The cuda back end as torch sees it: tensors in, tensors out, few launches for an operator.

Tile sizes are fixed: autotuning would make the first calls slow and their choice depend on the machine's
load.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from apu_losses.geometry import gradients, reference
from apu_losses.geometry.constants import LEAF_FACES, OPEN_CLOSED_GPU, OPEN_OPEN_GPU
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
from apu_losses.geometry.gradients import nearest_gradient as nearest_gradient
from apu_losses.geometry.gradients import surface_gradient as surface_gradient
from apu_losses.geometry.pytorch import winding as by_torch
from apu_losses.geometry.pytorch.regions import check_edges
from apu_losses.geometry.requests import (
    EdgeGradient,
    FaceTree,
    InsideSearch,
    MatrixSearch,
    NearestSearch,
    Query,
    RegionLayout,
    RegionSearch,
    Side,
    SoftGradient,
    SoftSearch,
    SurfaceSearch,
    Unions,
    VertexSearch,
    WindingSearch,
)
from apu_losses.geometry.scatter import accumulate

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


class _Minima(NamedTuple):
    """Minima along ``edges`` (rows and groups), or of all regions against all where there are none."""

    a: Tensor
    b: Tensor
    edges: tuple[Tensor, ...] | None
    answers: int
    layouts: tuple[RegionLayout, RegionLayout]
    unions: Unions | None
    limit: float


def _minima(asked: _Minima) -> tuple[Tensor, Tensor, Tensor]:
    a, b, edges, count, (ra, rb), unions, limit = asked
    d2 = a.new_empty(count)
    index_a, index_b = (torch.empty(count, dtype=torch.int64, device=a.device) for _ in range(2))
    if not count:
        return d2, index_a, index_b
    parts = _parts(count)
    part_d2 = d2 if parts == 1 else a.new_empty(count, parts)
    part_key = index_a if parts == 1 else index_a.new_empty(count, parts)
    groups = (ra.regions, rb.regions) if unions is None else (len(unions.offsets) - 1,) * 2
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


def region_min(search: RegionSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_min` without gradient; an edge that names no row or group gives NaN and -1."""
    one, other = search.sides
    a, b = one.vertices.contiguous(), other.vertices.contiguous()
    edges = tuple(t.contiguous() for t in (one.row, other.row, one.group, other.group))
    count = search.edges if len(a) and len(b) else 0
    unions = None if search.unions is None else Unions(*(t.contiguous() for t in search.unions))
    return _minima(_Minima(a, b, edges, count, (one.layout, other.layout), unions, math.inf))


class _End(NamedTuple):
    """One end of edges as `region_nearest_kernel` takes it, and where its vertex ids go."""

    vertices: Tensor
    row: Tensor
    group: Tensor
    offsets: Tensor
    ids: Tensor
    out: Tensor

    @classmethod
    def of(cls, side: Side, out: Tensor) -> _End:
        vertices, row, group = (t.contiguous() for t in (side.vertices, side.row, side.group))
        return cls(vertices, row, group, side.layout.offsets, side.layout.vertex_ids, out)


def region_nearest(asked: NearestSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_nearest` without gradient; an edge that names no row gives NaN and -1."""
    one, other = asked.search.sides
    d2 = one.vertices.new_empty(asked.answers)
    index_a, index_b = (torch.empty(asked.answers, dtype=torch.int64, device=d2.device) for _ in range(2))
    if not asked.answers:
        return d2, index_a, index_b
    a, b = _End.of(one, index_a), _End.of(other, index_b)
    parts = _parts(asked.search.edges)
    second = asked.first + one.layout.offsets.diff()[one.group]
    for q, t, start in ((a, b, asked.first.contiguous()), (b, a, second)):
        region_nearest_kernel[(len(q.row), parts)](
            q.vertices, t.vertices, q.row, t.row, q.group, t.group, q.offsets, q.ids, t.offsets, t.ids, start,
            d2, q.out, t.out, q.vertices.shape[1], t.vertices.shape[1], len(q.vertices), len(t.vertices),
            PARTS=parts, **_launch("region_nearest"),
        )  # fmt: skip
    return d2, index_a, index_b


def region_matrix(search: MatrixSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_matrix` without gradient."""
    a, b = search.vertices_a.contiguous(), search.vertices_b.contiguous()
    asked = _Minima(a, b, None, math.prod(search.shape), (search.a, search.b), None, float(search.limit))
    d2, index_a, index_b = (t.view(search.shape) for t in _minima(asked))
    return d2, index_a, index_b


def edge_gradient(asked: EdgeGradient) -> tuple[Tensor, Tensor]:
    """`gradients.edge_gradient` in one launch for few edges; sorting is faster for many."""
    bodies, *ends = asked.found
    edges = len(asked.gradient)
    if edges > _FEW_EDGES:
        return gradients.edge_gradient(asked)
    a = bodies.a.contiguous()
    b = a if bodies.second is None else bodies.second.contiguous()
    grad_a = torch.zeros_like(a)
    grad_b = grad_a if bodies.second is None else torch.zeros_like(b)
    if edges and a.numel() and b.numel():
        tensors = [t.contiguous() for t in (*ends, asked.gradient)]
        edge_gradient_kernel[(-(-2 * edges // CONFIG["edge_gradient"]["BM"]),)](
            a, b, *tensors, grad_a, grad_b, edges, a.shape[1], b.shape[1],
            SAME=bodies.second is None, **_launch("edge_gradient"),
        )  # fmt: skip
    return grad_a, a.new_zeros(0) if bodies.second is None else grad_b


def _plain_lists(side: Side, unions: Unions | None) -> tuple[Tensor, Tensor]:
    """Each group as one list of vertices without repeats, CSR."""
    if unions is None:
        return side.layout.offsets, side.layout.vertex_ids
    groups = range(len(unions.offsets) - 1)
    lists = [reference.group_vertices(g, side.layout, unions) for g in groups]
    sizes = torch.tensor([0, *(len(x) for x in lists)], device=side.group.device, dtype=torch.int64)
    return sizes.cumsum(0), torch.cat([*lists, side.layout.vertex_ids[:0]])


def region_soft_min(soft: SoftSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.region_soft_min` without gradient; also the hard minima and the sums, for the gradient."""
    search = soft.search
    check_edges(search)
    one, other = search.sides
    a, b = one.vertices.contiguous(), other.vertices.contiguous()
    edges = [t.contiguous() for t in (one.row, other.row, one.group, other.group)]
    lists = (*_plain_lists(one, search.unions), *_plain_lists(other, search.unions))
    found, least, sums = (a.new_empty(search.edges) for _ in range(3))
    if search.edges:
        parts, temperature = _parts(search.edges), float(soft.temperature)
        share = a.new_empty(2, search.edges, parts)
        soft_min_kernel[(search.edges, parts)](
            a, b, *edges, *lists, *share, a.shape[1], b.shape[1], temperature, **_launch("soft_min")
        )
        soft_join_kernel[(-(-search.edges // 64),)](
            *share, found, least, sums, search.edges, temperature,
            BM=64, PARTS=parts, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return found, least, sums


def region_soft_min_gradient(asked: SoftGradient) -> tuple[Tensor, Tensor]:
    """Gradients of `region_soft_min`: each edge into its own buffer, the buffers added in order."""
    (soft, least, sums), gradient = asked
    scalars = [t.contiguous() for t in (least, sums, gradient)]
    sides = [
        (side.vertices, side.row, side.group, *_plain_lists(side, soft.search.unions))
        for side in soft.search.sides
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
                v.shape[1], w.shape[1], float(soft.temperature), **_launch("soft_gradient"),
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


class _Asked(NamedTuple):
    """A query as the kernels take it; of E items Q points."""

    points: Tensor
    slots: Tensor
    row_q: Tensor
    row_m: Tensor
    wanted: Tensor
    items: int
    queries: int
    flags: dict[str, bool]

    @classmethod
    def of(cls, query: Query) -> _Asked:
        points = query.points.contiguous()
        slots = _query_slots(points, query.slots)
        # What is absent is never read, but a pointer it must be.
        row_q, row_m = (slots, slots) if query.rows is None else (t.contiguous() for t in query.rows)
        wanted = slots if query.wanted is None else query.wanted.contiguous().view(torch.uint8)
        flags = {"HAS_ROWS": query.rows is not None, "HAS_WANTED": query.wanted is not None}
        items, queries = query.shape
        return cls(points, slots, row_q, row_m, wanted, items, queries, flags)

    @property
    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Pointers to the rows and the mask."""
        return self.row_q, self.row_m, self.wanted

    def grid(self, name: str) -> tuple[int, int]:
        """Programs of a kernel."""
        return _programs(name, self.slots), self.items

    def empty(self, *more: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(self.items, self.queries, *more, dtype=dtype, device=self.points.device)

    def answers(self, vertices: Tensor) -> bool:
        """Whether there is anything to answer."""
        return bool(self.items and self.queries and len(vertices))


def nearest_vertex(search: VertexSearch) -> tuple[Tensor, Tensor]:
    """`reference.nearest_vertex` without gradient; an item that names no row gives NaN and -1."""
    asked, v = _Asked.of(search.query), search.vertices.contiguous()
    p, slots = asked.points, asked.slots
    finite = _finite(v)
    d2, index = asked.empty(), asked.empty(dtype=torch.int64)
    if asked.answers(v):
        nearest_kernel[asked.grid("nearest")](
            p, v, slots, *asked.rows, finite, d2, index,
            asked.queries, len(slots), v.shape[1], len(p), len(v), float(search.limit), float(search.skipped),
            **asked.flags, **_launch("nearest"),
        )  # fmt: skip
    return d2, index


def nearest_surface(search: SurfaceSearch) -> tuple[Tensor, Tensor, Tensor]:
    """`reference.nearest_surface` without gradient; an item that names no row gives NaN and -1."""
    asked, meshes = _Asked.of(search.query), len(search.vertices)
    p, slots = asked.points, asked.slots
    d2, weights, face = asked.empty(), asked.empty(3), asked.empty(dtype=torch.int64)
    if not asked.answers(search.vertices):
        return d2, face, weights
    # Whole tiles of faces in block order; the last is filled by repeating a face.
    wide, face_slots = CONFIG["surface"]["BN"], search.face_slots
    order = torch.cat([face_slots, face_slots[-1:].expand(-len(face_slots) % wide)])
    tiles = len(order) // wide
    v = search.vertices.contiguous()
    corners, boxes = v.new_empty(meshes, max(1, len(order)), 9), v.new_empty(meshes, max(1, tiles), 6)
    if tiles:
        face_tiles_kernel[(tiles, meshes)](
            v, search.faces, order, corners, boxes, v.shape[1], tiles,
            BN=wide, num_warps=1, enable_fp_fusion=False,
        )  # fmt: skip
    finite = _finite(boxes) if tiles else torch.ones(meshes, dtype=torch.int32, device=p.device)
    surface_kernel[asked.grid("surface")](
        p, corners, slots, order, boxes, *asked.rows, finite, d2, face, weights,
        asked.queries, len(slots), tiles, len(p), meshes, float(search.limit), float(search.skipped),
        **asked.flags, **_launch("surface"),
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


def _fit_trees(vertices: Tensor, tree: FaceTree) -> _Trees:
    v = vertices.contiguous()
    meshes, faces, nodes = len(v), len(tree.faces), len(tree.node_start)
    units = faces // (CONFIG["fit_nodes"]["UNIT"] // 2) + 1
    triangles = v.new_empty(meshes, max(1, faces), 9)
    # Places of units that there are not stay zero, and a node of no faces counts for nothing.
    fitted, spans = v.new_zeros(meshes, nodes + units, 16), v.new_empty(meshes, units, 8)
    boxes = v.new_zeros(meshes, 2, 3)
    finite = torch.ones(meshes, dtype=torch.int32, device=v.device)
    links = (tree.node_start, tree.node_end, tree.node_skip)
    if nodes:
        fit_nodes_kernel[(nodes, meshes)](
            v, tree.faces, tree.face_order, *links, triangles, fitted, spans,
            v.shape[1], faces, nodes, nodes + units, **_launch("fit_nodes"),
        )  # fmt: skip
        join_units_kernel[(-(-nodes // CONFIG["join_units"]["EACH"]), meshes)](
            *links[:2], fitted, spans, boxes, finite, nodes, nodes + units, **_launch("join_units")
        )
    return _Trees(triangles, fitted, *links, boxes, finite)


def winding_number(search: WindingSearch) -> tuple[Tensor, Tensor]:
    """Winding numbers by "tree", "exact" or "rays" (in PyTorch), and bounds; no row, NaN."""
    if search.method == "rays":
        return by_torch.winding_number(search)
    asked, tree = _Asked.of(search.query), search.tree
    p, slots = asked.points, asked.slots
    out, bound = asked.empty(), asked.empty()
    if asked.answers(search.vertices):
        trees = _fit_trees(search.vertices, tree)
        winding_kernel[asked.grid("winding")](
            p, *trees, slots, *asked.rows, out, bound,
            asked.queries, len(slots), len(tree.faces), len(tree.node_start), trees.nodes.shape[1],
            len(p), len(search.vertices), float(search.beta), EXACT=search.method == "exact",
            BOXED=search.boxed, **asked.flags, **_launch("winding"),
        )  # fmt: skip
    return out, bound


def inside(search: InsideSearch) -> Tensor:
    """Return the inside test by the tree, opened as far as it takes to be certain; no row, not inside."""
    asked, tree = _Asked.of(search.query), search.tree
    p, slots = asked.points, asked.slots
    out = asked.empty(dtype=torch.bool)
    if asked.answers(search.vertices):
        trees = _fit_trees(search.vertices, tree)
        low, high = (0.0, 1.0) if tree.closed else (0.5, 0.5)
        inside_kernel[asked.grid("inside")](
            p, *trees, slots, *asked.rows, out.view(torch.uint8),
            asked.queries, len(slots), len(tree.faces), len(tree.node_start), trees.nodes.shape[1],
            len(p), len(search.vertices), OPEN_CLOSED_GPU if tree.closed else OPEN_OPEN_GPU, low, high,
            **asked.flags, **_launch("inside"),
        )  # fmt: skip
    return out
