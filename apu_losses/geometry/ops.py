"""The operators as `torch.library` custom operators, so that autograd and ``torch.compile`` know them.

Each operator runs on the back end named in its last argument and returns indices; what autograd needs is
derived from the indices here, once for all back ends.

Layout tensors are passed one by one, because an operator takes tensors and numbers only.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from apu_losses.geometry.dispatch import load_backend, resolve
from apu_losses.geometry.topology import MeshTopology, RegionIndex


def _module(backend: str, example: Tensor) -> ModuleType:
    """Chosen inside the operator, where ``torch.compile`` does not look."""
    return load_backend(resolve(backend, example))


def _union(offsets: Tensor | None, regions: Tensor | None) -> tuple[Tensor, Tensor] | None:
    return None if offsets is None or regions is None else (offsets, regions)


def _rows(row_points: Tensor | None, row_mesh: Tensor | None) -> tuple[Tensor, Tensor] | None:
    return None if row_points is None or row_mesh is None else (row_points, row_mesh)


def _answers(points: Tensor, row_points: Tensor | None) -> tuple[int, int]:
    """Shape of what is answered: one row for each item."""
    return (points if row_points is None else row_points).shape[0], points.shape[1]


# ---------------------------------------------------------------- region minimum along edges


@torch.library.custom_op("apu_losses::region_min", mutates_args=())
def region_min(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    offsets_a: Tensor,
    ids_a: Tensor,
    slots_a: Tensor,
    blocks_a: Tensor,
    offsets_b: Tensor,
    ids_b: Tensor,
    slots_b: Tensor,
    blocks_b: Tensor,
    union_offsets: Tensor | None,
    union_regions: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    second = verts_a if verts_b is None else verts_b
    a = RegionIndex(verts_a.shape[1], offsets_a, ids_a, slots_a, blocks_a)
    b = RegionIndex(second.shape[1], offsets_b, ids_b, slots_b, blocks_b)
    unions = _union(union_offsets, union_regions)
    found: tuple[Tensor, Tensor, Tensor] = _module(backend, verts_a).region_min(
        verts_a, second, row_a, row_b, group_a, group_b, a, b, unions
    )
    return found


@region_min.register_fake
def _(verts_a: Tensor, verts_b: Any, row_a: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    count = row_a.shape[0]
    return verts_a.new_empty(count), row_a.new_empty(count), row_a.new_empty(count)


def _region_min_setup(ctx: Any, inputs: Any, output: Any) -> None:
    verts_a, verts_b, row_a, row_b = inputs[:4]
    _, index_a, index_b = output
    ctx.backend = inputs[-1]
    ctx.mark_non_differentiable(index_a, index_b)
    ctx.save_for_backward(verts_a, verts_b, row_a, row_b, index_a, index_b)


@torch.library.custom_op("apu_losses::edge_gradient", mutates_args=())
def edge_gradient(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    index_a: Tensor,
    index_b: Tensor,
    gradient: Tensor,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Gradient of squared distances between vertices: ``2 g (a - b)`` to a, its opposite to b.

    Without ``verts_b`` both go to the first output and the second is empty.
    """
    grads: tuple[Tensor, Tensor] = _module(backend, verts_a).edge_gradient(
        verts_a, verts_b, row_a, row_b, index_a, index_b, gradient
    )
    return grads


@edge_gradient.register_fake
def _(verts_a: Tensor, verts_b: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor]:
    return verts_a.new_empty(verts_a.shape), verts_a.new_empty(0 if verts_b is None else verts_b.shape)


def _region_min_backward(ctx: Any, gradient: Tensor, _a: Any, _b: Any) -> tuple[Tensor | None, ...]:
    verts_a, verts_b, row_a, row_b, index_a, index_b = ctx.saved_tensors
    grads = edge_gradient(verts_a, verts_b, row_a, row_b, index_a, index_b, gradient, ctx.backend)
    return (grads[0], None if verts_b is None else grads[1], *([None] * 15))


region_min.register_autograd(_region_min_backward, setup_context=_region_min_setup)


# ---------------------------------------------------------------- nearest vertices of two groups, along edges


