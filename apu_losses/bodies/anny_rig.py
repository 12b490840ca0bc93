"""What the fitter needs of an Anny model, without its whole mesh: bones first, vertices when asked for.

The package poses and skins all 13,718 vertices at every call. Here the shape coefficients and the bones come
from the package, and only those vertices that somebody asks for are shaped and skinned, by our own blending.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import roma
import torch
from torch import Tensor

from apu_losses.bodies.blend import Influences, blend_items, blend_mesh

# y up, facing +z, from Anny's z up, facing -y
_UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))


@dataclass(frozen=True)
class AnnyBones:
    """The bones of N bodies in our frame, without the translation.

    Attributes:
        coefficients: ``(N, S)`` of the shape directions.
        transforms: ``(N, B, 3, 4)`` from the rest shape to the posed body.
        heads: ``(N, B, 3)`` where the bones begin.
        axes: ``(N, B, 3, 3)`` what the axes are turned into about which ``body_pose`` turns each bone.
    """

    coefficients: Tensor
    transforms: Tensor
    heads: Tensor
    axes: Tensor


class AnnyRig:
    """The arrays of an ``anny.Anny`` object in our frame (metres, y up, facing +z, left at +x).

    Args:
        model: the object, already of the wanted type and on the wanted device.
    """

    def __init__(self, model: Any) -> None:
        from anny.models.phenotype import phenotype_blendshape_weights

        self._model = model
        self._weights_of = phenotype_blendshape_weights
        template: Tensor = model.template_vertices
        self._upright = torch.tensor(_UPRIGHT, dtype=template.dtype, device=template.device)
        self.parents = tuple(int(parent) for parent in model.bone_parents)
        # after the phenotypes' own come facial actions and local changes, which stay zero
        self._count = self._phenotype_coefficients(
            template.new_full((1, len(model.phenotype_labels)), 0.5)
        ).shape[1]
        self.template = template @ self._upright.T  # (V, 3)
        shapes: Tensor = model.blendshapes[: self._count]
        self.dirs = (shapes @ self._upright.T).permute(1, 2, 0).contiguous()  # (V, 3, S)
        dense = torch.zeros(len(template), len(self.parents), dtype=torch.float64, device="cpu")
        dense.scatter_add_(1, model.vertex_bone_indices.cpu(), model.vertex_bone_weights.cpu().double())
        self.influences = Influences.build(np.asarray(dense), template.dtype, torch.device(template.device))
        self.all_ids = torch.arange(len(template), device=template.device)
        reference: Tensor | None = model.reference_bone_orientations
        self._reference = reference

    def bones(self, phenotypes: Tensor, turns: Tensor) -> AnnyBones:
        """Place the bones.

        Args:
            phenotypes: ``(N, P)``
            turns: ``(N, B, 3, 3)`` of every bone about our axes; the root's turns the whole body, about the
                root's head.
        """
        coefficients = self._phenotype_coefficients(phenotypes)
        rest = self._rest_bones(coefficients)
        local = torch.eye(4, dtype=turns.dtype, device=turns.device).repeat(*turns.shape[:2], 1, 1)
        # the root is turned below: anny's own root pose would also carry its place
        local[:, 1:, :3, :3] = self._upright.T @ turns[:, 1:] @ self._upright
        moved, poses = self._model.get_bone_transforms(local, rest, pose_parameterization="local-ref")
        whole = turns[:, :1]
        linear = whole @ self._upright @ moved[..., :3, :3] @ self._upright.T
        heads = poses[..., :3, 3] @ self._upright.T
        root = heads[:, :1]
        at = torch.stack([moved[..., :3, 3] @ self._upright.T, heads]) - root
        offset, heads = ((whole @ at[..., None])[..., 0] + root).unbind(0)
        frame = self._upright @ (rest[..., :3, :3] if self._reference is None else self._reference)
        axes = whole @ self._upright @ poses[..., :3, :3] @ frame.mT
        axes = torch.cat([whole, axes[:, 1:]], 1)
        return AnnyBones(coefficients, torch.cat([linear, offset[..., None]], -1), heads, axes)

    def rest_vertices(self, coefficients: Tensor, ids: Tensor | None = None) -> Tensor:
        """``(N, M, 3)`` vertices ``ids`` (all by default) of the unposed body."""
        template = self.template if ids is None else self.template.index_select(0, ids)
        dirs = self.dirs if ids is None else self.dirs.index_select(0, ids)
        shaped = torch.addmm(template.flatten()[None], coefficients, dirs.flatten(0, 1).T)
        return shaped.unflatten(1, (-1, 3))

    def rest_items(self, coefficients: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
        """``(K, 3)`` vertex ``ids[k]`` of the unposed body ``rows[k]``."""
        offsets = self.dirs.index_select(0, ids) @ coefficients.index_select(0, rows)[:, :, None]
        return self.template.index_select(0, ids) + offsets[..., 0]

    def heights(self, phenotypes: Tensor) -> Tensor:
        """``(N, V)`` heights of the vertices of the unposed body."""
        return self.template[:, 1] + self._phenotype_coefficients(phenotypes) @ self.dirs[:, 1].T

    def _phenotype_coefficients(self, phenotypes: Tensor) -> Tensor:
        model = self._model
        found: Tensor = self._weights_of(
            phenotypes,
            model.phenotype_labels,
            model.anchors,
            model.stacked_phenotype_blend_shapes_mask,
            extrapolate=model.extrapolate_phenotypes,
        )
        projection = model.phenotype_blendshape_projection
        return found if projection is None else found @ projection

    def _rest_bones(self, coefficients: Tensor) -> Tensor:
        """``(N, B, 4, 4)`` the bones of the unposed body, in Anny's frame.

        The package's own function shapes the whole mesh on the way, which turning the bones as "cached" does
        not need: each is the rotation nearest to a matrix that is linear in the coefficients.
        """
        model = self._model
        if model.bone_orientation != "cached" or model.rest_orientation_refiner is not None:
            missing = len(model.blendshapes) - self._count
            rest: Tensor = model.get_rest_model(torch.nn.functional.pad(coefficients, (0, missing)))[
                "rest_bone_poses"
            ]
            return rest
        count = self._count
        heads = model.template_bone_heads + torch.tensordot(
            coefficients, model.bone_heads_blendshapes[:count], 1
        )
        near = model.bone_template_orientation_matrices + torch.tensordot(
            coefficients, model.bone_orientation_blendshapes[:count], 1
        )
        turned: Tensor = roma.special_procrustes(near)
        if model.root_identity_orientation:
            identity = torch.eye(3, dtype=turned.dtype, device=turned.device)
            turned = torch.cat([identity.expand(len(turned), 1, 3, 3), turned[:, 1:]], 1)
        last = torch.eye(4, dtype=turned.dtype, device=turned.device)[3].expand(*turned.shape[:2], 1, 4)
        return torch.cat([torch.cat([turned, heads[..., None]], -1), last], -2)


class AnnyPose:
    """N posed bodies; vertices are computed when they are asked for."""

    def __init__(self, rig: AnnyRig, bones: AnnyBones, mix: Tensor, transl: Tensor) -> None:
        self._rig = rig
        self._bones = bones
        self._transl = transl
        self._transforms = bones.transforms.flatten(2)
        self._joints = mix @ bones.heads + transl[:, None]

    def __len__(self) -> int:
        return len(self._transl)

    @property
    def joints(self) -> Tensor:
        """``(N, J, 3)`` joint positions, metres."""
        return self._joints

    def vertices(self, ids: Tensor | None = None) -> Tensor:
        """``(N, V, 3)`` all vertices, or ``(N, M, 3)`` those of ``ids (M,)``."""
        rig = self._rig
        rest = rig.rest_vertices(self._bones.coefficients, ids)
        which = rig.all_ids if ids is None else ids
        return blend_mesh(self._transforms, rest, which, rig.influences) + self._transl[:, None]

    def select(self, rows: Tensor, vertex_ids: Tensor) -> Tensor:
        """``(K, 3)`` vertex ``vertex_ids[k]`` of body ``rows[k]``; only these are skinned."""
        rest = self._rig.rest_items(self._bones.coefficients, rows, vertex_ids)
        moved = blend_items(self._transforms, rest, rows, vertex_ids, self._rig.influences)
        return moved + self._transl.index_select(0, rows)
