"""Joints fall onto what was seen in the image."""

from __future__ import annotations

from torch import Tensor, nn

from apu_losses.functional.options import check_number
from apu_losses.functional.reprojection import keypoint_reprojection


class KeypointReprojectionLoss(nn.Module):
    """Draws projected joints to detected keypoints: see `keypoint_reprojection`.

    Args:
        confidence_power, min_confidence: how confidences count.
        robust: rho in pixels at the 512 scale, or ``None``.
    """

    def __init__(
        self, *, confidence_power: float = 1.0, min_confidence: float = 0.0, robust: float | None = None
    ) -> None:
        super().__init__()
        if robust is not None:
            check_number("robust", robust, positive=True)
        self.confidence_power = confidence_power
        self.min_confidence = min_confidence
        self.robust = robust

    def forward(self, projected: Tensor, xy: Tensor, confidence: Tensor, scale: Tensor) -> Tensor:
        """``(N, J, 2)``, ``(N, J, 2)``, ``(N, J)`` and ``(N,)`` of `keypoint_scale` to ``(N,)``."""
        return keypoint_reprojection(
            projected,
            xy,
            confidence,
            scale,
            confidence_power=self.confidence_power,
            min_confidence=self.min_confidence,
            robust=self.robust,
        )
