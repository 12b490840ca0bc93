"""The plainest design: pairs and their estimates as one normal distribution, whose denoiser is known.

Nothing is learned by descent. The mean and covariance of (pair, estimate) are counted, over every pair, its
exchange and their mirror images; given an estimate and a noisy pair, what is expected under the noise
follows in closed form.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.schedule import CosineSchedule

_FLOOR = 0.02
"""Standard deviation of every number of a pair besides what was seen: metres, or some degrees."""


class GaussianDesign(nn.Module):
    """``design(x_t, t, condition, known) -> x_0``, the optimal denoiser of a normal distribution.

    Args:
        layout: the numbers of a person; a pair has 2 D.
        schedule: of the noise.
    """

    design = "gaussian"
    mean: Tensor
    spread: Tensor
    axes: Tensor
    estimate_mean: Tensor
    gain: Tensor
    left_spread: Tensor
    left_axes: Tensor

    def __init__(self, layout: PriorLayout, schedule: CosineSchedule | None = None) -> None:
        super().__init__()
        self.layout, self.schedule = layout, schedule or CosineSchedule()
        size = 2 * layout.size
        for name, shape in (
            ("mean", (size,)),
            ("spread", (size,)),
            ("axes", (size, size)),
            ("estimate_mean", (size,)),
            ("gain", (size, size)),
            ("left_spread", (size,)),
            ("left_axes", (size, size)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32, device="cpu"))

    @torch.no_grad()
    def fit(
        self, pairs: Tensor, estimates: Tensor, weights: Tensor | None = None, *, ridge: float = 0.3
    ) -> None:
        """Count a data set.

        Args:
            pairs: ``(N, 2, D)``.
            estimates: ``(N, 2, D)`` of each pair.
            weights: ``(N,)`` how much each counts; alike by default.
            ridge: standard deviation that every number of the estimates is taken to have besides what was
                seen: few pairs leave most directions unseen, and along these an estimate is believed. Chosen
                by leaving out one development type at a time.
        """
        pairs, estimates = pairs.double(), estimates.double()
        share = (
            torch.ones(len(pairs), dtype=torch.float64, device=pairs.device)
            if weights is None
            else weights.double()
        )
        x, c = (self._every_way(v).flatten(1) for v in (pairs, estimates))
        share = share.repeat(len(x) // len(pairs))
        share = (share / share.sum())[:, None]
        mean, middle = (share * x).sum(0), (share * c).sum(0)
        dx, dc = x - mean, c - middle
        eye = torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
        own = dx.T @ (share * dx) + _FLOOR**2 * eye
        given = dc.T @ (share * dc) + ridge**2 * eye
        cross = dx.T @ (share * dc)
        # how a pair is off from its estimate: where little was seen, an estimate is taken as it is
        off = torch.linalg.solve(given, (cross - dc.T @ (share * dc)).T).T
        gain = eye + off
        rest = dx - dc @ gain.T
        left = rest.T @ (share * rest) + _FLOOR**2 * eye
        spread, axes = torch.linalg.eigh(own)
        left_spread, left_axes = torch.linalg.eigh(left)
        found = {
            "mean": mean,
            "spread": spread.clamp(min=0),
            "axes": axes,
            "estimate_mean": middle,
            "gain": gain,
            "left_spread": left_spread.clamp(min=0),
            "left_axes": left_axes,
        }
        for name, value in found.items():
            getattr(self, name).copy_(value)

    def forward(
        self, x: Tensor, t: Tensor, condition: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Return what is expected under the noise; arguments as of `BuddiNetwork`.

        An estimate of which some tokens are not known counts as unknown.
        """
        flat = x.flatten(1)
        alone = self._filtered(flat, t, self.mean, self.spread, self.axes)
        if condition is None:
            return alone.unflatten(1, (2, -1))
        expected = self.mean + (condition.flatten(1) - self.estimate_mean) @ self.gain.T
        found = self._filtered(flat, t, expected, self.left_spread, self.left_axes)
        if known is not None:
            whole = known.flatten(1).all(1)[:, None]
            found = torch.where(whole, found, alone)
        return found.unflatten(1, (2, -1))

    def _filtered(self, x: Tensor, t: Tensor, mean: Tensor, spread: Tensor, axes: Tensor) -> Tensor:
        kept = self.schedule.kept.to(x.device)[t][:, None].to(x.dtype)
        share = kept.sqrt() * spread / (kept * spread + 1 - kept)
        return mean + ((x - kept.sqrt() * mean) @ axes * share) @ axes.T

    def _every_way(self, codes: Tensor) -> Tensor:
        """Return codes, with the people exchanged, and the mirror images of both."""
        both = torch.cat([codes, codes.flip(1)])
        return torch.cat([both, self.layout.mirror(both)]) if self.layout.mirrors else both
