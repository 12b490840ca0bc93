"""Checks of arguments: each names the argument, what was expected, what came and the likely cause."""

from __future__ import annotations

import torch
from torch import Tensor


def check_vertices(name: str, value: Tensor, count: int | None = None, cause: str = "") -> None:
    """``value`` must be a floating tensor ``(B, V, 3)``, with ``V == count`` where a topology fixes it."""
    if not isinstance(value, Tensor):
        cause = "; torch.as_tensor(x) makes one of a NumPy array" if hasattr(value, "__array__") else ""
        raise TypeError(
            f"{name} must be a torch.Tensor of shape (B, V, 3), got {type(value).__name__}{cause}"
        )
    if value.dim() != 3 or value.shape[-1] != 3:
        raise ValueError(
            f"{name} must have shape (B, V, 3), got {tuple(value.shape)}; "
            "one mesh needs a leading axis: x[None]"
        )
    if not value.is_floating_point():
        raise TypeError(f"{name} must have a floating dtype, got {value.dtype}")
    if count is not None and value.shape[1] != count:
        raise ValueError(
            f"{name} must have {count} vertices, got {value.shape[1]}; "
            f"{cause or 'the topology belongs to another mesh'}"
        )


def check_alike(name_a: str, a: Tensor, name_b: str, b: Tensor, batch: bool = True) -> None:
    """Two vertex tensors must share dtype and device, and (``batch``) the number of items."""
    if a.dtype != b.dtype or a.device != b.device:
        raise ValueError(
            f"{name_a}, {name_b} must have one dtype and one device, "
            f"got {a.dtype} on {a.device} and {b.dtype} on {b.device}"
        )
    if batch and a.shape[0] != b.shape[0]:
        raise ValueError(
            f"{name_a}, {name_b} must have as many items in both, got {a.shape[0]} and {b.shape[0]}; "
            "bodies as rows and contacts as edges go through RegionPairs"
        )


def check_cutoff(cutoff: float | None) -> float:
    """Return the cutoff as a limit on squared distance; None means no limit."""
    if cutoff is None:
        return float("inf")
    if not cutoff > 0:
        raise ValueError(f"cutoff must be a positive distance or None, got {cutoff}")
    return float(cutoff) * float(cutoff)


def check_items(points: Tensor, rows: tuple[Tensor, Tensor] | None, wanted: Tensor | None) -> None:
    """``rows``: two int64 tensors ``(E,)`` on the device of ``points (B, Q, 3)``; ``wanted (E, Q)`` bool."""
    items = points.shape[0]
    if rows is not None:
        items = rows[0].shape[0]
        for name, row in zip(("rows[0]", "rows[1]"), rows, strict=True):
            if row.dtype != torch.int64 or row.shape != (items,) or row.device != points.device:
                raise ValueError(
                    f"{name} must be int64 of shape ({items},) on {points.device}, got {row.dtype} of "
                    f"shape {tuple(row.shape)} on {row.device}; rows = (rows of points, rows of meshes)"
                )
    if wanted is not None and (wanted.dtype != torch.bool or wanted.shape != (items, points.shape[1])):
        raise ValueError(
            f"wanted must be bool of shape ({items}, {points.shape[1]}), one for each answer, "
            f"got {wanted.dtype} of shape {tuple(wanted.shape)}"
        )
