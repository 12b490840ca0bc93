"""What a depth map says: how far away the surface is at each keypoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from apu_contacts.keypoints import SKELETONS, convert_keypoints
from apu_contacts.keypoints.types import Keypoints2D
from apu_losses.fitting.objective.batch import SKELETON, SceneBatch
from apu_losses.fitting.objective.residuals import Movement, Residuals, no_residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.options import check_choice
from apu_losses.functional.robust import geman_mcclure, geman_mcclure_weight

DepthScale = Literal["free", "metric"]

BEHIND = {
    "neck": 0.07,
    "shoulder": 0.065,
    "hip": 0.12,
    "elbow": 0.04,
    "wrist": 0.03,
    "knee": 0.06,
    "ankle": 0.04,
}
"""Metres from the surface that is seen to a joint behind it, medians over the joints that are seen in the
development scenes; 0 for all others, which lie on the face and the feet."""


@dataclass(frozen=True)
class KeypointDepthTerm:
    """Joints are as far away as a depth map says, square metres: ``ScenePerson.depths``.

    What the map shows at a keypoint is the surface before the joint (or before whoever hides it), so a joint
    should lie `BEHIND` it, and one that disagrees by far is let go.

    Options: ``robust``, metres above which a joint is let go, or ``None``; ``scale``: ``"free"``: all depths
    of a picture times one factor, which is solved for in each step, so that only who is nearer and by what
    share counts (the focal length of a picture is a guess, and a map's metres hang on its own); ``"metric"``:
    as they are.
    """

    robust: float | None = 0.2
    scale: DepthScale = "free"
    _targets: list[tuple[SceneBatch, Tensor, Tensor]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_options(self, "robust")
        check_choice("scale", self.scale, DepthScale)

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        row, joint, apart, _ = self._apart(state, state.keypoints3d)
        if not len(row):
            return state.batch.keypoints.new_zeros(state.batch.size)
        squared = apart.square()
        energy = squared if self.robust is None else geman_mcclure(squared, self.robust)
        _, weight = self._target(state.batch)
        return state.batch.per_scene(energy * weight[row, joint], state.batch.row_scene[row])

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Metres along the viewing direction, one a joint; the factor of the moment is a constant."""
        row, joint, apart, _ = self._apart(state, state.keypoints3d.detach())
        if not len(row):
            return no_residuals(state, movement)
        _, confidence = self._target(state.batch)
        weight = confidence[row, joint]
        if self.robust is not None:
            weight = weight * geman_mcclure_weight(apart.square(), self.robust)
        moved = movement.keypoints(SKELETON)[row, joint][:, 2:3]
        return Residuals(apart[:, None], weight, [(row, moved)])

    def _apart(self, state: FitState, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Person, joint and metres too far away of each joint whose depth is known; the factor by scene."""
        batch = state.batch
        target, weight = self._target(batch)
        row, joint = torch.nonzero(weight > 0, as_tuple=True)
        seen = target[row, joint]
        behind = _behind(points)[joint]
        surface = points[row, joint, 2] - behind
        factor = points.new_ones(batch.size)
        if self.scale == "free" and len(row):
            scene, trust = batch.row_scene[row], weight[row, joint] / seen.square()
            # the ratio that fits best, each joint weighed by what a share of its depth is
            above = points.new_zeros(batch.size).index_add(0, scene, trust * seen * surface)
            below = points.new_zeros(batch.size).index_add(0, scene, trust * seen.square())
            factor = torch.where(below > 0, above / below.clamp(min=1e-12), factor)
        return row, joint, surface - factor[batch.row_scene[row]] * seen, factor

    def _target(self, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        """``(N, 25)`` metres and confidence of each joint; the batch stays one object while scenes stay."""
        if not self._targets or self._targets[0][0] is not batch:
            people = [person for scene in batch.scenes for person in scene.people]
            depth, weight = np.zeros((2, len(people), len(SKELETONS[SKELETON].joint_names)))
            for number, person in enumerate(people):
                if person.depths is not None:
                    depth[number], weight[number] = _in_skeleton(person.keypoints, person.depths)
            like = batch.keypoints
            self._targets[:] = [(batch, like.new_tensor(depth), like.new_tensor(weight))]
        return self._targets[0][1], self._targets[0][2]


def _in_skeleton(keypoints: Keypoints2D, depths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths of the fit's own joints: those between two others lie between their depths."""
    known = np.isfinite(depths) & (depths > 0)
    confidence = np.where(known, keypoints.confidence, 0.0)
    filled = np.where(known, depths, 0.0)
    there = Keypoints2D(keypoints.skeleton, np.stack([filled, filled], 1), confidence)
    converted = convert_keypoints(there, SKELETON)
    weight = np.where(converted.xy[:, 0] > 0, converted.confidence, 0.0)
    return converted.xy[:, 0], weight


def _behind(like: Tensor) -> Tensor:
    """``(25,)`` metres of `BEHIND`, joint by joint."""
    names = SKELETONS[SKELETON].joint_names
    found = [next((m for word, m in BEHIND.items() if word in name), 0.0) for name in names]
    return like.new_tensor(found)
