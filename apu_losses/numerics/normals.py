"""Normals of the vertices of posed meshes: the mean over the faces around them, weighted by area."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class FaceRing(NamedTuple):
    """Which faces a vertex belongs to: face ``face_ids[offsets[v]:offsets[v + 1]]`` of vertex v."""

    offsets: Tensor
    face_ids: Tensor

    @classmethod
    def build(cls, faces: Tensor, vertex_count: int) -> FaceRing:
        """From ``(F, 3)`` faces."""
        corner = faces.reshape(-1)
        order = torch.argsort(corner, stable=True)
        counts = torch.bincount(corner, minlength=vertex_count)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(offsets, order // 3)

    def of(self, vertex_ids: Tensor) -> tuple[Tensor, Tensor]:
        """All faces of K vertices, ``(M,)``, and which of the K each belongs to, ``(M,)``."""
        sizes = self.offsets[vertex_ids + 1] - self.offsets[vertex_ids]
        owner = torch.arange(len(vertex_ids), device=vertex_ids.device).repeat_interleave(sizes)
        within = torch.arange(len(owner), device=owner.device) - (sizes.cumsum(0) - sizes)[owner]
        return self.face_ids[self.offsets[vertex_ids][owner] + within], owner


def point_normals(corners: Tensor, owner: Tensor, count: int) -> Tensor:
    """Return unit normals of K vertices from the faces around them, each weighted with its area.

    Args:
        corners: ``(M, 3, 3)`` corners of the faces, counter-clockwise seen from outside.
        owner: ``(M,)`` the vertex that each face counts for.
        count: K.

    Returns:
        ``(K, 3)``; zero where all faces are degenerate; NaN, without gradient, where a corner is not finite.
    """
    finite = corners.isfinite().flatten(1).all(1)
    # masked before the difference: a corner that is not finite has no NaN gradient to spread
    corners = torch.where(finite[:, None, None], corners, 0.0)
    twice_area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = twice_area.new_zeros(count, 3).index_add(0, owner, twice_area)
    broken = twice_area.new_zeros(count).index_add(0, owner, (~finite).to(twice_area.dtype)) > 0
    return torch.where(broken[:, None], torch.nan, torch.nn.functional.normalize(total, dim=1))


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return unit normals ``(N, V, 3)`` of all vertices of bodies ``(N, V, 3)`` with ``faces (F, 3)``; zero
    where a vertex has no face, or only degenerate ones.
    """
    corners = vertices[:, faces]
    twice_area = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(1, faces[:, corner], twice_area)
    return torch.nn.functional.normalize(total, dim=2)
