"""The closed form of how Anny moves with its parameters.

Turning a bone by a small vector w about the world's axes moves all that hangs on it by ``w x (y - head)``, as
in `apu_losses.bodies.skinning_derivatives`. Phenotypes move the rest mesh and every bone; there are eleven of
them, so the bones are differentiated forward, and the vertices follow from the bones.

Kept beside `apu_losses.bodies.derivatives.ForwardModeDerivatives`, which takes 20 times as long for 200
vertices of two bodies by all 326 numbers (2.07 against 0.10 s of one thread), and for keypoints 6 times as
long by 17 of them alone (2026-12-01, 2 shared cores, anny 0.6.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.func import jvp, vmap

from apu_losses.bodies.anny_rig import AnnyBones, AnnyRig
from apu_losses.bodies.keypoints import KeypointTable
from apu_losses.bodies.kinematics import KinematicTree
from apu_losses.bodies.skinning_derivatives import cross_columns, right_jacobian
from apu_losses.numerics.rotations import rotation_matrix


class AnnyDerivatives:
    """`apu_losses.bodies.derivatives.BodyDerivatives` of N Annys.

    Args:
        rig: the model.
        tree: its bones.
        mix: ``(J, B)`` the joints as means of the bones' heads.
        full: every parameter with N rows.
        names: the parameters to differentiate by, in this order.
        table: the keypoints of a skeleton.
    """

    def __init__(
        self,
        rig: AnnyRig,
        tree: KinematicTree,
        mix: Tensor,
        full: Mapping[str, Tensor],
        names: Sequence[str],
        table: Callable[[str], KeypointTable],
    ) -> None:
        self._rig = rig
        self._mix = mix
        self._names = tuple(names)
        self._table = table
        self._phenotypes = full["phenotypes"].detach()
        self._vectors = bone_vectors(full).detach()
        with torch.no_grad():
            self._bones = rig.bones(self._phenotypes, rotation_matrix(self._vectors))
        self._below = tree.descendants.to(self._vectors)  # (B, B): does bone b hang on k

    @cached_property
    def _axes(self) -> Tensor:
        """``(N, B, 3, 3)`` world axis (second to last) that each number of a bone turns about."""
        return self._bones.axes @ right_jacobian(self._vectors)

    @cached_property
    def _shape(self) -> AnnyBones:
        """The bones' derivatives by the phenotypes, in a last dimension P."""
        turns = rotation_matrix(self._vectors)

        def moved(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            bones = self._rig.bones(x, turns)
            return bones.coefficients, bones.transforms, bones.heads

        def column(direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            found: tuple[Tensor, Tensor, Tensor] = jvp(
                moved, (self._phenotypes,), (direction.expand_as(self._phenotypes),)
            )[1]
            return found

        with torch.no_grad():
            basis = torch.eye(
                self._phenotypes.shape[1], dtype=self._phenotypes.dtype, device=self._phenotypes.device
            ).to(self._phenotypes)
            coefficients, transforms, heads = vmap(column, out_dims=-1)(basis)
        return AnnyBones(coefficients, transforms, heads, self._bones.axes)

    @cached_property
    def joints(self) -> Tensor:
        """See `BodyDerivatives`."""
        heads = self._bones.heads
        arm = (heads[:, :, None] - heads[:, None]) * self._below[None, :, :, None]  # (N, B, T, 3)
        # a joint is a mean of heads, and the rest is linear in the arms
        arm = torch.einsum("jb,nbtc->njtc", self._mix, arm)
        turn = cross_columns(self._axes[:, None], arm)
        shape = None
        if "phenotypes" in self._names:
            shape = torch.einsum("jb,nbcp->njcp", self._mix, self._shape.heads)
        return self._columns(turn, shape)

    def keypoints(self, skeleton: str) -> Tensor:
        """See `BodyDerivatives`."""
        table = self._table(skeleton)
        found = torch.einsum("kj,njcd->nkcd", table.joint_weights, self.joints)
        ids = table.vertex_ids
        if not len(ids):
            return found
        count = len(self._vectors)
        rows = torch.arange(count, device=ids.device).repeat_interleave(len(ids))
        points = self.select(rows, ids.repeat(count)).unflatten(0, (count, len(ids)))
        return found + torch.einsum("km,nmcd->nkcd", table.vertex_weights, points)

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """See `BodyDerivatives`."""
        rig, bones = self._rig, self._bones
        joint = rig.influences.joint.index_select(0, vertex_ids)
        weight = rig.influences.weight.index_select(0, vertex_ids)
        rest = rig.rest_items(bones.coefficients, rows, vertex_ids)
        transforms = bones.transforms[rows[:, None], joint]  # (K, I, 3, 4)
        placed = (transforms[..., :3] @ rest[:, None, :, None])[..., 0] + transforms[..., 3]
        shares = weight[:, :, None] * self._below[joint]  # (K, I, T)
        arm = shares.transpose(1, 2) @ placed - shares.sum(1)[..., None] * bones.heads[rows]
        turn = cross_columns(self._axes[rows], arm)
        shape = None
        if "phenotypes" in self._names:
            blended = (weight[:, :, None, None] * transforms[..., :3]).sum(1)
            inner = rig.dirs.index_select(0, vertex_ids) @ self._shape.coefficients[rows]  # (K, 3, P)
            bent = self._shape.transforms[rows[:, None], joint]  # (K, I, 3, 4, P)
            bent = (weight[:, :, None, None, None] * bent).sum(1)
            shape = blended @ inner + bent[:, :, 3] + torch.einsum("kcxp,kx->kcp", bent[:, :, :3], rest)
        return self._columns(turn, shape)

    def _columns(self, turn: Tensor, shape: Tensor | None) -> Tensor:
        """Columns in the order of the names from ``(..., 3, B, 3)`` of turns and ``(..., 3, P)``."""
        identity = torch.eye(3, dtype=turn.dtype, device=turn.device)
        parts = []
        for name in self._names:
            if name == "phenotypes" and shape is not None:
                parts.append(shape)
            elif name == "transl":
                parts.append(identity.expand(*turn.shape[:-3], 3, 3))
            else:
                own = turn[..., :1, :] if name == "global_orient" else turn[..., 1:, :]
                parts.append(own.flatten(-2))
        return torch.cat(parts, -1)


def bone_vectors(full: Mapping[str, Tensor]) -> Tensor:
    """``(N, B, 3)`` rotation vectors of all bones, the root's first."""
    return torch.cat([full["global_orient"], full["body_pose"]], 1).unflatten(1, (-1, 3))
