"""How people hold their bodies: pose priors and the hold on the start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from apu_losses.bodies.skinning_derivatives import right_jacobian
from apu_losses.fitting.body_parameters import HAND_POSES, pose_joints, smplx_pose
from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.hand_prior import hand_pose_prior
from apu_losses.functional.pose_prior import (
    Metric,
    anatomical_pose_prior,
    initial_pose_prior,
    load_pose_mixture,
    mixture_pose_prior,
)
from apu_losses.numerics.rotation_difference import rotation_difference


@dataclass(frozen=True)
class PosePriorTerm:
    """How unlikely a pose is: SMPLify's mixture from your ``gmm_08.pkl``, or joint limits that need no file.

    Options: ``mixture``, path of the mixture; by default the free prior
    `apu_losses.functional.anatomical_pose_prior`. Both know the 21 body joints of the SMPL family;
    a body without them gets 0.
    """

    mixture: str | None = None

    def __post_init__(self) -> None:
        loaded = None if self.mixture is None else load_pose_mixture(self.mixture)
        object.__setattr__(self, "_loaded", loaded)

    @property
    def separable(self) -> bool:
        """Joint limits are; a mixture's curvature is left out."""
        return self.mixture is None

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        pose = smplx_pose(state.body, state.params)
        if pose is None:
            return state.batch.keypoints.new_zeros(state.batch.size)
        loaded = self._loaded  # type: ignore[attr-defined]
        return state.per_scene(
            anatomical_pose_prior(pose) if loaded is None else mixture_pose_prior(pose, loaded)
        )


@dataclass(frozen=True)
class InitialPoseTerm:
    """The pose stays near the reference of the stage, square radians.

    Options: ``spine`` and ``collars``, factors on these joints (detectors see nothing of them, and contact
    that bends the spine buys itself a broken body), found by their names; ``metric``: ``"axis_angle"`` as
    BUDDI, or ``"geodesic"``.
    """

    spine: float = 1.0
    collars: float = 1.0
    metric: Metric = "axis_angle"

    def __post_init__(self) -> None:
        check_options(self)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        if not pose_joints(state.body):
            return state.batch.keypoints.new_zeros(state.batch.size)
        pose, reference = state.params["body_pose"], state.reference["body_pose"]
        return state.per_scene(
            initial_pose_prior(pose, reference, metric=self.metric, joint_weights=self._weights(state))
        )

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return the turn of each joint from the reference."""
        if not pose_joints(state.body):
            return no_residuals(state, movement)
        pose, reference = state.params["body_pose"], state.reference["body_pose"]
        return _turns(movement, "body_pose", pose, reference, self._weights(state), self.metric)

    def _weights(self, state: FitState) -> Tensor:
        """``(J,)`` of the body's joints."""
        factors = {"spine": self.spine, "collar": self.collars}
        names = pose_joints(state.body)
        return state.params["body_pose"].new_tensor(
            [next((f for key, f in factors.items() if key in name), 1.0) for name in names]
        )


@dataclass(frozen=True)
class HandPoseTerm:
    """The fingers stay near the start of the fit, square radians; see `hand_pose_prior`."""

    separable = True

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        total = state.batch.keypoints.new_zeros(state.batch.rows)
        for name in HAND_POSES:
            if name in state.params:
                total = total + hand_pose_prior(state.params[name], state.start[name])
        return state.per_scene(total)


@dataclass(frozen=True)
class OrientationTerm:
    """The global orientation stays near the start's, square radians of the angle between them."""

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        turned = rotation_difference(state.params["global_orient"], state.start["global_orient"])
        return state.per_scene(turned.square().sum((1, 2)))

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Return the turn from the start's orientation."""
        orient, start = state.params["global_orient"], state.start["global_orient"]
        return _turns(movement, "global_orient", orient, start, torch.ones_like(orient[0, :1]), "geodesic")


def _turns(
    movement: Movement, name: str, pose: Tensor, reference: Tensor, weights: Tensor, metric: Metric
) -> Residuals:
    """One residual of three numbers a joint, person after person."""
    people, joints = len(pose), len(weights)
    if metric == "axis_angle":
        value = (pose - reference).unflatten(1, (-1, 3))
        turned = torch.eye(3, dtype=pose.dtype, device=pose.device).expand(people, joints, 3, 3)
    else:
        # the logarithm turns further than its residual by a rotation about the residual itself, which
        # changes neither the length nor the gradient
        value = rotation_difference(pose, reference)
        turned = right_jacobian(pose.unflatten(1, (-1, 3)))
    jacobian = pose.new_zeros(people, joints, 3, joints, 3)
    each = torch.arange(joints, device=pose.device)
    jacobian[:, each, :, each] = turned.transpose(0, 1)
    moved = movement.of_parameter(name, jacobian.flatten(1, 2).flatten(2))
    rows = torch.arange(people, device=pose.device).repeat_interleave(joints)
    return Residuals(
        value.flatten(0, 1), weights.repeat(people), [(rows, moved.unflatten(1, (joints, 3)).flatten(0, 1))]
    )