@torch.library.custom_op("apu_losses::region_nearest", mutates_args=())
def region_nearest(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    offsets_a: Tensor,
    ids_a: Tensor,
    slots_a: Tensor,
    blocks_a: Tensor,
    offsets_b: Tensor,
    ids_b: Tensor,
    slots_b: Tensor,
    blocks_b: Tensor,
    first: Tensor,
    edge: Tensor,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """As many answers as ``edge`` has entries; groups are regions here, see `PairLayout`."""
    second = verts_a if verts_b is None else verts_b
    a = RegionIndex(verts_a.shape[1], offsets_a, ids_a, slots_a, blocks_a)
    b = RegionIndex(second.shape[1], offsets_b, ids_b, slots_b, blocks_b)
    found: tuple[Tensor, Tensor, Tensor] = _module(backend, verts_a).region_nearest(
        verts_a, second, row_a, row_b, group_a, group_b, a, b, first, len(edge)
    )
    return found


@region_nearest.register_fake
def _(verts_a: Tensor, verts_b: Any, row_a: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    count = rest[-2].shape[0]
    return verts_a.new_empty(count), row_a.new_empty(count), row_a.new_empty(count)


def _region_nearest_setup(ctx: Any, inputs: Any, output: Any) -> None:
    verts_a, verts_b, row_a, row_b = inputs[:4]
    _, index_a, index_b = output
    ctx.backend = inputs[-1]
    ctx.mark_non_differentiable(index_a, index_b)
    ctx.save_for_backward(verts_a, verts_b, row_a, row_b, inputs[-2], index_a, index_b)


def _region_nearest_backward(ctx: Any, gradient: Tensor, _a: Any, _b: Any) -> tuple[Tensor | None, ...]:
    verts_a, verts_b, row_a, row_b, edge, *index = ctx.saved_tensors
    rows = (row.index_select(0, edge) for row in (row_a, row_b))
    grads = edge_gradient(verts_a, verts_b, *rows, *index, gradient, ctx.backend)
    return (grads[0], None if verts_b is None else grads[1], *([None] * 15))


region_nearest.register_autograd(_region_nearest_backward, setup_context=_region_nearest_setup)


# ---------------------------------------------------------------- all regions against all regions


@torch.library.custom_op("apu_losses::region_matrix", mutates_args=())
def region_matrix(
    verts_a: Tensor,
    verts_b: Tensor,
    offsets_a: Tensor,
    ids_a: Tensor,
    slots_a: Tensor,
    blocks_a: Tensor,
    offsets_b: Tensor,
    ids_b: Tensor,
    slots_b: Tensor,
    blocks_b: Tensor,
    limit: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    a = RegionIndex(verts_a.shape[1], offsets_a, ids_a, slots_a, blocks_a)
    b = RegionIndex(verts_b.shape[1], offsets_b, ids_b, slots_b, blocks_b)
    found: tuple[Tensor, Tensor, Tensor] = _module(backend, verts_a).region_matrix(
        verts_a, verts_b, a, b, limit
    )
    return found


@region_matrix.register_fake
def _(verts_a: Tensor, verts_b: Tensor, offsets_a: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    offsets_b = rest[3]
    shape = (verts_a.shape[0], offsets_a.shape[0] - 1, offsets_b.shape[0] - 1)
    return verts_a.new_empty(shape), offsets_a.new_empty(shape), offsets_a.new_empty(shape)


def _region_matrix_setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, index_a, index_b = output
    ctx.backend = inputs[-1]
    ctx.mark_non_differentiable(index_a, index_b)
    ctx.save_for_backward(inputs[0], inputs[1], index_a, index_b)


def _region_matrix_backward(ctx: Any, gradient: Tensor, _a: Any, _b: Any) -> tuple[Tensor | None, ...]:
    verts_a, verts_b, index_a, index_b = ctx.saved_tensors
    batch = verts_a.shape[0]
    row = torch.arange(batch, device=verts_a.device).repeat_interleave(index_a[:1].numel())
    edges = (index_a.reshape(-1), index_b.reshape(-1), gradient.reshape(-1))
    grads = edge_gradient(verts_a, verts_b, row, row, *edges, ctx.backend)
    return (*grads, *([None] * 10))


region_matrix.register_autograd(_region_matrix_backward, setup_context=_region_matrix_setup)


# ---------------------------------------------------------------- soft minimum along edges


@torch.library.custom_op("apu_losses::region_soft_min", mutates_args=())
def region_soft_min(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    offsets_a: Tensor,
    ids_a: Tensor,
    slots_a: Tensor,
    blocks_a: Tensor,
    offsets_b: Tensor,
    ids_b: Tensor,
    slots_b: Tensor,
    blocks_b: Tensor,
    union_offsets: Tensor | None,
    union_regions: Tensor | None,
    temperature: float,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    a = RegionIndex(verts_a.shape[1], offsets_a, ids_a, slots_a, blocks_a)
    b = RegionIndex(verts_b.shape[1], offsets_b, ids_b, slots_b, blocks_b)
    unions = _union(union_offsets, union_regions)
    found: tuple[Tensor, Tensor, Tensor] = _module(backend, verts_a).region_soft_min(
        verts_a, verts_b, row_a, row_b, group_a, group_b, a, b, unions, temperature
    )
    return found


@region_soft_min.register_fake
def _(verts_a: Tensor, verts_b: Tensor, row_a: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    count = row_a.shape[0]
    return verts_a.new_empty(count), verts_a.new_empty(count), verts_a.new_empty(count)


@torch.library.custom_op("apu_losses::region_soft_min_gradient", mutates_args=())
def region_soft_min_gradient(
    verts_a: Tensor,
    verts_b: Tensor,
    row_a: Tensor,
    row_b: Tensor,
    group_a: Tensor,
    group_b: Tensor,
    offsets_a: Tensor,
    ids_a: Tensor,
    slots_a: Tensor,
    blocks_a: Tensor,
    offsets_b: Tensor,
    ids_b: Tensor,
    slots_b: Tensor,
    blocks_b: Tensor,
    union_offsets: Tensor | None,
    union_regions: Tensor | None,
    temperature: float,
    backend: str,
    least: Tensor,
    sums: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor]:
    a = RegionIndex(verts_a.shape[1], offsets_a, ids_a, slots_a, blocks_a)
    b = RegionIndex(verts_b.shape[1], offsets_b, ids_b, slots_b, blocks_b)
    unions = _union(union_offsets, union_regions)
    grads: tuple[Tensor, Tensor] = _module(backend, verts_a).region_soft_min_gradient(
        verts_a, verts_b, row_a, row_b, group_a, group_b, a, b, unions, temperature, least, sums, gradient
    )
    return grads


@region_soft_min_gradient.register_fake
def _(verts_a: Tensor, verts_b: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(verts_a), torch.empty_like(verts_b)


def _soft_setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, least, sums = output
    ctx.mark_non_differentiable(least, sums)
    ctx.settings = inputs[16:]
    ctx.save_for_backward(*inputs[:16], least, sums)


def _soft_backward(ctx: Any, gradient: Tensor, _least: Any, _sums: Any) -> tuple[Tensor | None, ...]:
    *inputs, least, sums = ctx.saved_tensors
    grads = region_soft_min_gradient(*inputs, *ctx.settings, least, sums, gradient)
    return (*grads, *([None] * 16))


region_soft_min.register_autograd(_soft_backward, setup_context=_soft_setup)


# ---------------------------------------------------------------- nearest vertex


@torch.library.custom_op("apu_losses::nearest_vertex", mutates_args=())
def nearest_vertex(
    points: Tensor,
    vertices: Tensor,
    limit: float,
    point_slots: Tensor | None,
    vertex_slots: Tensor | None,
    wanted: Tensor | None,
    skipped: float,
    row_points: Tensor | None,
    row_mesh: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Points that are not ``wanted`` have the distance ``skipped`` and index -1.

    Item e asks the points of row ``row_points[e]`` against the mesh of row ``row_mesh[e]``.
    """
    found: tuple[Tensor, Tensor] = _module(backend, points).nearest_vertex(
        points, vertices, limit, point_slots, vertex_slots, wanted, skipped, _rows(row_points, row_mesh)
    )
    return found


@nearest_vertex.register_fake
def _(points: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    shape = _answers(points, rest[-3])
    return points.new_empty(shape), points.new_empty(shape, dtype=torch.int64)


@torch.library.custom_op("apu_losses::nearest_gradient", mutates_args=())
def nearest_gradient(
    points: Tensor,
    vertices: Tensor,
    index: Tensor,
    gradient: Tensor,
    row_points: Tensor | None,
    row_mesh: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Gradients of the squared distances to the nearest vertices, zero for index -1."""
    grads: tuple[Tensor, Tensor] = _module(backend, points).nearest_gradient(
        points, vertices, index, gradient, _rows(row_points, row_mesh)
    )
    return grads


@nearest_gradient.register_fake
def _(points: Tensor, vertices: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return points.new_empty(points.shape), vertices.new_empty(vertices.shape)


def _nearest_vertex_setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.backend = inputs[-1]
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(inputs[0], inputs[1], output[1], *inputs[-3:-1])


def _nearest_vertex_backward(ctx: Any, gradient: Tensor, _index: Any) -> tuple[Tensor | None, ...]:
    *saved, row_points, row_mesh = ctx.saved_tensors
    return (*nearest_gradient(*saved, gradient, row_points, row_mesh, ctx.backend), *([None] * 8))


nearest_vertex.register_autograd(_nearest_vertex_backward, setup_context=_nearest_vertex_setup)


# ---------------------------------------------------------------- nearest surface point


@torch.library.custom_op("apu_losses::nearest_surface", mutates_args=())
def nearest_surface(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face_slots: Tensor,
    limit: float,
    point_slots: Tensor | None,
    wanted: Tensor | None,
    skipped: float,
    row_points: Tensor | None,
    row_mesh: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Points that are not ``wanted`` have the distance ``skipped`` and index -1.

    Item e asks the points of row ``row_points[e]`` against the mesh of row ``row_mesh[e]``.
    """
    found: tuple[Tensor, Tensor, Tensor] = _module(backend, points).nearest_surface(
        points,
        vertices,
        faces,
        face_slots,
        limit,
        point_slots,
        wanted,
        skipped,
        _rows(row_points, row_mesh),
    )
    return found


@nearest_surface.register_fake
def _(points: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    shape = _answers(points, rest[-3])
    weights = points.new_empty((*shape, 3))
    return points.new_empty(shape), points.new_empty(shape, dtype=torch.int64), weights


@torch.library.custom_op("apu_losses::surface_gradient", mutates_args=())
def surface_gradient(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face: Tensor,
    weights: Tensor,
    gradient: Tensor,
    row_points: Tensor | None,
    row_mesh: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Gradients of the squared distances to surface points, shared out to the corners by their weights."""
    grads: tuple[Tensor, Tensor] = _module(backend, points).surface_gradient(
        points, vertices, faces, face, weights, gradient, _rows(row_points, row_mesh)
    )
    return grads


@surface_gradient.register_fake
def _(points: Tensor, vertices: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return points.new_empty(points.shape), vertices.new_empty(vertices.shape)


def _nearest_surface_setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, face, weights = output
    ctx.backend = inputs[-1]
    ctx.mark_non_differentiable(face, weights)
    ctx.save_for_backward(*inputs[:3], face, weights, *inputs[-3:-1])


def _nearest_surface_backward(ctx: Any, gradient: Tensor, _face: Any, _weights: Any) -> tuple[Any, ...]:
    *saved, row_points, row_mesh = ctx.saved_tensors
    return (*surface_gradient(*saved, gradient, row_points, row_mesh, ctx.backend), *([None] * 9))


nearest_surface.register_autograd(_nearest_surface_backward, setup_context=_nearest_surface_setup)


# ---------------------------------------------------------------- winding number: thresholded, so without
# gradient


@torch.library.custom_op("apu_losses::winding_number", mutates_args=())
def winding_number(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face_order: Tensor,
    node_start: Tensor,
    node_end: Tensor,
    node_skip: Tensor,
    method: str,
    beta: float,
    point_slots: Tensor | None,
    boxed: bool,
    wanted: Tensor | None,
    row_points: Tensor | None,
    row_mesh: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """The value and a bound on its error (zero for the exact methods).

    ``boxed``: points outside the bounding box of the mesh's faces are zero without looking further. So are
    points that are not ``wanted``.
    """
    topology = _tree(vertices, faces, face_order, node_start, node_end, node_skip, False)
    found: tuple[Tensor, Tensor] = _module(backend, points).winding_number(
        points, vertices, topology, method, beta, point_slots, boxed, wanted, _rows(row_points, row_mesh)
    )
    return found


def _tree(
    vertices: Tensor,
    faces: Tensor,
    face_order: Tensor,
    node_start: Tensor,
    node_end: Tensor,
    node_skip: Tensor,
    closed: bool,
) -> MeshTopology:
    """The part of a topology that inside tests need."""
    none = faces.new_empty(0)
    tree = (face_order, node_start, node_end, node_skip)
    return MeshTopology(vertices.shape[1], faces, none, none, *tree, closed)


@winding_number.register_fake
def _(points: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    shape = _answers(points, rest[-3])
    return points.new_empty(shape), points.new_empty(shape)


@torch.library.custom_op("apu_losses::inside", mutates_args=())
def inside(
    points: Tensor,
    vertices: Tensor,
    faces: Tensor,
    face_order: Tensor,
    node_start: Tensor,
    node_end: Tensor,
    node_skip: Tensor,
    closed: bool,
    point_slots: Tensor | None,
    wanted: Tensor | None,
    row_points: Tensor | None,
    row_mesh: Tensor | None,
    backend: str,
) -> Tensor:
    """Whether the winding number is above one half, by the tree, opened as far as it takes to be certain."""
    topology = _tree(vertices, faces, face_order, node_start, node_end, node_skip, closed)
    out: Tensor = _module(backend, points).inside(
        points, vertices, topology, point_slots, wanted, _rows(row_points, row_mesh)
    )
    return out


@inside.register_fake
def _(points: Tensor, *rest: Any) -> Tensor:
    return points.new_empty(_answers(points, rest[-3]), dtype=torch.bool)
