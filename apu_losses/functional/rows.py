"""Bodies as rows of one tensor."""

from __future__ import annotations

import torch
from torch import Tensor


def gather_points(vertices: Tensor, rows: Tensor, vertex_ids: Tensor) -> Tensor:
    """``vertices[rows, vertex_ids]`` of ``(N, V, 3)`` as ``(K, 3)``, with a backward that is repeatable on
    the CPU."""
    return vertices.reshape(-1, 3).index_select(0, rows * vertices.shape[1] + vertex_ids)


def stack_pairs(verts_a: Tensor, verts_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B pairs of bodies as the graph form: vertices ``(2B, V, 3)`` and the rows ``(B,)`` of either side.

    Raises:
        ValueError: shapes that do not agree.
    """
    if verts_a.dim() != 3 or verts_a.shape[-1] != 3 or verts_a.shape != verts_b.shape:
        raise ValueError(
            "verts_a and verts_b must have the same shape (B, V, 3), "
            f"got {tuple(verts_a.shape)} and {tuple(verts_b.shape)}"
        )
    rows = torch.arange(len(verts_a), device=verts_a.device)
    return torch.cat([verts_a, verts_b]), rows, rows + len(verts_a)
