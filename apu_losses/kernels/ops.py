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

from apu_losses.kernels.dispatch import load_backend, resolve
from apu_losses.kernels.scatter import accumulate
from apu_losses.kernels.topology import MeshTopology, RegionIndex


def _module(backend: str, example: Tensor) -> ModuleType:
    """Chosen inside the operator, where ``torch.compile`` does not look."""
    return load_backend(resolve(backend, example))


def _union(offsets: Tensor | None, regions: Tensor | None) -> tuple[Tensor, Tensor] | None:
    return None if offsets is None or regions is None else (offsets, regions)


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
    ctx.mark_non_differentiable(index_a, index_b)
    ctx.save_for_backward(verts_a, verts_b, row_a, row_b, index_a, index_b)


def edge_gradients(
    verts_a: Tensor,
    verts_b: Tensor | None,
    row_a: Tensor,
    row_b: Tensor,
    index_a: Tensor,
    index_b: Tensor,
    gradient: Tensor,
) -> tuple[Tensor, Tensor | None]:
    """Gradient of squared distances between vertices: ``2 g (a - b)`` to a, its opposite to b, zero for index
    -1.
    """
    second = verts_a if verts_b is None else verts_b
    found = (index_a >= 0)[:, None]
    at_a = row_a * verts_a.shape[1] + index_a.clamp(min=0)
    at_b = row_b * second.shape[1] + index_b.clamp(min=0)
    flat_a, flat_b = verts_a.reshape(-1, 3), second.reshape(-1, 3)
    step = (2 * gradient)[:, None] * (flat_a.index_select(0, at_a) - flat_b.index_select(0, at_b))
    step = torch.where(found, step, torch.zeros_like(step))
    grad_a = accumulate(torch.zeros_like(flat_a), at_a, step)
    if verts_b is None:
        return accumulate(grad_a, at_b, -step).view(verts_a.shape), None
    grad_b = accumulate(torch.zeros_like(flat_b), at_b, -step)
    return grad_a.view(verts_a.shape), grad_b.view(second.shape)


def _region_min_backward(ctx: Any, gradient: Tensor, _a: Any, _b: Any) -> tuple[Tensor | None, ...]:
    verts_a, verts_b, row_a, row_b, index_a, index_b = ctx.saved_tensors
    grads = edge_gradients(verts_a, verts_b, row_a, row_b, index_a, index_b, gradient)
    return (*grads, *([None] * 15))


region_min.register_autograd(_region_min_backward, setup_context=_region_min_setup)


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
    ctx.mark_non_differentiable(index_a, index_b)
    ctx.save_for_backward(inputs[0], inputs[1], index_a, index_b)


def _region_matrix_backward(ctx: Any, gradient: Tensor, _a: Any, _b: Any) -> tuple[Tensor | None, ...]:
    verts_a, verts_b, index_a, index_b = ctx.saved_tensors
    batch = verts_a.shape[0]
    row = torch.arange(batch, device=verts_a.device).repeat_interleave(index_a[:1].numel())
    grads = edge_gradients(
        verts_a, verts_b, row, row, index_a.reshape(-1), index_b.reshape(-1), gradient.reshape(-1)
    )
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
    backend: str,
) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = _module(backend, points).nearest_vertex(
        points, vertices, limit, point_slots, vertex_slots, wanted
    )
    return found


@nearest_vertex.register_fake
def _(points: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    shape = points.shape[:2]
    return points.new_empty(shape), points.new_empty(shape, dtype=torch.int64)


def _nearest_vertex_setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(inputs[0], inputs[1], output[1])


def _nearest_vertex_backward(ctx: Any, gradient: Tensor, _index: Any) -> tuple[Tensor | None, ...]:
    points, vertices, index = ctx.saved_tensors
    if vertices.shape[1] == 0:
        return (torch.zeros_like(points), torch.zeros_like(vertices), *([None] * 5))
    found = (index >= 0)[..., None]
    rows = torch.arange(len(vertices), device=vertices.device)[:, None] * vertices.shape[1]
    at = (rows + index.clamp(min=0)).reshape(-1)
    flat = vertices.reshape(-1, 3)
    step = (2 * gradient)[..., None] * (points - flat.index_select(0, at).view(points.shape))
    step = torch.where(found, step, torch.zeros_like(step))
    to_vertices = accumulate(torch.zeros_like(flat), at, -step.reshape(-1, 3)).view(vertices.shape)
    return (step, to_vertices, *([None] * 5))


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
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = _module(backend, points).nearest_surface(
        points, vertices, faces, face_slots, limit, point_slots, wanted
    )
    return found


@nearest_surface.register_fake
def _(points: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    shape = points.shape[:2]
    return points.new_empty(shape), points.new_empty(shape, dtype=torch.int64), torch.empty_like(points)


def _nearest_surface_setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, face, weights = output
    ctx.mark_non_differentiable(face, weights)
    ctx.save_for_backward(*inputs[:3], face, weights)


def _nearest_surface_backward(ctx: Any, gradient: Tensor, _face: Any, _weights: Any) -> tuple[Any, ...]:
    points, vertices, faces, face, weights = ctx.saved_tensors
    if faces.shape[0] == 0:
        return (torch.zeros_like(points), torch.zeros_like(vertices), *([None] * 6))
    flat = vertices.reshape(-1, 3)
    rows = torch.arange(len(vertices), device=vertices.device)[:, None, None] * vertices.shape[1]
    at = (rows + faces[face.clamp(min=0)]).reshape(-1)
    corners = flat.index_select(0, at).view(*face.shape, 3, 3)
    offset = points - (weights[..., None] * corners).sum(-2)
    step = (2 * gradient)[..., None] * offset
    step = torch.where((face >= 0)[..., None], step, torch.zeros_like(step))
    to_corners = -(weights[..., None] * step[..., None, :]).reshape(-1, 3)
    to_vertices = accumulate(torch.zeros_like(flat), at, to_corners).view(vertices.shape)
    return (step, to_vertices, *([None] * 6))


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
    wanted: Tensor | None,
    backend: str,
) -> Tensor:
    none = faces.new_empty(0)
    topology = MeshTopology(vertices.shape[1], faces, none, none, face_order, node_start, node_end, node_skip)
    out: Tensor = _module(backend, points).winding_number(
        points, vertices, topology, method, beta, point_slots, wanted
    )
    return out


@winding_number.register_fake
def _(points: Tensor, *rest: Any) -> Tensor:
    return points.new_empty(points.shape[:2])
