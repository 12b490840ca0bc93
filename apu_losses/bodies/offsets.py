"""Single vertices moved along directions of their own: by shape coefficients, by pose features.

A compiled path for the CPU (`blend_cpu`) and its plain PyTorch twin, as in `blend`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from apu_losses.numerics.compiled import runs_compiled


def offset_items(
    points: Tensor,
    directions: Tensor,
    places: Tensor | None,
    entries: Tensor,
    values: Tensor,
    rows: Tensor,
    backend: str = "auto",
) -> Tensor:
    """``points[k] + sum_f directions[e, :, f] * values[rows[k], places[e, f]]`` with ``e = entries[k]``.

    Args:
        points: ``(K, 3)``.
        directions: ``(P, 3, F)``, constants.
        places: ``(P, F)`` which values the directions belong to, or None where they are the first F.
        entries: ``(K,)``, -1 for a point that stays where it is.
        values: ``(N, M)``.
        rows: ``(K,)`` bodies.
        backend: ``"torch"``, ``"cpu"`` (compiled) or ``"auto"``.

    Returns:
        ``(K, 3)``, differentiable in points and values.
    """
    if runs_compiled(backend, points, directions, values):
        moved: Tensor = _Offset.apply(points, directions, places, entries, values, rows)
        return moved
    return points + _offsets(directions, places, entries, values, rows)


def _offsets(
    directions: Tensor, places: Tensor | None, entries: Tensor, values: Tensor, rows: Tensor
) -> Tensor:
    entry = entries.clamp(min=0)
    if places is None:
        own = values.index_select(0, rows)
    else:
        flat = rows[:, None] * values.shape[1] + places.index_select(0, entry)
        own = values.flatten().index_select(0, flat.flatten()).view(flat.shape)
    moved = (directions.index_select(0, entry) @ own[:, :, None])[..., 0]
    return torch.where(entries[:, None] >= 0, moved, 0.0)


class _Offset(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        directions: Tensor,
        places: Tensor | None,
        entries: Tensor,
        values: Tensor,
        rows: Tensor,
    ) -> Tensor:
        from apu_losses.bodies import blend_cpu

        if places is None:
            places = torch.arange(directions.shape[2], device="cpu")[None]
        ctx.save_for_backward(directions, places, entries, values, rows)
        out = points.detach().clone(memory_format=torch.contiguous_format)
        arrays = (x.detach().contiguous().numpy() for x in (directions, places, entries, values, rows))
        blend_cpu.offsets_forward(*arrays, out.new_empty(directions.shape[2]).numpy(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        from apu_losses.bodies import blend_cpu

        directions, places, entries, values, rows = ctx.saved_tensors
        if not ctx.needs_input_grad[4]:
            return grads[0], None, None, None, None, None
        if torch.is_grad_enabled():  # create_graph=True: by the twin, which can be differentiated again
            with torch.enable_grad():
                shared = len(places) == 1 and len(directions) > 1
                out = _offsets(directions, None if shared else places, entries, values, rows)
                (grad_values,) = torch.autograd.grad(out, values, grads[0], create_graph=True)
            return grads[0], None, None, None, grad_values, None
        grad_values = torch.zeros_like(values, memory_format=torch.contiguous_format)
        arrays = (x.detach().contiguous().numpy() for x in (directions, places, entries, grads[0], rows))
        blend_cpu.offsets_backward(*arrays, grad_values.numpy())
        return grads[0], None, None, None, grad_values, None
