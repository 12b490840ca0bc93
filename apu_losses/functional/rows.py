"""Bodies as rows of one tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from apu_losses.geometry.checks import check_alike, check_vertices


def gather_points(vertices: Tensor, rows: Tensor, vertex_ids: Tensor) -> Tensor:
    """``vertices[rows, vertex_ids]`` of ``(N, V, 3)`` as ``(K, 3)``, with a backward that is repeatable on
    the CPU."""
    return vertices.reshape(-1, 3).index_select(0, rows * vertices.shape[1] + vertex_ids)


def spread_points(points: Tensor, rows: Tensor, vertex_ids: Tensor, bodies: int, count: int) -> Tensor:
    """``(bodies, count, 3)``: the vertices that ``points (K, 3)`` are, each given once; zero elsewhere."""
    flat = points.new_zeros(bodies * count, 3).index_copy(0, rows * count + vertex_ids, points)
    return flat.view(bodies, count, 3)


def bounding_boxes(vertices: Tensor) -> tuple[Tensor, Tensor]:
    """``(N, 3)`` the lowest and the highest coordinates of bodies ``(N, V, 3)``; NaN where one is NaN."""
    times = vertices.shape[1] // _WIDE
    whole, rest = vertices[:, : times * _WIDE], vertices[:, times * _WIDE :]
    low = high = rest
    if times:
        # in two steps: along rows of three numbers torch is 15 times slower
        wide = whole.reshape(len(vertices), times, 3 * _WIDE)
        low, high = (
            torch.cat([x.view(len(vertices), _WIDE, 3), rest], 1) for x in (wide.amin(1), wide.amax(1))
        )
    return low.amin(1), high.amax(1)


_WIDE = 64  # vertices taken together


def stack_pairs(verts_a: Tensor, verts_b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """B pairs of bodies as the graph form: vertices ``(2B, V, 3)`` and the rows ``(B,)`` of either side.

    Raises:
        TypeError: what is no floating tensor.
        ValueError: shapes, dtypes or devices that do not agree.
    """
    if isinstance(verts_a, Tensor) and isinstance(verts_b, Tensor) and verts_a.shape != verts_b.shape:
        raise ValueError(
            "verts_a and verts_b must have the same shape (B, V, 3), "
            f"got {tuple(verts_a.shape)} and {tuple(verts_b.shape)}; of different topologies, or of "
            "different numbers of people?"
        )
    check_vertices("verts_a", verts_a)
    check_vertices("verts_b", verts_b)
    check_alike("verts_a", verts_a, "verts_b", verts_b)
    rows = torch.arange(len(verts_a), device=verts_a.device)
    return torch.cat([verts_a, verts_b]), rows, rows + len(verts_a)
