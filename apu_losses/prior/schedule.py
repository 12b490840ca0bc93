"""The noise of a diffusion: how much is left of a pair after t steps, and how to go back.

Ho et al., "Denoising diffusion probabilistic models", 2020; the schedule is the cosine of Nichol and
Dhariwal, 2021; the way back is that of Song et al., "Denoising diffusion implicit models", 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""``denoise(x_t, t) -> x_0``: from ``(B, ...)`` and ``(B,)`` to what is thought to be under the noise."""


@dataclass(frozen=True)
class CosineSchedule:
    """A schedule of ``steps`` steps.

    Args:
        steps: T; times are 0 to T - 1, and the noise at 0 is already a little.
        offset: s of the paper: keeps the first steps from being too small.
        largest: no step takes more than this share of what is left.

    Example:
        >>> schedule = CosineSchedule()
        >>> [round(schedule.noise(t), 3) for t in (0, 10, 100, 500)]
        [0.006, 0.027, 0.169, 0.713]
    """

    steps: int = 1000
    offset: float = 0.008
    largest: float = 0.999

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps must be at least 2, got {self.steps}")

    @cached_property
    def kept(self) -> Tensor:
        """``(T,)`` float64: the share of the signal's variance that is left after each step (alpha bar)."""
        angle = (
            torch.arange(self.steps + 1, dtype=torch.float64, device="cpu") / self.steps + self.offset
        ) / (1 + self.offset)
        f = (angle * math.pi / 2).cos().square()
        beta = (1 - f[1:] / f[:-1]).clamp(max=self.largest)
        return (1 - beta).cumprod(0)

    def noise(self, t: int) -> float:
        """Return the standard deviation of the noise at t."""
        return math.sqrt(1 - float(self.kept[self._checked(t)]))

    def add_noise(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return ``x_t`` of ``x (B, ...)`` at the times ``t (B,)``."""
        signal, spread = self._at(t, x)
        return signal * x + spread * noise

    def back(
        self, x_t: Tensor, x0: Tensor, t: int, to: int, eta: float = 0.0, noise: Tensor | None = None
    ) -> Tensor:
        """Return one step back from t to an earlier time; to -1 is to x_0 itself.

        Args:
            x0: what is thought to be under the noise.
            eta: 0: no new noise (DDIM); 1: as much as DDPM adds.
            noise: of the same shape, for ``eta`` above 0.
        """
        kept = float(self.kept[self._checked(t)])
        before = 1.0 if to < 0 else float(self.kept[to])
        inside = (x_t - math.sqrt(kept) * x0) / math.sqrt(1 - kept)
        fresh = eta * math.sqrt((1 - before) / (1 - kept) * (1 - kept / before))
        x = math.sqrt(before) * x0 + math.sqrt(max(1 - before - fresh * fresh, 0.0)) * inside
        if fresh > 0:
            if noise is None:
                raise ValueError("noise: with eta above 0 each step needs some")
            x = x + fresh * noise
        return x

    def sample(
        self,
        denoise: Denoise,
        start: Tensor,
        times: Sequence[int] | None = None,
        *,
        eta: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Go from noise ``start (B, ...)`` back to x_0.

        Args:
            denoise: what predicts x_0.
            times: falling; 50 evenly spaced ones by default.
        """
        times = evenly_spaced(self.steps, 50) if times is None else list(times)
        if not times or any(later >= earlier for earlier, later in pairwise(times)):
            raise ValueError(f"times must be falling and not empty, got {list(times)}")
        x = start
        for t, to in zip(times, [*times[1:], -1], strict=True):
            x0 = denoise(x, torch.full((len(x),), t, dtype=torch.int64, device=x.device))
            fresh = None
            if eta > 0:
                home = x.device if generator is None else generator.device
                fresh = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=home).to(x.device)
            x = self.back(x, x0, t, to, eta, fresh)
        return x

    def _at(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.kept.to(t.device)[t].reshape(-1, *(1,) * (x.dim() - 1))
        return kept.sqrt().to(x.dtype), (1 - kept).sqrt().to(x.dtype)

    def _checked(self, t: int) -> int:
        if not 0 <= t < self.steps:
            raise ValueError(f"t must be 0 to {self.steps - 1}, got {t}")
        return t


def evenly_spaced(steps: int, count: int) -> list[int]:
    """Return ``count`` falling times from ``steps - 1`` down to 0."""
    return sorted(
        {round(t) for t in torch.linspace(0, steps - 1, count, dtype=torch.float64, device="cpu").tolist()},
        reverse=True,
    )
