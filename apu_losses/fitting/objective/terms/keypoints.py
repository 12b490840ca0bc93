"""What the pictures show: detected 2D keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from apu_contacts.keypoints.seen import is_seen
from apu_losses.fitting.objective.batch import HANDS, SKELETON, SceneBatch
from apu_losses.fitting.objective.residuals import Movement, Residuals
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.terms.options import check_options
from apu_losses.functional.reprojection import keypoint_reprojection
from apu_losses.functional.robust import geman_mcclure_weight
from apu_losses.numerics.ordered import ordered_matmul


@dataclass(frozen=True)
class KeypointTerm:
    """Projected joints lie on the detected keypoints; square pixels at 512 scale, confidence-weighted.

    Options: ``confidence_power``, ``min_confidence``, ``robust`` (pixels), see
    `apu_losses.functional.keypoint_reprojection`; ``hands``, factor on the keypoints of fingers,
    which are many, small and guessed where they are hidden (0: not used), and ``hand_min_confidence``, the
    confidence that they must have.
    """

    confidence_power: float = 1.0
    min_confidence: float = 0.0
    robust: float | None = None
    hands: float = 0.5
    hand_min_confidence: float = 0.3

    def __post_init__(self) -> None:
        check_options(self, "robust")

    def __call__(self, state: FitState) -> Tensor:
        """Return one value per scene, without its weight: ``(S,)``."""
        batch = state.batch
        per_person = keypoint_reprojection(
            state.keypoints2d,
            batch.target_keypoints,
            batch.target_confidence,
            batch.scale,
            confidence_power=self.confidence_power,
            min_confidence=self.min_confidence,
            robust=self.robust,
        )
        if self.hands > 0 and batch.any_hand:
            per_person = per_person + self.hands * keypoint_reprojection(
                state.hands2d,
                batch.hand_keypoints,
                batch.hand_confidence,
                batch.scale,
                confidence_power=self.confidence_power,
                min_confidence=max(self.min_confidence, self.hand_min_confidence),
                robust=self.robust,
            )
        return state.per_scene(per_person)

    def residuals(self, state: FitState, movement: Movement) -> Residuals:
        """Distances of the projected joints from the detected ones, scaled pixels."""
        batch = state.batch
        body = self._squares(
            state.keypoints3d,
            movement.keypoints(SKELETON),
            batch,
            batch.target_keypoints,
            batch.target_confidence,
            self.min_confidence,
        )
        if self.hands == 0 or not batch.any_hand:
            return body
        hands = self._squares(
            state.hands3d,
            movement.keypoints(HANDS),
            batch,
            batch.hand_keypoints,
            batch.hand_confidence,
            max(self.min_confidence, self.hand_min_confidence),
        )
        (rows, moved), (hand_rows, hand_moved) = body.parts[0], hands.parts[0]
        return Residuals(
            torch.cat([body.value, hands.value]),
            torch.cat([body.weight, self.hands * hands.weight]),
            [(torch.cat([rows, hand_rows]), torch.cat([moved, hand_moved]))],
        )

    def _squares(
        self,
        points: Tensor,
        moved: Tensor,
        batch: SceneBatch,
        detected: Tensor,
        confidence: Tensor,
        min_confidence: float,
    ) -> Residuals:
        """Return the residuals of one skeleton; only of the joints that count."""
        row, joint = torch.nonzero(is_seen(confidence, min_confidence), as_tuple=True)
        camera = batch.camera.rows(row)
        where, scale = points.detach()[row, joint][:, None], batch.scale[row][:, None]
        value = (camera.project(where)[:, 0] - detected[row, joint]) * scale
        jacobian = ordered_matmul(camera.project_jacobian(where)[:, 0], moved[row, joint]) * scale[..., None]
        weight = confidence[row, joint] ** self.confidence_power
        if self.robust is not None:
            weight = weight * geman_mcclure_weight(value.square().sum(1), self.robust)
        return Residuals(value, weight, [(row, jacobian)])
