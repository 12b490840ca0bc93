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

    Example:
        >>> import torch
        >>> from apu_losses import KeypointReprojectionLoss
        >>> from apu_losses.functional import keypoint_scale
        >>> seen = torch.tensor([[[10.0, 20.0], [60.0, 276.0]]])
        >>> confidence = torch.tensor([[1.0, 0.5]])
        >>> KeypointReprojectionLoss()(seen + 3.0, seen, confidence, keypoint_scale(seen, confidence))
        tensor([108.])
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
