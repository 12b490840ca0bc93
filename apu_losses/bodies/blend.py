"""Linear blend skinning given the joint transforms: a compiled path for the CPU and its plain PyTorch twin.

The transforms are ``(N, J, 12)``: row-major 3x4 matrices from the rest pose to the posed body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apu_losses.numerics.compiled import runs_compiled
from apu_losses.numerics.pool import split

_TILE = 2048  # vertices per piece of work


@dataclass(frozen=True)
class Influences:
    """Which joints move each vertex, in the three forms that the paths need.

    Args:
        dense: ``(V, J)`` weights.
        joint: ``(V, I)`` joints, padded with weight 0 to the largest number of influences.
        weight: ``(V, I)``.
        offsets: ``(V + 1,)`` start of each vertex's entries below (NumPy, host).
        flat_joint: ``(E,)`` joints.
        flat_weight: ``(E,)`` weights.
    """

    dense: Tensor
    joint: Tensor
    weight: Tensor
    offsets: NDArray[np.int64]
    flat_joint: NDArray[np.int64]
    flat_weight: NDArray[np.floating]

    @staticmethod
    def build(weights: NDArray[np.floating], dtype: torch.dtype, device: torch.device) -> Influences:
        """All nonzero weights are kept, so every form gives the sum over all joints."""
        count = max(int((weights != 0).sum(1).max()), 1)
        order = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :count]
        vertex, joint = np.nonzero(weights)
        dense = torch.tensor(np.ascontiguousarray(weights), dtype=dtype, device="cpu")
        return Influences(
            dense=dense.to(device),
            joint=torch.tensor(order.astype(np.int64), device=device, dtype=torch.int64),
            weight=torch.tensor(np.take_along_axis(weights, order, axis=1), dtype=dtype, device=device),
            offsets=np.searchsorted(vertex, np.arange(len(weights) + 1)).astype(np.int64),
            flat_joint=joint.astype(np.int64),
            flat_weight=dense.numpy()[vertex, joint],
        )


def blend_mesh(
    transforms: Tensor, rest: Tensor, ids: Tensor, influences: Influences, backend: str = "auto"
) -> Tensor:
    """Skin the same vertices of every body.

    Args:
        transforms: ``(N, J, 12)``.
        rest: ``(N, M, 3)`` rest positions.
        ids: ``(M,)`` vertex ids.
        influences: the body's skinning weights.
        backend: ``"torch"``, ``"cpu"`` (compiled) or ``"auto"``.

    Returns:
        ``(N, M, 3)`` positions.
    """
    if runs_compiled(backend, transforms, rest):
        return _Mesh.apply(transforms, rest, ids, influences)
    return _mesh_torch(transforms, rest, ids, influences)


def blend_items(
    transforms: Tensor, rest: Tensor, rows: Tensor, ids: Tensor, influences: Influences, backend: str = "auto"
) -> Tensor:
    """Skin vertex ``ids[k]`` of body ``rows[k]``.

    Args:
        transforms: ``(N, J, 12)``.
        rest: ``(K, 3)`` rest positions.
        rows: ``(K,)`` bodies.
        ids: ``(K,)`` vertex ids.
        influences: the body's skinning weights.
        backend: as for ``blend_mesh``.

    Returns:
        ``(K, 3)`` positions.
    """
    if runs_compiled(backend, transforms, rest):
        return _Items.apply(transforms, rest, rows, ids, influences)
    return _items_torch(transforms, rest, rows, ids, influences)


def _mesh_torch(transforms: Tensor, rest: Tensor, ids: Tensor, influences: Influences) -> Tensor:
    weights = influences.dense.index_select(0, ids)
    blended = (weights @ transforms).unflatten(2, (3, 4))
    return (blended[..., :3] * rest[:, :, None, :]).sum(-1) + blended[..., 3]


def _items_torch(
    transforms: Tensor, rest: Tensor, rows: Tensor, ids: Tensor, influences: Influences
) -> Tensor:
    joint = influences.joint.index_select(0, ids)
    weight = influences.weight.index_select(0, ids)
    flat = (rows[:, None] * transforms.shape[1] + joint).reshape(-1)
    chosen = transforms.flatten(0, 1).index_select(0, flat).unflatten(0, (-1, joint.shape[1]))
    blended = (weight[:, None, :] @ chosen).view(-1, 3, 4)
    return (blended[..., :3] @ rest[..., None])[..., 0] + blended[..., 3]


def _twin_gradient(
    ctx: Any,
    twin: Callable[..., Tensor],
    transforms: Tensor,
    rest: Tensor,
    others: tuple[Any, ...],
    grad: Tensor,
) -> list[Tensor | None]:
    """Gradient by the twin, itself differentiable: for ``create_graph=True``."""
    needed = [i for i in (0, 1) if ctx.needs_input_grad[i]]
    with torch.enable_grad():
        out = twin(transforms, rest, *others)
        found = torch.autograd.grad(out, [(transforms, rest)[i] for i in needed], grad, create_graph=True)
    result: list[Tensor | None] = [None, None]
    for i, value in zip(needed, found, strict=True):
        result[i] = value
    return result


class _Mesh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, transforms: Tensor, rest: Tensor, ids: Tensor, influences: Influences) -> Tensor:
        from apu_losses.bodies import blend_cpu

        ctx.save_for_backward(transforms, rest, ids)
        ctx.influences = influences
        out = torch.empty_like(rest, memory_format=torch.contiguous_format)
        arrays = _arrays(transforms, rest, ids, influences)
        tiles = len(rest) * ((len(ids) + _TILE - 1) // _TILE)

        def work(start: int, stop: int) -> None:
            blend_cpu.mesh_forward(start, stop, _TILE, *arrays, out.numpy())

        split(tiles, work)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        from apu_losses.bodies import blend_cpu

        transforms, rest, ids = ctx.saved_tensors
        if torch.is_grad_enabled():
            others = (ids, ctx.influences)
            return *_twin_gradient(ctx, _mesh_torch, transforms, rest, others, grads[0]), None, None
        grad_transforms = torch.zeros_like(transforms, memory_format=torch.contiguous_format)
        grad_rest = torch.empty_like(rest, memory_format=torch.contiguous_format)
        arrays = _arrays(transforms, rest, ids, ctx.influences)
        grad = grads[0].contiguous().numpy()
        outputs = (grad_transforms.numpy(), grad_rest.numpy())

        def work(start: int, stop: int) -> None:
            blend_cpu.mesh_backward(start, stop, *arrays, grad, *outputs)

        split(len(rest), work)
        return grad_transforms, grad_rest, None, None


class _Items(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, transforms: Tensor, rest: Tensor, rows: Tensor, ids: Tensor, influences: Influences
    ) -> Tensor:
        from apu_losses.bodies import blend_cpu

        ctx.save_for_backward(transforms, rest, rows, ids)
        ctx.influences = influences
        out = torch.empty_like(rest, memory_format=torch.contiguous_format)
        first, second, *others = _arrays(transforms, rest, ids, influences)
        blend_cpu.items_forward(first, second, rows.numpy(), *others, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        from apu_losses.bodies import blend_cpu

        transforms, rest, rows, ids = ctx.saved_tensors
        if torch.is_grad_enabled():
            others = (rows, ids, ctx.influences)
            return *_twin_gradient(ctx, _items_torch, transforms, rest, others, grads[0]), None, None, None
        grad_transforms = torch.zeros_like(transforms, memory_format=torch.contiguous_format)
        grad_rest = torch.empty_like(rest, memory_format=torch.contiguous_format)
        first, second, *rest_of = _arrays(transforms, rest, ids, ctx.influences)
        blend_cpu.items_backward(
            first, second, rows.numpy(), *rest_of, grads[0].contiguous().numpy(),
            grad_transforms.numpy(), grad_rest.numpy(),
        )  # fmt: skip
        return grad_transforms, grad_rest, None, None, None


def _arrays(transforms: Tensor, rest: Tensor, ids: Tensor, influences: Influences) -> tuple[Any, ...]:
    return (
        transforms.detach().contiguous().numpy(),
        rest.detach().contiguous().numpy(),
        ids.contiguous().numpy(),
        influences.offsets,
        influences.flat_joint,
        influences.flat_weight,
    )
