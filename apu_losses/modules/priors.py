"""Poses and shapes stay likely, and near where they started."""

from __future__ import annotations

from torch import Tensor, nn

from apu_losses.functional.options import check_choice
from apu_losses.functional.pose_prior import (
    Metric,
    PoseMixture,
    anatomical_pose_prior,
    initial_pose_prior,
    mixture_pose_prior,
)
from apu_losses.functional.shape import shape_change_prior, shape_prior


class PosePrior(nn.Module):
    """How likely a body pose is: SMPLify's mixture where its file is given, else anatomical limits.

    Args:
        mixture: from `apu_losses.functional.load_pose_mixture`.
        limit_weight: of the joint limits, without a mixture.

    Example:
        >>> import torch
        >>> from apu_losses import PosePrior
        >>> from apu_losses.functional import relaxed_pose
        >>> knee = relaxed_pose().clone()
        >>> knee[9] = -0.5  # it bends forwards
        >>> relaxed, broken = PosePrior()(torch.stack([relaxed_pose(), knee]))
        >>> bool(broken > relaxed)
        True
    """

    def __init__(self, mixture: PoseMixture | None = None, *, limit_weight: float = 20.0) -> None:
        super().__init__()
        self.limit_weight = limit_weight
        self.has_mixture = mixture is not None
        if mixture is not None:
            for name, value in mixture._asdict().items():
                self.register_buffer(name, value)

    def forward(self, body_pose: Tensor) -> Tensor:
        """``(N, 63)`` axis-angle to ``(N,)``."""
        if not self.has_mixture:
            return anatomical_pose_prior(body_pose, limit_weight=self.limit_weight)
        mixture = PoseMixture(*(self.get_buffer(name) for name in PoseMixture._fields))
        return mixture_pose_prior(body_pose, mixture)


class InitialPosePrior(nn.Module):
    """Holds a pose near the one that it started from.

    Args:
        metric: ``"geodesic"`` or BUDDI's ``"axis_angle"``.
        joint_weights: ``(J,)``, ones by default.

    Example:
        >>> import torch
        >>> from apu_losses import InitialPosePrior
        >>> bent = torch.zeros(1, 63)
        >>> bent[0, 0] = 0.5
        >>> InitialPosePrior()(bent, torch.zeros(1, 63))
        tensor([0.2500])
    """

    joint_weights: Tensor | None

    def __init__(self, *, metric: Metric = "geodesic", joint_weights: Tensor | None = None) -> None:
        super().__init__()
        check_choice("metric", metric, Metric)
        self.metric: Metric = metric
        self.register_buffer("joint_weights", joint_weights)

    def forward(self, body_pose: Tensor, reference: Tensor) -> Tensor:
        """``(N, 3 J)`` axis-angle twice to ``(N,)``."""
        return initial_pose_prior(body_pose, reference, metric=self.metric, joint_weights=self.joint_weights)


class ShapePrior(nn.Module):
    """Holds a shape near the mean, or near the one that it started from where that is given.

    Example:
        >>> import torch
        >>> from apu_losses import ShapePrior
        >>> betas, start = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]])
        >>> ShapePrior()(betas), ShapePrior()(betas, start)
        (tensor([5.]), tensor([4.]))
    """

    def forward(self, betas: Tensor, start: Tensor | None = None) -> Tensor:
        """``(N, K)`` to ``(N,)``."""
        return shape_prior(betas) if start is None else shape_change_prior(betas, start)
