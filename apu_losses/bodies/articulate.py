"""Joint transforms from axis-angle vectors: a compiled path for the CPU and its plain PyTorch twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from apu_losses.bodies.kinematics import KinematicTree
from apu_losses.numerics.compiled import runs_compiled
from apu_losses.numerics.pool import split
from apu_losses.numerics.rotations import rotation_matrix

_ROWS_PER_TASK = 4


def articulate(
    vectors: Tensor, rest: Tensor, tree: KinematicTree, backend: str = "auto"
) -> tuple[Tensor, Tensor, Tensor]:
    """Pose a skeleton.

    Args:
        vectors: ``(N, J, 3)`` axis-angle rotation of each joint relative to its parent.
        rest: ``(N, J, 3)`` joint positions of the unposed body.
        tree: the parents.
        backend: ``"torch"``, ``"cpu"`` (compiled) or ``"auto"``.

    Returns:
        ``(N, J, 12)`` row-major 3x4 transforms from the rest pose to the posed body, ``(N, J, 3)`` joint
        positions and ``(N, J, 3, 3)`` rotations relative to the parents.
    """
    if runs_compiled(backend, vectors, rest):
        transforms, positions, rotations = _Articulate.apply(vectors, rest, tree)
        return transforms, positions, rotations
    return _articulate_torch(vectors, rest, tree)


def _articulate_torch(vectors: Tensor, rest: Tensor, tree: KinematicTree) -> tuple[Tensor, Tensor, Tensor]:
    rotations = rotation_matrix(vectors)
    world, positions = tree.world_transforms(rotations, rest)
    offset = positions - (world @ rest[..., None])[..., 0]
    return torch.cat([world, offset[..., None]], -1).flatten(2), positions, rotations


class _Articulate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, rest: Tensor, tree: KinematicTree) -> Any:
        from apu_losses.bodies import articulate_cpu

        ctx.save_for_backward(vectors, rest)
        ctx.tree = tree
        count, joints = vectors.shape[:2]
        outputs = (
            vectors.new_empty(count, joints, 12),
            vectors.new_empty(count, joints, 3),
            vectors.new_empty(count, joints, 3, 3),
        )
        arrays = _arrays(vectors, rest, tree)
        filled = [tensor.numpy() for tensor in outputs]

        def work(start: int, stop: int) -> None:
            articulate_cpu.forward(start, stop, *arrays, *filled)

        split(count, work, _ROWS_PER_TASK)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        from apu_losses.bodies import articulate_cpu

        vectors, rest = ctx.saved_tensors
        if torch.is_grad_enabled():
            needed = [i for i in (0, 1) if ctx.needs_input_grad[i]]
            with torch.enable_grad():
                outputs = _articulate_torch(vectors, rest, ctx.tree)
                inputs = [(vectors, rest)[i] for i in needed]
                # an output that does not depend on the inputs that count (rotations on rest) has no graph
                pairs = [(out, grad) for out, grad in zip(outputs, grads, strict=True) if out.requires_grad]
                found = torch.autograd.grad(
                    [out for out, _ in pairs], inputs, [grad for _, grad in pairs], create_graph=True
                )
            result: list[Tensor | None] = [None, None]
            for i, value in zip(needed, found, strict=True):
                result[i] = value
            return *result, None
        grad_vectors = torch.empty_like(vectors, memory_format=torch.contiguous_format)
        grad_rest = torch.empty_like(rest, memory_format=torch.contiguous_format)
        arrays = _arrays(vectors, rest, ctx.tree)
        filled = [*(grad.contiguous().numpy() for grad in grads), grad_vectors.numpy(), grad_rest.numpy()]

        def work(start: int, stop: int) -> None:
            articulate_cpu.backward(start, stop, *arrays, *filled)

        split(len(vectors), work, _ROWS_PER_TASK)
        return grad_vectors, grad_rest, None


def _arrays(vectors: Tensor, rest: Tensor, tree: KinematicTree) -> tuple[Any, ...]:
    return (
        vectors.detach().contiguous().numpy(),
        rest.detach().contiguous().numpy(),
        tree.order,
        np.asarray(tree.parents, dtype=np.int64),
    )
