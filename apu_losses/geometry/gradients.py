"""What the squared distances of nearest points give back, in plain PyTorch, for any device and float type."""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.geometry.requests import EdgeGradient, ItemRows, SurfaceGradient, VertexGradient
from apu_losses.geometry.scatter import accumulate


def edge_gradient(asked: EdgeGradient) -> tuple[Tensor, Tensor]:
    """``2 g (a - b)`` to the first vertex of each edge and its opposite to the second."""
    (a, second), row_a, row_b, index_a, index_b = asked.found
    b = asked.found.bodies.b
    at_a = row_a * a.shape[1] + index_a.clamp(min=0)
    at_b = row_b * b.shape[1] + index_b.clamp(min=0)
    flat_a, flat_b = a.reshape(-1, 3), b.reshape(-1, 3)
    grad_a = torch.zeros_like(flat_a)
    grad_b = grad_a if second is None else torch.zeros_like(flat_b)
    if len(flat_a) and len(flat_b):
        step = (2 * asked.gradient)[:, None] * (flat_a.index_select(0, at_a) - flat_b.index_select(0, at_b))
        step = torch.where((index_a >= 0)[:, None], step, torch.zeros_like(step))
        accumulate(grad_a, at_a, step)
        accumulate(grad_b, at_b, -step)
    return grad_a.view(a.shape), a.new_zeros(0) if second is None else grad_b.view(b.shape)


def _from_rows(points: Tensor, rows: ItemRows | None) -> Tensor:
    return points if rows is None else points.index_select(0, rows.points)


def _to_rows(step: Tensor, points: Tensor, rows: ItemRows | None) -> Tensor:
    """Gradients of items ``(E, Q, 3)`` added to the rows of the points."""
    return step if rows is None else accumulate(torch.zeros_like(points), rows.points, step)


def _vertex_offsets(vertices: Tensor, rows: ItemRows | None) -> Tensor:
    """Where the mesh of each item starts in the flat list of all vertices ``(E,)``."""
    row = torch.arange(len(vertices), device=vertices.device) if rows is None else rows.mesh
    return row * vertices.shape[1]


def _spread(index: Tensor, count: int) -> Tensor:
    """-1 becomes any valid index, a different one for each query: zeros that are all added to one place are
    slow on a GPU.
    """
    return torch.where(index >= 0, index, torch.arange(index.shape[1], device=index.device) % count)


def nearest_gradient(asked: VertexGradient) -> tuple[Tensor, Tensor]:
    """``2 g (point - vertex)`` to each point, its opposite to its nearest vertex."""
    points, vertices, rows, index = asked.near
    flat = vertices.reshape(-1, 3)
    if not len(flat):
        return torch.zeros_like(points), torch.zeros_like(vertices)
    at = (_vertex_offsets(vertices, rows)[:, None] + _spread(index, vertices.shape[1])).reshape(-1)
    near = flat.index_select(0, at).view(*index.shape, 3)
    step = (2 * asked.gradient)[..., None] * (_from_rows(points, rows) - near)
    step = torch.where((index >= 0)[..., None], step, torch.zeros_like(step))
    to_vertices = accumulate(torch.zeros_like(flat), at, -step.reshape(-1, 3))
    return _to_rows(step, points, rows), to_vertices.view(vertices.shape)


def surface_gradient(asked: SurfaceGradient) -> tuple[Tensor, Tensor]:
    """``2 g (point - surface point)`` to each point, its opposite to the corners by their weights."""
    points, vertices, rows, face, weights, faces = asked.near
    flat = vertices.reshape(-1, 3)
    if not len(faces) or not len(flat):
        return torch.zeros_like(points), torch.zeros_like(vertices)
    at = (_vertex_offsets(vertices, rows)[:, None, None] + faces[_spread(face, len(faces))]).reshape(-1)
    corners = flat.index_select(0, at).view(*face.shape, 3, 3)
    step = (2 * asked.gradient)[..., None] * (
        _from_rows(points, rows) - (weights[..., None] * corners).sum(-2)
    )
    step = torch.where((face >= 0)[..., None], step, torch.zeros_like(step))
    to_corners = -(weights[..., None] * step[..., None, :]).reshape(-1, 3)
    to_vertices = accumulate(torch.zeros_like(flat), at, to_corners).view(vertices.shape)
    return _to_rows(step, points, rows), to_vertices
