"""When a scene is done: the slope of its loss over a window of iterations, for all scenes at once."""

from __future__ import annotations

import torch
from torch import Tensor


class SlopeRule:
    """Watches one loss a scene and says which scenes have stopped falling.

    Args:
        scenes: how many scenes are watched.
        window: iterations over which a line is fitted by least squares.
        relative: stop where the slope is smaller than ``relative * abs(loss)``, or ``None``.
        absolute: stop where the slope is smaller than this, or ``None``.
    """

    def __init__(self, scenes: int, window: int, relative: float | None, absolute: float | None) -> None:
        self.window = window
        self.relative = relative
        self.absolute = absolute
        self.history: Tensor | None = None
        self._scenes = scenes
        self._count = 0

    def update(self, loss: Tensor) -> Tensor:
        """Add the losses of one iteration, ``(S,)``; returns ``(S,)`` which scenes have converged."""
        loss = loss.detach().double()
        if self.history is None:
            self.history = loss.new_zeros(self.window, self._scenes)
        self.history[self._count % self.window] = loss
        self._count += 1
        if self._count <= self.window:
            return torch.zeros_like(loss, dtype=torch.bool)
        # rows in order of time: the oldest stands where the next one will be written
        ordered = self.history.roll(-(self._count % self.window), dims=0)
        time = torch.arange(self.window, dtype=torch.float64, device=loss.device) - (self.window - 1) / 2
        slope = (time[:, None] * ordered).sum(0) / (time**2).sum()
        done = torch.zeros_like(loss, dtype=torch.bool)
        if self.relative is not None:
            done |= slope.abs() < self.relative * loss.abs()
        if self.absolute is not None:
            done |= slope.abs() < self.absolute
        return done

    def keep(self, scenes: Tensor) -> None:
        """Go on with only these scenes, ``(S,)`` bool or indices."""
        if self.history is not None:
            self.history = self.history[:, scenes]
            self._scenes = self.history.shape[1]
