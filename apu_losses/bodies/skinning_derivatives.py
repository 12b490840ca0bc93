"""The closed form of how a linear blend body moves with its parameters.

Turning joint k by a small rotation vector w about the world's axes moves everything below it by
``w x (y - p_k)``, p_k the joint's position. A skinned vertex is a weighted mean of the places ``y_j`` where
its joints would put it, so it moves by ``w x sum_j u_j (y_j - p_k)`` over the joints j at or below k. Shape
moves the rest vertex and the rest joints, pose correctives the rest vertex.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from apu_losses.bodies.kinematics import KinematicTree
from apu_losses.numerics.ordered import RowMatrix, SparseRows, ordered_matmul

_SERIES_BELOW = 1e-3  # squared angle


@dataclass(frozen=True)
class PosedSkeleton:
    """What posing left of N bodies, on the way to vertices.

    Args:
        vectors: ``(N, J, 3)`` axis-angle rotation of each joint relative to its parent.
        rotations: ``(N, J, 3, 3)`` the same as matrices.
        transforms: ``(N, J, 3, 4)`` from the rest pose to the posed body, without the translation.
        positions: ``(N, J, 3)`` joints, without the translation.
        joint_dirs: ``(S, J, 3)`` how the rest joints move with the shape coefficients.
        tree: parents of the joints.
    """

    vectors: Tensor
    rotations: Tensor
    transforms: Tensor
    positions: Tensor
    joint_dirs: Tensor
    tree: KinematicTree


@dataclass(frozen=True)
class RestVertices:
    """Chosen vertices before posing, K items.

    Args:
        points: ``(K, 3)`` with shape and pose correctives.
        dirs: ``(K, 3, S)`` how they move with the shape coefficients.
        joint: ``(K, I)`` the joints that move each.
        weight: ``(K, I)``.
        correctives: ``(K, M, 3, 9)`` how they move with the rotation matrices of the joints
            ``corrective_joints``, or None.
        corrective_joints: ``(K, M)``, no joint twice for a vertex.
    """

    points: Tensor
    dirs: Tensor
    joint: Tensor
    weight: Tensor
    correctives: Tensor | None
    corrective_joints: Tensor


class LinearBlendDerivatives:
    """`apu_losses.bodies.derivatives.BodyDerivatives` of a linear blend body.

    Args:
        skeleton: the posed skeleton.
        blocks: the columns, in order: ``("turn", joints (M,), mix)`` for M joints' rotation vectors, with
            ``mix (3 M, C)`` where C coefficients stand for them; ``("shape", coefficients (M,), None)``;
            ``("move", ..., None)`` for the translation.
        rest_vertices: ``(rows, ids) -> RestVertices``.
        keypoints: ``(skeleton, joints (N, J, 3, D), vertices of ids)`` -> ``(N, K, 3, D)``.
    """

    def __init__(
        self,
        skeleton: PosedSkeleton,
        blocks: Sequence[tuple[str, Tensor, RowMatrix | None]],
        rest_vertices: Callable[[Tensor, Tensor], RestVertices],
        keypoints: Callable[[str], tuple[SparseRows, Tensor, SparseRows]],
    ) -> None:
        self._skeleton = skeleton
        self._blocks = blocks
        self._rest_vertices = rest_vertices
        self._keypoint_weights = keypoints
        turned = [joints for kind, joints, _ in blocks if kind == "turn"]
        none = torch.zeros(0, dtype=torch.int64, device=skeleton.vectors.device)
        self._turned = torch.cat([none, *turned])  # (T,)
        below = skeleton.tree.descendants.to(skeleton.positions)  # (J, J): is j at or below k
        self._below = below[:, self._turned]
        self._column = torch.full(
            (len(below),), -1, device=below.device, dtype=torch.int64
        )  # (J,), -1 where a joint is held
        self._column[self._turned] = torch.arange(len(self._turned), device=below.device)

    @cached_property
    def _axes(self) -> Tensor:
        """``(N, T, 3, 3)`` world axis (second to last) that each number of a turned joint turns about."""
        vectors = self._skeleton.vectors[:, self._turned]
        world = self._skeleton.transforms[:, self._turned, :, :3]
        return ordered_matmul(world, right_jacobian(vectors))

    @cached_property
    def _shape_offsets(self) -> Tensor:
        """``(N, J, 3, S)`` derivative of the translation part of each joint's transform by the shape."""
        s = self._skeleton
        parents = torch.tensor(
            [max(p, 0) for p in s.tree.parents], device=s.positions.device, dtype=torch.int64
        )
        is_child = torch.tensor([p >= 0 for p in s.tree.parents], device=s.positions.device, dtype=torch.bool)
        rest = s.joint_dirs.permute(1, 2, 0)  # (J, 3, S)
        bone = rest - rest[parents] * is_child[:, None, None]
        turned_by = torch.where(
            is_child[:, None, None],
            s.transforms[:, parents, :, :3],
            torch.eye(3, dtype=rest.dtype, device=rest.device),
        )
        moved = ordered_matmul(turned_by, bone)
        positions = SparseRows.of(s.tree.descendants.to(rest)).mix(moved)
        return positions - ordered_matmul(s.transforms[..., :3], rest)

    @cached_property
    def joints(self) -> Tensor:
        """``(N, J, 3, D)`` of the joints."""
        s = self._skeleton
        arm = s.positions[:, :, None] - s.positions[:, None, self._turned]  # (N, J, T, 3)
        arm = arm * self._below[None, :, :, None]
        turn = cross_columns(self._axes[:, None], arm)
        rest = s.joint_dirs.permute(1, 2, 0)
        shape = self._shape_offsets + ordered_matmul(s.transforms[..., :3], rest)
        return self._columns(turn, shape)

    def keypoints(self, skeleton: str) -> Tensor:
        """``(N, K, 3, D)`` of the keypoints of a skeleton; zero for those that the body lacks."""
        joint_mix, ids, vertex_mix = self._keypoint_weights(skeleton)
        found = joint_mix.mix(self.joints)
        if not len(ids):
            return found
        count = len(self._skeleton.positions)
        rows = torch.arange(count, device=ids.device).repeat_interleave(len(ids))
        points = self.select(rows, ids.repeat(count)).unflatten(0, (count, len(ids)))
        return found + vertex_mix.mix(points)

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3, D)`` of vertex ``vertex_ids[k]`` of body ``rows[k]``."""
        s = self._skeleton
        rest = self._rest_vertices(rows, vertex_ids)
        transforms = s.transforms[rows[:, None], rest.joint]  # (K, I, 3, 4)
        placed = (
            ordered_matmul(transforms[..., :3], rest.points[:, None, :, None])[..., 0] + transforms[..., 3]
        )
        shares = rest.weight[:, :, None] * self._below[rest.joint]  # (K, I, T)
        arm = ordered_matmul(shares.transpose(1, 2), placed)
        arm = arm - shares.sum(1)[..., None] * s.positions[rows[:, None], self._turned]
        turn = cross_columns(self._axes[rows], arm)
        blended = (rest.weight[:, :, None, None] * transforms[..., :3]).sum(1)
        if rest.correctives is not None and len(self._turned):
            joints = rest.corrective_joints
            by_joint = self._rotation_columns[rows[:, None], joints].flatten(2, 3)  # (K, M, 9, 3)
            moved = ordered_matmul(
                blended[:, None], ordered_matmul(rest.correctives, by_joint)
            )  # (K, M, 3, 3)
            column = self._column[joints][..., None, None]
            moved = torch.where(column >= 0, moved, 0.0).transpose(1, 2)
            place = column.clamp(min=0).transpose(1, 2).expand_as(moved)
            turn = turn.scatter_add(2, place, moved)
        offsets = (rest.weight[:, :, None, None] * self._shape_offsets[rows[:, None], rest.joint]).sum(1)
        return self._columns(turn, ordered_matmul(blended, rest.dirs) + offsets)

    @cached_property
    def _rotation_columns(self) -> Tensor:
        """``(N, J, 3, 3, 3)`` derivative of each local rotation matrix by its rotation vector (last)."""
        s = self._skeleton
        axes = right_jacobian(s.vectors)  # columns: small turns on the right
        return torch.stack([ordered_matmul(s.rotations, _skew(axes[..., c])) for c in range(3)], -1)

    def _columns(self, turn: Tensor, shape: Tensor) -> Tensor:
        """Columns in the order of the blocks from ``(..., 3, T, 3)`` of turns and ``(..., 3, S)``."""
        parts = []
        first = 0
        for kind, index, mix in self._blocks:
            if kind == "turn":
                part = turn[..., first : first + len(index), :].flatten(-2)
                first += len(index)
                if mix is not None:
                    part = mix.times(part.flatten(0, -2)).unflatten(0, part.shape[:-1])
                parts.append(part)
            elif kind == "shape":
                parts.append(shape[..., index])
            else:
                identity = torch.eye(3, dtype=shape.dtype, device=shape.device)
                parts.append(identity.expand(*shape.shape[:-2], 3, 3))
        return torch.cat(parts, -1)


def parameter_blocks(
    names: Sequence[str],
    pose_layout: Sequence[tuple[str, int]],
    hands: Mapping[str, tuple[Tensor, RowMatrix | None]],
    coefficients: Mapping[str, range],
    device: torch.device,
) -> list[tuple[str, Tensor, RowMatrix | None]]:
    """Return the ``blocks`` of `LinearBlendDerivatives` for these parameters."""
    joints, first = {}, 0
    for name, count in pose_layout:
        joints[name] = torch.arange(first, first + count, device=device)
        first += count
    blocks: list[tuple[str, Tensor, RowMatrix | None]] = []
    for name in names:
        if name in joints:
            components = hands[name][1] if name in hands else None
            blocks.append(("turn", joints[name], None if components is None else components.flipped()))
        elif name in coefficients:
            blocks.append(
                ("shape", torch.tensor(list(coefficients[name]), device=device, dtype=torch.int64), None)
            )
        else:
            blocks.append(("move", torch.arange(3, device=device), None))
    return blocks


def right_jacobian(vectors: Tensor) -> Tensor:
    """``J`` with ``R(v + d) = R(v) Exp(J d)`` for small d: ``(..., 3)`` to ``(..., 3, 3)``.

    References:
        Sola, Deray, Atchuthan, "A micro Lie theory for state estimation in robotics", 2018, equation 143.
    """
    q = vectors.square().sum(-1)
    small = q < _SERIES_BELOW
    angle = torch.where(small, torch.ones_like(q), q).sqrt()
    half = torch.sin(angle / 2) / angle
    first = torch.where(small, 0.5 - q / 24 * (1 - q / 30), 2 * half * half)
    second = torch.where(
        small, 1 / 6 - q / 120 * (1 - q / 42), (angle - torch.sin(angle)) / (angle * angle * angle)
    )
    skew = _skew(vectors)
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return identity - first[..., None, None] * skew + second[..., None, None] * ordered_matmul(skew, skew)


def _skew(v: Tensor) -> Tensor:
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def cross_columns(axes: Tensor, arm: Tensor) -> Tensor:
    """``axes[..., t, :, c] x arm[..., t, :]`` as ``(..., 3, T, 3)`` with the components before the joints."""
    a0, a1, a2 = axes.unbind(-2)
    x, y, z = (part[..., None] for part in arm.unbind(-1))
    return torch.stack([a1 * z - a2 * y, a2 * x - a0 * z, a0 * y - a1 * x], -3)
