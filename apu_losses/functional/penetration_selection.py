"""What the search for penetration found, of two bodies or of one with itself, and the points it names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.functional.rows import gather_points
from apu_losses.numerics.precision import widen


@dataclass(frozen=True)
class PenetrationSelection:
    """Vertices that are inside another body, and the point of that body's surface nearest to each. S
    vertices.

    Attributes:
        row, vertex: ``(S,)`` the body row and vertex id that is inside.
        target_row: ``(S,)`` the body that it is inside of.
        target_vertices: ``(S, M)`` the corners of the nearest face (M = 3), or the nearest vertex (M = 1).
        target_weights: ``(S, M)`` barycentric weights of these; constants of the gradient.
        pair: ``(S,)`` which pair of bodies this belongs to.
        broken: ``(Q,)`` pairs of bodies with coordinates that are not finite; their loss is NaN.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import select_penetrations
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b])
        >>> chosen = select_penetrations(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> len(chosen), chosen.pair.tolist(), chosen.broken.tolist()
        (14, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [False])
    """

    row: Tensor
    vertex: Tensor
    target_row: Tensor
    target_vertices: Tensor
    target_weights: Tensor
    pair: Tensor
    broken: Tensor

    def __len__(self) -> int:
        return len(self.row)


def target_points(corner_points: Tensor, selection: PenetrationSelection) -> Tensor:
    """Points ``(S, 3)`` on the other body's surface from the positions ``(S, M, 3)`` of
    ``target_vertices``.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import penetration_points, select_penetrations, target_points
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b])
        >>> chosen = select_penetrations(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> corners = bodies[chosen.target_row[:, None], chosen.target_vertices]
        >>> torch.testing.assert_close(target_points(corners, chosen), penetration_points(bodies, chosen)[1])
        >>> target_points(corners, chosen).shape
        torch.Size([14, 3])
    """
    return (corner_points * weights_in(selection.target_weights, corner_points.dtype)[..., None]).sum(1)


def weights_in(weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Barycentric weights ``(..., M)`` of a search in another precision, which must still add up to one."""
    if weights.dtype == dtype:
        return weights
    wide = weights.to(dtype)
    total = wide.sum(-1, keepdim=True)
    return wide / torch.where(total > 0, total, 1.0)  # all zero where nothing was searched


def penetration_points(vertices: Tensor, selection: PenetrationSelection) -> tuple[Tensor, Tensor]:
    """Points ``(S, 3)`` and targets ``(S, 3)`` of a selection, taken from whole bodies ``(N, V, 3)``.

    Half precision is returned in float32.

    Example:
        >>> import torch, trimesh
        >>> from apu_losses.functional import penetration_points, select_penetrations
        >>> ball = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
        >>> verts_a = torch.tensor(ball.vertices, dtype=torch.float32)[None]
        >>> verts_b = verts_a + torch.tensor([1.9, 0.0, 0.0])
        >>> bodies = torch.cat([verts_a, verts_b])
        >>> chosen = select_penetrations(bodies, ball.faces, torch.tensor([0]), torch.tensor([1]))
        >>> points, targets = penetration_points(bodies, chosen)
        >>> deepest = (points - targets).norm(dim=1).max()
        >>> points.shape, round(float(deepest), 2)
        (torch.Size([14, 3]), 0.1)
    """
    width = selection.target_vertices.shape[1]
    rows = selection.target_row.repeat_interleave(width)
    corners = widen(gather_points(vertices, rows, selection.target_vertices.reshape(-1)))
    points = widen(gather_points(vertices, selection.row, selection.vertex))
    return points, target_points(corners.reshape(-1, width, 3), selection)
