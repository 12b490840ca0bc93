"""What the pictures show: detected 2D keypoints."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from apu_losses.fitting.state import FitState
from apu_losses.functional.reprojection import keypoint_reprojection


@dataclass(frozen=True)
class KeypointTerm:
    """Projected joints lie on the detected keypoints; square pixels at 512 scale, confidence-weighted.

    Options: ``confidence_power``, ``confidence_threshold``, ``robust`` (pixels), see
    `apu_losses.functional.reprojection.keypoint_reprojection`; ``hands``, factor on the keypoints of fingers,
    which are many, small and guessed where they are hidden (0: not used), and ``hand_threshold``, the
    confidence that they must have.
    """

    confidence_power: float = 1.0
    confidence_threshold: float = 0.0
    robust: float | None = None
    hands: float = 0.5
    hand_threshold: float = 0.3

    def __call__(self, state: FitState) -> Tensor:
        batch = state.batch
        per_person = keypoint_reprojection(
            state.keypoints2d,
            batch.target_keypoints,
            batch.target_confidence,
            batch.scale,
            confidence_power=self.confidence_power,
            confidence_threshold=self.confidence_threshold,
            robust=self.robust,
        )
        if self.hands > 0 and batch.any_hand:
            per_person = per_person + self.hands * keypoint_reprojection(
                state.hands2d,
                batch.hand_keypoints,
                batch.hand_confidence,
                batch.scale,
                confidence_power=self.confidence_power,
                confidence_threshold=max(self.confidence_threshold, self.hand_threshold),
                robust=self.robust,
            )
        return state.per_scene(per_person)
