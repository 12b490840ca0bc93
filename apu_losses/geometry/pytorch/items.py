"""Which points an item asks, and about which mesh."""

from __future__ import annotations

from torch import Tensor

from apu_losses.geometry.requests import ItemRows, Query


def check_rows(points: Tensor, vertices: Tensor, rows: ItemRows) -> None:
    """Refuse items that do not exist.

    Raises:
        ValueError: an item that names a row beyond the last.
    """
    for name, row, count in (("points", rows.points, len(points)), ("mesh", rows.mesh, len(vertices))):
        if row.numel() and not 0 <= int(row.min()) <= int(row.max()) < count:
            raise ValueError(
                f"rows must be rows of the {name} in [0, {count}), got {int(row.min())}..{int(row.max())}"
            )


def listed(query: Query, vertices: Tensor) -> list[tuple[int, int]]:
    """Row of the points and row of the mesh of each item; without rows item k is row k of both."""
    rows = query.rows
    if rows is None:
        return [(k, k) for k in range(len(query.points))]
    check_rows(query.points, vertices, rows)
    return list(zip(rows.points.tolist(), rows.mesh.tolist(), strict=True))
